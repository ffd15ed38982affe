"""The remedy, tried: a failing training watched, changed runs trained beside it, a recommendation."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from scipy import stats
from torch import Tensor, nn

from ravine.diagnostics.facts import Facts, facts_of
from ravine.diagnostics.finding import Finding
from ravine.diagnostics.findings import diagnose
from ravine.diagnostics.history import History
from ravine.diagnostics.instruments import standard
from ravine.diagnostics.patient import Change, Patient
from ravine.diagnostics.remedies import changes_for
from ravine.diagnostics.watcher import Watcher
from ravine.errors import InputError
from ravine.recipes import Problem, load
from ravine.training.lane import Member, evaluation_steps, unheard
from ravine.training.observer import Rates
from ravine.training.records import Run
from ravine.training.serial import SerialLane

SCREENING = 1 / 3
"""Share of the training after which changes are compared on the first seed."""

FRESH = 3
"""Fresh seeds on which the most promising change and the untouched run are compared. With six changes
a visit costs 1 + 6/3 + 2 · 3 = 9 trainings."""

NEARLY = 0.9
"""Of changes that gain this share of the best one's gain, the smallest is preferred."""

Diagnose = Callable[[History, Facts], Sequence[Finding]]
"""Readings, and what is known of the run -> what is wrong."""


@dataclass(frozen=True)
class Attempt:
    """A change that was tried.

    Attributes:
        change: what. metric: the validation metric after the screening, on the first seed; NaN or
            infinite where it diverged.
        failure: why it could not be trained, in a line; None if it could.
    """

    change: Change
    metric: float
    failure: str | None = None


@dataclass(frozen=True)
class Prescription:
    """What a visit found.

    Attributes:
        findings: what is wrong, the worst first.
        run: the watched training.
        screened: the untouched run's validation metric where changes were compared.
        attempts: the changes tried, best first.
        recommended: the smallest of those that nearly do best; None if none helps. `works` says
            whether it held on fresh seeds.
        untouched, changed: the validation metric at the end without and with it, one number a fresh
            seed; empty if nothing is recommended. A run that diverged counts as the untrained model.
        maximize: whether a larger metric is better.
        gradient_steps: of the whole visit.
    """

    findings: tuple[Finding, ...]
    run: Run
    screened: float
    attempts: tuple[Attempt, ...]
    recommended: Change | None
    untouched: tuple[float, ...]
    changed: tuple[float, ...]
    maximize: bool
    gradient_steps: int

    @property
    def gains(self) -> tuple[float, ...]:
        """By how much the metric is better with the change, seed by seed, in its units."""
        sign = 1 if self.maximize else -1
        pairs = zip(self.untouched, self.changed, strict=True)
        return tuple(sign * (after - before) for before, after in pairs)

    @property
    def works(self) -> bool:
        """Whether the recommended change is shown to help: the interval of its gain is above 0."""
        return self.interval[0] > 0

    @property
    def interval(self) -> tuple[float, float]:
        """95% interval of the mean gain, paired over fresh seeds, by Student's t."""
        gains = self.gains
        if len(gains) < 2 or not all(map(math.isfinite, gains)):
            return math.nan, math.nan
        mean = sum(gains) / len(gains)
        spread = math.sqrt(sum((g - mean) ** 2 for g in gains) / (len(gains) - 1) / len(gains))
        reach = float(stats.t.ppf(0.975, len(gains) - 1)) * spread
        return mean - reach, mean + reach


