"""The records of a report: what each figure and table says, words included."""

from __future__ import annotations

from dataclasses import dataclass

from ravine.report.axes import Axis

REPORT = "report.html"
"""A comparison's page in its folder."""


@dataclass(frozen=True)
class Caption:
    """The words around a figure: takeaway, one sentence on how to read it, and alternative text."""

    title: str
    reading: str
    alt: str


@dataclass(frozen=True)
class Key:
    """An arm as all figures show it; `slot` picks its colour, dash and marker."""

    name: str
    title: str
    slot: int


@dataclass(frozen=True)
class SummaryRow:
    """One line of the table on top, printed.

    Attributes:
        badge: "best", "maybe best" or empty.
        validation: empty where all final runs diverged. validation_note: how many of them did.
    """

    key: Key
    badge: str
    lr: str
    other: str
    validation: str
    validation_interval: str
    validation_note: str
    test: str
    test_interval: str
    p_best: str
    steps: str
    seconds: str
    band: str
    diverged: str


@dataclass(frozen=True)
class RateRow:
    """One learning rate of one optimizer, printed; `other` is what else was searched, if anything."""

    title: str
    lr: str
    other: str
    early: str
    last: str
    steps: str
    status: str


@dataclass(frozen=True)
class RatePanel:
    """One optimizer's sensitivity to its learning rate: (rate, metric) pairs.

    Attributes:
        early: after the first rung, the same budget for all rates.
        full: after all T steps. chosen: the one of these that was chosen, if it is among them.
        diverged: rates at which a seed diverged.
        scattered: whether the settings differ in more than the rate, so that neighbours are no line.
        band: the good rates. note: chosen rate and good band in words.
    """

    key: Key
    early: tuple[tuple[float, float], ...]
    full: tuple[tuple[float, float], ...]
    chosen: tuple[float, float] | None
    diverged: tuple[float, ...]
    band: tuple[float, float] | None
    note: str
    scattered: bool = False


@dataclass(frozen=True)
class Sensitivity:
    """Validation metric over the learning rate, one panel per optimizer on common axes."""

    caption: Caption
    x: Axis
    y: Axis
    y_title: str
    maximize: bool
    panels: tuple[RatePanel, ...]
    rows: tuple[RateRow, ...]


@dataclass(frozen=True)
class Line:
    """A quantity over the steps of one optimizer's final runs: median and middle half of the seeds.

    A run that diverged counts as the worst of all from there on, an infinity.
    """

    key: Key
    steps: tuple[float, ...]
    middle: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    seeds: int


@dataclass(frozen=True)
class Curves:
    """One quantity during training, one line per optimizer; `x_title` is what its steps count."""

    caption: Caption
    y: Axis
    y_title: str
    percent: bool
    lines: tuple[Line, ...]
    x_title: str = "gradient steps"


@dataclass(frozen=True)
class IsolationPanel:
    """One hyperparameter of one optimizer: (value, metric) pairs, values as the axis takes them.

    Attributes:
        name: of the hyperparameter, in print.
        early: after the first rung, the same budget for all settings.
        best: the best of these in every part of the span.
        full: after all T steps. chosen: the one of these that was chosen, if it is among them.
        default: the rule's own value.
        note: the chosen value and the default in words.
    """

    key: Key
    name: str
    x: Axis
    early: tuple[tuple[float, float], ...]
    best: tuple[tuple[float, float], ...]
    full: tuple[tuple[float, float], ...]
    chosen: tuple[float, float] | None
    default: float
    note: str


@dataclass(frozen=True)
class Isolation:
    """Validation metric over each hyperparameter besides the learning rate, on a common y axis."""

    caption: Caption
    y: Axis
    y_title: str
    panels: tuple[IsolationPanel, ...]


@dataclass(frozen=True)
class GainRow:
    """What one optimizer gained from tuning, printed."""

    key: Key
    default: str
    chosen: str
    at_default: str
    tuned: str
    gain: str
    note: str


@dataclass(frozen=True)
class Gains:
    """What tuning gained, the most first."""

    caption: Caption
    rows: tuple[GainRow, ...]


@dataclass(frozen=True)
class RankRow:
    """One optimizer's mean rank with its interval; P(best) and how many seeds diverged, in print."""

    key: Key
    mean: float
    lo: float
    hi: float
    p_best: str
    note: str


@dataclass(frozen=True)
class Ranking:
    """Who ranks where."""

    caption: Caption
    rows: tuple[RankRow, ...]


@dataclass(frozen=True)
class Duels:
    """P(row beats column); None on the diagonal and where it is not known."""

    caption: Caption
    keys: tuple[Key, ...]
    cells: tuple[tuple[float | None, ...], ...]


@dataclass(frozen=True)
class Race:
    """One cost of reaching the target, e.g. in steps: (optimizer, amount, amount in print)."""

    name: str
    x: Axis
    rows: tuple[tuple[Key, float, str], ...]


@dataclass(frozen=True)
class Speed:
    """Steps and seconds to target; no races where nobody got there."""

    caption: Caption
    races: tuple[Race, ...]


@dataclass(frozen=True)
class DivergedRow:
    """Diverged trials of one optimizer at one setting, printed."""

    title: str
    setting: str
    stage: str
    trials: str


@dataclass(frozen=True)
class Divergence:
    """Which trials diverged."""

    caption: Caption
    rows: tuple[DivergedRow, ...]


@dataclass(frozen=True)
class FailureRow:
    """One setting at which trials failed, printed.

    Attributes:
        note: whether it is the chosen one, or which other rates failed alike.
        happened: how many diverged or got stuck. numbers: how far one came that got stuck.
        why: the finding. evidence: what was measured. change: what to do.
    """

    key: Key
    lr: str
    note: str
    happened: str
    numbers: str
    why: str
    evidence: str
    change: str


@dataclass(frozen=True)
class WhyFailed:
    """Why trials failed; `rest` says what was not looked into, and is empty if nothing was left."""

    caption: Caption
    rows: tuple[FailureRow, ...]
    rest: str


@dataclass(frozen=True)
class EffectRow:
    """One level of one choice, printed; `behind` is empty for the best one."""

    choice: str
    level: str
    validation: str
    behind: str
    p_best: str


@dataclass(frozen=True)
class Effects:
    """What each choice does by itself."""

    caption: Caption
    rows: tuple[EffectRow, ...]


@dataclass(frozen=True)
class Facts:
    """Everything on the page, in its order.

    Attributes:
        noun: what is compared, "optimizer" or "candidate".
        code: the title of the arm that is most probably the best, and its lines of PyTorch code; these
            are empty where it did not train, or nobody knows.
        effects: None where arms differ in one choice only.
        isolation, gains: None where only the learning rate was searched.
        budget: the best of k settings; None where that is not known.
    """

    recipe: str
    metric: str
    noun: str
    answer: str
    warnings: tuple[str, ...]
    counts: tuple[str, ...]
    summary: tuple[SummaryRow, ...]
    code: tuple[str, str]
    effects: Effects | None
    sensitivity: Sensitivity
    isolation: Isolation | None
    budget: Curves | None
    gains: Gains | None
    cost: Curves
    validation: Curves
    ranking: Ranking
    duels: Duels
    speed: Speed
    divergence: Divergence
    failures: WhyFailed
    method: tuple[tuple[str, str], ...]
    environment: tuple[tuple[str, str], ...]
    command: str | None
