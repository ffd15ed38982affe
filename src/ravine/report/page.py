"""The page: facts and figures become one HTML file that needs nothing else.

All text that a user or a recipe can choose goes through `html.escape`, and figures travel as JSON
with "<" escaped. A content security policy in the page forbids any request to the network.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template

import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from ravine.comparison.records import Study
from ravine.report.facts import facts_of
from ravine.report.figures import curves_figure, look, race_figure, rank_figure, rate_figure
from ravine.report.records import (
    Caption,
    Curves,
    Divergence,
    Duels,
    Effects,
    Facts,
    Key,
    Ranking,
    Sensitivity,
    Speed,
    SummaryRow,
)
from ravine.report.words import probability


def render(study: Study) -> str:
    """Return the report of a study: one HTML page, self-contained."""
    return _page(facts_of(study))


def write(study: Study, path: str | os.PathLike[str]) -> Path:
    """Write the report to `path`, whole or not at all, and return the path."""
    target = Path(path)
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        temporary.write_text(render(study), encoding="utf-8")
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)
    return target


def _page(fact: Facts) -> str:
    figures = _Figures()
    sections = (
        _summary(fact),
        _effects(fact.effects),
        _sensitivity(fact.sensitivity, figures),
        _curves("curves", "Training cost", fact.cost, figures),
        _curves("validation", f"Validation {fact.metric}", fact.validation, figures),
        _ranking(fact.ranking, figures),
        _duels(fact.duels),
        _speed(fact.speed, figures),
        _divergence(fact.divergence),
        _method(fact.method),
        _environment(fact.environment, fact.command),
    )
    return Template(_resource("page.html")).substitute(
        title=escape(f"{fact.recipe}: which {fact.noun}?"),
        noun=fact.noun,
        recipe=escape(fact.recipe),
        answer=_unbroken(escape(fact.answer)),
        choices=_choices(fact.effects),
        warnings=_warnings(fact.warnings),
        counts="".join(f"<li>{escape(text)}</li>" for text in fact.counts),
        style=_resource("style.css"),
        sections="\n".join(sections),
        figures=figures.json(),
        plotly=get_plotlyjs().replace("</script", "<\\/script"),
    )


def _resource(name: str) -> str:
    return files("ravine.report").joinpath(name).read_text(encoding="utf-8")


class _Figures:
    """Collects figures and hands out the places where the page's script draws them."""

    def __init__(self) -> None:
        self._drawn: list[str] = []

    def place(self, figure: go.Figure, alt: str) -> str:
        self._drawn.append(figure.to_json(engine="json"))
        height = int(figure.layout.height)
        return (
            f'<div class="plot" role="img" aria-label="{escape(alt)}" '
            f'data-figure="{len(self._drawn) - 1}" style="height:{height}px"></div>'
        )

    def json(self) -> str:
        """All figures, safe inside a script element whatever Plotly escapes by itself."""
        return f"[{','.join(self._drawn)}]".replace("<", "\\u003c")


# --- sections -------------------------------------------------------------------------------------


def _section(name: str, topic: str, caption: Caption, body: str) -> str:
    return f"""<section id="{name}" aria-labelledby="{name}-title">
<p class="topic">{escape(topic)}</p>
<h2 id="{name}-title">{escape(caption.title)}</h2>
<figure>{body}
<figcaption><b>How to read:</b> {escape(caption.reading)}</figcaption></figure>
</section>"""


def _warnings(warnings: Sequence[str]) -> str:
    if not warnings:
        return ""
    items = "".join(f"<li>{escape(text)}</li>" for text in warnings)
    return f'<div class="warnings"><h2>Before you trust this</h2><ul>{items}</ul></div>'


def _summary(fact: Facts) -> str:
    test = any(row.test for row in fact.summary)
    heads = [
        (fact.noun.capitalize(), ""),
        ("Learning rate", "chosen"),
        (f"Validation {fact.metric}", "95% interval"),
        *([(f"Test {fact.metric}", "95% interval")] if test else []),
        ("P(best)", ""),
        ("Steps to target", "median"),
        ("Time to target", "median"),
        ("Good rates", "smallest to largest"),
        ("Diverged", "trials"),
    ]
    head = "".join(f'<th scope="col">{escape(name)}{_small(note)}</th>' for name, note in heads)
    body = "".join(_summary_row(row, test) for row in fact.summary)
    return f"""<section id="summary" aria-labelledby="summary-title">
<p class="topic">Overview</p>
<h2 id="summary-title">All {fact.noun}s, best first</h2>
{_table(f"<tr>{head}</tr>", body, f"All {fact.noun}s, best first", "summary")}
</section>"""


