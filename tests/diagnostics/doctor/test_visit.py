"""A visit: what it tries, what it recommends, what that really gains, and what it costs."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from ravine.diagnostics.doctor import visit as doctor
from ravine.diagnostics.doctor.courses import Purse
from ravine.diagnostics.doctor.patient import Change, Patient
from ravine.diagnostics.doctor.visit import _end, _proven, examined, treated, visit
from ravine.diagnostics.finding import Finding
from ravine.errors import UnknownNameError
from ravine.recipes import load
from ravine.training import serial
from ravine.training.lane import Member
from ravine.training.records import Trial
from ravine.training.serial import SerialLane
from tests.problems import digits_recipe, plain

STEPS = 81


def found(*kinds: str, step: int = 0):
    return lambda history, facts: [Finding(kind, 0.9, "e", "r", step) for kind in kinds]


def patient(lr: float, **changes) -> Patient:
    return Patient(digits_recipe(steps=STEPS, **changes), plain("sgd")["sgd"], lr)


def trained(lr: float, seed: int, until: int = STEPS, **changes) -> float:
    """The validation metric of a training by itself."""
    problem = load(digits_recipe(steps=STEPS, **changes))
    lane = SerialLane(problem, plain("sgd"))
    (member,) = lane.train([Member.new(Trial("sgd", {"lr": lr}, seed))], until, lambda steps: None)
    return member.run.curve[-1].validation_metric


@pytest.fixture
def steps_taken(monkeypatch) -> list[int]:
    """Counts the gradient steps of the serial lane, as they are taken."""
    taken = [0]
    real = serial.eager.step

    def counted(*args) -> None:
        taken[0] += 1
        real(*args)

    monkeypatch.setattr(serial.eager, "step", counted)
    return taken


def test_a_rate_that_is_too_low():
    """The figures are those of trainings by hand."""
    prescription = visit(patient(1e-4), 5, found("lr_too_low"))
    assert prescription.screened == trained(1e-4, 5)
    rates = [a for a in prescription.attempts if a.change.name.startswith("learning rate x")]
    assert len(rates) == 3
    for attempt in rates:
        factor = float(attempt.change.name.removeprefix("learning rate x "))
        assert attempt.since == 0
        assert attempt.metric == trained(1e-4 * factor, 5, attempt.until)
        assert attempt.untouched == trained(1e-4, 5, attempt.until)
    assert prescription.attempts[0].until == 72
    assert prescription.recommended is prescription.attempts[0].change
    assert prescription.recommended.code == "lr=0.1"
    assert prescription.proof.untouched == tuple(trained(1e-4, seed) for seed in (6, 7, 8))
    assert prescription.proof.changed == tuple(trained(0.1, seed) for seed in (6, 7, 8))


@pytest.mark.parametrize(
    ("kinds", "step", "lr"),
    [
        (("lr_too_low",), 0, 1e-4),
        (("vanishing_gradients", "saturated_units", "lr_too_high", "plateau"), 0, 1e-4),
        (("overfitting",), 40, 0.1),
        (("lr_too_high",), 0, 1e6),
        ((), 0, 0.1),
    ],
)
def test_every_gradient_step_is_counted_and_the_budget_kept(kinds, step, lr, steps_taken):
    prescription = visit(patient(lr), diagnose=found(*kinds, step=step), lane="serial")
    assert prescription.gradient_steps == steps_taken[0]
    assert steps_taken[0] <= (doctor.TRAININGS - doctor.RESERVED) * STEPS
    assert prescription.watching > 0


def test_nothing_found_is_nothing_tried():
    prescription = visit(patient(0.1), diagnose=found())
    assert prescription.attempts == ()
    assert prescription.recommended is None
    assert prescription.gradient_steps == STEPS


def test_what_was_measured_comes_with_the_prescription():
    prescription = visit(patient(0.1), diagnose=found())
    metrics = prescription.history.series("validation_metric").values
    assert metrics == [point.validation_metric for point in prescription.run.curve]


def test_changes_that_go_on_are_forked_before_the_trouble():
    """At the last of the steps 3, 6, 9, 15, 24, 39 up to it; what needs a start of its own has one."""
    prescription = visit(patient(1.0), diagnose=found("overfitting", step=30))
    since = {attempt.change.name: attempt.since for attempt in prescription.attempts}
    assert since.pop("dropout 0.5") == 0
    assert set(since.values()) == {24}
    assert {"early stopping", "weight decay 0.01"} <= set(since)
    texts = {attempt.trained for attempt in prescription.attempts}
    assert texts == {"from step 24", "from the start"}


def test_nothing_is_forked_later_than_what_is_worst():
    """All that is compared has then begun."""
    findings = [Finding("lr_too_high", 0.9, "", "", 10), Finding("cliff", 0.8, "", "", 60)]
    prescription = visit(patient(1.0), diagnose=lambda history, facts: findings)
    since = {attempt.change.name: attempt.since for attempt in prescription.attempts}
    assert since["clip gradients to norm 1"] == since["learning rate / 10"] == 9


def test_a_larger_metric_is_better_where_the_recipe_says_so():
    """Accuracy up is error down: the same tries, the same recommendation, the same gains."""

    def accuracy(output: Tensor, target: Tensor) -> Tensor:
        return (output.argmax(1) == target).double().mean()

    errors = visit(patient(1e-4), diagnose=found("lr_too_low"))
    hits = visit(patient(1e-4, metric=accuracy, maximize=True), diagnose=found("lr_too_low"))
    assert hits.recommended is not None
    assert errors.recommended is not None
    assert hits.recommended.name == errors.recommended.name
    assert [a.change.name for a in hits.attempts] == [a.change.name for a in errors.attempts]
    assert hits.proof.gains == pytest.approx(errors.proof.gains, abs=1e-6)
    assert min(hits.proof.gains) > 0.5


def test_a_change_that_cannot_be_trained_is_said_and_passed_over():
    """There is no layer in this model that a start could draw; the rate can be changed."""

    class Own(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.matrix = nn.Parameter(0.1 * torch.randn(64, 10))

        def forward(self, x: Tensor) -> Tensor:
            return x @ self.matrix

    prescription = visit(patient(1e-5, model=Own), diagnose=found("saddle"))
    failures = {a.change.name: a.failure for a in prescription.attempts if a.failure}
    assert set(failures) == {"start glorot_uniform"}
    assert "draws no weight of Own" in failures["start glorot_uniform"]
    assert prescription.recommended is not None


def test_a_run_that_diverges_is_helped():
    prescription = visit(patient(1e6), diagnose=found("lr_too_high"))
    assert prescription.run.diverged_at is not None
    assert prescription.screened == prescription.run.curve[0].validation_metric
    assert all(value > 0.8 for value in prescription.proof.untouched)  # untrained


def test_a_run_that_diverged_is_not_trained_on(steps_taken):
    purse = Purse()
    ended = _end(patient(1e6), 0, purse.spend)
    assert ended == trained(1e6, 0, 0)
    steps_taken[0] = 0
    _end(patient(1e6), 0, purse.spend)
    assert steps_taken[0] == 9
    assert purse.spent == 18


def rate(lr: float) -> Change:
    return Change(f"{lr:g}", "", 1, lambda p: Patient(p.recipe, p.procedure, lr))


def test_another_change_gets_its_chance_if_the_first_is_not_shown_to_help():
    purse = Purse()
    proof = _proven(patient(1e-4), [rate(1e-5), rate(0.1)], [6, 7, 8], purse)
    assert proof.change is not None
    assert proof.change.name == "0.1"
    assert purse.spent == 9 * STEPS


def test_but_not_beyond_the_budget():
    purse = Purse()
    purse.spend(3 * STEPS)
    proof = _proven(patient(1e-4), [rate(1e-5), rate(0.1)], [6, 7, 8], purse)
    assert proof.change is not None
    assert proof.change.name == "1e-05"
    assert not proof.works
    assert purse.spent == 9 * STEPS


def test_side_by_side_the_same_is_recommended():
    alone = visit(patient(1e-4), diagnose=found("lr_too_low"), lane="serial")
    together = visit(patient(1e-4), diagnose=found("lr_too_low"), lane="population")
    assert [a.change.name for a in together.attempts] == [a.change.name for a in alone.attempts]
    for one, other in zip(together.attempts, alone.attempts, strict=True):
        assert one.metric == pytest.approx(other.metric, abs=2 / 359)  # of so many examples
    assert together.proof.changed == alone.proof.changed


def test_an_unknown_lane_is_refused():
    with pytest.raises(UnknownNameError, match="lane"):
        visit(patient(0.1), lane="fast")


def test_the_global_generator_is_left_alone():
    state = torch.random.get_rng_state()
    visit(patient(0.1), diagnose=found("lr_too_high", "underfitting", "wrong_output"))
    assert torch.equal(torch.random.get_rng_state(), state)


def test_what_raises_on_a_fresh_seed_is_not_shown_to_help():
    """And the next change gets its chance."""

    def broken(p: Patient) -> Patient:
        def refuse(x: Tensor) -> Tensor:
            raise AssertionError("not so")

        def model() -> nn.Module:
            made = p.recipe.model()
            made.forward = refuse
            return made

        return replace(p, recipe=replace(p.recipe, model=model))

    changes = [Change("broken", "", 1, broken), rate(0.1)]
    proof = _proven(patient(1e-4), changes, [6, 7, 8], Purse())
    assert proof.change is changes[1]
    assert proof.works
    alone = _proven(patient(1e-4), changes[:1], [6, 7, 8], Purse())
    assert all(map(math.isnan, alone.changed))
    assert not alone.works


class LastState(nn.Module):
    """Takes the second output for a tensor, which an LSTM's is not."""

    def __init__(self) -> None:
        super().__init__()
        self.rnn = nn.RNN(8, 6, batch_first=True)
        self.head = nn.Linear(6, 10)

    def forward(self, x: Tensor) -> Tensor:
        _, last = self.rnn(x.view(-1, 8, 8))
        return self.head(last.squeeze(0))