def visit(patient: Patient, seed: int = 0, diagnose: Diagnose = diagnose) -> Prescription:
    """Watch a training, try remedies for what is found, and recommend the smallest that works.

    Args:
        patient: the training.
        seed: of the watched run and of the screening; fresh ones follow.
        diagnose: finds what is wrong.

    Raises:
        InputError: the recipe cannot be trained as it is.
    """
    problem = load(patient.recipe)
    run, history = _watched(problem, patient, seed)
    findings = tuple(diagnose(history, facts_of(problem)))
    until = _screening_step(problem)
    here = next(p.validation_metric for p in run.curve if p.step == until)
    attempts = [_tried(patient, change, seed) for change in changes_for(findings)]
    sign = -1 if patient.recipe.maximize else 1
    attempts = sorted(attempts, key=lambda attempt: _badness(attempt.metric, sign))
    chosen = _chosen(attempts, here, sign)
    fresh = range(seed + 1, seed + 1 + FRESH) if chosen else range(0)
    changed = chosen.apply(patient) if chosen else patient
    tried = sum(until for attempt in attempts if attempt.failure is None)
    return Prescription(
        findings=findings,
        run=run,
        screened=here,
        attempts=tuple(attempts),
        recommended=chosen,
        untouched=tuple(_end(patient, one) for one in fresh),
        changed=tuple(_end(changed, one) for one in fresh),
        maximize=patient.recipe.maximize,
        gradient_steps=problem.steps + tried + 2 * len(fresh) * problem.steps,
    )


def _watched(problem: Problem, patient: Patient, seed: int) -> tuple[Run, History]:
    """The training with all instruments, whatever they cost: it is short beside the visit."""
    watchers: list[Watcher] = []

    def observe(model: nn.Module, params: Mapping[str, Tensor], rates: Rates) -> Watcher:
        watchers.append(Watcher(model, params, rates, standard(), budget=1.0))
        return watchers[0]

    lane = _lane(problem, patient)
    member = lane.train_observed(_member(patient, seed), problem.steps, unheard, observe)
    return member.run, watchers[0].history


def _tried(patient: Patient, change: Change, seed: int) -> Attempt:
    """A change trained up to where changes are compared."""
    try:
        changed = change.apply(patient)
        problem = load(changed.recipe)
        (member,) = _lane(problem, changed).train(
            [_member(changed, seed)], _screening_step(problem), unheard
        )
    except InputError as error:
        return Attempt(change, math.nan, str(error).splitlines()[0])
    except (RuntimeError, ValueError, IndexError) as error:  # the model does not take it
        return Attempt(change, math.nan, f"{type(error).__name__}: {str(error).splitlines()[0]}")
    point = member.run.curve[-1]
    return Attempt(change, point.validation_metric if point.finite else math.inf)


def _chosen(attempts: Sequence[Attempt], untouched: float, sign: int) -> Change | None:
    """The smallest of the changes that gain nearly what the best one does.

    Where the untouched run diverged, gains count from the worst change that did not.
    """
    healthy = [a for a in attempts if math.isfinite(a.metric)]
    if not healthy:
        return None
    metrics = [sign * attempt.metric for attempt in healthy]
    start = sign * untouched if math.isfinite(untouched) else max(metrics)
    best = start - min(metrics)
    if best <= 0 and math.isfinite(untouched):
        return None
    pairs = zip(healthy, metrics, strict=True)
    near = [attempt.change for attempt, metric in pairs if start - metric >= NEARLY * best]
    return min(near, key=lambda change: change.size)


def _end(patient: Patient, seed: int) -> float:
    """The validation metric of a whole training; where it diverged, that of the untrained model."""
    problem = load(patient.recipe)
    lane = _lane(problem, patient)
    (member,) = lane.train([_member(patient, seed)], problem.steps, unheard)
    run = member.run
    return (run.curve[-1] if run.diverged_at is None else run.curve[0]).validation_metric


def _badness(metric: float, sign: int) -> float:
    return sign * metric if math.isfinite(metric) else math.inf


def _screening_step(problem: Problem) -> int:
    """The evaluation step nearest to where changes are compared."""
    goal = SCREENING * problem.steps
    return min(evaluation_steps(problem.steps)[1:], key=lambda step: abs(step - goal))


def _member(patient: Patient, seed: int) -> Member:
    return Member.new(patient.procedure.trial(patient.lr, seed))


def _lane(problem: Problem, patient: Patient) -> SerialLane:
    return SerialLane(problem, {patient.procedure.name: patient.procedure})
