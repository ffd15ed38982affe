"""The page of an experiment made again: each figure beside what the original shows."""

from __future__ import annotations

import json
from html import escape
from pathlib import Path

from ravine.report.again.facts import facts_of
from ravine.report.again.records import AgainFacts, ClaimRow, PanelFacts
from ravine.report.page import curves_body
from ravine.report.parts import (
    Figures,
    counted,
    document,
    environment,
    method,
    plain_table,
    save,
    section,
    small,
)
from ravine.reproduce import Reproduction

PAGE = "figure.html"

NUMBERS = "reproduction.json"


def write_reproduction(found: Reproduction) -> Path:
    """Write the page and the claims as JSON into the experiment's folder; the page's path."""
    found.folder.mkdir(parents=True, exist_ok=True)
    save(json.dumps(numbers(found), indent=2) + "\n", found.folder / NUMBERS)
    return save(render_reproduction(found), found.folder / PAGE)


def numbers(found: Reproduction) -> dict[str, object]:
    """The claims, with their probabilities, and the lines behind them, for JSON."""
    return {
        "name": found.study.name,
        "source": found.study.source,
        "scale": found.scale,
        "differences": found.study.differences(found.scale),
        "figures": [
            {
                "figure": made.panel.source,
                "title": made.panel.title,
                "expected": made.panel.expected,
                "claims": [
                    {
                        "claim": j.claim.said(made.titles),
                        "p": None if j.p is None else round(j.p, 4),
                        "verdict": j.verdict,
                    }
                    for j in made.judged
                ],
                "lines": [
                    {
                        "name": line.name,
                        "lr": line.lr,
                        "seeds": [run.trial.seed for run in line.runs],
                        "steps": line.runs[0].curve[-1].step,
                        "end": [_number(run.curve[-1].validation_metric) for run in line.runs],
                    }
                    for line in made.lines
                ],
            }
            for made in found.made
        ],
        "environment": dict(found.environment),
    }


def _number(value: float) -> float | None:
    """Six digits; None for a number that JSON has no word for."""
    return float(f"{value:.6g}") if abs(value) < float("inf") else None


def render_reproduction(found: Reproduction) -> str:
    """The page: one HTML file, self-contained."""
    fact, figures = facts_of(found), Figures()
    sections = [
        *(_panel(panel, figures) for panel in fact.panels),
        _differences(fact),
        method(fact.method),
        environment(fact.environment, fact.command),
    ]
    return document(
        title=f"{fact.name}: made again",
        heading=f'Made again: <span class="recipe">{escape(fact.name)}</span>',
        lead=f'<p class="answer">{escape(fact.answer)}</p>'
        f'<p class="choices">{escape(fact.source)}</p>{counted(fact.counts)}',
        contents=[
            *((panel.name, panel.topic[0].upper() + panel.topic[1:]) for panel in fact.panels),
            ("differences", "Differences"),
            ("method", "Method"),
            ("environment", "Environment"),
        ],
        sections=sections,
        figures=figures,
    )


def _panel(fact: PanelFacts, figures: Figures) -> str:
    claims = "".join(map(_claim, fact.claims))
    heads = ("", "Learning rate", f"{fact.y.capitalize()} at the end", "Seeds", "Diverged")
    rows = ((row.title, row.lr, row.end, row.seeds, row.diverged) for row in fact.rows)
    behind = (
        f'<p class="note"><a href="{escape(fact.report)}">The comparison behind this figure</a></p>'
        if fact.report
        else ""
    )
    body = (
        f'<div class="beside"><div>{curves_body(fact.curves, figures)}</div>'
        f'<div class="expected"><h3>Expected</h3><p>{escape(fact.expected)}</p>'
        f'<ul class="claims">{claims}</ul>{behind}</div></div>'
        f"<details><summary>All numbers</summary>{plain_table(heads, rows, 'Lines')}</details>"
    )
    return section(fact.name, fact.topic, fact.curves.caption, body)


def _claim(row: ClaimRow) -> str:
    kind = row.verdict.replace(" ", "-")
    return f'<li class="{kind}"><b>{escape(row.claim)}</b>{small(f"{row.verdict}, {row.p}")}</li>'


def _differences(fact: AgainFacts) -> str:
    items = "".join(f"<li>{escape(text)}</li>" for text in fact.differences)
    return f"""<section id="differences" aria-labelledby="differences-title">
<p class="topic">Differences</p>
<h2 id="differences-title">How this differs from the original</h2>
<ul class="plain">{items}</ul>
</section>"""
