"""The page of a comparison: facts and figures become one HTML file that needs nothing else."""

from __future__ import annotations

import os
from collections.abc import Sequence
from html import escape
from pathlib import Path

from ravine.comparison.records import Study
from ravine.report.facts import facts_of
from ravine.report.figures import (
    curves_figure,
    isolation_figure,
    race_figure,
    rank_figure,
    rate_figure,
)
from ravine.report.legend import legend, named
from ravine.report.parts import (
    Figures,
    axis_note,
    counted,
    document,
    environment,
    method,
    plain_table,
    save,
    section,
    sign,
    small,
    table,
    unbroken,
    warned,
)
from ravine.report.records import (
    Curves,
    Divergence,
    Duels,
    Effects,
    Facts,
    FailureRow,
    Gains,
    Isolation,
    Ranking,
    Sensitivity,
    Speed,
    SummaryRow,
    WhyFailed,
)
from ravine.report.words import probability

CONTENTS = (
    ("summary", "Overview"),
    ("rates", "Learning rate"),
    ("isolation", "Other hyperparameters"),
    ("budget", "Budget"),
    ("gains", "Tuning"),
    ("curves", "Training"),
    ("validation", "Validation"),
    ("ranking", "Ranking"),
    ("duels", "One against one"),
    ("speed", "Speed"),
    ("diverged", "Divergence"),
    ("failures", "Failures"),
    ("method", "Method"),
    ("environment", "Environment"),
)
"""What the links on top lead to."""


def render(study: Study) -> str:
    """Return the report of a study: one HTML page, self-contained."""
    return _page(facts_of(study))


def write(study: Study, path: str | os.PathLike[str]) -> Path:
    """Write the report to `path`, whole or not at all, and return the path."""
    return save(render(study), path)


def _page(fact: Facts) -> str:
    figures = Figures()
    sections = (
        _summary(fact),
        _code(*fact.code),
        _effects(fact.effects),
        _sensitivity(fact.sensitivity, figures),
        _isolation(fact.isolation, figures),
        *([_curves("budget", "Budget", fact.budget, figures)] if fact.budget else []),
        _gains(fact.gains),
        _curves("curves", "Training cost", fact.cost, figures),
        _curves("validation", f"Validation {fact.metric}", fact.validation, figures),
        _ranking(fact.ranking, figures),
        _duels(fact.duels),
        _speed(fact.speed, figures),
        _divergence(fact.divergence),
        _failures(fact.failures, fact.noun),
        method(fact.method),
        environment(fact.environment, fact.command),
    )
    lead = "\n".join(
        (
            f'<p class="answer">{unbroken(escape(fact.answer))}</p>',
            _choices(fact.effects),
            warned(fact.warnings),
            counted(fact.counts),
        )
    )
    return document(
        title=f"{fact.recipe}: which {fact.noun}?",
        heading=f'Which {fact.noun} for <span class="recipe">{escape(fact.recipe)}</span>?',
        lead=lead,
        contents=_contents(fact),
        sections=sections,
        figures=figures,
    )


def _contents(fact: Facts) -> tuple[tuple[str, str], ...]:
    """The links to what is there."""
    there = {
        "isolation": fact.isolation is not None,
        "budget": fact.budget is not None,
        "gains": fact.gains is not None,
    }
    return tuple((name, topic) for name, topic in CONTENTS if there.get(name, True))


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
    head = "".join(f'<th scope="col">{escape(name)}{small(note)}</th>' for name, note in heads)
    body = "".join(_summary_row(row, test) for row in fact.summary)
    return f"""<section id="summary" aria-labelledby="summary-title">
<p class="topic">Overview</p>
<h2 id="summary-title">All {fact.noun}s, best first</h2>
{table(f"<tr>{head}</tr>", body, f"All {fact.noun}s, best first", "summary")}
</section>"""


def _code(title: str, lines: str) -> str:
    if not lines:
        return ""
    return f"""<section id="code" aria-labelledby="code-title">
<p class="topic">Code</p>
<h2 id="code-title">To train with {escape(title)}</h2>
<pre class="paste"><code>{escape(lines)}</code></pre>
<p>For a <code>model</code> of yours; click it to select it all.</p>
</section>"""


