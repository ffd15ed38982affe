"""Live progress while training."""

from __future__ import annotations

import statistics
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from ravine.comparison.progress import Progress as Listener
from ravine.diagnostics.finding import Finding
from ravine.diagnostics.history import History
from ravine.training.records import Point

RECENT = 12
"""Evaluations of a single training that stay in view."""

HEADINGS = ("step", "training cost", "validation", "|gradient|", "update/weight", "overshoot")


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
    """One line for each stage, note, evaluation and finding."""

    def __init__(self, console: Console):
        self._console = console
        self._since = 0

    def stage(self, title: str, steps: int) -> None:
        """A line for the stage, if there is something left to do in it."""
        if steps:
            self._console.print(f"{title}: {steps:,} gradient steps", soft_wrap=True, markup=False)

    def evaluated(self, point: Point, history: History) -> None:
        """The point and what was measured."""
        cells = zip(HEADINGS, live_line(point, history, self._since), strict=True)
        self._since = point.step
        self.note(", ".join(f"{heading} {cell}" for heading, cell in cells if cell))

    def found(self, finding: Finding) -> None:
        """The finding."""
        self.note(found_line(finding))

    def note(self, line: str) -> None:
        """The line."""
        self._console.print(line, soft_wrap=True, markup=False)


class LiveListener(Listener):
    """A bar for the stage, with speed and time left, over a table: the best rates so far, or the
    latest evaluations of a single training."""

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
        self._recent: deque[tuple[str, ...]] = deque(maxlen=RECENT)
        self._since = 0

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

    def evaluated(self, point: Point, history: History) -> None:
        """Redraw the table."""
        self._recent.append(live_line(point, history, self._since))
        self._since = point.step
        table = Table(box=None, padding=(0, 2))
        for heading in HEADINGS:
            table.add_column(heading, justify="right")
        for row in self._recent:
            table.add_row(*row)
        self.picture.renderables[:] = [self._bar, table]

    def found(self, finding: Finding) -> None:
        """The finding, above the bar."""
        self.note(found_line(finding))

    def note(self, line: str) -> None:
        """The line, above the bar."""
        if self.console:
            self.console.print(line, soft_wrap=True, markup=False)


def live_line(point: Point, history: History, since: int) -> tuple[str, ...]:
    """What a live line shows, under `HEADINGS`.

    Args:
        point: the evaluation.
        history, since: the readings, and the step from which on they are shown: medians; empty where
            nothing was measured. Update/weight is the median parameter's, overshoot εgᵀHg/gᵀg.
    """

    def usual(quantity: str) -> str:
        places = history.places(quantity)
        lately = [v for p in places for v in history.series(quantity, p).since(since).values]
        return f"{statistics.median(lately):.3g}" if lately else ""

    measured = map(usual, ("gradient_norm", "update_ratio", "overshoot_ratio"))
    return (f"{point.step}", f"{point.cost:.4g}", f"{point.validation_metric:.4g}", *measured)


def found_line(finding: Finding) -> str:
    """A finding while the run is under way."""
    return f"step {finding.step}: {finding.title}. {finding.evidence} {finding.remedy}"
