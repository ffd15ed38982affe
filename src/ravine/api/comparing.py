"""The comparison: from what a user says to the folder they are left with."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path

from ravine import report
from ravine.api.given import AnyRecipe, check_seed, listed, loaded, resolve
from ravine.batches import Order
from ravine.comparison import members, search, verdict
from ravine.comparison.arms import AS_BUILT, CONSTANT, Arms, Rates, arms_of, try_starts
from ravine.comparison.autopsy import explain
from ravine.comparison.identity import same_or_refuse
from ravine.comparison.pasting import procedures_as_text
from ravine.comparison.progress import Progress
from ravine.comparison.protocol import SELECTION_SEEDS, Comparison, seeds_of
from ravine.comparison.records import Settings, Study, Verdict
from ravine.comparison.store import Store, explained
from ravine.environment import environment
from ravine.errors import SettingError
from ravine.initializers import Initializer, Start
from ravine.recipes import Problem, Recipe
from ravine.rules import Rule
from ravine.training.choose import check_lane, choose, make_lane
from ravine.training.lane import Lane
from ravine.training.procedure import Procedure
from ravine.training.records import Trial
from ravine.training.threads import threads

OPTIMIZERS = ("sgd", "momentum", "nesterov", "adagrad", "rmsprop", "adam")
"""Compared where the user names none."""

REPORT = "report.html"


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
    problem = loaded(recipe, steps, epochs)
    chosen = list(resolve(optimizers).values())
    compared = arms_of(
        problem,
        chosen,
        listed("init", init),
        listed("schedule", schedule),
        listed("batches", batches),
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
    check_seed(seed)
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
        study = write(store)
        members.keep(problem, arms, store)
        return study.verdict


def folder_of(recipe: Recipe, out: str | Path | None) -> Path:
    """The run folder: what was asked for, or runs/<recipe>."""
    return Path("runs") / recipe.name if out is None else Path(out)


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
            "capacity": choice.lane.capacity,
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
    lane = make_lane(stored["name"], stored["compiled"], problem, arms, stored["capacity"])
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
        "procedures": procedures_as_text(compared, problem.steps),
        "step_seconds": dict(step_seconds),
    }
