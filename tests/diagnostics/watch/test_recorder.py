"""When the recorder measures, on a clock of its own."""

from __future__ import annotations

import math

import pytest

from ravine.diagnostics.instrument import Instrument, Name
from ravine.diagnostics.watch.recorder import DENSE, MEMORY, TROUBLE, Recorder


class Timed(Instrument):
    """Takes so many seconds."""

    quantities, cost = {}, ""

    def __init__(self, name: str, seconds: float, passes: float = 0.1):
        self.name, self.seconds, self.passes = name, seconds, passes


class World:
    """A run whose steps take a second, and a recorder of it."""

    def __init__(self, *instruments: Timed, budget: float = 0.05):
        self.now, self.shared = 0.0, 0.0
        self.recorder = Recorder(instruments, budget, lambda: self.now)
        self.measured: dict[str, list[int]] = {one.name: [] for one in instruments}

    def steps(self, count: int, loss=lambda step: 1.0) -> World:
        for step in range(count):
            before = self.now
            for one in self.recorder.due():
                self.now += self.shared
                self.measured[one.name].append(step)
                self.recorder.measure(one, step, lambda one=one, step=step: self._take(one, step))
            self.recorder.passed(1.0, self.now - before)
            self.now += 1.0
            self.recorder.saw(loss(step))
        return self

    def _take(self, one: Timed, step: int):
        self.now += one.seconds
        return {Name("seen", one.name): float(step)}


def test_the_start_is_dense_and_paid_back():
    world = World(Timed("dear", 1.0)).steps(1000)
    first = world.measured["dear"]
    assert first[:DENSE] == list(range(DENSE))
    assert first[DENSE : 2 * DENSE] == [10, 17, 29, 50, 85]
    assert len(first) <= 2 * DENSE + 1000 * 0.05 / 1.0


def test_instruments_that_are_not_light_measure_three_of_the_first_steps():
    world = World(
        Timed("light", 0.01, 0.4), Timed("other", 0.02, 2.0), Timed("dear", 1.0, 9.0)
    ).steps(30)
    assert world.measured["light"][:5] == [0, 1, 2, 3, 4]
    assert world.measured["other"][:3] == [0, 1, 2]
    assert not {3, 4} & set(world.measured["other"])
    assert {10, 17, 29} <= set(world.measured["other"])


def falling(step: int) -> float:
    return 0.98**step


def test_a_run_that_is_stuck_lends_a_dear_instrument_one_measurement():
    """Its 4.5 seconds, guessed by 9 passes of half a step, are 0.3 of 15 steps; but 40 losses come
    first. What it took beyond the budget it pays back before the next one."""
    stuck = World(Timed("dear", 5.0, 9.0)).steps(300)
    assert stuck.measured["dear"][0] == pytest.approx(2 * MEMORY, abs=2)
    assert len(stuck.measured["dear"]) <= 1 + 300 * 0.05 / 5.0
    assert World(Timed("dear", 5.0, 9.0)).steps(80, loss=falling).measured["dear"] == []


def test_together_they_borrow_no_more_than_a_share_of_the_run():
    """10 and 40 seconds by their guesses: of 0.3 a second, the second one waits for 167."""
    one, other = Timed("one", 10.0, 20.0), Timed("other", 40.0, 80.0)
    world = World(one, other, budget=1e-6).steps(400)
    assert world.measured["one"][0] == pytest.approx(40, abs=2)
    assert world.measured["other"][0] == pytest.approx(50 / TROUBLE, abs=2)


def test_what_only_the_first_measurement_takes_is_not_paid_back():
    """It loads code, which happens once: 100 seconds, and one each after it."""
    slow = Timed("slow", 100.0)
    world = World(slow).steps(1)
    slow.seconds = 1.0
    world.steps(400)
    assert len(world.measured["slow"]) >= 10


@pytest.mark.parametrize("budget", [0.01, 0.05, 0.2])
def test_the_budget_is_kept(budget):
    """Over 5000 s of steps: the share, and at most the dense start and a measurement beyond it."""
    cheap, middling, dear = Timed("cheap", 1e-4), Timed("middling", 0.3), Timed("dear", 4.0, 8.0)
    world = World(cheap, middling, dear, budget=budget).steps(5000)
    spent = sum(account.spent for account in world.recorder.accounts.values())
    assert spent <= budget * 5000 + DENSE * 0.3001 + 4.0
    assert len(world.measured["cheap"]) == (5000 if budget >= 0.05 else pytest.approx(1950, abs=20))


