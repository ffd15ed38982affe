"""The library's jobs, each from what a user says to the files they are left with."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from torch import nn

from ravine import recipes, report, rules, schedules
from ravine.batches import Order
from ravine.comparison import search, verdict
from ravine.comparison.arms import AS_BUILT, CONSTANT, Arms, Rates, arms_of, try_starts
from ravine.comparison.autopsy import explain
from ravine.comparison.identity import same_or_refuse
from ravine.comparison.progress import Progress
from ravine.comparison.protocol import SELECTION_SEEDS, Comparison, seeds_of
from ravine.comparison.records import Settings, Study, Verdict
from ravine.comparison.store import Store, explained
from ravine.diagnostics.doctor import Prescription, visit
from ravine.diagnostics.facts import facts_of
from ravine.diagnostics.finding import Finding
from ravine.diagnostics.history import History
from ravine.diagnostics.member import train_watched
from ravine.diagnostics.news import News
from ravine.diagnostics.patient import Patient
from ravine.environment import environment
from ravine.errors import SettingError
from ravine.initializers import Initializer, Start
from ravine.recipes import Problem, Recipe, find
from ravine.rules import Rule
from ravine.schedules import Suggestion
from ravine.training.choose import check_lane, choose, make_lane
from ravine.training.lane import Lane, Member
from ravine.training.procedure import Procedure
from ravine.training.records import Run, Trial
from ravine.training.serial import SerialLane
from ravine.training.threads import threads

OPTIMIZERS = ("sgd", "momentum", "nesterov", "adagrad", "rmsprop", "adam")
"""Compared where the user names none."""

REPORT = "report.html"

MOST_SEEDS = 10**9
"""Largest base seed: the seeds that derive from it have to fit into 64 bits."""

Given = TypeVar("Given")

AnyRecipe = str | Path | Recipe | Callable[[], Recipe]


def compare(
    recipe: AnyRecipe,
    optimizers: Sequence[str | Rule] = OPTIMIZERS,
    out: str | Path | None = None,
    *,
    init: Sequence[str | Initializer | Start] = (AS_BUILT,),
    schedule: Sequence[Rates] = (CONSTANT,),
    batches: Sequence[str | Order] = (),
    epochs: int | None = None,
    steps: int | None = None,
    seed: int = 0,
    lane: str = "auto",
    progress: Progress | None = None,
    command: str | None = None,
) -> Verdict:
    """Find the optimizer and the learning rate that train a recipe best, and how sure that is.

    With several starts, schedules or orders of examples every optimizer is compared with each of
    them, each combination at its own best learning rate.

    Leaves `run.sqlite`, `verdict.json` and `report.html` in the folder `out`. Called again with the
    same arguments it continues what was interrupted, and repeats nothing.

    Args:
        recipe: a built-in name, a file that defines `recipe()`, a Recipe, or a function of one.
        optimizers: names (see `ravine optimizers`) or rules of your own.
        init: where training starts: names (`ravine.initializers.STARTS`), initializers or starts.
        schedule: factors on the learning rate: names (`ravine.schedules.NAMES`) or schedules; or
            mappings of any hyperparameter to a schedule, that of "lr" a factor, others of values.
        batches: orders of examples: names (`ravine.batches.NAMES`) or orders; the recipe's own by
            default.
        out: the run folder; by default runs/<recipe>.
        epochs, steps: training length, in place of the recipe's.
        seed: base seed, from 0 on; another one repeats the comparison on other seeds.
        lane: "auto", "serial" or "population".
        progress: hears what happens.
        command: what to type to get this again, for the report; by default the command line.

    Raises:
        InputError: something that was given cannot be used; the message says what to change.
    """
    problem = _loaded(recipe, steps, epochs)
    chosen = list(resolve(optimizers).values())
    compared = arms_of(
        problem,
        chosen,
        _listed("init", init),
        _listed("schedule", schedule),
        _listed("batches", batches),
    )
    arms = compared.procedures
    if len(arms) < 2:
        raise SettingError(
            f"--optimizers names {len(chosen)}; expected at least two to compare, or two of --init, "
            "--schedule or --batches"
        )
    try_starts(problem, arms)
    for rule in chosen:
        search.grid(rule.defaults["lr"])
    _check_seed(seed)
    check_lane(lane)
    settings = Settings(tuple(arms), problem.steps, seed)
    folder = folder_of(problem.recipe, out)
    with explained(folder), closing(Store(folder)) as store:
        same_or_refuse(store, problem, settings, arms)
        if store.fact("outcome") is None:
            progress = progress or Progress()
            fitting, count = _lane(problem, compared, settings, lane, store, command, progress)
            with threads(count):
                Comparison(problem, arms, settings, fitting, store, progress).run()
        explain(problem, arms, store, progress or Progress())
        return write(store).verdict


def _listed(option: str, given: Sequence[Given]) -> Sequence[Given]:
    """Raise unless several are given, be it in a list of one."""
    if isinstance(given, list | tuple):
        return given
    raise SettingError(f"{option}={given!r}; expected a list, e.g. [{given!r}]")


def folder_of(recipe: Recipe, out: str | Path | None) -> Path:
    """The run folder: what was asked for, or runs/<recipe>."""
    return Path("runs") / recipe.name if out is None else Path(out)


def _check_seed(seed: int) -> None:
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed <= MOST_SEEDS:
        raise SettingError(f"--seed {seed}; expected a whole number from 0 to {MOST_SEEDS}")


def _loaded(recipe: AnyRecipe, steps: int | None, epochs: int | None) -> Problem:
    problem = recipes.load(find(recipe), steps=steps, epochs=epochs)
    recipes.check(problem)
    return problem


def write(store: Store) -> Study:
    """Write a run folder's `verdict.json` and `report.html` from what is stored."""
    study = verdict.conclude(store)
    verdict.write(study.verdict, store.folder)
    report.write(study, store.folder / REPORT)
    return study


