"""Files of other tools, from a run folder's database. The folder itself is only read."""

from __future__ import annotations

import csv
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from ravine.comparison.store import Store, explained
from ravine.errors import FolderError, InputError, UnknownNameError, said
from ravine.export.rows import Staged, header, rows, staged
from ravine.training.records import Run

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial


def to_csv(runs: list[Staged], problem: Mapping[str, object], place: Path) -> None:
    """One row an evaluation."""
    with place.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(header(runs))
        writer.writerows(rows(runs))


def to_parquet(runs: list[Staged], problem: Mapping[str, object], place: Path) -> None:
    """One row an evaluation, typed."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = zip(*rows(runs), strict=True)
    pq.write_table(pa.table(dict(zip(header(runs), map(list, columns), strict=True))), place)


def to_tensorboard(runs: list[Staged], problem: Mapping[str, object], place: Path) -> None:
    """A run of event files for each run, with its costs and its metric."""
    from torch.utils.tensorboard import SummaryWriter

    for each in runs:
        with closing(SummaryWriter(str(place / each.name))) as writer:
            for point in each.run.curve:
                for tag, value in (
                    ("training_cost", point.cost),
                    ("validation_cost", point.validation_cost),
                    (f"validation_{problem['metric']}", point.validation_metric),
                ):
                    writer.add_scalar(tag, value, point.step)


def to_optuna(runs: list[Staged], problem: Mapping[str, object], place: Path) -> None:
    """A study in an SQLite file: a trial for each run, with its curve as intermediate values.

    Its value is the last validation metric; a run that diverged has failed.
    """
    import optuna
    from optuna.exceptions import OptunaError
    from sqlalchemy.exc import SQLAlchemyError

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    procedures = list(dict.fromkeys(each.run.trial.procedure for each in runs))
    trials = [_trial(each.stage, each.run, procedures) for each in runs]
    try:
        study = optuna.create_study(
            storage=f"sqlite:///{place}",
            study_name=str(problem["name"]),
            direction="maximize" if problem["maximize"] else "minimize",
        )
        study.add_trials(trials)
    except (OptunaError, SQLAlchemyError) as error:  # what SQLite says, such as of a full disk
        raise OSError(said(error)) from error


def _trial(stage: str, run: Run, procedures: Sequence[str]) -> FrozenTrial:
    from optuna.distributions import CategoricalDistribution, FloatDistribution
    from optuna.trial import TrialState, create_trial

    hyper = dict(run.trial.hyper)
    failed = run.diverged_at is not None
    return create_trial(
        state=TrialState.FAIL if failed else TrialState.COMPLETE,
        value=None if failed else run.curve[-1].validation_metric,
        params={"procedure": run.trial.procedure, **hyper},
        distributions={
            "procedure": CategoricalDistribution(procedures),
            **{name: FloatDistribution(value, value) for name, value in hyper.items()},
        },
        intermediate_values={point.step: point.validation_metric for point in run.curve},
        user_attrs={"stage": stage, "seed": run.trial.seed, "test_metric": run.test_metric},
    )


Write = Callable[[list[Staged], Mapping[str, object], Path], None]

FORMATS: dict[str, tuple[Write, str]] = {
    "csv": (to_csv, "runs.csv"),
    "parquet": (to_parquet, "runs.parquet"),
    "tensorboard": (to_tensorboard, "tensorboard"),
    "optuna": (to_optuna, "optuna.db"),
}
"""Name -> how it is written, and what the file or folder is called by default."""


def export(folder: str | Path, to: str, out: str | Path | None = None) -> Path:
    """Write a comparison's runs for another tool; where they lie.

    Args:
        folder: a run folder.
        to: one of `FORMATS`.
        out: the file, or for TensorBoard the folder; by default runs.csv and the like beside it, in
            the run folder.

    Raises:
        UnknownNameError: no such format.
        FolderError: the folder is no run folder or holds no run yet; `out` is there already, or
            cannot be written.
        InputError: the other tool's library is not installed.
    """
    if to not in FORMATS:
        raise UnknownNameError.of("format", to, FORMATS, "ravine export --help")
    folder = Path(folder)
    write, name = FORMATS[to]
    place = folder / name if out is None else Path(out)
    with explained(place.parent):
        if place.exists():
            raise FolderError(
                f"{place} is there already; name another one with --out, or remove it"
            )
    with explained(folder), closing(Store(folder, must_exist=True)) as store:
        runs, problem = staged(store), store.fact("problem")
    if not runs:
        raise FolderError(f"{folder} holds no run yet; continue the comparison first")
    try:
        _write_beside(place, lambda draft: write(runs, problem, draft))
    except ImportError as error:
        raise InputError(f"--to {to} needs {error.name}; type: pip install {error.name}") from error
    return place


def _write_beside(place: Path, write: Callable[[Path], None]) -> None:
    """Write beside the place and move there at once: what fails leaves nothing that would block the
    next export."""
    if not place.parent.is_dir():
        raise FolderError(
            f"cannot write to {place.parent}: it is no folder; name a file in one with --out"
        )
    with (
        explained(place.parent),
        tempfile.TemporaryDirectory(prefix=f".{place.name}-", dir=place.parent) as beside,
    ):
        draft = Path(beside) / place.name
        write(draft)
        draft.rename(place)