def _summary_row(row: SummaryRow, test: bool) -> str:
    badge = f'<span class="badge">{row.badge}</span>' if row.badge else ""
    number = f"<b>{escape(row.validation)}</b>" if row.validation else ""
    cells = [
        f"{number}{_small(row.validation_interval)}{_small(row.validation_note)}",
        *([f"{escape(row.test) or '–'}{_small(row.test_interval)}"] if test else []),
        *map(escape, (row.p_best, row.steps, row.seconds)),
    ]
    data = "".join(
        (
            f'<td class="wrap"><b>{escape(row.lr)}</b>{_small(row.other)}</td>',
            *(f"<td>{cell}</td>" for cell in cells),
            f'<td class="wrap">{escape(row.band)}</td><td>{escape(row.diverged)}</td>',
        )
    )
    name = f'<th scope="row">{_name(row.key)}{badge}</th>'
    return f'<tr class="{"best" if row.badge else "behind"}">{name}{data}</tr>'


def _choices(fact: Effects | None) -> str:
    """What each choice does by itself, beneath the answer."""
    return "" if fact is None else f'<p class="choices">{_unbroken(escape(fact.caption.title))}</p>'


def _effects(fact: Effects | None) -> str:
    if fact is None:
        return ""
    heads = ("Choice", "", "Validation", "Behind", "P(best)")
    rows = ((r.choice, r.level, r.validation, r.behind, r.p_best) for r in fact.rows)
    table = _unbroken(_plain_table(heads, rows, "Choice by choice"))
    return _section("choices", "Choice by choice", fact.caption, table)


def _sensitivity(fact: Sensitivity, figures: _Figures) -> str:
    panels = "".join(
        f'<div class="panel"><h3>{_name(panel.key)}</h3><p class="note">{escape(panel.note)}</p>'
        f"{figures.place(rate_figure(fact, panel), f'{panel.key.title}: {panel.note}')}</div>"
        for panel in fact.panels
    )
    legend = "".join(f"<li>{sign} {escape(text)}</li>" for sign, text in _SIGNS)
    heads = ("Optimizer", "Learning rate", "After the first ninth", "Last seen", "Steps", "Outcome")
    rows = ((row.title, row.lr, row.early, row.last, row.steps, row.status) for row in fact.rows)
    body = (
        f"{_axis_note(fact.y_title)}"
        f'<ul class="signs">{legend}</ul>'
        f'<div class="panels">{panels}</div>'
        f"<details><summary>All numbers</summary>"
        f"{_plain_table(heads, rows, 'All learning rates')}</details>"
    )
    return _section("rates", "Learning rate", fact.caption, body)


def _axis_note(text: str) -> str:
    return f'<p class="axis-note">Vertical axis: {escape(text)}</p>'


def _sign(shape: str, width: int = 18) -> str:
    size = f'width="{width}" height="18" viewBox="0 0 {width} 18"'
    return f'<svg aria-hidden="true" {size}>{shape}</svg>'


_SIGNS = (
    (_sign('<circle cx="9" cy="9" r="4.5" fill="currentColor"/>'), "all steps"),
    (
        _sign('<circle cx="9" cy="9" r="2.5" fill="currentColor" opacity=".6"/>'),
        "a ninth of the steps",
    ),
    (
        _sign(
            '<circle cx="9" cy="9" r="4" fill="currentColor"/>'
            '<circle cx="9" cy="9" r="7.5" fill="none" stroke="currentColor" stroke-width="2"/>'
        ),
        "chosen",
    ),
    (_sign('<path d="M5 5l8 8m0 -8l-8 8" stroke="currentColor" stroke-width="2.5"/>'), "diverged"),
    (_sign('<rect width="24" height="18" fill="currentColor" opacity=".18"/>', 24), "good band"),
)


def _curves(name: str, topic: str, fact: Curves, figures: _Figures) -> str:
    buttons = "".join(
        f'<button type="button" aria-pressed="true" data-optimizer="{escape(line.key.name)}">'
        f"{_name(line.key)}</button>"
        for line in fact.lines
    )
    plot = figures.place(curves_figure(fact), fact.caption.alt)
    body = f'<div class="legend" aria-label="optimizers shown">{buttons}</div>'
    body += _axis_note(fact.y_title) + plot
    return _section(name, topic, fact.caption, body)


