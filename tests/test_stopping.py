"""The rule of early stopping, and an object that follows it and keeps the best weights."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import numpy as np
import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn

from ravine import optim
from ravine import stopping as stopping_module
from ravine.errors import SettingError
from ravine.stopping import EarlyStopping, Stop, stop

NAN, INF = math.nan, math.inf


@pytest.mark.parametrize(
    ("values", "settings", "expected"),
    [
        ([], (1,), Stop(None, None)),
        ([3.0], (1,), Stop(None, 0)),
        ([3.0, 2.0, 1.0], (1,), Stop(None, 2)),
        ([3.0, 4.0], (1,), Stop(1, 0)),
        ([3.0, 2.0, 4.0, 5.0, 1.0], (2,), Stop(3, 1)),  # the 1 came too late
        ([3.0, 2.0, 4.0, 1.0, 5.0, 6.0], (2,), Stop(5, 3)),
        ([3.0, 2.0, 4.0, 1.0, 5.0], (2,), Stop(None, 3)),
        ([2.0, 2.0, 2.0], (2,), Stop(2, 0)),  # equal is no improvement
        ([0.1, 0.5, 0.4, 0.6], (3, True), Stop(None, 3)),
        ([0.1, 0.5, 0.4, 0.5], (2, True), Stop(3, 1)),
        ([-1.0, -2.0, -1.5], (1, True), Stop(1, 0)),
        ([1.0, 0.75, 0.5], (2, False, 0.25), Stop(None, 2)),  # 0.75 is not better by more than 0.25
        ([1.0, 0.75, 0.8], (2, False, 0.25), Stop(2, 0)),
        ([0.0, 0.25, 0.5], (2, True, 0.25), Stop(None, 2)),
        ([NAN, NAN], (2,), Stop(1, None)),
        ([NAN, NAN, 1.0], (3,), Stop(None, 2)),
        ([NAN, 5.0, NAN, INF, 4.0], (3,), Stop(None, 4)),
        ([1.0, -INF, 2.0], (2,), Stop(2, 0)),
        ([1.0, INF, 2.0], (2, True), Stop(None, 2)),
        ([INF], (1,), Stop(0, None)),
    ],
)
def test_stop(values: list[float], settings: Any, expected: Stop) -> None:
    assert stop(values, *settings) == expected


def from_definition(values: list[float], patience: int, sign: float, margin: float) -> Stop:
    """By looking back from every evaluation, in NumPy: no running best."""
    costs = np.where(np.isfinite(values), sign * np.array(values), np.inf)
    improved: list[int] = []
    for i, cost in enumerate(costs):
        if np.isfinite(cost) and all(cost < costs[j] - margin for j in improved):
            improved.append(i)
        waited = range(i - patience + 1, i + 1)
        if waited.start >= 0 and not any(j in improved for j in waited):
            return Stop(i, improved[-1] if improved else None)
    return Stop(None, improved[-1] if improved else None)


@pytest.mark.parametrize("maximize", [False, True])
@pytest.mark.parametrize("margin", [0.0, 0.2])
def test_stop_is_its_definition_on_random_walks(maximize: bool, margin: float) -> None:
    random = np.random.default_rng(0)
    stops = set()
    for _ in range(300):
        values = np.round(random.normal(size=30).cumsum() * 0.1, 1)
        values[random.random(30) < 0.1] = random.choice([np.nan, np.inf, -np.inf])
        patience = int(random.integers(1, 12))
        found = stop(values.tolist(), patience, maximize, margin)
        sign = -1.0 if maximize else 1.0
        assert found == from_definition(values.tolist(), patience, sign, margin)
        stops.add(found.stopped)
        for n in range(30):  # what comes later changes nothing
            cut = stop(values[:n].tolist(), patience, maximize, margin)
            if found.stopped is not None and n > found.stopped:
                assert cut == found
            else:
                assert cut.stopped is None
    assert len(stops) > 10


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"patience": 0}, "patience=0 .*at least 1"),
        ({"patience": 2.0}, "patience=2.0 .*whole number"),
        ({"patience": True}, "patience=True"),
        ({"patience": 1, "margin": -0.1}, "margin=-0.1 .*>= 0"),
        ({"patience": 1, "margin": NAN}, "margin=nan"),
        ({"patience": 1, "margin": INF}, "margin=inf"),
    ],
)
def test_settings_outside_of_what_is_allowed(settings: Any, message: str) -> None:
    with pytest.raises(SettingError, match=message):
        stop([1.0], **settings)
    with pytest.raises(SettingError, match=message):
        EarlyStopping(nn.Linear(1, 1), **settings)


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.Linear(3, 1))


@torch.no_grad()
def move(model: nn.Module) -> None:
    """Change every parameter and every buffer."""
    for tensor in (*model.parameters(), *model.buffers()):
        tensor.add_(1)


def tensors_of(model: nn.Module) -> list[Tensor]:
    return [t.detach().clone() for t in (*model.parameters(), *model.buffers())]


def same(a: list[Tensor], b: list[Tensor]) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


def test_the_best_weights_and_buffers_come_back() -> None:
    model = network()
    places = [t.data_ptr() for t in (*model.parameters(), *model.buffers())]
    stopping = EarlyStopping(model, patience=2)
    assert (stopping.best, stopping.best_value, stopping.stopped) == (None, None, None)
    answers, seen = [], []
    for metric in (0.5, torch.tensor(0.25), np.float64(0.25), NAN):
        seen.append(tensors_of(model))
        answers.append(stopping(metric))
        move(model)
    assert answers == [False, False, False, True]
    assert (stopping.best, stopping.best_value, stopping.stopped) == (1, 0.25, 3)
    assert stopping(0.0)  # too late: it has stopped
    assert (stopping.best, stopping.stopped) == (1, 3)
    stopping.restore()
    assert same(tensors_of(model), seen[1])
    assert [t.data_ptr() for t in (*model.parameters(), *model.buffers())] == places
    move(model)
    stopping.restore()  # the copy was not handed out
    assert same(tensors_of(model), seen[1])


def test_nothing_to_restore() -> None:
    stopping = EarlyStopping(network(), patience=3)
    stopping(NAN)
    with pytest.raises(SettingError, match="none of 1 evaluations had a finite metric"):
        stopping.restore()


def test_a_metric_that_is_not_one_number() -> None:
    stopping = EarlyStopping(network(), patience=3)
    for metric in (torch.zeros(2), "x", None):
        with pytest.raises(SettingError, match="cannot be read as one number"):
            stopping(metric)  # type: ignore[arg-type]
    assert stopping.state_dict()["values"] == []


def test_a_checkpoint_goes_on() -> None:
    metrics = [0.9, 0.5, 0.7, 0.4, 0.6, 0.8]
    model, resumed = network(), network()
    first, second = EarlyStopping(model, 2), EarlyStopping(resumed, 2)
    for metric in metrics[:3]:
        first(metric)
        move(model)
    file = io.BytesIO()
    torch.save({"stopping": first.state_dict(), "model": model.state_dict()}, file)
    file.seek(0)
    saved = torch.load(file, weights_only=True)
    resumed.load_state_dict(saved["model"])
    second.load_state_dict(saved["stopping"])
    second.restore()
    first.restore()
    assert same(tensors_of(model), tensors_of(resumed))
    for metric in metrics[3:]:
        assert first(metric) == second(metric)
        move(model)
        move(resumed)
    assert (first.best, first.stopped) == (second.best, second.stopped) == (3, 5)
    first.restore()
    second.restore()
    assert same(tensors_of(model), tensors_of(resumed))
    with pytest.raises(SettingError, match=r"weights of evaluation 3, .* the best one is 0"):
        EarlyStopping(network(), 2, maximize=True).load_state_dict(first.state_dict())


def test_weights_that_are_views_of_one_block() -> None:
    """As flat optimizers and DDP's gradient buckets lay them; the views stay views."""
    model = nn.Linear(2, 2)
    block = torch.arange(8.0)
    model.weight = nn.Parameter(block[:4].view(2, 2))
    model.bias = nn.Parameter(block[6:])
    stopping = EarlyStopping(model, patience=1)
    stopping(1.0)
    block.zero_()
    stopping.restore()
    assert block.tolist() == [0, 1, 2, 3, 0, 0, 6, 7]


