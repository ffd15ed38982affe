"""The page of one training, and the folder that it goes to."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ravine.diagnostics.doctor.prescription import Prescription
from ravine.diagnostics.landscape import landscape
from ravine.diagnostics.watch.member import Watched
from ravine.diagnostics.watch.watching import Watch
from ravine.environment import environment
from ravine.errors import FolderError
from ravine.report.run import RunRecord, write_run
from ravine.training.lane import pack
from ravine.training.procedure import Procedure
from ravine.training.serial import SerialLane
from ravine.whole import write_whole

PAGE = "run.html"

WEIGHTS = "model.pt"


def new_folder(out: str | Path) -> Path:
    """The folder, made if it is not there; before anything is trained.

    Raises:
        FolderError: it holds something, or cannot be made.
    """
    folder = Path(out)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        held = sorted(path.name for path in folder.iterdir())
    except OSError as error:
        raise FolderError(
            f"cannot use the folder {folder}: {error.strerror}; choose another --out"
        ) from error
    if held:
        raise FolderError(f"{folder} holds {held[0]!r}; expected a new or empty folder as --out")
    return folder


def write_training(
    folder: Path,
    lane: SerialLane,
    procedure: Procedure,
    watched: Watched,
    prescription: Prescription | None = None,
) -> None:
    """Write a watched training's page, with what a doctor's visit came to if there was one; and the
    weights, as the trained module's `state_dict`."""
    problem, model = lane.problem, lane.module(watched.member)
    recipe = problem.recipe
    record = RunRecord(
        title=f"{recipe.name} with {procedure.title}",
        metric=recipe.metric_name,
        history=watched.history,
        findings=watched.findings,
        facts=watched.facts,
        losses=watched.losses,
        run=watched.member.run,
        accounts=watched.accounts,
        slice=landscape(watched.snapshots, model, recipe.cost, problem.sample, recipe.penalty),
        prescription=prescription,
        environment=environment(None),
    )
    with _explained(folder, "--out"):
        write_whole(folder / WEIGHTS, pack(model.state_dict()))
        write_run(record, folder / PAGE)


def write_page(watch: Watch, path: str | Path, title: str = "a training") -> Path:
    """Write the page of a run that `ravine.watch` has watched: what was found and measured.

    Args:
        watch: the watch, during the run or after it.
        path: of the HTML file, which needs nothing else and works offline.
        title: what was trained.

    Returns:
        the path.

    Raises:
        FolderError: the path's folder is not there, or cannot be written.
    """
    record = RunRecord(
        title=title,
        metric="metric",
        history=watch.history,
        findings=watch.findings,
        facts=watch.facts,
        accounts=watch.accounts,
        environment=environment(None),
    )
    with _explained(Path(path).parent, "path"):
        return write_run(record, path)


@contextmanager
def _explained(folder: Path, to_change: str) -> Iterator[None]:
    """Turn what the file system says into a FolderError; the file it names is a draft's."""
    try:
        yield
    except OSError as error:
        raise FolderError(
            f"cannot write to {folder}: {error.strerror or error}; choose another {to_change}"
        ) from error
