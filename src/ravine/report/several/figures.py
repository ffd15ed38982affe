"""Facts become Plotly figures. Colours of text, axes and grid are left to the page's theme."""

from __future__ import annotations

import plotly.graph_objects as go

from ravine.report.drawing import blank, plain
from ravine.report.figures import look
from ravine.report.several.records import Profile, Stairs


def profile_figure(fact: Profile) -> go.Figure:
    """Draw the stairs of all arms, the best on top."""
    figure = blank(340, left=46, right=12, top=12, bottom=44)
    figure.update_xaxes(
        title_text=f"times as many {fact.name} as the fastest",
        range=[0.97, fact.tau_max],
        dtick=0.5,
        tick0=1,
    )
    figure.update_yaxes(range=[-0.03, 1.03], tickformat=".0%", dtick=0.25, tick0=0)
    figure.add_traces([_stairs(stairs) for stairs in reversed(fact.stairs)])
    return figure


def _stairs(stairs: Stairs) -> go.Scatter:
    style = look(stairs.key)
    return go.Scatter(
        x=list(stairs.taus),
        y=list(stairs.shares),
        mode="lines+markers",
        line={"color": style.colour, "dash": style.dash[0], "width": 2.5, "shape": "hv"},
        marker={"symbol": style.marker[0], "size": 7},
        name=plain(stairs.key.title),
        meta=stairs.key.name,
        cliponaxis=False,
        hovertemplate=f"within %{{x:.2f}} times: %{{y:.0%}} (score {stairs.score})",
    )
