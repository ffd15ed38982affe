"""When the recorder measures, on a clock of its own."""

from __future__ import annotations

import math

import pytest

from ravine.diagnostics.instrument import Instrument, Name
from ravine.diagnostics.recorder import DENSE, Recorder


class Timed(Instrument):
    """Takes so many seconds."""

    quantities, cost, passes = {}, "", 0.0

    def __init__(self, name: str, seconds: float):
        self.name, self.seconds = name, seconds


class World:
    """A run whose steps take a second, and a recorder of it."""

    def __init__(self, *instruments: Timed, budget: float = 0.05):
        self.now, self.instruments = 0.0, instruments
        self.recorder = Recorder(instruments, budget, lambda: self.now)
        self.measured: dict[str, list[int]] = {one.name: [] for one in instruments}

    def steps(self, count: int, loss=lambda step: 1.0) -> World:
        for step in range(count):
            for one in self.recorder.due():
                self.measured[one.name].append(step)
                self.recorder.measure(one, step, lambda one=one, step=step: self._take(one, step))
            self.now += 1.0
            self.recorder.passed(1.0)
            self.recorder.saw(loss(step))
        return self

    def _take(self, one: Timed, step: int):
        self.now += one.seconds
        return {Name("seen", one.name): float(step)}


def test_the_start_is_dense_and_paid_back():
    world = World(Timed("dear", 1.0)).steps(1000)
    first = world.measured["dear"]
    assert first[:DENSE] == list(range(DENSE))
    assert first[DENSE] >= DENSE / 0.05  # five seconds were borrowed; each step saves 0.05


@pytest.mark.parametrize("budget", [0.01, 0.05, 0.2])
def test_the_budget_is_kept(budget):
    """Over 5000 s of steps: the share, and at most one measurement and the dense start beyond it."""
    world = World(Timed("cheap", 1e-4), Timed("middling", 0.3), Timed("dear", 4.0), budget=budget)
    world.steps(5000)
    spent = sum(account.spent for account in world.recorder.accounts.values())
    assert spent <= budget * 5000 + DENSE * 4.3001
    assert len(world.measured["cheap"]) == 5000
    assert len(world.measured["dear"]) == pytest.approx(5000 * budget / 3 / 4.0, abs=DENSE + 1)


def test_after_a_spike_the_next_steps_are_measured():
    world = World(Timed("dear", 2.0))
    world.steps(400, loss=lambda step: 50.0 if step == 300 else 1.0 + 0.01 * (step % 7))
    assert [s for s in world.measured["dear"] if 300 < s <= 300 + DENSE] == [
        301,
        302,
        303,
        304,
        305,
    ]


def test_losses_that_stay_nan_are_one_anomaly():
    world = World(Timed("dear", 2.0))
    world.steps(400, loss=lambda step: math.nan if step >= 200 else 1.0)
    assert sum(200 < s < 250 for s in world.measured["dear"]) == DENSE


def test_noise_is_no_anomaly():
    world = World(Timed("dear", 2.0))
    world.steps(400, loss=lambda step: 1.0 + 0.5 * math.sin(step * 1.7))
    assert len(world.measured["dear"]) <= DENSE + 400 * 0.05 / 2.0


def test_an_instrument_that_fails_rests():
    class Broken(Timed):
        pass

    broken, sound = Broken("broken", 0.0), Timed("sound", 0.0)
    recorder = Recorder([broken, sound], 0.05, lambda: 0.0)

    def fail():
        raise ValueError("no such thing\nand more")

    recorder.measure(broken, 3, fail)
    recorder.measure(sound, 3, lambda: {Name("seen"): 1.0})
    assert recorder.accounts["broken"].failure == "ValueError: no such thing"
    assert recorder.due() == [sound]
    assert list(recorder.history.series("seen")) == [(3, 1.0)]
