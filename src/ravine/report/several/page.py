"""The page over several recipes: facts and figures become one HTML file that needs nothing else."""

from __future__ import annotations

import os
from collections.abc import Sequence
from html import escape
from pathlib import Path

from ravine.comparison.several.overall import Overall
from ravine.report.figures import rank_figure
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
    small,
    table,
    unbroken,
    warned,
)
from ravine.report.records import Caption
from ravine.report.several.facts import facts_of
from ravine.report.several.figures import profile_figure
from ravine.report.several.records import (
    Grid,
    LeftOutRow,
    OverallFacts,
    Profiles,
    RecipeRow,
    StandingRow,
)

CONTENTS = (
    ("summary", "Overview"),
    ("recipes", "Recipes"),
    ("ranking", "Ranking"),
    ("ranks", "Recipe by recipe"),
    ("without", "Without one"),
    ("profiles", "Performance profiles"),
    ("times", "Times to target"),
    ("method", "Method"),
    ("environment", "Environment"),
)
"""What the links on top lead to."""


def render_overall(found: Overall) -> str:
    """Return the page over several recipes: one HTML page, self-contained; it links to theirs."""
    return _page(facts_of(found))


def write_overall(found: Overall, path: str | os.PathLike[str]) -> Path:
    """Write the page to `path`, whole or not at all, and return the path."""
    return save(render_overall(found), path)


def _page(fact: OverallFacts) -> str:
    figures = Figures()
    sections = (
        _standings(fact),
        _recipes(fact.recipes),
        section(
            "ranking",
            "Ranking",
            fact.ranking.caption,
            figures.place(rank_figure(fact.ranking), fact.ranking.caption.alt),
        ),
        _grid("ranks", "Recipe by recipe", fact.ranks),
        _left_out(*fact.left_out),
        _profiles(fact.profiles, figures),
        _grid("times", "Times to target", fact.times),
        method(fact.method),
        environment(fact.environment, fact.command),
    )
    lead = "\n".join(
        (
            f'<p class="answer">{unbroken(escape(fact.answer))}</p>',
            f'<p class="choices">{escape(fact.speed)}</p>',
            warned(fact.warnings),
            counted(fact.counts),
        )
    )
    return document(
        title=f"{fact.names}: which {fact.noun}?",
        heading=f'Which {fact.noun} for <span class="recipe">{escape(fact.names)}</span>?',
        lead=lead,
        contents=CONTENTS,
        sections=sections,
        figures=figures,
    )


def _standings(fact: OverallFacts) -> str:
    heads = (
        (fact.noun.capitalize(), ""),
        ("Mean rank", "95% interval"),
        ("P(best)", ""),
        ("Maybe best", "recipes"),
        ("Score", "in steps"),
        ("Score", "in seconds"),
        ("Target reached", "recipes"),
    )
    head = "".join(f'<th scope="col">{escape(name)}{small(note)}</th>' for name, note in heads)
    body = "".join(map(_standing, fact.standings))
    label = f"All {fact.noun}s, best first"
    return f"""<section id="summary" aria-labelledby="summary-title">
<p class="topic">Overview</p>
<h2 id="summary-title">{label}</h2>
{table(f"<tr>{head}</tr>", body, label, "summary")}
</section>"""


def _standing(row: StandingRow) -> str:
    badge = f'<span class="badge">{row.badge}</span>' if row.badge else ""
    cells = (
        f"<b>{row.mean_rank}</b>{small(row.interval)}",
        *map(
            escape,
            (row.p_best, row.maybe_best, row.steps_score, row.seconds_score, row.reached),
        ),
    )
    data = "".join(f"<td>{cell}</td>" for cell in cells)
    name = f'<th scope="row">{named(row.key)}{badge}</th>'
    return f'<tr class="{"best" if row.badge else "behind"}">{name}{data}</tr>'


def _recipes(rows: Sequence[RecipeRow]) -> str:
    heads = ("Recipe", "Best", "Target", "Fastest, steps")
    head = "".join(f'<th scope="col">{escape(text)}</th>' for text in heads)
    body = "".join(map(_recipe, rows))
    label = "Each recipe has a page of its own"
    return f"""<section id="recipes" aria-labelledby="recipes-title">
<p class="topic">Recipes</p>
<h2 id="recipes-title">{label}</h2>
{table(f"<tr>{head}</tr>", body, label, "plain")}
</section>"""


def _recipe(row: RecipeRow) -> str:
    cells = (
        f'<a href="{escape(row.link)}">{escape(row.name)}</a>{small(row.notes)}',
        f"{escape(row.best)}{small(row.result)}",
        f"{escape(row.target)}{small(row.by)}",
        escape(row.fastest),
    )
    return f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"


def _grid(name: str, topic: str, fact: Grid) -> str:
    head = "".join(f'<th scope="col">{escape(text)}</th>' for text in ("", *fact.recipes))
    body = "".join(
        f'<tr><th scope="row">{named(key)}</th>'
        + "".join(f"<td>{escape(text)}{small(note)}</td>" for text, note in cells)
        + "</tr>"
        for key, cells in fact.rows
    )
    grid = table(f"<tr>{head}</tr>", body, fact.caption.title, "summary")
    return section(name, topic, fact.caption, grid)


def _left_out(caption: Caption, rows: Sequence[LeftOutRow]) -> str:
    heads = ("Without", "Best mean rank", "")
    body = plain_table(heads, ((r.recipe, r.leader, r.decides) for r in rows), caption.title)
    return section("without", "Without one recipe", caption, body)


def _profiles(fact: Profiles, figures: Figures) -> str:
    keys = (stairs.key for stairs in fact.profiles[0].stairs)
    plots = "".join(
        f"<div>{figures.place(profile_figure(each), f'In {each.name}. {fact.caption.alt}')}</div>"
        for each in fact.profiles
    )
    body = f'{legend(keys)}{axis_note("share of the recipes")}<div class="pair">{plots}</div>'
    return section("profiles", "Performance profiles", fact.caption, body)
