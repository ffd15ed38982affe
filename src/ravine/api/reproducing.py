"""A published experiment made again, and what became of its ordering."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from ravine.api.comparing import compare, folder_of
from ravine.comparison import verdict
from ravine.comparison.progress import Progress
from ravine.comparison.protocol import final_scores, rung_steps
from ravine.comparison.records import Study as Compared
from ravine.comparison.records import Verdict
from ravine.comparison.store import Store, explained
from ravine.errors import SettingError, UnknownNameError
from ravine.reproduce import STUDIES, Judged, judge


@dataclass(frozen=True)
class Reproduction:
    """An experiment made again.

    Attributes:
        source: paper and figure.
        verdict: the comparison's.
        judged: each claim of the figure, with its probability over fresh seeds.
        differences: how it differs from the original, in sentences.
        folder: where the comparison lies, with its report.
    """

    source: str
    verdict: Verdict
    judged: Sequence[Judged]
    differences: Sequence[str]
    folder: Path


def reproduce(
    name: str,
    *,
    scale: float | None = None,
    data: str | Path | None = None,
    out: str | Path | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> Reproduction:
    """Make a published experiment again, and say whether its ordering holds.

    Args:
        name: one of `ravine.reproduce.STUDIES`.
        scale: share of the training examples; by default what a laptop's CPU takes in some minutes.
        data, out, seed, progress: as in `compare`.

    Raises:
        InputError: something that was given cannot be used; the message says what to change.
    """
    if name not in STUDIES:
        raise UnknownNameError.of("study", name, STUDIES, "ravine reproduce --help")
    study = STUDIES[name]
    share = study.scale if scale is None else scale
    if not 0 < share <= 1:
        raise SettingError(f"--scale {share:g}; expected a share of the examples, e.g. 0.1")
    recipe = study.at(share, data)
    folder = folder_of(recipe, out)
    schedule = (study.schedule,)
    found = compare(
        recipe, study.optimizers, folder, schedule=schedule, seed=seed, progress=progress
    )
    with explained(folder), closing(Store(folder, must_exist=True)) as store:
        compared = verdict.conclude(store)
    judged = [judge(c, _scores(compared, c.share), study.optimizers) for c in study.claims]
    return Reproduction(study.source, found, judged, study.differences(share), folder)


def _scores(compared: Compared, share: float) -> list[list[float]]:
    """Costs on the way through the training, [optimizers][seeds]."""
    step = rung_steps(compared.settings.steps, round(1 / share)) if share < 1 else math.inf
    return final_scores(compared.final, list(compared.settings.arms), False, step)
