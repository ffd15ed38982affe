"""What the page of an experiment made again says, before anything is drawn. Pure."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace

from ravine.comparison import statistics
from ravine.report import words
from ravine.report.again.records import AgainFacts, ClaimRow, LineRow, PanelFacts
from ravine.report.axes import Axis, linear_axis, log_axis
from ravine.report.curves import drawn, line_of, start_of
from ravine.report.records import Caption, Curves, Key
from ravine.report.records import Line as Drawn
from ravine.reproduce import Judged, Made, Reproduction
from ravine.reproduce.claims import EVEN, LEVEL, NOISE
from ravine.reproduce.made import Line

ABOVE = 1.2
"""What rises above so many times the start, or above what comes later, leaves the figure: it would
squeeze all the rest."""

EARLY = 9
"""A linear axis leaves out what was above all lines in the first ninth of the training and not later, as
printed figures do."""

SAME = "The margin is the same in all experiments."

VERDICTS = ("holds", "undecided", "does not hold")


def facts_of(found: Reproduction) -> AgainFacts:
    """Turn what came out into all that the page says."""
    judged = [j for made in found.made for j in made.judged]
    return AgainFacts(
        name=found.study.name,
        source=found.study.source,
        answer=answer(judged),
        counts=_counts(found),
        panels=tuple(map(_panel, found.made)),
        differences=tuple(found.study.differences(found.scale)),
        method=_method(found),
        environment=tuple((k, v) for k, v in found.environment.items() if k != "command"),
        command=found.environment.get("command"),
    )


def answer(judged: Sequence[Judged]) -> str:
    """How many of the claims hold, in a sentence.

    >>> from ravine.reproduce import Claim
    >>> answer([Judged(Claim("adam", "ahead", "sgd"), p) for p in (0.99, 0.5)])
    '1 of 2 claims holds, 1 is undecided.'
    """
    counts = Counter(one.verdict for one in judged)
    said = {
        "holds": ("holds", "hold"),
        "undecided": ("is undecided", "are undecided"),
        "does not hold": ("does not hold", "do not hold"),
    }
    holds = counts["holds"]
    if holds == len(judged):
        return f"All {len(judged)} claims hold." if holds > 1 else "The claim holds."
    parts = [
        f"{holds or 'none'} of {words.plural(len(judged), 'claim')} {said['holds'][holds > 1]}"
    ]
    parts += [f"{counts[v]} {said[v][counts[v] > 1]}" for v in VERDICTS[1:] if counts[v]]
    text = ", ".join(parts)
    return f"{text[0].upper()}{text[1:]}."


def _counts(found: Reproduction) -> tuple[str, ...]:
    lines = [line for made in found.made for line in made.lines]
    seeds = sorted({len(line.runs) for line in lines})
    trainings = sum(len(line.runs) for line in lines)
    return (
        words.plural(len(found.made), "figure"),
        words.plural(len(lines), "line"),
        f"{words.listing([str(n) for n in seeds])} fresh seeds each",
        f"{words.plural(trainings, 'training')} on fresh seeds",
        f"scale {words.number(found.scale)}",
    )


def _panel(made: Made) -> PanelFacts:
    panel = made.panel
    return PanelFacts(
        name=panel.name,
        topic=panel.source,
        heading=panel.title,
        expected=panel.expected,
        claims=tuple(ClaimRow(j.claim.said(made.titles), _p_of(j), j.verdict) for j in made.judged),
        curves=_curves(made),
        y=panel.y,
        rows=tuple(_row(line, panel.y) for line in made.lines),
        report=made.report or "",
    )


def _p_of(one: Judged) -> str:
    return "runs diverged" if one.p is None else words.p_is(one.p)


def _curves(made: Made) -> Curves:
    panel = made.panel
    lines = tuple(_drawn(line, slot, panel.x) for slot, line in enumerate(made.lines))
    percent = panel.y.endswith("error")
    return Curves(
        caption=_caption(made, lines),
        y=_axis(lines, panel.log, percent),
        y_title=f"{panel.y}, {'logarithmic, ' if panel.log else ''}lower is better",
        percent=percent,
        lines=lines,
        x_title=panel.x,
    )


def _drawn(line: Line, slot: int, x: str) -> Drawn:
    key = Key(line.name, line.title, slot)
    made = line_of(key, line.runs, lambda curve: curve.validation_metrics, math.inf)
    if x == "gradient steps":
        return made
    return replace(made, steps=tuple(step / line.epoch for step in made.steps))


def _axis(lines: Sequence[Drawn], log: bool, percent: bool) -> Axis:
    """Logarithmic where the original's is; lines far above the start end at its top."""

    def text(value: float) -> str:
        return f"{words.number(100 * value)}%" if percent else words.number(value)

    start = start_of(lines, maximize=False)
    ceiling = start * ABOVE if math.isfinite(start) else math.inf
    if log:
        return log_axis([min(value, ceiling) for value in drawn(lines)], text, pad=0.05)
    later = [replace(line, middle=line.middle[len(line.middle) // EARLY :]) for line in lines]
    highest = max((v for line in later for v in line.middle if v < ceiling), default=ceiling)
    axis = linear_axis([min(value, ABOVE * highest) for value in drawn(lines)], text)
    return replace(axis, lo=max(axis.lo, 0.0))


def _caption(made: Made, lines: Sequence[Drawn]) -> Caption:
    ends = {line.key.title: line.middle[-1] for line in lines}
    ordered = sorted(ends, key=lambda title: ends[title])
    best = ordered[0]
    number = _printer(made.panel.y)
    title = f"{made.panel.title}: {best} ends lowest, at {number(ends[best])}."
    reading = (
        "Line: median over the fresh seeds; band: the middle half of them. Press a name to hide or "
        "show it."
    )
    if not all(math.isfinite(value) for line in lines for value in line.middle):
        reading += " A line stops where most seeds diverged."
    alt = f"{made.panel.y.capitalize()} against {made.panel.x}. At the end: " + "; ".join(
        f"{name} {number(ends[name])}" for name in ordered
    )
    return Caption(title, reading, f"{alt}.")


def _printer(y: str) -> Callable[[float], str]:
    """How values of a quantity print."""

    def text(value: float) -> str:
        if not math.isfinite(value):
            return "diverged"
        return f"{100 * value:.2f}%" if y.endswith("error") else words.number(value)

    return text


def _row(line: Line, y: str) -> LineRow:
    text = _printer(y)
    ends = [run.curve[-1].validation_metric for run in line.runs if run.diverged_at is None]
    lost = len(line.runs) - len(ends)
    shown = "diverged"
    if ends:
        interval = statistics.interval(ends)
        shown = f"{text(interval.mean)} [{text(interval.lo)}, {text(interval.hi)}]"
    return LineRow(
        title=line.title,
        lr=words.number(line.lr),
        end=shown,
        seeds=str(len(line.runs)),
        diverged=f"{lost} of {len(line.runs)}",
    )


def _method(found: Reproduction) -> tuple[tuple[str, str], ...]:
    relations = {j.claim.relation for made in found.made for j in made.judged}
    asked = [
        (
            "What is P?",
            "The probability that the claim is true of the expected results, given the seeds that were "
            "seen: from a multivariate Student distribution over the paired differences. A claim holds "
            f"from P = {LEVEL:g} on, and does not from {1 - LEVEL:.2g} down; between them it is "
            "undecided. Each claim is judged by itself.",
        ),
        (
            "Why fresh seeds?",
            "Settings that were chosen on some seeds were partly lucky on them. No seed that is judged "
            "by took part in choosing anything.",
        ),
    ]
    if "even" in relations:
        asked.append(
            (
                "When are two lines alike (~)?",
                f"If they differ by less than {EVEN:.0%} of the way from the best line to the worst "
                f"that did not diverge: about what one sees. Where no third line is left, the claim is "
                f"undecided. {SAME}",
            )
        )
    if "reaches" in relations:
        asked.append(
            (
                "When does a line reach another?",
                f"If it is behind by less than {NOISE:g} standard deviations between single runs of the "
                "other, which is uncertain itself, and counts so. Where a run of the other diverged, "
                f"the claim is undecided. {SAME}",
            )
        )
    if any(made.panel.log for made in found.made):
        asked.append(
            (
                "Why logarithms?",
                "The original's axis is logarithmic: what is alike there is alike in logarithms, and so "
                "it is judged.",
            )
        )
    return tuple(asked)
