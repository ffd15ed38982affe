"""What a single training came to: its curve, what is wrong with it, and what mends it."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ravine.diagnostics.doctor.prescription import Prescription
from ravine.diagnostics.finding import Finding
from ravine.report.run.treatment import sentence
from ravine.schedules import Suggestion
from ravine.screen.tables import wide_console
from ravine.training.records import Run


def print_training(run: Run, metric: str, findings: Sequence[Finding]) -> None:
    """A run's curve as a table, how it ended, and what is wrong with it."""
    console = Console(highlight=False)
    table = Table(box=None, padding=(0, 1))
    for heading in ("step", "training cost", "validation cost", f"validation {metric}"):
        table.add_column(Text(heading), justify="right")
    for point in run.curve:
        values = (point.cost, point.validation_cost, point.validation_metric)
        table.add_row(f"{point.step}", *(f"{value:.4g}" for value in values))
    console.print(table)
    if run.diverged_at is not None:
        console.print(
            f"\ndiverged: a cost was NaN or infinite by step {run.diverged_at}; "
            f"try a learning rate below {run.trial.lr:g}"
        )
    console.print()
    _print_findings(findings)


def print_page(out: str | None) -> None:
    """Where the page of a training lies, or how to get one."""
    where = "--out DIR keeps a page of this training" if out is None else f"page: {out}/run.html"
    wide_console().print(f"\n{where}", soft_wrap=True, markup=False)


def print_suggestion(found: Suggestion) -> None:
    """The curve of a range test, every tenth of a decade or so, and what follows from it."""
    console = wide_console()
    table = Table(box=None, padding=(0, 1))
    for heading in ("learning rate", "cost", "smoothed"):
        table.add_column(heading, justify="right")
    every = max(1, len(found.rates) // 25)
    for i in range(0, len(found.rates), every):
        smoothed = f"{found.smoothed[i]:.4g}" if i < len(found.smoothed) else ""
        table.add_row(f"{found.rates[i]:.3g}", f"{found.losses[i]:.4g}", smoothed)
    console.print(table)
    if found.lr is not None:
        console.print(f"\nsuggested learning rate: {found.lr:.2g}", soft_wrap=True)
    console.print(found.reason, soft_wrap=True, markup=False)


def print_prescription(found: Prescription) -> None:
    """What is wrong, what was tried, and what to change."""
    console = wide_console()
    _print_findings(found.findings)
    if not found.findings:
        return
    if found.attempts:
        console.print()
        console.print(_attempts(found))
    console.print(f"\n{sentence(found)}", soft_wrap=True, markup=False)
    if found.recommended and found.works:
        console.print("Type:\n")
        for line in found.recommended.code.splitlines():
            console.print(f"    {line}", soft_wrap=True, markup=False)


def _attempts(found: Prescription) -> Table:
    """The changes tried, each beside the untouched run after as many steps."""
    table = Table(box=None, padding=(0, 1))
    for heading in ("change", "trained", "to step", "validation", "untouched", ""):
        number = heading in ("to step", "validation", "untouched")
        table.add_column(heading, justify="right" if number else "left")
    for attempt in found.attempts:
        notes = attempt.failure or ("recommended" if attempt.change is found.recommended else "")
        cells = (
            ("",) * 4
            if attempt.failure
            else (
                *(attempt.trained, f"{attempt.until}"),
                *(_value(attempt.metric), _value(attempt.untouched)),
            )
        )
        table.add_row(Text(attempt.change.name), *cells, Text(notes))
    return table


def _value(metric: float) -> str:
    return f"{metric:.4g}" if math.isfinite(metric) else "diverged"


def _print_findings(findings: Sequence[Finding]) -> None:
    """Each finding with its evidence and its remedy in words, the worst first."""
    console = wide_console()
    if not findings:
        console.print("Nothing wrong found.")
    for finding in findings:
        where = f" in {finding.place}" if finding.place else ""
        console.print(
            Text(f"{finding.title}{where}: ", "bold") + Text(finding.evidence), soft_wrap=True
        )
        console.print(Text(f"  {finding.remedy}"), soft_wrap=True)
