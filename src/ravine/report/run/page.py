"""The page of one training: facts and figures become one HTML file that needs nothing else."""

from __future__ import annotations

import os
from html import escape
from pathlib import Path

from ravine.report.drawing import COLOURS
from ravine.report.parts import (
    Figures,
    counted,
    document,
    environment,
    method,
    plain_table,
    save,
    section,
    sign,
)
from ravine.report.records import Caption
from ravine.report.run.facts import facts_of
from ravine.report.run.figures import chart_figure, heat_figure, view_figure
from ravine.report.run.record import RunRecord
from ravine.report.run.records import (
    Chart,
    Charts,
    Costs,
    FindingRow,
    Heats,
    Line,
    RunFacts,
    Treatment,
    View,
)


def render_run(record: RunRecord) -> str:
    """Return the report of one training: one HTML page, self-contained."""
    return _page(facts_of(record))


def write_run(record: RunRecord, path: str | os.PathLike[str]) -> Path:
    """Write the report to `path`, whole or not at all, and return the path."""
    return save(render_run(record), path)


def _page(fact: RunFacts) -> str:
    figures = Figures()
    parts = [
        ("found", "Findings", _findings(fact)),
        ("treatment", "Remedies", _treatment(fact.treatment)),
        ("loss", "Loss", _charts(fact.loss, figures)),
        ("curvature", "Curvature", _charts(fact.curvature, figures)),
        ("spectrum", "Spectrum", _charts(fact.spectrum, figures)),
        ("layers", "Layers", _layers(fact.layers, figures)),
        ("noise", "Noise", _charts(fact.noise, figures)),
        ("view", "Landscape", _view(fact.view, figures)),
        ("costs", "Cost of measuring", _costs(fact.costs, fact.missing)),
        ("method", "Method", method(fact.method)),
        ("environment", "Environment", _environment(fact)),
    ]
    kept = [(name, topic, html) for name, topic, html in parts if html]
    return document(
        title=f"{fact.title}: one training",
        heading=f'One training: <span class="recipe">{escape(fact.title)}</span>',
        lead=_lead(fact),
        contents=[(name, topic) for name, topic, _ in kept],
        sections=[html for *_, html in kept],
        figures=figures,
    )


def _lead(fact: RunFacts) -> str:
    advice = f'<p class="choices">{escape(fact.advice)}</p>' if fact.advice else ""
    return f"""<p class="answer">{escape(fact.answer)}</p>
{advice}
{counted(fact.counts)}"""


def _findings(fact: RunFacts) -> str:
    title = "What was found, the worst first" if fact.findings else "Nothing wrong found."
    body = (
        f'<ol class="findings">{"".join(map(_finding, fact.findings))}</ol>'
        if fact.findings
        else "<p>No rule over the readings has anything to say about this run.</p>"
    )
    return f"""<section id="found" aria-labelledby="found-title">
<p class="topic">Findings</p>
<h2 id="found-title">{title}</h2>
{body}
</section>"""


def _finding(row: FindingRow) -> str:
    return (
        f"<li><h3>{escape(row.title)}</h3><p class='note'>{escape(row.where)}</p>"
        f"<p>{escape(row.evidence)}</p><p><b>Remedy:</b> {escape(row.remedy)}</p></li>"
    )


def _treatment(fact: Treatment | None) -> str:
    if fact is None:
        return ""
    table = plain_table(fact.heads, fact.rows, "Changes tried") if fact.rows else ""
    code = (
        ""
        if fact.code is None
        else f"<p>The line to edit:</p><pre><code>{escape(fact.code)}</code></pre>"
    )
    return section("treatment", "Remedies", fact.caption, code + table)


def _charts(fact: Charts | None, figures: Figures) -> str:
    if fact is None:
        return ""
    shown = [_chart(chart, figures) for chart in fact.charts]
    grid = "panels" if len(shown) > 2 else "pair"
    body = "".join(shown)
    if len(shown) > 1 and not fact.wide:
        body = f'<div class="{grid}">{body}</div>'
    return section(fact.name, fact.topic, fact.caption, body)


def _chart(chart: Chart, figures: Figures) -> str:
    legend = "".join(f"<li>{_stroke(line)} {escape(line.name)}</li>" for line in chart.lines)
    signs = f'<ul class="signs">{legend}</ul>' if len(chart.lines) > 1 else ""
    return (
        f"<div><h3>{escape(chart.heading)}</h3>{signs}"
        f"{figures.place(chart_figure(chart), chart.alt)}</div>"
    )


def _stroke(line: Line) -> str:
    """A line of the legend, drawn as in its figure."""
    colour = COLOURS[line.slot % len(COLOURS)]
    width, dash, dot = {
        "thin": (1, "", ""),
        "dots": (1.75, "", f'<circle cx="14" cy="9" r="3" fill="{colour}"/>'),
        "level": (2, "6 3", ""),
    }[line.kind]
    path = f'<path d="M0 9H28" stroke="{colour}" stroke-width="{width}" stroke-dasharray="{dash}"/>'
    return sign(path + dot, 28)


def _layers(fact: Heats | None, figures: Figures) -> str:
    if fact is None:
        return ""
    maps = "".join(
        f"<div><h3>{escape(heat.heading)}</h3>{figures.place(heat_figure(heat), heat.alt)}</div>"
        for heat in fact.maps
    )
    return section("layers", "Layers", fact.caption, f'<div class="pair">{maps}</div>')


def _view(fact: View | None, figures: Figures) -> str:
    if fact is None:
        return ""
    plot = figures.place(view_figure(fact), fact.caption.alt)
    return section("view", "Landscape", fact.caption, plot)


def _costs(fact: Costs | None, missing: str) -> str:
    note = f'<p class="axis-note">{escape(missing)}</p>' if missing else ""
    if fact is None:
        if not missing:
            return ""
        caption = Caption("What measuring took is not known.", "", "")
        return section("costs", "Cost of measuring", caption, note)
    heads = ("Instrument", "Measurements", "Time", "Share", "Remark")
    table = plain_table(heads, fact.rows, "What each instrument took")
    details = f"<details><summary>All instruments</summary>{table}</details>"
    return section("costs", "Cost of measuring", fact.caption, note + details)


def _environment(fact: RunFacts) -> str:
    if not fact.environment and fact.command is None:
        return ""
    return environment(fact.environment, fact.command)
