"""The library's jobs, each from what a user says to the files they are left with."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path

from ravine import recipes, report, rules
from ravine.comparison import search, verdict
from ravine.comparison.identity import same_or_refuse
from ravine.comparison.progress import Progress
from ravine.comparison.protocol import SELECTION_SEEDS, Comparison, seeds_of
from ravine.comparison.records import Settings, Study, Verdict
from ravine.comparison.store import Store, explained
from ravine.environment import environment
from ravine.errors import SettingError
from ravine.recipes import Problem, Recipe, find
from ravine.rules import Rule
from ravine.training.choose import check_lane, choose, make_lane
from ravine.training.lane import Lane, Member
from ravine.training.records import Run, Trial
from ravine.training.serial import SerialLane
from ravine.training.threads import threads

OPTIMIZERS = ("sgd", "momentum", "nesterov", "adagrad", "rmsprop", "adam")
"""Compared where the user names none."""

REPORT = "report.html"

MOST_SEEDS = 10**9
"""Largest base seed: the seeds that derive from it have to fit into 64 bits."""

AnyRecipe = str | Path | Recipe | Callable[[], Recipe]


def compare(
    recipe: AnyRecipe,
    optimizers: Sequence[str | Rule] = OPTIMIZERS,
    out: str | Path | None = None,
    *,
    epochs: int | None = None,
    steps: int | None = None,
    seed: int = 0,
    lane: str = "auto",
    progress: Progress | None = None,
    command: str | None = None,
) -> Verdict:
    """Find the optimizer and the learning rate that train a recipe best, and how sure that is.

    Leaves `run.sqlite`, `verdict.json` and `report.html` in the folder `out`. Called again with the
    same arguments it continues what was interrupted, and repeats nothing.

    Args:
        recipe: a built-in name, a file that defines `recipe()`, a Recipe, or a function of one.
        optimizers: names (see `ravine optimizers`) or rules of your own; two at least.
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
    chosen = resolve(optimizers)
    if len(chosen) < 2:
        raise SettingError(f"--optimizers names {len(chosen)}; expected at least two to compare")
    for rule in chosen.values():
        search.grid(rule.defaults["lr"])
    _check_seed(seed)
    check_lane(lane)
    settings = Settings(tuple(chosen), problem.steps, seed)
    folder = folder_of(problem.recipe, out)
    with explained(folder), closing(Store(folder)) as store:
        same_or_refuse(store, problem, settings, chosen)
        if store.fact("outcome") is None:
            progress = progress or Progress()
            fitting, count = _lane(problem, chosen, settings, lane, store, command, progress)
            with threads(count):
                Comparison(problem, chosen, settings, fitting, store, progress).run()
        return write(store).verdict


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
    if isinstance(optimizers, str):
        raise SettingError(f"optimizers={optimizers!r}; expected a list, e.g. [{optimizers!r}]")
    found = [_rule(optimizer) for optimizer in optimizers]
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
    chosen: Mapping[str, Rule],
    settings: Settings,
    asked: str,
    store: Store,
    command: str | None,
    progress: Progress,
) -> tuple[Lane, int]:
    """The lane of a new comparison, or the one it was begun with; and its number of threads."""
    capacity = len(chosen) * search.SURVIVORS * SELECTION_SEEDS
    stored = store.fact("lane")
    if stored is None:
        work = _least_work(problem.steps, len(chosen))
        choice = choose(problem, chosen, _sample(chosen, settings), asked, capacity, work)
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
            problem=_problem_facts(problem, chosen, choice.step_seconds),
            environment={"lane": about, **machine},
            lane=stored,
        )
        return choice.lane, choice.threads
    if asked not in ("auto", stored["asked"], stored["name"]):
        raise SettingError(
            f"{store.folder} was begun in lane {stored['name']}, this command says --lane {asked}; "
            f"type --lane {stored['name']}, or choose another --out"
        )
    lane = make_lane(stored["name"], stored["compiled"], problem, chosen, capacity)
    return lane, stored["threads"]


def _sample(chosen: Mapping[str, Rule], settings: Settings) -> list[Trial]:
    """Trials to time lanes with: each optimizer at the lowest rates of its grid."""
    seeds, _ = seeds_of(settings.seed)
    return [
        Trial(name, {**rule.defaults, "lr": lr}, seed)
        for name, rule in chosen.items()
        for lr in search.grid(rule.defaults["lr"])[: search.SURVIVORS]
        for seed in seeds
    ]


def _least_work(steps: int, optimizers: int) -> int:
    """Gradient steps of the shortest comparison: no extension, five fresh seeds."""
    rates = 2 * search.REACH + 1
    selection = SELECTION_SEEDS * (rates / 9 + search.SURVIVORS * 8 / 9)
    return math.ceil(optimizers * steps * (selection + 5))


def _problem_facts(
    problem: Problem, chosen: Mapping[str, Rule], step_seconds: Mapping[str, float]
) -> dict[str, object]:
    recipe = problem.recipe
    return {
        "name": recipe.name,
        "metric": recipe.metric_name,
        "maximize": recipe.maximize,
        "target": recipe.target,
        "tested": problem.test is not None,
        "titles": {name: rule.title for name, rule in chosen.items()},
        "step_seconds": dict(step_seconds),
    }


def train(
    recipe: AnyRecipe,
    optimizer: str | Rule,
    lr: float | None = None,
    *,
    epochs: int | None = None,
    steps: int | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> tuple[Run, str]:
    """Train a recipe once with one optimizer.

    Args:
        recipe, epochs, steps, seed: as in `compare`.
        optimizer: a name or a rule.
        lr: the learning rate; the optimizer's default if None.
        progress: hears what happens.

    Returns:
        the run, and the name of its metric.
    """
    problem = _loaded(recipe, steps, epochs)
    _check_seed(seed)
    chosen = resolve([optimizer])
    ((name, rule),) = chosen.items()
    rate = rule.defaults["lr"] if lr is None else lr
    if not rate > 0 or not math.isfinite(rate):
        raise SettingError(
            f"--lr {rate:g}; expected a number above 0, e.g. {rule.defaults['lr']:g}"
        )
    progress = progress or Progress()
    member = Member.new(Trial(name, {**rule.defaults, "lr": rate}, seed))
    progress.stage(f"{rule.title}, learning rate {rate:g}", problem.steps)
    lane = SerialLane(problem, chosen)
    (trained,) = lane.train([member], problem.steps, progress.tick)
    return trained.run, problem.recipe.metric_name
