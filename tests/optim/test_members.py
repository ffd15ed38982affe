"""Parameters that join, rest, leave, or move to other memory: every engine steps the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

import ravine
from ravine import rules
from tests.cases import TOLERANCE
from tests.optim.trials import ALL, WITH_OUTPUT, ours

SHAPES = ((4, 3), (4, 3), (2, 5), (3, 4), (4, 3))


def walk(make: Callable[..., Any], engine: str) -> list[Tensor]:
    """The parameters after each of 16 steps, in which their company changes."""
    generator = torch.Generator().manual_seed(0)
    params = [torch.randn(shape, generator=generator).requires_grad_() for shape in SHAPES]
    optimizer = make(params[:3], engine=engine)
    path = []
    for k in range(16):
        if k == 3:
            optimizer.add_param_group({"params": params[3:4], "lr": 0.02})
        if k == 6:  # unfrozen
            optimizer.param_groups[0]["params"].append(params[4])
        if k == 9:  # frozen
            params[0].requires_grad_(False)
        if k == 11:  # moved to other memory, as by model.to()
            params[1].data = params[1].data.clone()
        if k == 13:
            with torch.no_grad():
                params[2].mul_(0.5)
        for index, param in enumerate(params):
            noise = 0.1 * torch.randn(param.shape, generator=generator)
            resting = (k in (1, 7) and index == 1) or (k == 4 and index in (0, 2))
            there = any(param is other for g in optimizer.param_groups for other in g["params"])
            frozen = not param.requires_grad
            param.grad = None if resting or frozen or not there else param.detach() - 1 + noise
        optimizer.step()
        path.append(torch.cat([param.detach().reshape(-1) for param in params]).clone())
    return path


@pytest.mark.parametrize("name", [name for name in ALL if name != "Muon"])
def test_changing_company_as_eager(name: str) -> None:
    auto, eager = (torch.stack(walk(ours(name), engine)) for engine in ("auto", "eager"))
    assert (auto - eager).abs().max() <= TOLERANCE * eager.abs().max()


@pytest.mark.parametrize("name", ["SGD", "Adam", "LAMB"])
def test_changing_company_compiled(name: str) -> None:
    paths = [torch.stack(walk(ours(name), engine)) for engine in ("compiled", "eager")]
    assert (paths[0] - paths[1]).abs().max() <= TOLERANCE * paths[1].abs().max()


def test_changing_company_under_a_total() -> None:
    """The norm that clips is that of the parameters that move."""
    rule = ravine.chain(ravine.clip_norm(0.5), rules.adam())
    paths = [
        torch.stack(walk(lambda p, engine: ravine.Optimizer(p, rule, engine=engine), engine))
        for engine in ("auto", "eager")
    ]
    assert (paths[0] - paths[1]).abs().max() <= TOLERANCE * paths[1].abs().max()


@pytest.mark.parametrize("engine", ["eager", "auto"])
def test_a_parameter_without_gradient_rests(engine: str) -> None:
    weight, bias = torch.ones(2, 1), torch.ones(1)
    optimizer = ravine.optim.Adam([weight, bias], engine=engine)
    weight.grad = torch.ones_like(weight)
    optimizer.step()
    assert torch.equal(bias, torch.ones(1))
    assert bias not in optimizer.state


@pytest.mark.parametrize("name", WITH_OUTPUT)
def test_eval_leaves_a_parameter_that_never_moved(name: str) -> None:
    moving, resting = torch.ones(2), torch.ones(2)
    optimizer = ours(name)([moving, resting])
    moving.grad = torch.ones_like(moving)
    optimizer.step()
    optimizer.eval()
    assert torch.equal(resting, torch.ones(2))
    optimizer.train()
    assert torch.equal(resting, torch.ones(2))