def rewrite_report(folder: str | Path) -> Path:
    """The report of a run folder again, from what is stored; the path of the page."""
    folder = Path(folder)
    with explained(folder), closing(Store(folder, must_exist=True)) as store:
        write(store)
    return folder / REPORT


def resolve(optimizers: Sequence[str | Rule]) -> dict[str, Rule]:
    """Rules by name, from names and rules."""
    found = [_rule(optimizer) for optimizer in _listed("optimizers", optimizers)]
    by_name = {rule.name: rule for rule in found}
    if len(by_name) != len(found):
        twice = next(r.name for r in found if sum(s.name == r.name for s in found) > 1)
        raise SettingError(
            f"optimizer {twice!r} is given twice; name a variant with "
            'dataclasses.replace(rule, name="...", title="...")'
        )
    return by_name


def _rule(optimizer: str | Rule) -> Rule:
    if isinstance(optimizer, Rule):
        return optimizer
    if isinstance(optimizer, str):
        return rules.get(optimizer)
    raise SettingError(
        f"optimizer {optimizer!r}; expected a name from `ravine optimizers` or a ravine.Rule, "
        "e.g. ravine.rules.adam(beta1=0.5)"
    )


def _lane(
    problem: Problem,
    compared: Arms,
    settings: Settings,
    asked: str,
    store: Store,
    command: str | None,
    progress: Progress,
) -> tuple[Lane, int]:
    """The lane of a new comparison, or the one it was begun with; and its number of threads."""
    arms = compared.procedures
    capacity = len(arms) * search.SURVIVORS * SELECTION_SEEDS
    stored = store.fact("lane")
    if stored is None:
        work = _least_work(problem.steps, len(arms))
        choice = choose(problem, arms, _sample(arms, settings), asked, capacity, work)
        about = f"{choice.lane.title}: {choice.reason}"
        progress.note(f"training {about}")
        stored = {
            "name": choice.lane.name,
            "compiled": choice.lane.compiled,
            "threads": choice.threads,
            "asked": asked,
        }
        machine = {**environment(command), "threads": str(choice.threads)}
        store.set_facts(
            problem=_problem_facts(problem, compared, choice.step_seconds),
            environment={"lane": about, **machine},
            lane=stored,
        )
        return choice.lane, choice.threads
    if asked not in ("auto", stored["asked"], stored["name"]):
        raise SettingError(
            f"{store.folder} was begun in lane {stored['name']}, this command says --lane {asked}; "
            f"type --lane {stored['name']}, or choose another --out"
        )
    lane = make_lane(stored["name"], stored["compiled"], problem, arms, capacity)
    return lane, stored["threads"]


def _sample(arms: Mapping[str, Procedure], settings: Settings) -> list[Trial]:
    """Trials to time lanes with: each arm at the lowest rates of its grid."""
    seeds, _ = seeds_of(settings.seed)
    return [
        arm.trial(lr, seed)
        for arm in arms.values()
        for lr in search.grid(arm.rule.defaults["lr"])[: search.SURVIVORS]
        for seed in seeds
    ]


