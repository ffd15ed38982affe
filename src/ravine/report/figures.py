"""Facts become Plotly figures. Colours of text, axes and grid are left to the page's theme."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go

from ravine.report.axes import Axis
from ravine.report.drawing import COLOURS, GREY, blank, faint, plain, set_axis
from ravine.report.records import (
    Curves,
    Isolation,
    IsolationPanel,
    Key,
    Line,
    Race,
    Ranking,
    RatePanel,
    Sensitivity,
)

DASHES = (
    ("solid", ""),
    ("dash", "6 3"),
    ("dot", "2 2"),
    ("dashdot", "6 2 2 2"),
    ("longdash", "9 3"),
    ("longdashdot", "9 2 2 2"),
)
"""Plotly's name and SVG's dash array."""

MARKERS = (
    ("circle", "M17 6a5 5 0 1 0 10 0a5 5 0 1 0 -10 0Z"),
    ("square", "M17.5 1.5h9v9h-9Z"),
    ("diamond", "M22 0l6 6l-6 6l-6 -6Z"),
    ("triangle-up", "M22 0.5l6 10.5h-12Z"),
    ("triangle-down", "M22 11.5l6 -10.5h-12Z"),
)
"""Plotly's name and SVG's path, centred in a box of 44 x 12."""


@dataclass(frozen=True)
class Look:
    """How an optimizer is drawn in every figure; no two alike among the first 210."""

    colour: str
    dash: tuple[str, str]
    marker: tuple[str, str]


def look(key: Key) -> Look:
    """Pick colour, dash and marker by the key's slot."""
    slot = key.slot
    return Look(COLOURS[slot % 7], DASHES[slot % 6], MARKERS[slot % 5])


def _size(style: Look, size: int) -> float:
    """Triangles are drawn larger: they fill less of their circle."""
    return size * 1.4 if style.marker[0].startswith("triangle") else size


def rate_figure(fact: Sensitivity, panel: RatePanel) -> go.Figure:
    """Draw one optimizer's learning rates."""
    style = look(panel.key)
    figure = blank(190, left=46, right=10, top=12, bottom=34)
    set_axis(figure, "x", fact.x, "learning rate")
    set_axis(figure, "y", fact.y, None)
    if panel.band:
        lo, hi = panel.band[0] / 10**0.1, panel.band[1] * 10**0.1
        figure.add_vrect(lo, hi, fillcolor=style.colour, opacity=0.16, line_width=0, layer="below")
    dots = {"color": style.colour, "symbol": "circle"}
    lines = () if panel.scattered else ("dot", "solid")
    figure.add_traces(
        [
            *_dots(panel.early, fact.y, "early", {**dots, "size": 6, "opacity": 0.7}, *lines[:1]),
            *_dots(panel.full, fact.y, "full", {**dots, "size": 9}, *lines[1:]),
            *_dots([panel.chosen] if panel.chosen else [], fact.y, "chosen", _ring(style.colour)),
            *_crosses(panel.diverged, fact.y.lo if fact.maximize else fact.y.hi, style.colour),
        ]
    )
    return figure


def isolation_figure(fact: Isolation, panel: IsolationPanel) -> go.Figure:
    """Draw one hyperparameter of one optimizer."""
    style = look(panel.key)
    figure = blank(190, left=46, right=10, top=12, bottom=34)
    set_axis(figure, "x", panel.x, panel.name)
    set_axis(figure, "y", fact.y, None)
    figure.add_vline(panel.default, line_dash="dot", line_width=1.5, line_color=GREY)
    dots = {"color": style.colour, "symbol": "circle"}
    what = panel.name if panel.x.lo < panel.x.hi else f"1 − {panel.name}"
    best = [(value, fact.y.clip(metric)) for value, metric in panel.best]
    figure.add_traces(
        [
            go.Scatter(
                x=[value for value, _ in best],
                y=[metric for _, metric in best],
                mode="lines",
                line={"width": 1.5, "color": style.colour, "dash": "dot"},
                hoverinfo="skip",
                name="best",
            ),
            *_dots(panel.early, fact.y, "early", {**dots, "size": 6, "opacity": 0.7}, what=what),
            *_dots(panel.full, fact.y, "full", {**dots, "size": 9}, what=what),
            *_dots([panel.chosen] if panel.chosen else [], fact.y, "chosen", _ring(style.colour)),
        ]
    )
    return figure


