"""A watched run is the run: to the last bit, whatever is measured, whatever fails."""

from __future__ import annotations

import warnings

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from ravine import optim
from ravine.diagnostics.instrument import Instrument, Name
from ravine.diagnostics.look import Look, Stride
from ravine.diagnostics.watch.watching import Watch
from ravine.errors import SettingError


class Curvature(Instrument):
    """Uses all that a look has: first and second derivatives, layers."""

    name, quantities, cost, passes = "curvature", {}, "two backward passes", 2.0

    def __init__(self):
        self.looks: list[Look] = []
        self.strides: list[Stride] = []

    def look(self, look):
        self.looks.append(look)
        g = look.gradients
        product = torch.autograd.grad(
            list(g.values()),
            list(look.params.values()),
            [v.detach() for v in g.values()],
            retain_graph=True,
            allow_unused=True,
        )
        gHg = sum((h * v.detach()).sum() for h, v in zip(product, g.values(), strict=True))
        torch.autograd.grad(look.loss, [layer.output for layer in look.layers], retain_graph=True)
        return {Name("gHg"): float(gHg)}

    def stride(self, stride):
        self.strides.append(stride)
        return {}


class Breaking(Instrument):
    name, quantities, cost, passes = "breaking", {}, "nothing", 0.0

    def look(self, look):
        raise RuntimeError("it broke\nbadly")


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Linear(8, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.3), nn.Linear(16, 3)
    )


OPTIMIZERS = {
    "torch sgd": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9),
    "torch adam": lambda p: torch.optim.Adam(p, lr=0.01),
    "ravine adam": lambda p: optim.Adam(p, lr=0.01),
    "ravine nesterov": lambda p: optim.Nesterov(p, lr=0.01, momentum=0.9),
}


def train(optimizer: str, watched: bool, steps: int = 30, **settings):
    model = network()
    stepper = OPTIMIZERS[optimizer](model.parameters())
    x, y = torch.randn(64, 8), torch.randint(3, (64,))
    watch = Watch(model, stepper, **settings) if watched else None
    losses = []

    def loop():
        for step in range(steps):
            batch = slice((step % 4) * 16, (step % 4) * 16 + 16)
            stepper.zero_grad()
            loss = F.cross_entropy(model(x[batch]), y[batch])
            loss.backward()
            stepper.step()
            losses.append(loss.item())

    if watch is None:
        loop()
    else:
        with watch:
            loop()
    state = torch.random.get_rng_state()
    grads = [p.grad.clone() for p in model.parameters()]
    return losses, list(model.state_dict().values()), grads, state, watch


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_watched_and_unwatched_runs_are_bit_identical(optimizer):
    plain = train(optimizer, watched=False)
    seen = train(optimizer, watched=True, instruments=[Curvature()], budget=1.0)
    assert plain[0] == seen[0]
    assert all(torch.equal(a, b) for a, b in zip(plain[1], seen[1], strict=True))
    assert all(torch.equal(a, b) for a, b in zip(plain[2], seen[2], strict=True))
    assert torch.equal(plain[3], seen[3])
    assert len(seen[4].history.series("gHg")) >= 5


def test_what_is_seen_is_what_happened():
    instrument = Curvature()
    losses, _, _, _, watch = train("torch sgd", True, instruments=[instrument], budget=1.0)
    assert list(watch.history.series("loss")) == list(enumerate(losses))
    look, stride = instrument.looks[0], instrument.strides[0]
    assert [layer.name for layer in look.layers] == ["0", "1", "2", "3", "4"]
    assert look.inputs.shape == (16, 8)
    assert look.output is look.layers[-1].output
    assert set(look.lr.values()) == {0.1}
    assert stride.step == look.step + 1 == 1
    for name in stride.before:  # the first step of momentum is a plain one
        moved = stride.before[name] - 0.1 * stride.gradients[name]
        assert torch.allclose(moved, look_after(instrument, name), atol=1e-7)


def look_after(instrument: Curvature, name: str) -> torch.Tensor:
    """The parameter before the second step is the one after the first."""
    return instrument.strides[1].before[name]


def test_a_failing_instrument_is_reported_once_and_rests():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        *_, watch = train("torch sgd", True, instruments=[Breaking(), Curvature()], budget=1.0)
    said = [str(one.message) for one in caught if "instrument" in str(one.message)]
    assert said == ["the instrument 'breaking' failed at step 0 and rests: RuntimeError: it broke"]
    assert len(watch.history.series("gHg")) >= 5


