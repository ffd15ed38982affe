"""What the terminal shows: live progress while training, tables when done."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from ravine.comparison.progress import Progress as Listener
from ravine.comparison.records import Arm, Interval, Verdict
from ravine.diagnostics.doctor import Prescription
from ravine.report.arms import noun
from ravine.report.effects import sentence
from ravine.schedules import Suggestion
from ravine.training.records import Run


@contextmanager
def shown() -> Iterator[Listener]:
    """A listener that shows progress on standard error: live on a terminal, else a line a stage."""
    console = Console(stderr=True, highlight=False)
    if not console.is_terminal:
        yield PlainListener(console)
        return
    live = LiveListener()
    with Live(live.picture, console=console, refresh_per_second=8, transient=True):
        live.console = console
        yield live


class PlainListener(Listener):
    """One line for each stage and note."""

    def __init__(self, console: Console):
        self._console = console

    def stage(self, title: str, steps: int) -> None:
        """A line for the stage, if there is something left to do in it."""
        if steps:
            self._console.print(f"{title}: {steps:,} gradient steps", soft_wrap=True, markup=False)

    def note(self, line: str) -> None:
        """The line."""
        self._console.print(line, soft_wrap=True, markup=False)


class LiveListener(Listener):
    """A bar for the stage, with speed and time left, over a table of the best rates so far."""

    def __init__(self) -> None:
        self._bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[rate]}", markup=False),
            TimeRemainingColumn(compact=True),
        )
        self._task = self._bar.add_task("getting ready", total=None, rate="")
        self.picture = Group(self._bar)
        self.console: Console | None = None

    def stage(self, title: str, steps: int) -> None:
        """Start the bar anew."""
        self._bar.reset(self._task, description=title, total=max(steps, 1), rate="")

    def tick(self, steps: int) -> None:
        """Move the bar."""
        self._bar.advance(self._task, steps)
        speed = self._bar.tasks[0].speed
        if speed:
            self._bar.update(self._task, rate=f"{speed:,.0f} member-steps/s")

    def best(self, scores: Mapping[str, tuple[float, float]]) -> None:
        """Redraw the table."""
        table = Table(box=None, padding=(0, 2))
        for heading in ("optimizer", "best learning rate", "validation"):
            table.add_column(heading, justify="left" if heading == "optimizer" else "right")
        for name, (rate, metric) in scores.items():
            table.add_row(Text(name), f"{rate:g}", f"{metric:.4g}")
        self.picture.renderables[:] = [self._bar, table]

    def note(self, line: str) -> None:
        """The line, above the bar."""
        if self.console:
            self.console.print(line, soft_wrap=True, markup=False)


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
            f"{arm.p_best:.2f}",
            "missed" if math.isinf(arm.steps_to_target) else f"{arm.steps_to_target:g}",
        )
    console.print(table)
    console.print(f"\n{answer}", soft_wrap=True, markup=False)
    for effect in verdict.effects:
        console.print(sentence(effect), soft_wrap=True, markup=False)
    for line in verdict.warnings:
        console.print(f"Note: {line}", soft_wrap=True, markup=False)
    console.print(f"\nreport: {folder / 'report.html'}", soft_wrap=True, markup=False)


def _validation(arm: Arm) -> str:
    if arm.final_diverged == 0:
        return _interval(arm.validation)
    return f"{arm.final_diverged} runs diverged"


def _interval(value: Interval) -> str:
    return f"{value.mean:.4g} \\[{value.lo:.4g}, {value.hi:.4g}]"


def print_optimizers(listed: Iterable[Mapping[str, Any]]) -> None:
    """The table of optimizers, and what its columns mean."""
    print_table(
        ("name", "lr", "granularity", "bytes", "class", "source"),
        [
            (
                row["name"],
                f"{row['defaults']['lr']:g}",
                row["granularity"],
                f"{row['memory']['bytes']:.2g}",
                row["class"].split("(")[0],
                row["source"],
            )
            for row in listed
        ],
    )
    console = _wide_console()
    for line in (
        "",
        "bytes: of state, for each element of a float32 parameter of 1000x1000.",
        "class: in ravine.optim; ravine.Optimizer runs every rule, by its name.",
        "Every rule runs in three engines: eager, compiled, population. The last two make",
        "kernels of elementwise and tensor rules, and batched graphs of matrix rules.",
        "--json says more.",
    ):
        console.print(line, soft_wrap=True, markup=False)


def print_table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """A plain table, one line a row. Where the terminal is too narrow the last column is cut."""
    rows, console = list(rows), _wide_console()
    *widths, last = (max(map(len, column)) for column in zip(headings, *rows, strict=True))
    room = console.width - sum(width + 2 for width in (*widths, 0))
    table = Table(box=None, padding=(0, 2, 0, 0))
    for heading, width in zip(headings, (*widths, min(last, max(room, 8))), strict=True):
        table.add_column(heading, no_wrap=True, width=width)
    for row in rows:
        table.add_row(*map(Text, row))
    console.print(table)


def _wide_console() -> Console:
    """As wide as the terminal; 200 columns where there is none."""
    return Console(highlight=False, width=None if sys.stdout.isatty() else 200)


def print_training(run: Run, metric: str) -> None:
    """A run's curve as a table, and how it ended."""
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


def print_suggestion(found: Suggestion) -> None:
    """The curve of a range test, every tenth of a decade or so, and what follows from it."""
    console = _wide_console()
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
    console = _wide_console()
    if not found.findings:
        console.print("Nothing wrong found.")
        return
    for finding in found.findings:
        where = f" in {finding.place}" if finding.place else ""
        name = finding.kind.replace("_", " ")
        console.print(Text(f"{name}{where}: ", "bold") + Text(finding.evidence), soft_wrap=True)
        console.print(Text(f"  {finding.remedy}"), soft_wrap=True)
    if not found.attempts:
        console.print("\nThere is no remedy to try by machine.")
        return
    table = Table(box=None, padding=(0, 1))
    for heading in ("change", "validation", ""):
        table.add_column(heading, justify="right" if heading == "validation" else "left")
    table.add_row("none", f"{found.screened:.4g}", "the run as it is")
    for attempt in found.attempts:
        notes = attempt.failure or ("recommended" if attempt.change is found.recommended else "")
        metric = "" if attempt.failure else f"{attempt.metric:.4g}"
        table.add_row(Text(attempt.change.name), metric, Text(notes))
    console.print()
    console.print(table)
    if found.recommended is None:
        console.print("\nNone of them helps.")
        return
    mean = sum(found.gains) / len(found.gains)
    lo, hi = found.interval
    console.print(
        f"\nOn {len(found.gains)} fresh seeds, trained to the end, it gains {mean:.4g} "
        f"[{lo:.4g}, {hi:.4g}].",
        soft_wrap=True,
        markup=False,
    )
    if not found.works:
        console.print("That is not shown to help; look at the evidence above.", soft_wrap=True)
        return
    console.print("Type:")
    console.print(f"\n    {found.recommended.code}", soft_wrap=True, markup=False)