def test_tied_weights_stay_tied() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    model[1].weight = model[0].weight
    stopping = EarlyStopping(model, patience=1)
    before = model[0].weight.detach().clone()
    stopping(1.0)
    move(model)
    stopping.restore()
    assert model[1].weight is model[0].weight
    assert torch.equal(model[0].weight, before)


@pytest.fixture
def one_process() -> Iterator[None]:
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    yield
    dist.destroy_process_group()


@pytest.mark.usefixtures("one_process")
@pytest.mark.parametrize("wrapped", ["compiled", "ddp"])
def test_wrapped_models(wrapped: str) -> None:
    model = network()
    outer: Any = (
        torch.compile(model, backend="eager")
        if wrapped == "compiled"
        else nn.parallel.DistributedDataParallel(model)
    )
    x = torch.randn(5, 2)
    expected = deepcopy(model).eval()(x)
    stopping = EarlyStopping(outer, patience=1)
    stopping(1.0)
    outer(x)
    move(model)
    stopping.restore()
    torch.testing.assert_close(outer.eval()(x), expected, rtol=0, atol=0)


def test_the_averaged_weights_of_schedule_free_are_kept() -> None:
    """The metric, the copy and `restore` all see x, the point that is evaluated."""
    torch.manual_seed(0)
    model = nn.Linear(3, 1).double()
    x = torch.randn(64, 3, dtype=torch.float64)
    y = x.sum(dim=1, keepdim=True) + torch.randn(64, 1, dtype=torch.float64)
    optimizer = optim.ScheduleFreeSGD(model.parameters(), lr=0.05)
    stopping, evaluated, trained = EarlyStopping(model, patience=3, maximize=True), [], []
    for metric in (0.1, 0.2, 0.6, 0.3, 0.3, 0.3):
        optimizer.train()
        for _ in range(4):
            optimizer.zero_grad()
            (model(x) - y).square().mean().backward()
            optimizer.step()
        trained.append(model.weight.detach().clone())
        optimizer.eval()
        evaluated.append(model.weight.detach().clone())
        if stopping(metric):
            break
    assert (stopping.best, stopping.stopped) == (2, 5)
    stopping.restore()
    assert torch.equal(model.weight, evaluated[2])
    assert not torch.allclose(model.weight, trained[2], rtol=1e-3)


def test_an_evaluation_costs_the_same_however_many_came_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One application of the rule for each, in both forms; a look through all would be N²/2."""
    applied = []
    after = stopping_module._Rule.after
    monkeypatch.setattr(
        stopping_module._Rule,
        "after",
        lambda rule, *args: applied.append(args) or after(rule, *args),
    )
    stopping, values = EarlyStopping(network(), patience=40), [1 / (1 + k % 7) for k in range(60)]
    stopped = [stopping(value) for value in values]
    assert (len(applied), stopping.best, stopping.best_value) == (60, 6, 1 / 7)
    assert stopped == [False] * 46 + [True] * 14
    assert stop(values, 40) == Stop(46, 6)
    assert len(applied) == 120