def _least_work(steps: int, arms: int) -> int:
    """Gradient steps of the shortest comparison: no extension, five fresh seeds."""
    rates = 2 * search.REACH + 1
    selection = SELECTION_SEEDS * (rates / 9 + search.SURVIVORS * 8 / 9)
    return math.ceil(arms * steps * (selection + 5))


def _problem_facts(
    problem: Problem, compared: Arms, step_seconds: Mapping[str, float]
) -> dict[str, object]:
    recipe = problem.recipe
    return {
        "name": recipe.name,
        "metric": recipe.metric_name,
        "maximize": recipe.maximize,
        "target": recipe.target,
        "tested": problem.test is not None,
        "patience": recipe.patience,
        "titles": {name: arm.title for name, arm in compared.procedures.items()},
        "parts": {name: dict(parts) for name, parts in compared.parts.items()},
        "step_seconds": dict(step_seconds),
    }


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
    epochs: int | None = None,
    steps: int | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> Training:
    """Train a recipe once with one optimizer, and say what is wrong with it.

    It is watched all the way, which changes nothing of it (see `ravine.watch`).

    Args:
        recipe, init, schedule, batches, epochs, steps, seed: as in `compare`, one of each.
        optimizer: a name or a rule.
        lr: the learning rate; the optimizer's default if None.
        progress: hears what happens.

    Returns:
        the run, the trained module, and what was found and measured.
    """
    problem = _loaded(recipe, steps, epochs)
    procedure = _procedure(problem, optimizer, init, schedule, batches)
    _check_seed(seed)
    rate = _rate(procedure.rule, lr)
    progress = progress or Progress()
    member = Member.new(procedure.trial(rate, seed))
    progress.stage(f"{procedure.title}, learning rate {rate:g}", problem.steps)
    lane = SerialLane(problem, {procedure.name: procedure})
    told = (progress.evaluated, News(facts_of(problem), progress.found))
    watched = train_watched(lane, member, problem.steps, progress.tick, told=told)
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
    lowest: float = 1e-7,
    highest: float = 10.0,
    steps: int = 100,
    seed: int = 0,
) -> Suggestion:
    """A learning rate to begin with: one short training whose rate grows at every step.

    A hint, not an answer: it comes from one seed and the first steps. `compare` finds the rate that
    trains best.

    Args:
        recipe, optimizer, init, batches, seed: as in `train`.
        lowest, highest, steps: see `ravine.schedules.range_test`.

    Raises:
        InputError: something that was given cannot be used; the message says what to change.
    """
    problem = _loaded(recipe, None, None)
    procedure = _procedure(problem, optimizer, init, CONSTANT, batches)
    _check_seed(seed)
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
    epochs: int | None = None,
    steps: int | None = None,
    seed: int = 0,
) -> Prescription:
    """Watch a training, say what is wrong with it, try remedies, and recommend the smallest that works.

    Costs at most nine trainings of the recipe's length.

    Args:
        recipe, optimizer, lr, init, schedule, batches, epochs, steps, seed: as in `train`.

    Raises:
        InputError: something that was given cannot be used; the message says what to change.
    """
    problem = _loaded(recipe, steps, epochs)
    procedure = _procedure(problem, optimizer, init, schedule, batches)
    _check_seed(seed)
    length = replace(problem.recipe, steps=problem.steps, epochs=None)
    return visit(Patient(length, procedure, _rate(procedure.rule, lr)), seed)


def _rate(rule: Rule, lr: float | None) -> float:
    """The learning rate, or the rule's own."""
    rate = rule.defaults["lr"] if lr is None else lr
    if not rate > 0 or not math.isfinite(rate):
        raise SettingError(
            f"--lr {rate:g}; expected a number above 0, e.g. {rule.defaults['lr']:g}"
        )
    return rate


def _procedure(
    problem: Problem,
    optimizer: str | Rule,
    init: str | Initializer | Start,
    schedule: Rates,
    batches: str | Order | None,
) -> Procedure:
    """The one procedure of these parts, tried on the recipe's model."""
    (rule,) = resolve([optimizer]).values()
    for option, given in (("--init", init), ("--schedule", schedule), ("--batches", batches)):
        if isinstance(given, str) and "," in given:
            raise SettingError(
                f"{option} {given}; expected one name, `ravine compare` takes several"
            )
    orders = [] if batches is None else [batches]
    arms = arms_of(problem, [rule], [init], [schedule], orders).procedures
    try_starts(problem, arms)
    return arms[rule.name]
