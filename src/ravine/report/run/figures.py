"""Facts of one training become Plotly figures. Colours of text, axes and grid are the page's."""

from __future__ import annotations

import math
from typing import Any

import plotly.graph_objects as go

from ravine.report.axes import Axis
from ravine.report.drawing import COLOURS, blank, plain, set_axis
from ravine.report.run.records import Chart, Heat, Line, View
from ravine.report.words import number

SCALE = "Cividis"
"""From blue over grey to yellow, for all kinds of colour vision."""

LONGEST = 22
"""Characters of a layer's name that a map has room for on a phone; the whole name is in the hover."""

START = 5
"""So many of them are its first: layers of a block differ at their end."""


def chart_figure(chart: Chart) -> go.Figure:
    """Draw lines over steps, findings marked."""
    figure = blank(300, left=52, right=14, top=26 if chart.marks else 12, bottom=42)
    figure.update_xaxes(
        title_text="gradient steps", range=[0, chart.last], tickformat=",d", nticks=6
    )
    set_axis(figure, "y", chart.y, None)
    for mark in chart.marks:
        figure.add_vline(mark.step, line={"dash": "dot", "width": 1.5, "color": COLOURS[1]})
        if mark.text:
            figure.add_annotation(
                x=mark.step,
                y=1,
                yref="paper",
                yanchor="bottom",
                text=f"<b>{mark.text}</b>",
                showarrow=False,
            )
    figure.add_traces([_trace(line, chart.y) for line in chart.lines])
    return figure


def _trace(line: Line, y: Axis) -> go.Scatter:
    colour = COLOURS[line.slot % len(COLOURS)]
    hollow = line.hollow or (False,) * len(line.steps)
    return go.Scatter(
        x=list(line.steps),
        y=[_within(value, y) for value in line.values],
        customdata=[
            number(-value if below else value)
            for value, below in zip(line.values, hollow, strict=True)
        ],
        mode="lines+markers" if line.kind == "dots" else "lines",
        line={"color": colour, **_STROKES[line.kind]},
        marker={
            "size": 5,
            "color": colour,
            "symbol": ["circle-open" if below else "circle" for below in hollow],
        },
        name=plain(line.name),
        opacity=0.55 if line.kind == "thin" else 1,
        cliponaxis=False,
        hovertemplate="step %{x:,}: %{customdata}",
    )


_STROKES: dict[str, dict[str, Any]] = {
    "thin": {"width": 1},
    "dots": {"width": 1.75},
    "level": {"width": 2, "dash": "dash"},
}


def _within(value: float, y: Axis) -> float | None:
    """What can be drawn: infinite values at the edge, none for NaN or below a logarithm's reach."""
    if math.isnan(value) or (y.log and value <= 0):
        return None
    return y.clip(value)


def heat_figure(heat: Heat) -> go.Figure:
    """Draw a quantity over layers and steps, the first layer on top."""
    figure = blank(96 + 20 * max(3, len(heat.rows)), left=10, right=12, top=8, bottom=84)
    figure.add_trace(
        go.Heatmap(
            x=list(heat.edges),
            y=list(range(len(heat.rows))),
            z=[[_shade(value, heat.colour) for value in row] for row in heat.cells],
            customdata=[
                [f"{plain(name)}: {number(value)}" for value in row]
                for name, row in zip(heat.rows, heat.cells, strict=True)
            ],
            hovertemplate="%{customdata}<extra></extra>",
            **_colours(heat.colour),
            colorbar=_bar(heat.colour),
        )
    )
    figure.update_xaxes(
        title_text="gradient steps",
        range=[heat.edges[0], heat.edges[-1]],
        tickformat=",d",
        nticks=6,
    )
    figure.update_yaxes(
        range=[len(heat.rows) - 0.5, -0.5],
        tickvals=list(range(len(heat.rows))),
        ticktext=[plain(_shortened(name)) for name in heat.rows],
        automargin=True,
        showgrid=False,
    )
    return figure


def view_figure(view: View) -> go.Figure:
    """Draw the slice of the landscape and the path across it."""
    figure = blank(520, left=52, right=14, top=12, bottom=108)
    figure.add_trace(
        go.Contour(
            x=list(view.a),
            y=list(view.b),
            z=[[_shade(value, view.colour) for value in row] for row in view.costs],
            ncontours=18,
            contours={"coloring": "heatmap"},
            line={"width": 0.75, "color": "rgba(255,255,255,0.35)"},
            hoverinfo="skip",
            **_colours(view.colour),
            colorbar=_bar(view.colour, "cost"),
        )
    )
    xs, ys, texts = ([point[i] for point in view.path] for i in range(3))
    figure.add_trace(_stroke(xs, ys, "#000000", 5))
    figure.add_trace(_stroke(xs, ys, "#ffffff", 2.25))
    figure.add_trace(
        go.Scatter(
            x=xs,
            y=ys,
            customdata=texts,
            mode="markers",
            marker={
                "size": [14, *[6] * (len(xs) - 2), 19],
                "symbol": [*["circle"] * (len(xs) - 1), "star"],
                "color": "#ffffff",
                "line": {"color": "#000000", "width": [2.5, *[1.5] * (len(xs) - 1)]},
            },
            hovertemplate="%{customdata}<extra></extra>",
        )
    )
    for name, values in (("x", view.a), ("y", view.b)):
        figure.update_layout({f"{name}axis": {"range": [values[0], values[-1]], "showgrid": False}})
    figure.update_xaxes(title_text="first direction", nticks=7)
    figure.update_yaxes(nticks=7)
    return figure


def _stroke(xs: list[Any], ys: list[Any], colour: str, width: float) -> go.Scatter:
    """The path once: black, then thinner in white upon it, to be seen on every colour."""
    return go.Scatter(
        x=xs, y=ys, mode="lines", line={"color": colour, "width": width}, hoverinfo="skip"
    )


def _shade(value: float, colour: Axis) -> float | None:
    """A value as the colour scale has it, to four digits; None for NaN."""
    if math.isnan(value) or (colour.log and value < 0):
        return None
    kept = colour.clip(value)
    return round(math.log10(kept), 3) if colour.log else float(f"{kept:.4g}")


def _ends(colour: Axis) -> tuple[float, float]:
    if colour.log:
        return math.log10(colour.lo), math.log10(colour.hi)
    return colour.lo, colour.hi


def _colours(colour: Axis) -> dict[str, Any]:
    lo, hi = _ends(colour)
    return {"zmin": lo, "zmax": hi, "zauto": False, "colorscale": SCALE}


def _bar(colour: Axis, title: str = "") -> dict[str, Any]:
    """A colour scale beneath the figure, where it takes no width."""
    return {
        "orientation": "h",
        "thickness": 10,
        "len": 0.9,
        "x": 0.5,
        "y": 0,
        "yref": "container",
        "yanchor": "bottom",
        "tickvals": [math.log10(v) if colour.log else v for v, _ in colour.ticks],
        "ticktext": [text for _, text in colour.ticks],
        "title": {"text": title},
        "outlinewidth": 0,
    }


def _shortened(name: str) -> str:
    """The name, without its middle if it is long."""
    if len(name) <= LONGEST:
        return name
    return f"{name[:START]}…{name[START + 1 - LONGEST :]}"
