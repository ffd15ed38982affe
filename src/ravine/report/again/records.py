"""The records of the page of an experiment made again: what each figure says, words included."""

from __future__ import annotations

from dataclasses import dataclass

from ravine.report.records import Curves


@dataclass(frozen=True)
class ClaimRow:
    """A claim, printed: what is claimed, its P, and the verdict."""

    claim: str
    p: str
    verdict: str


@dataclass(frozen=True)
class LineRow:
    """A line in numbers, printed: where it ends, with its 95% interval."""

    title: str
    lr: str
    end: str
    seeds: str
    diverged: str


@dataclass(frozen=True)
class PanelFacts:
    """One figure beside what is expected of it.

    Attributes:
        name: of its place on the page. topic: where the original stands.
        expected: what the original shows. claims: the same, judged.
        curves: what came out; its caption is the section's.
        rows: the lines in numbers. report: the page behind it, empty if there is none.
    """

    name: str
    topic: str
    heading: str
    expected: str
    claims: tuple[ClaimRow, ...]
    curves: Curves
    y: str
    rows: tuple[LineRow, ...]
    report: str


@dataclass(frozen=True)
class AgainFacts:
    """Everything on the page, in its order."""

    name: str
    source: str
    answer: str
    counts: tuple[str, ...]
    panels: tuple[PanelFacts, ...]
    differences: tuple[str, ...]
    method: tuple[tuple[str, str], ...]
    environment: tuple[tuple[str, str], ...]
    command: str | None
