"""What a comparison on several recipes came to."""

from __future__ import annotations

import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ravine.comparison.several.overall import Overall
from ravine.report import REPORT, words
from ravine.report.arms import maybe_best
from ravine.report.several.advice import answer, noun_of, speed_answer, titles


def print_overall(found: Overall, folder: Path) -> None:
    """The table over all recipes, what each says, the answer, and where the report lies."""
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 110)
    console.print(_standings(found))
    console.print()
    console.print(_recipes(found))
    for line in ("", answer(found), speed_answer(found)):
        console.print(line, soft_wrap=True, markup=False)
    for line in found.warnings:
        console.print(f"Note: {line}", soft_wrap=True, markup=False)
    console.print(f"\nreport: {folder / REPORT}", soft_wrap=True, markup=False)


def _standings(found: Overall) -> Table:
    table = Table(box=None, padding=(0, 1))
    table.add_column(noun_of(found), no_wrap=True)
    for heading in ("mean rank", "P(best)", "score in steps", "in seconds", "targets reached"):
        table.add_column(Text(heading), justify="right")
    for arm in found.arms:
        rank = arm.mean_rank
        table.add_row(
            Text(arm.name),
            f"{rank.mean:.2f} \\[{rank.lo:.2f}, {rank.hi:.2f}]",
            words.probability(arm.p_best),
            f"{arm.steps_score:.2f}",
            f"{arm.seconds_score:.2f}",
            f"{arm.reached} of {len(found.workloads)}",
        )
    return table


def _recipes(found: Overall) -> Table:
    table, title = Table(box=None, padding=(0, 1)), titles(found)
    for heading in ("recipe", "best, or maybe best", "without it"):
        table.add_column(heading)
    for workload, left in zip(found.workloads, found.without, strict=True):
        best = [arm.title for arm in maybe_best(workload.verdict)]
        table.add_row(
            Text(workload.verdict.recipe),
            Text(", ".join(best) or "nothing trained"),
            Text(", ".join(title[name] for name in left.leaders)),
        )
    return table