def _dots(
    pairs: Sequence[tuple[float, float]],
    y: Axis,
    name: str,
    marker: dict[str, Any],
    dash: str | None = None,
    what: str = "learning rate",
) -> list[go.Scatter]:
    if not pairs:
        return []
    return [
        go.Scatter(
            x=[lr for lr, _ in pairs],
            y=[y.clip(value) for _, value in pairs],
            customdata=[value for _, value in pairs],
            mode="lines+markers" if dash else "markers",
            line={"dash": dash, "width": 1.5, "color": marker["color"]},
            marker=marker,
            name=name,
            cliponaxis=False,
            hoverinfo="skip" if name == "chosen" else None,
            hovertemplate=None
            if name == "chosen"
            else f"{plain(what)} %{{x:.3~g}}<br>%{{customdata:.3~g}}<extra></extra>",
        )
    ]


def _ring(colour: str) -> dict[str, Any]:
    return {"color": colour, "symbol": "circle-open", "size": 17, "line": {"width": 2.5}}


def _crosses(rates: Sequence[float], edge: float, colour: str) -> list[go.Scatter]:
    if not rates:
        return []
    return [
        go.Scatter(
            x=list(rates),
            y=[edge] * len(rates),
            mode="markers",
            marker={"symbol": "x-thin", "size": 8, "line": {"width": 2.5, "color": colour}},
            name="diverged",
            cliponaxis=False,
            hovertemplate="learning rate %{x:.3~g}<br>diverged<extra></extra>",
        )
    ]


def curves_figure(fact: Curves) -> go.Figure:
    """Draw all optimizers' curves of one quantity, the best on top."""
    figure = blank(360, left=52, right=12, top=10, bottom=42)
    last = max((line.steps[-1] for line in fact.lines), default=1)
    first = min((line.steps[0] for line in fact.lines), default=0)
    figure.update_xaxes(title_text=fact.x_title, range=[first, last], tickformat=",d", nticks=6)
    set_axis(figure, "y", fact.y, None)
    for line in reversed(fact.lines):
        if line.seeds > 1:
            figure.add_trace(_band(line, fact.y))
        figure.add_trace(_median(line, fact))
    return figure


def _median(line: Line, fact: Curves) -> go.Scatter:
    style = look(line.key)
    return go.Scatter(
        x=list(line.steps),
        y=[v if math.isfinite(v) else None for v in line.middle],
        mode="lines+markers",
        line={"color": style.colour, "dash": style.dash[0], "width": 2.25},
        marker={"symbol": style.marker[0], "size": _size(style, 7), "maxdisplayed": 7},
        name=plain(line.key.title),
        meta=line.key.name,
        hovertemplate=f"%{{x:,.3~f}} {fact.x_title}: %{{y:{'.2~%' if fact.percent else '.3~g'}}}",
    )


def _band(line: Line, y: Axis) -> go.Scatter:
    xs: list[float | None] = []
    ys: list[float | None] = []
    for piece in _pieces(line):
        xs += [*(s for s, _, _ in piece), *(s for s, _, _ in reversed(piece)), None]
        ys += [
            *(y.clip(lo) for _, lo, _ in piece),
            *(y.clip(hi) for *_, hi in reversed(piece)),
            None,
        ]
    return go.Scatter(
        x=xs[:-1],
        y=ys[:-1],
        mode="lines",
        line={"width": 0},
        fill="toself",
        fillcolor=faint(look(line.key).colour),
        name=plain(line.key.title),
        meta=line.key.name,
        hoverinfo="skip",
    )