def test_a_remedy_that_does_not_fit_the_models_code_is_a_failed_attempt():
    prescription = visit(patient(0.01, model=LastState), diagnose=found("vanishing_gradients"))
    failures = {a.change.name: a.failure for a in prescription.attempts if a.failure}
    assert set(failures) == {"LSTM for RNN"}
    assert failures["LSTM for RNN"].startswith("AttributeError: 'tuple' object has no attribute")


def test_stages_and_steps_of_a_visit_are_told():
    """Every step once, and no stage takes more than was announced, but for both finalists at once."""
    told: list[list] = []

    def stage(title: str, steps: int) -> None:
        told.append([title, steps, 0])

    def tick(steps: int) -> None:
        told[-1][2] += steps

    of = patient(1e-4)
    watched = examined(of, 5, stage, tick)
    prescription = treated(of, 5, watched, found("lr_too_low"), "serial", stage, tick)
    titles = [title for title, _, _ in told]
    assert titles[0] == "SGD, learning rate 0.0001"
    assert titles[1].startswith("trying ")
    assert titles[2:] == ["untouched, on 3 fresh seeds", "learning rate x 1000, on 3 fresh seeds"]
    assert sum(taken for _, _, taken in told) == prescription.gradient_steps
    assert [taken for title, _, taken in told if "trying" not in title] == [81, 243, 243]
    assert all(taken == steps for title, steps, taken in told if "trying" not in title)
    assert told[1][2] <= told[1][1] + STEPS
