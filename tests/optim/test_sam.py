"""SAM: the paper's box as a NumPy loop; weights put back; what it hands on to its base."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import ravine
from ravine.errors import InputError, ParameterError, SettingError
from ravine.optim import SAM
from tests.cases import STEPS, TOLERANCE, Ravine, difference
from tests.optim.trials import Trial, through_file

Make = Callable[[list[Tensor]], torch.optim.Optimizer]
BASES: dict[str, Make] = {
    "ravine": lambda p: ravine.optim.SGD(p, lr=0.02, momentum=0.8),
    "torch": lambda p: torch.optim.SGD(p, lr=0.02, momentum=0.8),
}


def walk_sam(make: Make, rho: float, adaptive: bool, maximize: bool = False) -> Any:
    """θ after every step, in two parameters of 3 and 5 elements, [steps, 8]."""
    problem = Ravine()
    sign = -1 if maximize else 1
    params = [torch.from_numpy(part.copy()).requires_grad_() for part in cut(problem.start)]
    sam, path = SAM(make(params), rho, adaptive), []
    for k in range(STEPS):

        def closure(k: int = k) -> Tensor:
            theta = np.concatenate([param.detach().numpy() for param in params])
            for param, grad in zip(params, cut(sign * problem.gradient(theta, k)), strict=True):
                param.grad = torch.from_numpy(grad.copy())
            return torch.zeros(())

        sam.step(closure)
        path.append(np.concatenate([param.detach().numpy() for param in params]))
    return np.array(path)


def cut(flat: Any) -> list[Any]:
    return [flat[:3], flat[3:]]


def reference(rho: float, adaptive: bool) -> Any:
    """Algorithm 1 with heavy-ball momentum as the base, one long vector."""
    problem = Ravine()
    theta, buffer, path = problem.start.copy(), np.zeros(8), []
    for k in range(STEPS):
        g = problem.gradient(theta, k)
        scale = np.abs(theta) if adaptive else np.ones(8)
        e = rho * scale**2 * g / (np.sqrt(np.sum((scale * g) ** 2)) + 1e-12)
        buffer = 0.8 * buffer + problem.gradient(theta + e, k)
        theta = theta - 0.02 * buffer
        path.append(theta)
    return np.array(path)


@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("adaptive", [False, True])
@pytest.mark.parametrize("rho", [0.05, 0.3])
def test_the_path_of_the_box(base: str, adaptive: bool, rho: float) -> None:
    path = walk_sam(BASES[base], rho, adaptive)
    assert difference(path, reference(rho, adaptive)) <= TOLERANCE


def test_rho_of_zero_is_the_base() -> None:
    plain = reference(0.0, False)
    assert difference(walk_sam(BASES["torch"], 0.0, False), plain) <= TOLERANCE
    assert difference(walk_sam(BASES["torch"], 0.3, False), plain) > 1e-3


def test_maximizing_goes_the_mirrored_path() -> None:
    """To climb -J is to descend J, and its sharp places lie on the same sides."""
    path = walk_sam(
        lambda p: ravine.optim.SGD(p, lr=0.02, momentum=0.8, maximize=True), 0.3, False, True
    )
    assert difference(path, reference(0.3, False)) <= TOLERANCE


@pytest.mark.parametrize("name", ["Adam", "Nesterov", "Muon"])
def test_weights_are_put_back_bit_by_bit(name: str) -> None:
    """With a rate of 0 a step changes nothing, although both gradients are taken."""
    model = nn.Linear(40, 30, bias=False, dtype=torch.float32)
    sam = SAM(getattr(ravine.optim, name)(model.parameters(), lr=0.0), rho=0.37)
    before, points = model.weight.detach().clone(), []

    def closure() -> Tensor:
        sam.zero_grad()
        points.append(model.weight.detach().clone())
        loss = model(torch.ones(2, 40, dtype=torch.float32)).square().sum()
        loss.backward()
        return loss

    for _ in range(5):
        sam.step(closure)
        assert torch.equal(model.weight, before)
    assert all(torch.equal(point, before) for point in points[::2])
    for point in points[1::2]:
        assert (point - before).norm().item() == pytest.approx(0.37, rel=1e-5)


def test_weights_are_put_back_if_the_second_gradient_fails() -> None:
    model = nn.Linear(3, 1)
    sam = SAM(ravine.optim.Adam(model.parameters()))
    before, calls = copy.deepcopy(model.state_dict()), []

    def closure() -> Tensor:
        calls.append(1)
        if len(calls) == 2:
            raise RuntimeError("no data")
        loss = model(torch.ones(1, 3)).sum()
        loss.backward()
        return loss

    with pytest.raises(RuntimeError, match="no data"):
        sam.step(closure)
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])
    assert not sam.state


@pytest.mark.parametrize("base", [ravine.optim, torch.optim])
def test_groups_schedules_and_checkpoints_are_the_base_s(base: Any) -> None:
    def made() -> Trial:
        each = Trial(lambda model: SAM(base.Adam(model.parameters(), lr=0.02), rho=0.1))
        each.scheduler = torch.optim.lr_scheduler.StepLR(each.optimizer, 3, gamma=0.5)
        return each

    def run(each: Trial, steps: int) -> Trial:
        for _ in range(steps):
            each.optimizer.step(each.closure)
            each.scheduler.step()
            each.k += 1
        return each

    straight, broken, resumed = run(made(), 10), run(made(), 5), made()
    assert straight.optimizer.param_groups is straight.optimizer.base.param_groups
    assert straight.optimizer.param_groups[0]["lr"] == 0.02 * 0.5**3
    resumed.model.load_state_dict(broken.model.state_dict())
    resumed.optimizer.load_state_dict(through_file(broken.optimizer.state_dict()))
    resumed.scheduler.load_state_dict(broken.scheduler.state_dict())
    resumed.k = broken.k
    assert (run(resumed, 5).weights() == straight.weights()).all()
    plain = Trial(lambda model: base.Adam(model.parameters()))
    plain.optimizer.load_state_dict(broken.optimizer.state_dict())  # the base's own layout
    assert plain.optimizer.param_groups[0]["lr"] == broken.optimizer.param_groups[0]["lr"]
    straight.optimizer.add_param_group({"params": [torch.zeros(2)]})
    assert len(straight.optimizer.base.param_groups) == 2
    straight.optimizer.zero_grad()
    assert all(param.grad is None for param in straight.model.parameters())


def test_hooks_and_copies() -> None:
    each, calls = Trial(lambda model: SAM(ravine.optim.SGD(model.parameters()), 0.2, True)), []
    each.optimizer.register_step_pre_hook(lambda *args: calls.append("before"))
    each.optimizer.step(each.closure)
    assert calls == ["before"]
    copied = copy.deepcopy(each.optimizer)
    assert (copied.rho, copied.adaptive) == (0.2, True)
    assert copied.param_groups[0]["params"][0] is not each.optimizer.param_groups[0]["params"][0]


def test_it_goes_into_the_base_s_eval_mode() -> None:
    each = Trial(lambda model: SAM(ravine.optim.Nesterov(model.parameters(), lr=0.1)))
    each.optimizer.step(each.closure)
    probe = each.weights()
    each.optimizer.eval()
    assert (each.weights() != probe).any()
    shown = each.weights()
    with pytest.raises(InputError, match="eval mode"):
        each.optimizer.step(each.closure)
    assert (each.weights() == shown).all()
    each.optimizer.train()
    assert (each.weights() == probe).all()


def test_what_is_refused() -> None:
    model = nn.Linear(2, 1)
    with pytest.raises(InputError, match=r"without a closure.*optimizer\.step\(closure\)"):
        SAM(ravine.optim.SGD(model.parameters())).step()
    with pytest.raises(SettingError, match=r"rho=-1 is out of range.*>= 0"):
        SAM(ravine.optim.SGD(model.parameters()), rho=-1)
    with pytest.raises(ParameterError, match=r"generator came: write SAM\(SGD"):
        SAM(model.parameters())  # type: ignore[arg-type]
    embedding = nn.Embedding(5, 2, sparse=True)
    before = embedding.weight.detach().clone()
    sam = SAM(torch.optim.SGD(embedding.parameters()))

    def closure() -> Tensor:
        loss = embedding(torch.tensor([1])).sum()
        loss.backward()
        return loss

    with pytest.raises(ParameterError, match="sparse=False"):
        sam.step(closure)
    assert torch.equal(embedding.weight, before)
