"""What each figure and table of one training's report says, words included."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ravine.report.axes import Axis
from ravine.report.records import Caption


@dataclass(frozen=True)
class Line:
    """A quantity over the steps.

    Attributes:
        name: in the legend. slot: picks the colour.
        kind: "thin" for a value at every step, "dots" for measured ones, "level" for a limit.
        hollow: which values are below zero, drawn by their size on an axis that has no zero.
    """

    name: str
    slot: int
    kind: Literal["thin", "dots", "level"]
    steps: tuple[int, ...]
    values: tuple[float, ...]
    hollow: tuple[bool, ...] = ()


@dataclass(frozen=True)
class Mark:
    """Where in the run something was found: the numbers of the findings; empty beside another one."""

    step: int
    text: str


@dataclass(frozen=True)
class Chart:
    """Lines over gradient steps, from 0 to `last`.

    Attributes:
        heading: what the vertical axis shows. alt: for those who cannot see it.
    """

    heading: str
    alt: str
    last: int
    y: Axis
    lines: tuple[Line, ...]
    marks: tuple[Mark, ...] = ()


@dataclass(frozen=True)
class Charts:
    """A section of charts, side by side; or each as wide as the page."""

    name: str
    topic: str
    caption: Caption
    charts: tuple[Chart, ...]
    wide: bool = False


@dataclass(frozen=True)
class Heat:
    """A quantity over layers and steps.

    Attributes:
        rows: names of layers or parameters, from the input on.
        edges: where the columns begin and end, in steps.
        cells: one row of values for each name; NaN where there is none.
        colour: values and ticks of the colour scale.
    """

    heading: str
    alt: str
    rows: tuple[str, ...]
    edges: tuple[float, ...]
    cells: tuple[tuple[float, ...], ...]
    colour: Axis


@dataclass(frozen=True)
class Heats:
    """The section on layers."""

    caption: Caption
    maps: tuple[Heat, ...]


@dataclass(frozen=True)
class View:
    """The cost on a plane, and the run's path across it.

    Attributes:
        a, b: coordinates of the grid; costs: one row for each b.
        colour: of the cost. path: (a, b, hover text) of each point, from start to end.
    """

    caption: Caption
    a: tuple[float, ...]
    b: tuple[float, ...]
    costs: tuple[tuple[float, ...], ...]
    colour: Axis
    path: tuple[tuple[float, float, str], ...]


@dataclass(frozen=True)
class FindingRow:
    """One finding, printed."""

    title: str
    where: str
    evidence: str
    remedy: str


@dataclass(frozen=True)
class Treatment:
    """What the doctor tried.

    Attributes:
        heads, rows: the table, printed; no rows where nothing could be tried.
        code: the line to edit; None if no change is shown to help.
    """

    caption: Caption
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    code: str | None


@dataclass(frozen=True)
class Costs:
    """What measuring took: (instrument, measurements, seconds, share, note) rows."""

    caption: Caption
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class RunFacts:
    """Everything on the page, in its order.

    Attributes:
        answer: what is wrong, in a sentence. advice: what to change; empty if nothing.
        missing: which figures there are none of, in a sentence; empty if all are there.
    """

    title: str
    answer: str
    advice: str
    counts: tuple[str, ...]
    findings: tuple[FindingRow, ...]
    treatment: Treatment | None
    loss: Charts | None
    curvature: Charts | None
    spectrum: Charts | None
    layers: Heats | None
    noise: Charts | None
    view: View | None
    costs: Costs | None
    missing: str
    method: tuple[tuple[str, str], ...]
    environment: tuple[tuple[str, str], ...]
    command: str | None
