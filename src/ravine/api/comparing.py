"""The comparison: from what a user says to the folder they are left with."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass
from pathlib import Path

import torch

from ravine import recipes, report
from ravine.api.given import AnyRecipe, check_seed, listed, loaded, resolve
from ravine.batches import Order
from ravine.comparison import members, search, space, statistics, verdict
from ravine.comparison.arms import AS_BUILT, CONSTANT, Arms, Rates, arms_of, try_starts
from ravine.comparison.autopsy import explain
from ravine.comparison.identity import same_or_refuse
from ravine.comparison.pasting import procedures_as_text
from ravine.comparison.progress import Progress
from ravine.comparison.protocol import SELECTION_SEEDS, Comparison, seeds_of
from ravine.comparison.records import Settings, Study, Verdict
from ravine.comparison.store import Store, explained
from ravine.distributed import Cluster, RayExecutor, check_address, connected, packed
from ravine.environment import environment
from ravine.errors import SettingError
from ravine.initializers import Initializer, Start
from ravine.recipes import Problem, Recipe
from ravine.report import REPORT
from ravine.rules import Rule
from ravine.training.choose import check_lane, choose, lane_again
from ravine.training.executor import Executor, Here
from ravine.training.lane import Lane
from ravine.training.procedure import Procedure, pace_of
from ravine.training.records import Trial
from ravine.training.threads import threads

OPTIMIZERS = ("sgd", "momentum", "nesterov", "adagrad", "rmsprop", "adam")
"""Compared where the user names none."""


def compare(
    recipe: AnyRecipe,
    optimizers: Sequence[str | Rule] = OPTIMIZERS,
    out: str | Path | None = None,
    *,
    init: Sequence[str | Initializer | Start] = (AS_BUILT,),
    schedule: Sequence[Rates] = (CONSTANT,),
    batches: Sequence[str | Order] = (),
    batch_size: Sequence[int] = (),
    epochs: int | None = None,
    steps: int | None = None,
    seed: int = 0,
    trials: int = space.FEWEST,
    lane: str = "auto",
    ray: str | None = None,
    progress: Progress | None = None,
    command: str | None = None,
) -> Verdict:
    """Find the optimizer and the learning rate that train a recipe best, and how sure that is.

    With several starts, schedules, orders of examples or sizes of minibatches every optimizer is
    compared with each of them, each combination at its own best learning rate.

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
        batch_size: examples in a minibatch, the recipe's own by default. Of several, steps and results
            are counted in those of the first; each is trained for as many epochs where the length is
            given in epochs, and for as many gradient steps where it is given in steps.
        out: the run folder; by default runs/<recipe>.
        epochs, steps: training length, in place of the recipe's.
        seed: base seed, from 0 on; another one repeats the comparison on other seeds.
        trials: configurations that every optimizer begins with, at least 9: learning rates, closer
            together the more there are; from 25 on the other hyperparameters that its rule declares
            `tunable` are searched, too, by scrambled Halton points.
        lane: "auto", "serial" or "population".
        ray: train on a Ray cluster: its address, "auto" for the one that runs on this machine, "local"
            for one of this machine's cores. None: in this process.
        progress: hears what happens.
        command: what to type to get this again, for the report; by default the command line.

    Raises:
        InputError: something that was given cannot be used; the message says what to change.
    """
    prepared = prepare(
        recipe,
        optimizers,
        out,
        init=init,
        schedule=schedule,
        batches=batches,
        batch_size=batch_size,
        epochs=epochs,
        steps=steps,
        seed=seed,
        trials=trials,
        lane=lane,
        ray=ray,
    )
    return run(prepared, progress or Progress(), command).verdict


@dataclass(frozen=True)
class Prepared:
    """A comparison that has been checked as far as that goes before anything is trained.

    Attributes:
        problem: the recipe, loaded. compared: the arms. settings: what decides the outcome.
        lane: the one asked for. folder: where it goes. ray: the cluster's address; None: here.
    """

    problem: Problem
    compared: Arms
    settings: Settings
    lane: str
    folder: Path
    ray: str | None = None


def prepare(
    recipe: AnyRecipe,
    optimizers: Sequence[str | Rule],
    out: str | Path | None,
    *,
    init: Sequence[str | Initializer | Start] = (AS_BUILT,),
    schedule: Sequence[Rates] = (CONSTANT,),
    batches: Sequence[str | Order] = (),
    batch_size: Sequence[int] = (),
    epochs: int | None = None,
    steps: int | None = None,
    seed: int = 0,
    trials: int = space.FEWEST,
    lane: str = "auto",
    ray: str | None = None,
) -> Prepared:
    """Load a recipe and check everything that `compare` is given. Nothing is written."""
    sizes = listed("batch_size", batch_size)
    problem = loaded(recipe, steps, epochs, sizes[0] if sizes else None)
    chosen = list(resolve(optimizers).values())
    compared = arms_of(
        problem,
        chosen,
        listed("init", init),
        listed("schedule", schedule),
        listed("batches", batches),
        sizes,
    )
    for size in sizes[1:]:
        recipes.check(problem.resized(size))
    arms = compared.procedures
    if len(arms) < 2:
        raise SettingError(
            f"--optimizers names {len(chosen)}; expected at least two to compare, or two of --init, "
            "--schedule, --batches or --batch-size"
        )
    try_starts(problem, arms)
    for rule in chosen:
        space.grid(rule.defaults["lr"])
    check_seed(seed)
    check_lane(lane)
    space.insist_on_trials(trials)
    if ray is not None:
        check_address(ray)
    settings = Settings(tuple(arms), problem.steps, seed, trials)
    return Prepared(problem, compared, settings, lane, folder_of(problem.recipe, out), ray)


def bind(prepared: Prepared) -> None:
    """Make the run folder, or insist that what it holds is this comparison."""
    with explained(prepared.folder), closing(Store(prepared.folder)) as store:
        _bind(prepared, store)


def run(prepared: Prepared, progress: Progress, command: str | None) -> Study:
    """Train what is left of a comparison, and write its folder."""
    problem, arms = prepared.problem, prepared.compared.procedures
    with explained(prepared.folder), closing(Store(prepared.folder)) as store:
        _bind(prepared, store)
        if store.fact("outcome") is None:
            with _cluster(prepared.ray) as cluster:
                _train(prepared, store, command, progress, cluster)
        explain(problem, arms, store, progress)
        study = write(store)
        members.keep(problem, arms, store, study)
        return study


def _bind(prepared: Prepared, store: Store) -> None:
    same_or_refuse(store, prepared.problem, prepared.settings, prepared.compared.procedures)


def folder_of(recipe: Recipe, out: str | Path | None) -> Path:
    """The run folder: what was asked for, or runs/<recipe>."""
    return Path("runs") / recipe.name if out is None else Path(out)


def write(store: Store) -> Study:
    """Write a run folder's `verdict.json` and `report.html` from what is stored."""
    study = verdict.conclude(store)
    verdict.write(study.verdict, store.folder)
    report.write(study, store.folder / REPORT)
    return study


