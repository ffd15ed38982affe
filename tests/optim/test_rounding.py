"""bfloat16 parameters: what the rounding option asks for reaches the step."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from tests.optim.trials import ALL, ours, shape_for

STEP = 2.0**-11
"""A quarter of the distance from 1 to the bfloat16 number below it."""


def descend(engine: str, rounding: str, steps: int, size: int = 1) -> torch.Tensor:
    """θ from 1 by equal steps that are too small for bfloat16."""
    param = torch.ones(size, dtype=torch.bfloat16)
    optimizer = ours("SGD")([param], lr=STEP, engine=engine, rounding=rounding)
    for _ in range(steps):
        param.grad = torch.ones_like(param)
        optimizer.step()
    return param.double()


@pytest.mark.parametrize("engine", ["eager", "auto", "compiled"])
def test_small_steps_by_rounding(engine: str) -> None:
    """40 steps of 2⁻¹¹ end at 1 - 40/2048 = 0.98046875, a number of bfloat16."""
    assert descend(engine, "nearest", 40).item() == 1.0
    assert descend(engine, "kahan", 40).item() == 0.98046875
    ends = descend(engine, "stochastic", 40, size=1)
    assert ends.item() in {1 - k / 256 for k in range(20)}


@pytest.mark.parametrize("engine", ["eager", "auto"])
def test_stochastic_rounding_is_right_on_average(engine: str) -> None:
    """Over 400 elements that differ in their gradients' last bits; a mean is off by about 2e-4."""
    param = torch.ones(400, dtype=torch.bfloat16)
    optimizer = ours("SGD")([param], lr=STEP, engine=engine, rounding="stochastic")
    slopes = (1 + 0.004 * torch.linspace(-1, 1, 400)).bfloat16() * torch.linspace(0.5, 1.5, 400)
    for _ in range(40):
        param.grad = slopes.bfloat16()
        optimizer.step()
    expected = 1 - 40 * STEP * slopes.bfloat16().double()
    assert (param.double() - expected).mean().abs() < 1e-3


def test_the_state_says_how_it_is_rounded() -> None:
    param = torch.ones(3, dtype=torch.bfloat16)
    param.grad = torch.ones_like(param)
    for rounding, entries in (("nearest", set()), ("kahan", {"compensation"})):
        optimizer = ours("Lion")([param], rounding=rounding)
        optimizer.step()
        assert set(optimizer.state[param]) == {"exp_avg", *entries}


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_dtypes_stay(name: str, dtype: torch.dtype) -> None:
    shape = shape_for(name)
    params = [torch.full(shape, 0.5, dtype=dtype)]
    if name != "Muon":
        params.append(torch.ones((), dtype=dtype))
    options: dict[str, Any] = {} if name == "Muon" else {"lr": torch.tensor(0.1)}
    optimizer = ours(name)(params, **options)
    for _ in range(2):
        for param in params:
            param.grad = torch.full_like(param, 0.7)
        optimizer.step()
    counts = ("step", "mu_product", "eta", "mu", "weight_sum", "lr_max")
    always_wide = ("preconditioner", "root", "basis")
    for param in params:
        assert param.dtype == dtype
        for entry, value in optimizer.state[param].items():
            wide = entry in counts or entry.startswith(always_wide) or name == "SOAP"
            assert value.dtype == (torch.float32 if wide else dtype), entry