def test_what_no_instrument_took_itself_is_charged_too():
    """A second around each measurement, of which the instrument knows nothing."""
    world = World(Timed("cheap", 1e-4))
    world.shared = 1.0
    world.steps(4000)
    assert len(world.measured["cheap"]) == pytest.approx(4000 * 0.05, abs=DENSE + 1)


def test_shares_go_with_the_square_root_of_the_cost():
    """400 times as dear: a twentieth of the measurements. (Dear ones are not in the dense start.)"""
    world = World(Timed("a", 0.05, 9.0), Timed("b", 20.0, 9.0)).steps(40_000)
    counts = {name: len(steps) for name, steps in world.measured.items()}
    assert counts["a"] / counts["b"] == pytest.approx(20, rel=0.05)


def test_a_dear_instrument_waits_until_it_can_pay():
    """It is guessed to take as long as 50 steps: at 5%, once in 1000."""
    world = World(Timed("dear", 50.0, 100.0)).steps(2500, loss=falling)
    assert world.measured["dear"] == pytest.approx([1000, 2000], abs=2)


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
    assert [s for s in world.measured["dear"] if 200 < s < 240] == [201, 202, 203, 204, 205]


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


def test_those_that_are_nearly_due_measure_along():
    """Five at 0.1 s each, a second around each measured step: of 0.05 s a step, six steps for 1.5 s.

    Alone each would be charged 1.1 s; all at one step take 0.3 s each.
    """
    five = [Timed(name, 0.1, 9.0) for name in "abcde"]
    recorder = Recorder(five, 0.05, lambda: now[0])
    now, measured = [0.0], []
    for step in range(4000):
        before, due = now[0], recorder.due()
        now[0] += 1.0 if due else 0.0
        for one in due:
            recorder.measure(one, step, lambda: now.__setitem__(0, now[0] + 0.1) or {})
        measured += [len(due)] if due else []
        recorder.passed(1.0, now[0] - before)
    assert set(measured[1:]) == {5}
    assert len(measured) == pytest.approx(4000 * 0.05 / 1.5, abs=2)


def test_listening_is_paid_before_measuring():
    """0.01 s at each step, counted three times: 0.02 s of 0.05 are left for measuring."""
    recorder = Recorder([Timed("one", 0.0, 9.0)], 0.05, lambda: 0.0)
    for _ in range(100):
        recorder.passed(1.0, 0.01)
    recorder.due()
    assert recorder.accounts["one"].credit == pytest.approx(100 * 0.02)


def test_dear_listening_leaves_a_quarter():
    recorder = Recorder([Timed("one", 0.0, 9.0)], 0.05, lambda: 0.0)
    for _ in range(100):
        recorder.passed(1.0, 1.0)
    recorder.due()
    assert recorder.accounts["one"].credit == pytest.approx(100 * 0.05 / 4)


def test_a_rest_ends_no_later_than_something_is_due():
    """Asked only after each rest, it measures when it would have measured, asked at every step."""
    world = World(Timed("dear", 50.0, 100.0), Timed("cheap", 0.05))
    recorder, asked, step = world.recorder, [], 0
    every = World(Timed("dear", 50.0, 100.0), Timed("cheap", 0.05))
    every = every.steps(2500, loss=falling).measured
    while step < 2500:
        before, due = world.now, recorder.due()
        for one in due:
            world.measured[one.name].append(step)
            recorder.measure(one, step, lambda one=one, step=step: world._take(one, step))
        steps = 1 if due else recorder.rest()
        recorder.passed(1.0 * steps, world.now - before, steps)
        asked.append(step)
        step += steps
    assert world.measured["dear"] == pytest.approx(every["dear"], abs=2)
    assert len(world.measured["cheap"]) == pytest.approx(len(every["cheap"]), abs=2)
    assert len(asked) < 700


def test_spikes_on_and_on_do_not_break_the_budget():
    """Every 25 steps, over 5000 s; beyond the share two dense rounds and a measurement are owed."""
    world = World(Timed("dear", 2.0))
    world.steps(5000, loss=lambda step: 50.0 if step % 25 == 24 else 1.0 + 0.01 * (step % 7))
    assert world.recorder.accounts["dear"].spent <= 0.05 * 5000 + (2 * DENSE + 1) * 2.0