def _summary_row(row: SummaryRow, test: bool) -> str:
    badge = f'<span class="badge">{row.badge}</span>' if row.badge else ""
    number = f"<b>{escape(row.validation)}</b>" if row.validation else ""
    cells = [
        f"{number}{small(row.validation_interval)}{small(row.validation_note)}",
        *([f"{escape(row.test) or '–'}{small(row.test_interval)}"] if test else []),
        *map(escape, (row.p_best, row.steps, row.seconds)),
    ]
    other = f"<small>{_setting(row.other)}</small>" if row.other else ""
    data = "".join(
        (
            f'<td class="wrap"><b>{escape(row.lr)}</b>{other}</td>',
            *(f"<td>{cell}</td>" for cell in cells),
            f'<td class="wrap">{escape(row.band)}</td><td>{escape(row.diverged)}</td>',
        )
    )
    name = f'<th scope="row">{named(row.key)}{badge}</th>'
    return f'<tr class="{"best" if row.badge else "behind"}">{name}{data}</tr>'


def _choices(fact: Effects | None) -> str:
    """What each choice does by itself, beneath the answer."""
    return "" if fact is None else f'<p class="choices">{unbroken(escape(fact.caption.title))}</p>'


def _effects(fact: Effects | None) -> str:
    if fact is None:
        return ""
    heads = ("Choice", "", "Validation", "Behind", "P(best)")
    rows = ((r.choice, r.level, r.validation, r.behind, r.p_best) for r in fact.rows)
    body = unbroken(plain_table(heads, rows, "Choice by choice"))
    return section("choices", "Choice by choice", fact.caption, body)


def _sensitivity(fact: Sensitivity, figures: Figures) -> str:
    panels = "".join(
        f'<div class="panel"><h3>{named(panel.key)}</h3><p class="note">{escape(panel.note)}</p>'
        f"{figures.place(rate_figure(fact, panel), f'{panel.key.title}: {panel.note}')}</div>"
        for panel in fact.panels
    )
    more = any(row.other for row in fact.rows)
    heads = (
        *("Optimizer", "Learning rate", *(["Other"] if more else [])),
        *("After the first ninth", "Last seen", "Steps", "Outcome"),
    )
    rows = (
        (
            row.title,
            row.lr,
            *([row.other] if more else []),
            *(row.early, row.last),
            row.steps,
            row.status,
        )
        for row in fact.rows
    )
    body = (
        f"{axis_note(fact.y_title)}"
        f"{_legend(_SIGNS)}"
        f'<div class="panels">{panels}</div>'
        f"<details><summary>All numbers</summary>"
        f"{plain_table(heads, rows, 'All learning rates')}</details>"
    )
    return section("rates", "Learning rate", fact.caption, body)


def _isolation(fact: Isolation | None, figures: Figures) -> str:
    if fact is None:
        return ""
    panels = "".join(
        f'<div class="panel"><h3>{named(panel.key)}</h3><p class="note">{escape(panel.note)}</p>'
        f"{figures.place(isolation_figure(fact, panel), f'{panel.key.title}: {panel.note}')}</div>"
        for panel in fact.panels
    )
    body = f'{axis_note(fact.y_title)}{_legend(_ISOLATION_SIGNS)}<div class="panels">{panels}</div>'
    return section("isolation", "Other hyperparameters", fact.caption, body)


def _gains(fact: Gains | None) -> str:
    """What tuning gained, as a table."""
    if fact is None:
        return ""
    heads = ("Optimizer", "Gain", "Validation tuned", "At default", "Chosen", "Default")
    head = "".join(f'<th scope="col">{escape(text)}</th>' for text in heads)
    body = "".join(
        f'<tr><th scope="row">{named(row.key)}</th><td><b>{escape(row.gain)}</b></td>'
        f"<td>{escape(row.tuned)}</td><td>{escape(row.at_default)}{small(row.note)}</td>"
        f"<td>{_setting(row.chosen)}</td><td>{_setting(row.default)}</td></tr>"
        for row in fact.rows
    )
    rows = table(f"<tr>{head}</tr>", body, "What tuning gained", "plain")
    return section("gains", "Tuning", fact.caption, unbroken(rows))


def _legend(signs: Sequence[tuple[str, str]]) -> str:
    items = "".join(f"<li>{sign} {escape(text)}</li>" for sign, text in signs)
    return f'<ul class="signs">{items}</ul>'


