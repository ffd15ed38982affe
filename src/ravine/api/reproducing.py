"""A published experiment made again, and what became of its ordering."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from ravine.api.comparing import compare
from ravine.api.given import check_seed, loaded
from ravine.batches import per_epoch
from ravine.comparison import verdict
from ravine.comparison.identity import same_or_refuse
from ravine.comparison.progress import Progress
from ravine.comparison.protocol import seeds_of, train_stage
from ravine.comparison.records import Settings
from ravine.comparison.store import Store, explained
from ravine.environment import environment
from ravine.errors import SettingError, UnknownNameError
from ravine.recipes import Problem, load
from ravine.recipes.images import Folder
from ravine.report import REPORT
from ravine.report.again import write_reproduction
from ravine.reproduce import (
    STUDIES,
    Given,
    Group,
    Made,
    Panel,
    Reproduction,
    Tuned,
    judged,
)
from ravine.reproduce.made import Line, shown
from ravine.training.choose import choose, lane_again
from ravine.training.executor import Here
from ravine.training.fit import CAPACITY
from ravine.training.lane import Lane, Member
from ravine.training.procedure import Procedure
from ravine.training.records import Trial, runs_of
from ravine.training.threads import threads


def reproduce(
    name: str,
    *,
    scale: float | None = None,
    data: str | Path | None = None,
    out: str | Path | None = None,
    seed: int = 0,
    progress: Progress | None = None,
    command: str | None = None,
) -> Reproduction:
    """Make a published experiment again, and say whether its ordering holds.

    Leaves a folder with the page `figure.html` and `reproduction.json`, and a folder for each of its
    figures. Called again with the same arguments it continues what was interrupted.

    Args:
        name: one of `ravine.reproduce.STUDIES`.
        scale: share of the training examples, or of what else makes the experiment large; by default
            what a laptop's CPU takes in some minutes.
        out: the folder; by default runs/<name>.
        data, seed, progress, command: as in `compare`.

    Raises:
        InputError: something that was given cannot be used; the message says what to change.
    """
    if name not in STUDIES:
        raise UnknownNameError.of("study", name, STUDIES, "ravine reproduce --help")
    study = STUDIES[name]
    size = study.scale if scale is None else scale
    if not 0 < size <= 1:
        raise SettingError(f"--scale {size:g}; expected a share of the experiment, e.g. 0.1")
    check_seed(seed)
    folder = Path("runs") / name if out is None else Path(out)
    listener = progress or Progress()
    made = []
    for panel in study.panels:
        listener.note(f"{study.name}, {panel.source}: {panel.title}")
        made.append(_made(panel, _Job(size, data, folder / panel.name, seed, listener, command)))
    found = Reproduction(study, size, made, folder, environment(command))
    with explained(folder):
        write_reproduction(found)
    return found


@dataclass(frozen=True)
class _Job:
    """What was asked for, for one figure."""

    scale: float
    data: Folder
    folder: Path
    seed: int
    progress: Progress
    command: str | None


def _made(panel: Panel, job: _Job) -> Made:
    training = panel.training
    if isinstance(training, Tuned):
        lines, report = _tuned(training, panel.name, job), f"{panel.name}/{REPORT}"
    else:
        lines, report = _given(training, job), None
    lines = [replace(e, runs=[shown(run, panel.quantity) for run in e.runs]) for e in lines]
    return Made(panel, lines, judged(panel, lines), report)


def _tuned(training: Tuned, name: str, job: _Job) -> list[Line]:
    """Each optimizer at its best rate, through a comparison."""
    recipe = replace(training.recipe(job.data, job.scale), name=name)
    compare(
        recipe,
        training.optimizers,
        job.folder,
        schedule=(training.schedule,),
        seed=job.seed,
        progress=job.progress,
        command=job.command,
    )
    with explained(job.folder), closing(Store(job.folder, must_exist=True)) as store:
        study = verdict.conclude(store)
    arms = {arm.name: arm for arm in study.verdict.arms}
    epoch = _epoch(load(recipe))
    return [
        Line(arm, arms[arm].title, arms[arm].lr, epoch, runs_of(arm, study.final))
        for arm in study.settings.arms
    ]


def _given(training: Given, job: _Job) -> list[Line]:
    """Each setting as it is given, on fresh seeds."""
    _, fresh = seeds_of(job.seed)
    groups = training.groups(job.data, job.scale)
    return [line for group in groups for line in _trained(group, fresh[: training.seeds], job)]


def _trained(group: Group, seeds: Sequence[int], job: _Job) -> list[Line]:
    """The settings of one recipe, from where they were left."""
    problem, folder = loaded(group.recipe, None, None), job.folder / group.name
    procedures = {s.name: s.procedure(problem) for s in group.settings}
    trials = {s.name: [procedures[s.name].trial(s.lr, n) for n in seeds] for s in group.settings}
    settings = Settings(tuple(procedures), problem.steps, job.seed)
    with explained(folder), closing(Store(folder)) as store:
        same_or_refuse(store, problem, settings, procedures)
        _train(problem, procedures, [t for several in trials.values() for t in several], store, job)
        runs = {name: [store.run("final", trial) for trial in of] for name, of in trials.items()}
    epoch = _epoch(problem)
    return [Line(s.name, s.title, s.lr, epoch, runs[s.name]) for s in group.settings]


def _train(
    problem: Problem,
    procedures: Mapping[str, Procedure],
    trials: Sequence[Trial],
    store: Store,
    job: _Job,
) -> None:
    """Train what is not stored yet, from where it stands. What trains together follows from all trials,
    not from those that are left: members of a chunk stand at the same step."""
    members = [Member(store.run("final", trial)) for trial in trials]
    left = [problem.steps - member.step for member in members if member.step < problem.steps]
    if not left:
        return
    lane, count = _lane(problem, procedures, trials, sum(left), store, job)
    job.progress.stage(f"{problem.recipe.name}, {len(left)} trainings", sum(left))
    with threads(count):
        chunks = lane.chunks(members)
        train_stage("final", chunks, problem.steps, True, Here(lane), store, job.progress)


def _lane(
    problem: Problem,
    procedures: Mapping[str, Procedure],
    trials: Sequence[Trial],
    work: int,
    store: Store,
    job: _Job,
) -> tuple[Lane, int]:
    """The fastest lane, or the one that was begun with, in which snapshots are; and its threads."""
    stored = store.fact("lane")
    if stored is not None:
        return lane_again(stored, problem, procedures), stored["threads"]
    choice = choose(problem, procedures, trials, "auto", min(CAPACITY, len(trials)), work)
    job.progress.note(f"training {choice.lane.title}: {choice.reason}")
    store.set_facts(lane=choice.as_stored())
    return choice.lane, choice.threads


def _epoch(problem: Problem) -> int:
    """Gradient steps in an epoch."""
    examples = problem.train.count
    assert examples is not None
    return per_epoch(examples, problem.batch_size, problem.recipe.last_batch)
