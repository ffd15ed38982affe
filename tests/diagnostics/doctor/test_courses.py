"""Changes begun and trained: forks against plain torch, side by side against one by one."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ravine import chain, rules
from ravine.diagnostics.doctor import courses as courses_of
from ravine.diagnostics.doctor.courses import (
    Course,
    Purse,
    begun,
    member_of,
    serial,
    side_by_side,
    trained,
)
from ravine.diagnostics.doctor.patient import Change, Patient, both
from ravine.diagnostics.remedies import models, settings
from ravine.diagnostics.watch.member import Watched, train_watched
from ravine.errors import SettingError
from ravine.recipes import load
from ravine.training.population import PopulationLane
from ravine.training.procedure import Procedure, feed_of
from ravine.training.serial import SerialLane
from ravine.training.start import starting_model
from ravine.transforms import accumulate, clip_adaptive, clip_norm, clip_norm_each, clip_value
from tests.problems import digits_recipe, mlp, noisy

SEED = 3
FORK, END = 9, 27


def patient(rule: str = "sgd", lr: float = 0.1, model=mlp, **changes) -> Patient:
    recipe = digits_recipe(model, torch.float64, **changes)
    return Patient(recipe, Procedure.of(rules.get(rule)), lr)


def watched(of: Patient, *steps: int) -> Watched:
    """The patient's training, kept at these steps."""
    return train_watched(serial(of), member_of(of, SEED), [*steps, END])


def weights(course: Course) -> Tensor:
    saved = course.member.snapshot["weights"]
    return saved if isinstance(saved, Tensor) else torch.cat([w.reshape(-1) for w in saved])


def by_hand(of: Patient, optimizer, change, since: int = FORK) -> Tensor:
    """The training in plain torch; `change(optimizer, model)` is called before each step from the fork
    on."""
    problem = load(of.recipe)
    feed = feed_of(problem, [(SEED, of.procedure)])
    model = starting_model(problem, of.procedure, SEED)
    stepper = optimizer(model.parameters())
    for step in range(END):
        inputs, targets = feed.at(step)
        stepper.zero_grad()
        F.cross_entropy(model(inputs[0]), targets[0]).backward()
        if step >= since:
            change(stepper, model)
        stepper.step()
    return torch.cat([p.detach().reshape(-1) for p in model.parameters()])


def slower(optimizer, model) -> None:
    optimizer.param_groups[0]["lr"] = 0.001


def clipped(optimizer, model) -> None:
    nn.utils.clip_grad_norm_(model.parameters(), 0.1)


def decayed(optimizer, model) -> None:
    optimizer.param_groups[0]["weight_decay"] = 0.1


@pytest.mark.parametrize(
    ("of", "remedy", "optimizer", "change"),
    [
        (patient("adam", 0.01), settings.rate(1 / 10), torch.optim.Adam, slower),
        (patient("sgd"), settings.clipping(0.1), torch.optim.SGD, clipped),
        (patient("adam", 0.01), settings.decay(0.1), torch.optim.Adam, decayed),
    ],
    ids=["rate", "clipping", "decay"],
)
def test_a_fork_is_the_run_changed_by_hand_at_that_step(of, remedy, optimizer, change):
    (what,) = remedy(of)
    course = begun(of, what, SEED, watched(of, 3, FORK), FORK + 1)
    assert course.since == FORK
    purse = Purse()
    (course,) = trained([course], END, purse.spend)
    expected = by_hand(of, lambda params: optimizer(params, lr=of.lr), change)
    assert torch.allclose(weights(course), expected, rtol=1e-12, atol=1e-14)
    untouched = by_hand(of, lambda params: optimizer(params, lr=of.lr), lambda *_: None)
    assert not torch.allclose(weights(course), untouched, rtol=1e-4)
    assert purse.spent == END - FORK


def clipped_and_decayed(optimizer, model) -> None:
    clipped(optimizer, model)
    decayed(optimizer, model)


@pytest.mark.parametrize("rule", ["sgd", "adam"])
@pytest.mark.parametrize("turned", [False, True])
def test_clipping_and_decay_at_once_are_torchs_in_either_order(rule, turned):
    """In torch the gradient is clipped, and the optimizer adds the penalty's to it: unclipped."""
    of = patient(rule, 0.01)
    pair = [change for r in (settings.clipping(0.1), settings.decay(0.1)) for change in r(of)]
    what = both(*reversed(pair)) if turned else both(*pair)
    (course,) = trained([begun(of, what, SEED, watched(of, FORK), FORK)], END, Purse().spend)
    optimizer = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam}[rule]
    expected = by_hand(of, lambda params: optimizer(params, lr=of.lr), clipped_and_decayed)
    assert torch.allclose(weights(course), expected, rtol=1e-12, atol=1e-14)


