"""What each figure and table of the page over several recipes says, words included."""

from __future__ import annotations

from dataclasses import dataclass

from ravine.report.records import Caption, Key, Ranking


@dataclass(frozen=True)
class StandingRow:
    """One arm over all recipes, printed; `badge` is "best", "maybe best" or empty."""

    key: Key
    badge: str
    mean_rank: str
    interval: str
    p_best: str
    maybe_best: str
    steps_score: str
    seconds_score: str
    reached: str


@dataclass(frozen=True)
class RecipeRow:
    """One recipe, printed.

    Attributes:
        link: to its own page. best: which arms may be the best on it. result: that of the first.
        target: its value; by: where it comes from. fastest: who got there first, and when.
        notes: how many warnings its own page has.
    """

    name: str
    link: str
    best: str
    result: str
    target: str
    by: str
    fastest: str
    notes: str


@dataclass(frozen=True)
class LeftOutRow:
    """What comes out without one recipe, printed."""

    recipe: str
    leader: str
    decides: str


@dataclass(frozen=True)
class Grid:
    """One number in print for each arm and recipe, with a second, smaller one.

    Attributes:
        recipes: names of the columns. rows: (arm, (number, note) for each recipe).
    """

    caption: Caption
    recipes: tuple[str, ...]
    rows: tuple[tuple[Key, tuple[tuple[str, str], ...]], ...]


@dataclass(frozen=True)
class Stairs:
    """An arm's performance profile: from each of `taus` on, the share of recipes beside it."""

    key: Key
    taus: tuple[float, ...]
    shares: tuple[float, ...]
    score: str


@dataclass(frozen=True)
class Profile:
    """The performance profiles by one cost, e.g. in steps; the highest score first."""

    name: str
    tau_max: float
    stairs: tuple[Stairs, ...]


@dataclass(frozen=True)
class Profiles:
    """How often each arm is nearly the fastest."""

    caption: Caption
    profiles: tuple[Profile, ...]


@dataclass(frozen=True)
class OverallFacts:
    """Everything on the page, in its order. `noun`: what is compared, "optimizer" or "candidate"."""

    noun: str
    names: str
    answer: str
    speed: str
    warnings: tuple[str, ...]
    counts: tuple[str, ...]
    standings: tuple[StandingRow, ...]
    recipes: tuple[RecipeRow, ...]
    ranking: Ranking
    ranks: Grid
    left_out: tuple[Caption, tuple[LeftOutRow, ...]]
    profiles: Profiles
    times: Grid
    method: tuple[tuple[str, str], ...]
    environment: tuple[tuple[str, str], ...]
    command: str | None