def _pieces(line: Line) -> Iterator[list[tuple[float, float, float]]]:
    """The band, without its infinite side, in pieces where the median itself is lost."""
    piece: list[tuple[float, float, float]] = []
    for step, low, middle, high in zip(line.steps, line.low, line.middle, line.high, strict=True):
        if math.isfinite(middle):
            low, high = (end if math.isfinite(end) else middle for end in (low, high))
            piece.append((step, low, high))
        elif piece:
            yield piece
            piece = []
    if piece:
        yield piece


def rank_figure(fact: Ranking) -> go.Figure:
    """Draw mean ranks with their intervals, P(best) in print on the right."""
    figure = _rows_figure([(row.key.title, row.note) for row in fact.rows], right=64)
    for at, row in enumerate(fact.rows):
        style = look(row.key)
        bar = {"array": [row.hi - row.mean], "arrayminus": [row.mean - row.lo], "thickness": 2.5}
        figure.add_trace(
            go.Scatter(
                x=[row.mean],
                y=[at],
                error_x={"type": "data", "symmetric": False, "width": 5, **bar},
                marker={"color": style.colour, "symbol": style.marker[0], "size": _size(style, 11)},
                mode="markers",
                name=plain(row.key.title),
                hovertemplate=f"mean rank %{{x:.2f}} [{row.lo:.2f}, {row.hi:.2f}]",
            )
        )
        _aside(figure, at, row.p_best)
    figure.add_annotation(
        x=1,
        y=1,
        xref="paper",
        yref="paper",
        xanchor="left",
        yanchor="bottom",
        xshift=10,
        text="<b>P(best)</b>",
        showarrow=False,
    )
    figure.update_xaxes(
        title_text="mean rank (1 is best)",
        range=[0.7, len(fact.rows) + 0.3],
        dtick=1 if len(fact.rows) <= 8 else 2,
        tick0=1,
    )
    return figure


def race_figure(race: Race) -> go.Figure:
    """Draw what each optimizer needed to reach the target."""
    figure = _rows_figure([(key.title, "") for key, _, _ in race.rows], right=70)
    set_axis(figure, "x", race.x, race.name)
    for at, (key, value, text) in enumerate(race.rows):
        style, missed = look(key), not math.isfinite(value)
        if not missed:
            _stem(figure, at, race.x.clip(0), value, style.colour)
        figure.add_trace(
            go.Scatter(
                x=[race.x.hi if missed else value],
                y=[at],
                mode="markers",
                marker=_missed(style) if missed else _dot(style),
                name=plain(key.title),
                cliponaxis=False,
                hovertemplate=f"{text}",
            )
        )
        _aside(figure, at, text)
    return figure


def _stem(figure: go.Figure, at: float, start: float, end: float, colour: str) -> None:
    line = {"color": colour, "width": 2.5}
    figure.add_shape(type="line", x0=start, x1=end, y0=at, y1=at, line=line, opacity=0.5)


def _dot(style: Look) -> dict[str, Any]:
    return {"color": style.colour, "symbol": style.marker[0], "size": _size(style, 11)}


def _missed(style: Look) -> dict[str, Any]:
    return {"symbol": "x-thin", "size": 8, "line": {"width": 2.5, "color": style.colour}}


def _rows_figure(names: Sequence[tuple[str, str]], right: int) -> go.Figure:
    """One row per optimizer and note, the first on top, room for a text on the right."""
    texts = [[*textwrap.wrap(name, 18), *([note] if note else [])] for name, note in names]
    row = max(34, 17 * max(map(len, texts)))
    figure = blank(74 + row * len(texts), left=10, right=right, top=24, bottom=44)
    figure.update_yaxes(
        range=[len(texts) - 0.5, -0.5],
        tickvals=list(range(len(texts))),
        ticktext=["<br>".join(map(plain, lines)) for lines in texts],
        automargin=True,
        showgrid=True,
    )
    return figure


def _aside(figure: go.Figure, at: float, text: str) -> None:
    figure.add_annotation(
        x=1, xref="paper", xanchor="left", xshift=10, y=at, text=text, showarrow=False
    )
