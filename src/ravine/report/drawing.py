"""What all figures share: an empty one, its axes, faint colours, names without markup."""

from __future__ import annotations

import html
import math

import plotly.graph_objects as go

from ravine.report.axes import Axis

GREY = "#8a8f98"
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", GREY)
"""Okabe and Ito's palette for all kinds of colour vision; grey takes the place of pale yellow."""


def blank(height: int, **margin: int) -> go.Figure:
    """An empty figure. Colours of text, axes and grid are left to the page's theme."""
    sides = {side[0]: size for side, size in margin.items()}
    figure = go.Figure(
        layout={
            "template": "none",
            "height": height,
            "margin": sides,
            "showlegend": False,
            "hovermode": "closest",
            "dragmode": False,
            "paper_bgcolor": "rgba(0,0,0,0)",
            "plot_bgcolor": "rgba(0,0,0,0)",
        }
    )
    still = {"fixedrange": True, "zeroline": False, "title_standoff": 8}
    figure.update_xaxes(**still)
    figure.update_yaxes(**still)
    return figure


def set_axis(figure: go.Figure, name: str, axis: Axis, title: str | None) -> None:
    """Give a figure its "x" or "y" axis."""
    ends = [axis.lo, axis.hi]
    figure.update_layout(
        {
            f"{name}axis": {
                "type": "log" if axis.log else "linear",
                "range": [math.log10(end) for end in ends] if axis.log else ends,
                "tickvals": [value for value, _ in axis.ticks],
                "ticktext": [text for _, text in axis.ticks],
                "title_text": title,
            }
        }
    )


def faint(colour: str) -> str:
    """The colour, nearly transparent."""
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},0.14)"


def plain(text: str) -> str:
    """Disarm the markup that Plotly would read in a name."""
    return html.escape(text, quote=False)