def _ranking(fact: Ranking, figures: _Figures) -> str:
    plot = figures.place(rank_figure(fact), fact.caption.alt)
    return _section("ranking", "Ranking", fact.caption, plot)


def _duels(fact: Duels) -> str:
    head = "".join(f'<th scope="col">{escape(key.title)}</th>' for key in fact.keys)
    body = "".join(
        f'<tr><th scope="row">{_name(key)}</th>{"".join(map(_duel, row))}</tr>'
        for key, row in zip(fact.keys, fact.cells, strict=True)
    )
    corner = '<th scope="col">P(row beats column)</th>'
    table = _table(f"<tr>{corner}{head}</tr>", body, "P(row beats column)", "duels")
    return _section("duels", "One against one", fact.caption, table)


def _duel(p: float | None) -> str:
    """A cell whose colour grows with the distance from a coin flip."""
    if p is None:
        return '<td class="same"><span class="unseen">itself</span></td>'
    side, strength = ("for" if p >= 0.5 else "against"), round(abs(p - 0.5) * 2, 2)
    return f'<td class="{side}" style="--strength:{strength}">{escape(probability(p))}</td>'


def _speed(fact: Speed, figures: _Figures) -> str:
    races = "".join(
        f"<div>{figures.place(race_figure(race), f'{race.name}. {fact.caption.alt}')}</div>"
        for race in fact.races
    )
    return _section("speed", "Speed", fact.caption, f'<div class="pair">{races}</div>')


def _divergence(fact: Divergence) -> str:
    heads = ("Optimizer", "Setting", "Stage", "Trials")
    rows = ((row.title, row.setting, row.stage, row.trials) for row in fact.rows)
    table = _plain_table(heads, rows, "Diverged trials") if fact.rows else ""
    return _section("diverged", "Divergence", fact.caption, table)


def _method(method: Sequence[tuple[str, str]]) -> str:
    items = "".join(f"<div><dt>{escape(q)}</dt><dd>{escape(a)}</dd></div>" for q, a in method)
    return f"""<section id="method" aria-labelledby="method-title">
<p class="topic">Method</p>
<h2 id="method-title">How this was measured</h2>
<dl class="questions">{items}</dl>
</section>"""


def _environment(environment: Sequence[tuple[str, str]], command: str | None) -> str:
    items = "".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in environment
    )
    run = f"<p>The command:</p><pre><code>{escape(command)}</code></pre>" if command else ""
    return f"""<section id="environment" aria-labelledby="environment-title">
<p class="topic">Environment</p>
<h2 id="environment-title">To measure it again</h2>
{run}<dl class="environment">{items}</dl>
</section>"""


# --- parts ----------------------------------------------------------------------------------------


def _unbroken(text: str) -> str:
    """Keep intervals, probabilities and settings on one line."""
    return re.sub(
        r"\[[^] ]+ [^] ]+\]|P (=|&[lg]t;) |rate (?=\d)", lambda m: m[0].replace(" ", "&nbsp;"), text
    )


def _small(text: str) -> str:
    return f"<small>{escape(text)}</small>" if text else ""


def _name(key: Key) -> str:
    """An optimizer's title beside its line and marker."""
    style = look(key)
    return (
        '<span class="name"><svg aria-hidden="true" width="44" height="12" viewBox="0 0 44 12">'
        f'<path d="M0 6H44" stroke="{style.colour}" stroke-width="2.5" '
        f'stroke-dasharray="{style.dash[1]}"/>'
        f'<path d="{style.marker[1]}" fill="{style.colour}"/></svg>{escape(key.title)}</span>'
    )


def _table(head: str, body: str, label: str, kind: str) -> str:
    """A table in a box of its own to scroll in; the box takes the keyboard's focus."""
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(label)}">'
        f'<table class="{kind}"><caption class="unseen">{escape(label)}</caption>'
        f"<thead>{head}</thead><tbody>{body}</tbody></table></div>"
    )


def _plain_table(heads: Iterable[str], rows: Iterable[Iterable[str]], label: str) -> str:
    head = "".join(f'<th scope="col">{escape(text)}</th>' for text in heads)
    cells = ("".join(f"<td>{escape(text) or '–'}</td>" for text in row) for row in rows)
    body = "".join(f"<tr>{row}</tr>" for row in cells)
    return _table(f"<tr>{head}</tr>", body, label, "plain")