def rewrite(folder: Path) -> Path:
    """The report of a run folder again, from what is stored; the path of the page."""
    with explained(folder), closing(Store(folder, must_exist=True)) as store:
        write(store)
    return folder / REPORT


def _cluster(ray: str | None) -> AbstractContextManager[Cluster | None]:
    return nullcontext() if ray is None else connected(ray)


def _train(
    prepared: Prepared,
    store: Store,
    command: str | None,
    progress: Progress,
    cluster: Cluster | None,
) -> None:
    """Train all that the comparison asks for, here or on a cluster."""
    problem, arms, settings = prepared.problem, prepared.compared.procedures, prepared.settings
    lane, count = _lane(prepared, store, command, progress, cluster)
    executor: Executor = Here(lane)
    if cluster is not None:
        parcel = packed(problem, arms, store.fact("lane"), store.fact("recipe"))
        executor = RayExecutor(cluster, parcel, count, progress.note)
    with threads(count):
        Comparison(problem, arms, settings, lane, executor, store, progress).run()


def _lane(
    prepared: Prepared,
    store: Store,
    command: str | None,
    progress: Progress,
    cluster: Cluster | None,
) -> tuple[Lane, int]:
    """The lane of a new comparison, or the one it was begun with; and its number of threads."""
    stored, asked = store.fact("lane"), prepared.lane
    if stored is None:
        return _new_lane(prepared, store, command, progress, cluster)
    if asked not in ("auto", stored["asked"], stored["name"]):
        raise SettingError(
            f"{store.folder} was begun in lane {stored['name']}, this command says --lane {asked}; "
            f"type --lane {stored['name']}, or choose another --out"
        )
    problem, arms = prepared.problem, prepared.compared.procedures
    return lane_again(stored, problem, arms), stored["threads"]


def _new_lane(
    prepared: Prepared,
    store: Store,
    command: str | None,
    progress: Progress,
    cluster: Cluster | None,
) -> tuple[Lane, int]:
    """The lane that times best, noted in the store, and its number of threads.

    On a cluster every core trains chunks of its own, so these are the smaller, the more there are.
    """
    problem, settings, asked = prepared.problem, prepared.settings, prepared.lane
    arms = prepared.compared.procedures
    places = 1 if cluster is None else max(1, cluster.cores)
    together = max(Counter(pace_of(problem, arm) for arm in arms.values()).values())
    capacity = max(2, -(-together * search.SURVIVORS * SELECTION_SEEDS // places))
    work = len(arms) * _least_work(settings) // places
    with threads(torch.get_num_threads() if cluster is None else 1):
        choice = choose(problem, arms, _sample(arms, settings), asked, capacity, work)
    about = f"{choice.lane.title}: {choice.reason}"
    progress.note(f"training {about}")
    machine = {**environment(command), "threads": str(choice.threads)}
    if cluster is not None:
        machine["cluster"] = cluster.title
    store.set_facts(
        problem=_problem_facts(problem, prepared.compared, choice.step_seconds),
        environment={"lane": about, **machine},
        lane={**choice.as_stored(), "asked": asked},
    )
    return choice.lane, choice.threads


def _sample(arms: Mapping[str, Procedure], settings: Settings) -> list[Trial]:
    """Trials to time lanes with: each arm at the lowest rates of its grid."""
    seeds, _ = seeds_of(settings.seed)
    return [
        arm.trial(lr, seed)
        for arm in arms.values()
        for lr in space.grid(arm.rule.defaults["lr"])[: search.SURVIVORS]
        for seed in seeds
    ]


def _least_work(settings: Settings) -> int:
    """Gradient steps of an arm in the shortest comparison: no extension, five fresh seeds."""
    second = search.kept(settings.trials)
    selection = (settings.trials + 2 * second + 6 * search.kept(second)) / 9
    final = statistics.LOOKS[0] * (2 if settings.trials >= space.JOIN else 1)
    return math.ceil(settings.steps * (SELECTION_SEEDS * selection + final))


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
        "procedures": procedures_as_text(problem, compared),
        "paces": {name: pace_of(problem, arm) for name, arm in compared.procedures.items()},
        "step_seconds": dict(step_seconds),
    }
