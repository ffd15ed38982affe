"""The remedy, tried: a failing training watched, changed runs trained beside it, a recommendation."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial

from ravine.diagnostics.doctor.attempting import Failed, tried
from ravine.diagnostics.doctor.courses import (
    Purse,
    Spend,
    Stage,
    member_of,
    metric_at,
    or_untrained,
    serial,
    unannounced,
    untouched,
)
from ravine.diagnostics.doctor.patient import Change, Patient
from ravine.diagnostics.doctor.prescription import Attempt, Prescription, Proof
from ravine.diagnostics.doctor.rungs import kept_steps, stops
from ravine.diagnostics.doctor.screening import Screening
from ravine.diagnostics.facts import Facts
from ravine.diagnostics.finding import Finding
from ravine.diagnostics.findings import diagnose
from ravine.diagnostics.history import History
from ravine.diagnostics.remedies import changes_for
from ravine.diagnostics.watch.member import Watched, train_watched
from ravine.recipes import load
from ravine.training.choose import check_lane
from ravine.training.lane import Tick, unheard

__all__ = ["Attempt", "Prescription", "examined", "treated", "visit"]

TRAININGS = 10
"""What a visit may cost, in trainings of the patient's length."""

FRESH = 3
"""Fresh seeds on which the recommended change and the untouched run are compared."""

RESERVED = 0.55
"""Trainings set aside for what watching takes. Of a short run it is more than its share: the first
steps are measured on credit. 200 steps of a small network took 0.1 to 0.5."""

SCREENED = TRAININGS - 2 * FRESH - RESERVED
"""Trainings that may be spent when changes have been compared on the watched seed, that run among
them."""

Diagnose = Callable[[History, Facts], Sequence[Finding]]
"""Readings, and what is known of the run -> what is wrong."""


def visit(
    patient: Patient, seed: int = 0, diagnose: Diagnose = diagnose, lane: str = "auto"
) -> Prescription:
    """Watch a training, try remedies for what is found, and recommend the smallest that works.

    Args:
        patient: the training.
        seed: of the watched run and of the screening; fresh ones follow.
        diagnose, lane: see `treated`.

    Raises:
        InputError: the recipe cannot be trained as it is.
        UnknownNameError: no such lane.
    """
    check_lane(lane)
    return treated(patient, seed, examined(patient, seed), diagnose, lane)


def examined(
    patient: Patient, seed: int, stage: Stage = unannounced, tick: Tick = unheard
) -> Watched:
    """The training, watched, and where it stood at the steps where it can be forked.

    Args:
        patient, seed: as for `visit`.
        stage, tick: hear of it, and of its gradient steps.
    """
    lane = serial(patient)
    total = lane.problem.steps
    at = [step for step in kept_steps(total) if step < total]
    stage(f"{patient.procedure.title}, learning rate {patient.lr:g}", total)
    return train_watched(lane, member_of(patient, seed), [*at, total], tick)


def treated(
    patient: Patient,
    seed: int,
    watched: Watched,
    diagnose: Diagnose = diagnose,
    lane: str = "auto",
    stage: Stage = unannounced,
    tick: Tick = unheard,
) -> Prescription:
    """Try remedies for what is found in a watched training, and recommend the smallest that works.

    Changes that the run can go on with are forked from it before the trouble, the others trained
    from the start. They are compared after a ninth and a third of the way from the trouble to the
    end, where the better half goes on, and after eight ninths. With the watched training it takes 10
    trainings at most.

    Args:
        patient, seed, watched: what `examined` was given, and what it returned.
        diagnose: finds what is wrong.
        lane: where changes that leave module, data and cost alone are trained: "population": side by
            side where they can be, "serial": one by one, "auto": as pays.
        stage, tick: hear of each part, and of gradient steps.
    """
    problem, purse = load(patient.recipe), Purse(tick)
    purse.spent = problem.steps  # of the watched training, which are over
    findings = tuple(diagnose(watched.history, watched.facts))
    changes = changes_for(findings, patient)
    screening = Screening(patient, seed, watched, lane, purse, SCREENED * problem.steps, stage)
    attempts, helping = screening.of(changes) if changes else ([], [])
    proof = _proven(patient, helping, range(seed + 1, seed + 1 + FRESH), purse, stage)
    return Prescription(
        findings=findings,
        run=watched.run,
        history=watched.history,
        screened=untouched(watched, problem.steps),
        attempts=tuple(attempts),
        proof=proof,
        gradient_steps=purse.spent,
        watching=watched.measuring,
        metric=patient.recipe.metric_name,
    )


def _proven(
    patient: Patient,
    helping: Sequence[Change],
    seeds: Sequence[int],
    purse: Purse,
    stage: Stage = unannounced,
) -> Proof:
    """The first of some changes whose gain shows on fresh seeds, as far as the budget pays for more
    than one; the first one where none does."""
    if not helping:
        return Proof(None, (), (), patient.recipe.maximize)
    total = load(patient.recipe).steps
    stage(f"untouched, on {len(seeds)} fresh seeds", len(seeds) * total)
    before = tuple(_end(patient, seed, purse.spend) for seed in seeds)
    proofs: list[Proof] = []
    for change in helping:
        if proofs and purse.spent + len(seeds) * total > (TRAININGS - RESERVED) * total:
            break
        stage(f"{change.name}, on {len(seeds)} fresh seeds", len(seeds) * total)
        ends = tuple(_end(change.apply(patient), seed, purse.spend) for seed in seeds)
        proofs.append(Proof(change, before, ends, patient.recipe.maximize))
        if proofs[-1].works:
            return proofs[-1]
    return proofs[0]


def _end(patient: Patient, seed: int, spend: Spend) -> float:
    """The validation metric of a whole training; where it diverged, that of the untrained model, and
    NaN where it could not be trained."""
    lane, member = serial(patient), member_of(patient, seed)
    total = lane.problem.steps
    for step in (*stops(total, 0), total):
        if member.run.diverged_at is None:  # what is NaN stays NaN
            spend(step - member.step)
            trained = tried(partial(lane.train, [member], step, unheard))
            if isinstance(trained, Failed):
                return math.nan
            (member,) = trained
    return or_untrained(metric_at(member.run.curve, total), member.run)
