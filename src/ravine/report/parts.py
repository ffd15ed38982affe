"""The parts of a page: sections, tables, figures' places, and the one file that holds them all.

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

from ravine.report.records import Caption
from ravine.whole import write_whole


class Figures:
    """Collects figures and hands out the places where the page's script draws them."""

    def __init__(self) -> None:
        self._drawn: list[str] = []

    def place(self, figure: go.Figure, alt: str) -> str:
        """Take in a figure; returns the element that shows it, `alt` for those who cannot see it."""
        self._drawn.append(figure.to_json(engine="json"))
        height = int(figure.layout.height)
        return (
            f'<div class="plot" role="img" aria-label="{escape(alt)}" '
            f'data-figure="{len(self._drawn) - 1}" style="height:{height}px"></div>'
        )

    def json(self) -> str:
        """All figures, safe inside a script element whatever Plotly escapes by itself."""
        return f"[{','.join(self._drawn)}]".replace("<", "\\u003c")


def document(
    title: str,
    heading: str,
    lead: str,
    contents: Iterable[tuple[str, str]],
    sections: Iterable[str],
    figures: Figures,
) -> str:
    """A whole page: one HTML file that needs nothing else.

    Args:
        title: of the window, as text.
        heading, lead: what stands on top, as HTML.
        contents: the sections to jump to: (name, topic) each.
        sections: as HTML, in order.
        figures: all that have been placed.
    """
    links = (f'<a href="#{name}">{escape(topic)}</a>' for name, topic in contents)
    return Template(_resource("page.html")).substitute(
        title=escape(title),
        heading=heading,
        lead=lead,
        contents=" ".join(links),
        style=_resource("style.css"),
        sections="\n".join(sections),
        figures=figures.json(),
        plotly=get_plotlyjs().replace("</script", "<\\/script"),
    )


def _resource(name: str) -> str:
    return files("ravine.report").joinpath(name).read_text(encoding="utf-8")


def save(page: str, path: str | os.PathLike[str]) -> Path:
    """Write a page to `path`, whole or not at all, and return the path."""
    return write_whole(Path(path), page.encode())


def section(name: str, topic: str, caption: Caption, body: str) -> str:
    """A section around a figure or a table."""
    return f"""<section id="{name}" aria-labelledby="{name}-title">
<p class="topic">{escape(topic)}</p>
<h2 id="{name}-title">{escape(caption.title)}</h2>
<figure>{body}
<figcaption><b>How to read:</b> {escape(caption.reading)}</figcaption></figure>
</section>"""


def method(questions: Sequence[tuple[str, str]]) -> str:
    """The section that says how things were measured."""
    items = "".join(f"<div><dt>{escape(q)}</dt><dd>{escape(a)}</dd></div>" for q, a in questions)
    return f"""<section id="method" aria-labelledby="method-title">
<p class="topic">Method</p>
<h2 id="method-title">How this was measured</h2>
<dl class="questions">{items}</dl>
</section>"""


def environment(facts: Sequence[tuple[str, str]], command: str | None) -> str:
    """The section on versions and machine."""
    items = "".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in facts
    )
    run = f"<p>The command:</p><pre><code>{escape(command)}</code></pre>" if command else ""
    return f"""<section id="environment" aria-labelledby="environment-title">
<p class="topic">Environment</p>
<h2 id="environment-title">To measure it again</h2>
{run}<dl class="environment">{items}</dl>
</section>"""


def warned(warnings: Sequence[str]) -> str:
    """What the reader must know first; nothing for no warning."""
    if not warnings:
        return ""
    items = "".join(f"<li>{escape(text)}</li>" for text in warnings)
    return f'<div class="warnings"><h2>Before you trust this</h2><ul>{items}</ul></div>'


def counted(counts: Sequence[str]) -> str:
    """How much went into it, in one line."""
    return f'<ul class="counts">{"".join(f"<li>{escape(text)}</li>" for text in counts)}</ul>'


def unbroken(text: str) -> str:
    """Keep intervals, probabilities and settings on one line."""
    return re.sub(
        r"\[[^] ]+ [^] ]+\]|P (=|&[lg]t;) |rate (?=\d)", lambda m: m[0].replace(" ", "&nbsp;"), text
    )


def axis_note(text: str) -> str:
    """What a figure's vertical axis shows, above it: sideways it would take a phone's width."""
    return f'<p class="axis-note">Vertical axis: {escape(text)}</p>'


def sign(shape: str, width: int = 18) -> str:
    """A small drawing for a legend."""
    size = f'width="{width}" height="18" viewBox="0 0 {width} 18"'
    return f'<svg aria-hidden="true" {size}>{shape}</svg>'


def small(text: str) -> str:
    """A second line, smaller; nothing for an empty text."""
    return f"<small>{escape(text)}</small>" if text else ""


def table(head: str, body: str, label: str, kind: str) -> str:
    """A table in a box of its own to scroll in; the box takes the keyboard's focus."""
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(label)}">'
        f'<table class="{kind}"><caption class="unseen">{escape(label)}</caption>'
        f"<thead>{head}</thead><tbody>{body}</tbody></table></div>"
    )


def plain_table(heads: Iterable[str], rows: Iterable[Iterable[str]], label: str) -> str:
    """A table of texts; an empty cell shows a dash."""
    head = "".join(f'<th scope="col">{escape(text)}</th>' for text in heads)
    cells = ("".join(f"<td>{escape(text) or '–'}</td>" for text in row) for row in rows)
    body = "".join(f"<tr>{row}</tr>" for row in cells)
    return table(f"<tr>{head}</tr>", body, label, "plain")