_SIGNS = (
    (sign('<circle cx="9" cy="9" r="4.5" fill="currentColor"/>'), "all steps"),
    (
        sign('<circle cx="9" cy="9" r="2.5" fill="currentColor" opacity=".6"/>'),
        "a ninth of the steps",
    ),
    (
        sign(
            '<circle cx="9" cy="9" r="4" fill="currentColor"/>'
            '<circle cx="9" cy="9" r="7.5" fill="none" stroke="currentColor" stroke-width="2"/>'
        ),
        "chosen",
    ),
    (sign('<path d="M5 5l8 8m0 -8l-8 8" stroke="currentColor" stroke-width="2.5"/>'), "diverged"),
    (sign('<rect width="24" height="18" fill="currentColor" opacity=".18"/>', 24), "good band"),
)


_ISOLATION_SIGNS = (
    *_SIGNS[:3],
    (
        sign(
            '<path d="M0 9H24" stroke="currentColor" stroke-width="2" stroke-dasharray="3 3"/>', 24
        ),
        "best of a part, a ninth of the steps",
    ),
    (
        sign('<path d="M9 0V18" stroke="currentColor" stroke-width="2" stroke-dasharray="3 3"/>'),
        "default",
    ),
)


def _curves(name: str, topic: str, fact: Curves, figures: Figures) -> str:
    return section(name, topic, fact.caption, curves_body(fact, figures))


def curves_body(fact: Curves, figures: Figures) -> str:
    """Curves with a legend to hide and show them."""
    plot = figures.place(curves_figure(fact), fact.caption.alt)
    return legend(line.key for line in fact.lines) + axis_note(fact.y_title) + plot


def _ranking(fact: Ranking, figures: Figures) -> str:
    plot = figures.place(rank_figure(fact), fact.caption.alt)
    return section("ranking", "Ranking", fact.caption, plot)


def _duels(fact: Duels) -> str:
    head = "".join(f'<th scope="col">{escape(key.title)}</th>' for key in fact.keys)
    body = "".join(
        f'<tr><th scope="row">{named(key)}</th>{"".join(map(_duel, row))}</tr>'
        for key, row in zip(fact.keys, fact.cells, strict=True)
    )
    corner = '<th scope="col">P(row beats column)</th>'
    grid = table(f"<tr>{corner}{head}</tr>", body, "P(row beats column)", "duels")
    return section("duels", "One against one", fact.caption, grid)


def _duel(p: float | None) -> str:
    """A cell whose colour grows with the distance from a coin flip."""
    if p is None:
        return '<td class="same"><span class="unseen">itself</span></td>'
    side, strength = ("for" if p >= 0.5 else "against"), round(abs(p - 0.5) * 2, 2)
    return f'<td class="{side}" style="--strength:{strength}">{escape(probability(p))}</td>'


def _speed(fact: Speed, figures: Figures) -> str:
    races = "".join(
        f"<div>{figures.place(race_figure(race), f'{race.name}. {fact.caption.alt}')}</div>"
        for race in fact.races
    )
    return section("speed", "Speed", fact.caption, f'<div class="pair">{races}</div>')


def _divergence(fact: Divergence) -> str:
    heads = ("Optimizer", "Setting", "Stage", "Trials")
    rows = ((row.title, row.setting, row.stage, row.trials) for row in fact.rows)
    body = plain_table(heads, rows, "Diverged trials") if fact.rows else ""
    return section("diverged", "Divergence", fact.caption, body)


def _failures(fact: WhyFailed, noun: str) -> str:
    """What was looked into as a table; one line where nothing failed."""
    heads = (noun.capitalize(), "Learning rate", "What happened", "Why", "What to change")
    head = "".join(f'<th scope="col">{escape(text)}</th>' for text in heads)
    body = "".join(map(_failure_row, fact.rows))
    rows = table(f"<tr>{head}</tr>", body, "Why trials failed", "plain") if body else ""
    rest = f'<p class="note">{escape(fact.rest)}</p>' if fact.rest else ""
    if rows or rest:
        return section("failures", "Why they failed", fact.caption, rows + rest)
    return f"""<section id="failures" aria-labelledby="failures-title">
<p class="topic">Why they failed</p>
<h2 id="failures-title">{escape(fact.caption.title)}</h2>
</section>"""


def _failure_row(row: FailureRow) -> str:
    cells = (
        named(row.key),
        f"{escape(row.lr)}{small(row.note)}",
        f"{escape(row.happened)}{small(row.numbers)}",
        f"<b>{escape(row.why)}</b>{small(row.evidence)}",
        escape(row.change) or "–",
    )
    return f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"


def _setting(text: str) -> str:
    """Hyperparameters, each on one line with its value."""
    return ", ".join(escape(part).replace(" ", "&nbsp;") for part in text.split(", "))
