"""One training: watched, tested over rates, or mended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from torch import nn

from ravine import schedules
from ravine.api.given import AnyRecipe, check_seed, loaded, procedure_of, rate_of
from ravine.api.pages import new_folder, write_training
from ravine.batches import Order
from ravine.comparison.arms import AS_BUILT, CONSTANT, Rates
from ravine.comparison.progress import Progress
from ravine.diagnostics.doctor.courses import serial
from ravine.diagnostics.doctor.patient import Patient
from ravine.diagnostics.doctor.visit import Prescription, examined, treated
from ravine.diagnostics.facts import facts_of
from ravine.diagnostics.finding import Finding
from ravine.diagnostics.history import History
from ravine.diagnostics.watch.member import train_watched
from ravine.diagnostics.watch.news import News
from ravine.diagnostics.watch.recorder import BUDGET
from ravine.diagnostics.watch.watcher import check_budget
from ravine.initializers import Initializer, Start
from ravine.rules import Rule
from ravine.schedules import Suggestion
from ravine.training.lane import Member
from ravine.training.records import Run, Trial
from ravine.training.serial import SerialLane


@dataclass(frozen=True)
class Training:
    """What came of one training.

    Attributes:
        run: the trial and its curve.
        metric: name of the metric.
        model: the trained module, in evaluation mode.
        findings: what is wrong with it, the worst first; empty if nothing wrong was found.
        history: what was measured on the way.
    """

    run: Run
    metric: str
    model: nn.Module
    findings: Sequence[Finding]
    history: History


def train(
    recipe: AnyRecipe,
    optimizer: str | Rule,
    lr: float | None = None,
    *,
    init: str | Initializer | Start = AS_BUILT,
    schedule: Rates = CONSTANT,
    batches: str | Order | None = None,
    batch_size: int | None = None,
    epochs: int | None = None,
    steps: int | None = None,
    seed: int = 0,
    budget: float = BUDGET,
    out: str | Path | None = None,
    progress: Progress | None = None,
) -> Training:
    """Train a recipe once with one optimizer, and say what is wrong with it.

    It is watched all the way, which changes nothing of it (see `ravine.watch`).

    Args:
        recipe, init, schedule, batches, batch_size, epochs, steps, seed: as in `compare`, one of each.
        optimizer: a name or a rule.
        lr: the learning rate; the optimizer's default if None.
        budget: share of the training's own time that measuring may take, above 0, up to 1.
        out: a new folder for the page of this training, `run.html`, and its weights, `model.pt`.
        progress: hears what happens.

    Returns:
        the run, the trained module, and what was found and measured.
    """
    problem = loaded(recipe, steps, epochs, batch_size)
    procedure = procedure_of(problem, optimizer, init, schedule, batches)
    check_seed(seed)
    rate = rate_of(procedure.rule, lr)
    check_budget(budget)
    folder = None if out is None else new_folder(out)
    progress = progress or Progress()
    member = Member.new(procedure.trial(rate, seed))
    progress.stage(f"{procedure.title}, learning rate {rate:g}", problem.steps)
    lane = SerialLane(problem, {procedure.name: procedure})
    told = (progress.evaluated, News(facts_of(problem, procedure), progress.found))
    watched = train_watched(lane, member, [problem.steps], progress.tick, budget=budget, told=told)
    if folder is not None:
        write_training(folder, lane, procedure, watched)
    return Training(
        watched.member.run,
        problem.recipe.metric_name,
        lane.module(watched.member),
        watched.findings,
        watched.history,
    )


def range_test(
    recipe: AnyRecipe,
    optimizer: str | Rule,
    *,
    init: str | Initializer | Start = AS_BUILT,
    batches: str | Order | None = None,
    batch_size: int | None = None,
    lowest: float = 1e-7,
    highest: float = 10.0,
    steps: int = 100,
    seed: int = 0,
) -> Suggestion:
    """A learning rate to begin with: one short training whose rate grows at every step.

    A hint, not an answer: it comes from one seed and the first steps. `compare` finds the rate that
    trains best.

    Args:
        recipe, optimizer, init, batches, batch_size, seed: as in `train`.
        lowest, highest, steps: see `ravine.schedules.range_test`.

    Raises:
        InputError: something that was given cannot be used; the message says what to change.
    """
    problem = loaded(recipe, None, None, batch_size)
    procedure = procedure_of(problem, optimizer, init, CONSTANT, batches)
    check_seed(seed)
    lane = SerialLane(problem, {procedure.name: procedure})
    step = lane.stepper(Trial(procedure.name, procedure.rule.defaults, seed))
    return schedules.range_test(step, lowest, highest, steps)


def doctor(
    recipe: AnyRecipe,
    optimizer: str | Rule,
    lr: float | None = None,
    *,
    init: str | Initializer | Start = AS_BUILT,
    schedule: Rates = CONSTANT,
    batches: str | Order | None = None,
    batch_size: int | None = None,
    epochs: int | None = None,
    steps: int | None = None,
    seed: int = 0,
    out: str | Path | None = None,
    progress: Progress | None = None,
) -> Prescription:
    """Watch a training, say what is wrong with it, try remedies, and recommend the smallest that works.

    Takes about as long as ten trainings.

    Args:
        recipe, optimizer, lr, init, schedule, batches, batch_size, epochs, steps, seed: as in
            `train`.
        out: a new folder for the page of the watched training and of the visit, `run.html`, and for
            that training's weights, `model.pt`. They are there once that training is over, and the
            page is written again with the visit.
        progress: hears of stages and gradient steps.

    Raises:
        InputError: something that was given cannot be used; the message says what to change.
    """
    problem = loaded(recipe, steps, epochs, batch_size)
    procedure = procedure_of(problem, optimizer, init, schedule, batches)
    check_seed(seed)
    settled = replace(
        problem.recipe, steps=problem.steps, epochs=None, batch_size=problem.batch_size
    )
    patient = Patient(settled, procedure, rate_of(procedure.rule, lr))
    folder = None if out is None else new_folder(out)
    progress = progress or Progress()
    watched = examined(patient, seed, progress.stage, progress.tick)
    if folder is not None:  # what was trained is kept, whatever becomes of the visit
        write_training(folder, serial(patient), procedure, watched)
    prescription = treated(patient, seed, watched, stage=progress.stage, tick=progress.tick)
    if folder is not None:
        write_training(folder, serial(patient), procedure, watched, prescription)
    return prescription