def test_clipping_is_put_around_a_decay_of_a_rule_that_cannot_be_made_again():
    plain = patient(lr=0.01)
    rule = rules.rmsprop(centered=True)
    of = replace(plain, procedure=replace(plain.procedure, rule=rule))
    pair = [change for r in (settings.clipping(0.1), settings.decay(0.1)) for change in r(of)]
    made = both(*pair).apply(of).procedure.rule
    assert made.title == f"{rule.title} with L2 decay with clipping by global norm"


def test_a_decay_of_a_clipped_run_is_not_clipped():
    plain = patient("momentum", 0.01)
    rule = chain(clip_norm(0.1), rules.momentum(momentum=0.5))
    of = replace(plain, procedure=replace(plain.procedure, rule=rule))
    (what,) = settings.decay(0.1)(of)
    course = begun(of, what, SEED, watched(of, FORK), 0)
    (course,) = trained([course], END, Purse().spend)

    def optimizer(params):
        return torch.optim.SGD(params, lr=of.lr, momentum=0.5, weight_decay=0.1)

    expected = by_hand(of, optimizer, clipped, since=0)
    assert torch.allclose(weights(course), expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(
    "rule",
    [
        chain(clip_norm_each(0.1), rules.sgd()),
        chain(clip_value(0.1), rules.sgd()),
        chain(clip_adaptive(), rules.sgd()),
        chain(clip_norm(0.1), rules.rmsprop(centered=True)),
        chain(clip_norm(0.1), accumulate(2), rules.sgd()),
    ],
    ids=["each", "value", "adaptive", "options", "accumulate"],
)
def test_no_decay_is_offered_where_it_cannot_be_kept_from_clipping(rule):
    plain = patient()
    of = replace(plain, procedure=replace(plain.procedure, rule=rule))
    assert not settings.decay(0.1)(of)


def test_a_fork_shows_the_watched_run_up_to_there():
    of = patient()
    run = watched(of, FORK)
    (change,) = settings.rate(10)(of)
    (course,) = trained([begun(of, change, SEED, run, FORK)], END, Purse().spend)
    assert course.member.run.curve[:10] == run.run.curve[:10]
    assert course.member.run.curve[10] != run.run.curve[10]


@pytest.mark.parametrize(
    "remedy",
    [settings.begin("he_normal"), settings.optimizer("adam"), models.batch_norm()],
    ids=["start", "optimizer", "model"],
)
def test_what_cannot_go_on_from_a_step_starts_anew(remedy):
    of = patient()
    (change,) = remedy(of)
    course = begun(of, change, SEED, watched(of, FORK), FORK)
    assert (course.since, course.member.step, course.member.snapshot) == (0, 0, None)


def test_trouble_at_the_start_is_before_all_that_was_kept():
    of = patient()
    (change,) = settings.rate(10)(of)
    assert begun(of, change, SEED, watched(of, FORK), FORK - 1).since == 0


def test_two_forks_of_one_step_leave_each_other_alone():
    of = patient("adam", 0.01)
    run = watched(of, FORK)
    changes = [change for k in (10, 1 / 10) for change in settings.rate(k)(of)]
    both = trained([begun(of, c, SEED, run, FORK) for c in changes], END, Purse().spend)
    (alone,) = trained([begun(of, changes[1], SEED, run, FORK)], END, Purse().spend)
    assert torch.equal(weights(both[1]), weights(alone))


def unlike(of: Patient) -> list[Change]:
    remedies = (
        settings.rate(1 / 10), settings.clipping(0.1), settings.begin("glorot_uniform"),
        settings.optimizer("momentum"), settings.schedule("cosine"), models.activation("LeakyReLU"),
    )  # fmt: skip
    return [change for remedy in remedies for change in remedy(of)]


def test_side_by_side_is_one_by_one():
    """In float64, of forks and of new runs; dropout, batch norm and a frozen parameter. A change of
    the model stays alone."""
    of = patient("adam", 0.01, noisy)
    run = watched(of, FORK)
    courses = [begun(of, change, SEED, run, FORK) for change in unlike(of)]
    alone = trained(courses, END, Purse().spend)
    purse = Purse()
    moved = side_by_side(
        [begun(of, change, SEED, run, FORK) for change in unlike(of)], of, "population", purse.spend
    )
    assert [isinstance(course.lane, PopulationLane) for course in moved] == [True] * 5 + [False]
    assert purse.spent == 2 * 3 * 5
    some = trained(moved, 18, purse.spend)
    together = trained(some, END, purse.spend)
    for one, other in zip(together, alone, strict=True):
        assert one.change.name == other.change.name
        assert torch.allclose(weights(one), weights(other), rtol=1e-9, atol=1e-12)
        assert one.metric(END) == pytest.approx(other.metric(END), rel=1e-9)
    assert purse.spent == 30 + 3 * (END - FORK) + 3 * END


@pytest.mark.parametrize("lane", ["serial", "auto"])
def test_short_trainings_stay_alone_unless_asked_for(lane):
    of = patient()
    courses = [begun(of, change, SEED, watched(of), 0) for change in unlike(of)]
    purse = Purse()
    left = side_by_side(courses, of, lane, purse.spend)
    assert all(isinstance(course.lane, SerialLane) for course in left)
    assert purse.spent == 0


@pytest.mark.parametrize("seconds", [0.5, 2.0])
def test_long_ones_are_trained_side_by_side_if_that_is_faster(seconds, monkeypatch):
    """A second a step one by one, and so many side by side."""
    monkeypatch.setattr(courses_of, "WORTH_IT", 1)
    monkeypatch.setattr(PopulationLane, "seconds_per_step", lambda *_: seconds)
    monkeypatch.setattr(SerialLane, "seconds_per_step", lambda *_: 1.0)
    of = patient()
    purse = Purse()
    courses = [begun(of, change, SEED, watched(of), 0) for change in unlike(of)]
    moved = side_by_side(courses, of, "auto", purse.spend)
    count = sum(isinstance(course.lane, PopulationLane) for course in moved)
    assert count == (5 if seconds < 1 else 0)
    assert purse.spent == 5 * (2 * 3 + 2 * 2 * 3)


class Branching(nn.Linear):
    """A branch on values, which vmap refuses."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x if x.sum() > 0 else x + 1)


def test_what_refuses_to_be_batched_stays_alone():
    of = patient(model=lambda: nn.Sequential(Branching(64, 10)))
    courses = [
        begun(of, change, SEED, watched(of), 0)
        for k in (10, 1 / 10)
        for change in settings.rate(k)(of)
    ]
    left = side_by_side(courses, of, "population", Purse().spend)
    assert all(isinstance(course.lane, SerialLane) for course in left)


def failing(of: Patient) -> list[Change]:
    def refuse(patient: Patient) -> Patient:
        raise SettingError("no such thing")

    def broken(patient: Patient) -> Patient:
        recipe = replace(patient.recipe, model=lambda: nn.Linear(63, 10).double())
        return replace(patient, recipe=recipe)

    return [Change("refused", "", 1, refuse), Change("broken", "", 5, broken)]


def test_a_change_that_raises_is_said_and_takes_no_steps():
    of = patient()
    run = watched(of)
    (fine,) = settings.rate(1 / 10)(of)
    courses = [begun(of, change, SEED, run, 0) for change in (*failing(of), fine)]
    purse = Purse()
    refused, broken, good = trained(courses, END, purse.spend)
    assert refused.failure == "no such thing"
    assert broken.failure is not None
    assert broken.failure.startswith("RuntimeError: mat1 and mat2")
    assert good.failure is None
    assert purse.spent == END


def test_steps_that_early_stopping_saves_are_not_counted():
    """A rate of 0 never gets better: three evaluations after the fork's best one it is over."""
    of = patient(lr=1e-30)
    (change,) = settings.stopping(3)(of)
    purse = Purse()
    trained([begun(of, change, SEED, watched(of), 0)], END, purse.spend)
    assert purse.spent == 3


class Strict(nn.Linear):
    """Says what it thinks of a model whose parameters are others, in its own ways."""

    def __init__(self, error: type[Exception], at: int) -> None:
        super().__init__(64, 10, dtype=torch.float64)
        self.error, self.calls, self.at = error, 0, at

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        if self.calls > self.at:
            raise self.error("squeeze\nof a tuple")
        return super().forward(x)


@pytest.mark.parametrize("error", [AttributeError, AssertionError, KeyError, ZeroDivisionError])
@pytest.mark.parametrize("at", [0, 5])
def test_a_change_may_raise_anything(error, at):
    """At its first forward pass, or later."""

    def strict(patient: Patient) -> Patient:
        return replace(patient, recipe=replace(patient.recipe, model=lambda: Strict(error, at)))

    of = patient()
    course = begun(of, Change("strict", "", 5, strict), SEED, watched(of), 0)
    (course,) = trained([course], END, Purse().spend)
    assert course.failure is not None
    assert course.failure.startswith(f"{error.__name__}: ")
    assert "squeeze" in course.failure
    assert "\n" not in course.failure


def test_who_stops_the_visit_stops_it():
    def stopped(patient: Patient) -> Patient:
        raise KeyboardInterrupt

    of = patient()
    with pytest.raises(KeyboardInterrupt):
        begun(of, Change("stopped", "", 1, stopped), SEED, watched(of), 0)
