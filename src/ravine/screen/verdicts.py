"""What a comparison came to."""

from __future__ import annotations

import math
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ravine.api.ensembling import Ensembled
from ravine.comparison.members import FILE as MEMBERS
from ravine.comparison.records import Arm, Interval, Verdict
from ravine.report import REPORT
from ravine.report.again.facts import facts_of
from ravine.report.again.page import PAGE
from ravine.report.arms import noun, p_best
from ravine.report.effects import sentence
from ravine.report.failures import what_failed
from ravine.report.tuning import gained
from ravine.reproduce import Reproduction
from ravine.screen.tables import print_table


def print_verdict(verdict: Verdict, answer: str, folder: Path) -> None:
    """The answer, the table behind it, and where the report lies."""
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 110)
    table = Table(box=None, padding=(0, 1))
    table.add_column(noun(verdict), no_wrap=True)
    for heading in ("lr", f"validation {verdict.metric}", "test", "P(best)", "steps to target"):
        table.add_column(Text(heading), justify="right")
    for arm in verdict.arms:
        table.add_row(
            Text(arm.name),
            f"{arm.lr:g}",
            _validation(arm),
            "" if arm.test is None else _interval(arm.test),
            p_best(verdict, arm),
            "missed" if math.isinf(arm.steps_to_target) else f"{arm.steps_to_target:g}",
        )
    console.print(table)
    console.print(f"\n{answer}", soft_wrap=True, markup=False)
    for effect in verdict.effects:
        console.print(sentence(effect), soft_wrap=True, markup=False)
    if said := gained(verdict):
        console.print(f"\n{said}", soft_wrap=True, markup=False)
    if verdict.failures.settings:
        console.print(f"\n{what_failed(verdict)}", soft_wrap=True, markup=False)
    for line in verdict.warnings:
        console.print(f"Note: {line}", soft_wrap=True, markup=False)
    if verdict.lead.code and verdict.lead.final_diverged == 0:
        console.print(f"\nTo train with {verdict.lead.title}:\n", soft_wrap=True, markup=False)
        for line in verdict.lead.code.splitlines():
            console.print(f"    {line}", soft_wrap=True, markup=False)
    console.print(f"\nreport: {folder / REPORT}", soft_wrap=True, markup=False)
    _print_members(console, verdict, folder)


def _print_members(console: Console, verdict: Verdict, folder: Path) -> None:
    path = folder / MEMBERS
    if path.is_file():
        size = path.stat().st_size / 2**20
        trained = len(verdict.final_seeds) - verdict.lead.final_diverged
        kept = f"{trained} trained with {verdict.lead.title}, {size:.2g} MiB"
        console.print(
            f"members: {path} ({kept}): ravine ensemble {folder}", soft_wrap=True, markup=False
        )


def _validation(arm: Arm) -> str:
    if arm.final_diverged == 0:
        return _interval(arm.validation)
    return f"{arm.final_diverged} runs diverged"


def _interval(value: Interval) -> str:
    return f"{value.mean:.4g} \\[{value.lo:.4g}, {value.hi:.4g}]"


def print_ensemble(found: Ensembled) -> None:
    """What the members' average gains over the best of them, and over any of them."""
    console = Console(highlight=False)
    lines = [
        f"{len(found.members)} members of {found.arm}, {found.metric} on the {found.data} data:",
        f"  together                       {found.together:.4g}",
        f"  the best alone, by validation  {found.single:.4g}{_gain(found.over_single)}",
        f"  one of them, on average        {found.mean:.4g}{_gain(found.over_mean)}",
    ]
    for line in lines:
        console.print(line, soft_wrap=True, markup=False)


def _gain(gain: Interval | None) -> str:
    if gain is None:
        return ""
    least = 1e-9 * max(abs(gain.lo), abs(gain.hi))  # sums of 0 and 1/20 are 0 up to rounding
    mean, lo, hi = (value if abs(value) > least else 0.0 for value in (gain.mean, gain.lo, gain.hi))
    return f"  together gains {mean:.4g} [{lo:.4g}, {hi:.4g}]"


def print_reproduction(found: Reproduction) -> None:
    """Each figure's lines in numbers, its claims and whether they hold, and how it all differs."""
    console, fact = Console(highlight=False), facts_of(found)
    for panel in fact.panels:
        console.print(
            f"\n{fact.source}, {panel.topic}: {panel.heading}", soft_wrap=True, markup=False
        )
        rows = [(row.title, row.lr, row.end) for row in panel.rows]
        print_table(("", "lr", f"{panel.y} at the end"), rows)
        for claim in panel.claims:
            line = f"  {claim.claim}: {claim.verdict}, {claim.p}"
            console.print(line, soft_wrap=True, markup=False)
    console.print(f"\n{fact.answer}", soft_wrap=True, markup=False)
    for sentence_ in fact.differences:
        console.print(sentence_, soft_wrap=True, markup=False)
    console.print(f"\npage: {found.folder / PAGE}", soft_wrap=True, markup=False)