def test_nothing_is_left_behind():
    backward = torch.Tensor.backward
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

    def fail():
        with Watch(model, optimizer, instruments=[Curvature()]):
            assert torch.Tensor.backward is not backward
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert torch.Tensor.backward is backward
    assert all(not module._forward_hooks for module in model.modules())
    assert not optimizer._optimizer_step_pre_hooks
    assert not optimizer._optimizer_step_post_hooks


def test_two_runs_are_watched_apart():
    models = [network(), network()]
    optimizers = [torch.optim.SGD(m.parameters(), lr=0.1) for m in models]
    ours = [Curvature(), Curvature()]
    x, y = torch.randn(16, 8), torch.randint(3, (16,))
    with (
        Watch(models[0], optimizers[0], instruments=[ours[0]]) as first,
        Watch(models[1], optimizers[1], instruments=[ours[1]]) as second,
    ):
        for model, optimizer in zip(models, optimizers, strict=True):
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
    assert len(ours[0].looks) == len(ours[1].looks) == 1
    assert len(first.history.series("loss")) == len(second.history.series("loss")) == 1
    assert ours[1].looks[0].model is models[1]


def test_evaluation_between_steps_is_not_taken_for_training():
    instrument, model = Curvature(), network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    x, y = torch.randn(16, 8), torch.randint(3, (16,))
    with Watch(model, optimizer, instruments=[instrument]):
        for _ in range(3):
            model.eval()
            with torch.no_grad():
                model(torch.randn(5, 8))
            model.train()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
    assert all(look.inputs.shape == (16, 8) for look in instrument.looks)
    assert all(len(look.layers) == 5 for look in instrument.looks)


@pytest.mark.parametrize("budget", [0, -1, 1.5, float("nan")])
def test_a_budget_is_a_share(budget):
    model = network()
    with pytest.raises(SettingError, match="expected a share"):
        Watch(model, torch.optim.SGD(model.parameters()), budget=budget)


def test_another_models_optimizer_is_refused():
    with pytest.raises(SettingError, match="none of the model's trainable parameters"):
        Watch(network(), torch.optim.SGD(network().parameters()))


def trained_and_watched() -> tuple[nn.Module, torch.optim.Optimizer]:
    model = nn.Linear(8, 3)
    return model, torch.optim.SGD(model.parameters(), lr=0.1)


def take_step(model, optimizer, shape=()):
    optimizer.zero_grad()
    F.cross_entropy(model(torch.ones(4, 8)), torch.zeros(4, dtype=torch.int64)).reshape(
        shape
    ).backward()
    optimizer.step()


def test_watches_may_be_left_in_any_order():
    backward = torch.Tensor.backward
    (a, for_a), (b, for_b) = trained_and_watched(), trained_and_watched()
    first, second = Watch(a, for_a), Watch(b, for_b)
    first.__enter__()
    second.__enter__()
    take_step(a, for_a)
    take_step(b, for_b)
    first.__exit__(None, None, None)
    assert torch.Tensor.backward is not backward
    take_step(a, for_a)
    take_step(b, for_b)
    second.__exit__(None, None, None)
    assert torch.Tensor.backward is backward
    assert len(first.history.series("loss")) == 1
    assert len(second.history.series("loss")) == 2


def test_a_watch_is_entered_once_at_a_time_and_may_be_entered_again():
    model, optimizer = trained_and_watched()
    backward = torch.Tensor.backward
    watch = Watch(model, optimizer)
    with watch:
        take_step(model, optimizer)
        with pytest.raises(SettingError, match="entered already"):
            watch.__enter__()
        take_step(model, optimizer)
    assert torch.Tensor.backward is backward
    with watch:
        take_step(model, optimizer)
    assert watch.history.series("loss").steps == [0, 1, 2]
    assert torch.Tensor.backward is backward
    assert not optimizer._optimizer_step_post_hooks


def test_what_fails_while_leaving_leaves_nothing_behind(monkeypatch):
    model, optimizer = trained_and_watched()
    backward = torch.Tensor.backward
    watch = Watch(model, optimizer)
    watch.__enter__()
    monkeypatch.setattr(watch._watcher, "stop", lambda: (_ for _ in ()).throw(KeyError("no")))
    watch._entered.callback(watch._watcher.stop)
    with pytest.raises(KeyError):
        watch.__exit__(None, None, None)
    assert torch.Tensor.backward is backward
    assert not optimizer._optimizer_step_pre_hooks
    assert not optimizer._optimizer_step_post_hooks


def test_a_loss_of_one_element_is_heard():
    model, optimizer = trained_and_watched()
    with Watch(model, optimizer) as watch:
        for _ in range(3):
            take_step(model, optimizer, shape=(1,))
    assert len(watch.history.series("loss")) == 3
    assert len(watch.history.series("gradient_norm")) >= 1
