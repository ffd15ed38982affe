"""What listening to a step costs is what the step needs, and no loss is missed."""

from __future__ import annotations

import torch
from torch import nn

from ravine.diagnostics.instrument import Instrument, Name
from ravine.diagnostics.watch.recorder import DENSE
from ravine.diagnostics.watch.watcher import Watcher


class Looking(Instrument):
    name, quantities, cost, passes = "looking", {}, "", 0.1

    def look(self, look):
        return {Name("looked"): 1.0}


class Striding(Instrument):
    name, quantities, cost, passes = "striding", {}, "", 0.1

    def stride(self, stride):
        return {Name("strode"): 1.0}


def watcher(*instruments: Instrument, budget: float = 1e-6) -> tuple[Watcher, nn.Module]:
    """Of one that measures its dense start, and as good as nothing after it."""
    model = nn.Sequential(nn.Linear(3, 3), nn.Tanh())
    params = dict(model.named_parameters())
    return Watcher(model, params, lambda: dict.fromkeys(params, 0.1), instruments, budget), model


def run(watching: Watcher, model: nn.Module, losses: list[float]) -> None:
    for value in losses:
        loss = model(torch.ones(2, 3)).sum() * 0 + value
        watching.before_backward(loss)
        watching.before_step()
        watching.after_step({})


def hooked(model: nn.Module) -> int:
    return sum(len(part._forward_hooks) for part in model.children())


def test_layers_are_caught_only_for_those_that_look():
    ours, model = watcher(Striding())
    ours.start()
    assert hooked(model) == 0
    assert ours.compares
    theirs, model = watcher(Looking())
    theirs.start()
    assert hooked(model) == 2
    assert not theirs.compares


def test_parameters_are_copied_only_for_those_that_compare():
    for instrument, copied in ((Looking(), False), (Striding(), True)):
        watching, model = watcher(instrument)
        watching.start()
        watching.before_backward(model(torch.ones(2, 3)).sum())
        watching.before_step()
        assert (watching._before is not None) == copied


def test_every_loss_is_in_the_history_at_any_time():
    watching, model = watcher(Looking())
    watching.start()
    values = [float(100 - step) for step in range(60)]
    run(watching, model, values[:43])
    assert list(watching.history.series("loss")) == list(enumerate(values[:43]))
    run(watching, model, values[43:])
    watching.stop()
    assert list(watching.history.series("loss")) == list(enumerate(values))


def test_a_spike_ends_a_rest_at_once():
    watching, model = watcher(Looking(), budget=1e-9)
    watching.start()
    run(watching, model, [1.0] * 50 + [9.0] + [1.0] * 20)
    steps = watching.history.series("looked").steps
    assert steps[:DENSE] == list(range(DENSE))
    assert 51 in steps
    assert len(steps) < 20  # of 71
