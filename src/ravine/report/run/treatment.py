"""What the doctor tried, in facts and words. Pure."""

from __future__ import annotations

import math

from ravine.comparison.records import Interval
from ravine.diagnostics.doctor.prescription import Attempt, Prescription
from ravine.report import words
from ravine.report.records import Caption
from ravine.report.run.records import Treatment
from ravine.report.words import Metric


def treatment(found: Prescription) -> Treatment | None:
    """The changes tried and the one recommended; None where nothing was wrong."""
    if not found.findings:
        return None
    metric = _metric(found)
    better = "higher" if found.proof.maximize else "lower"
    title = sentence(found)
    reading = (
        "Each change was trained beside the run as it is, with the same luck: from the step before the "
        "trouble, or anew where it needs that. The better ones went on for longer; the validation "
        f"{metric.label} ({better} is better) is that of the step up to which a change was trained, "
        "beside that of the run as it is at the same step. The smallest change that does as well as "
        "the best was trained to the end on fresh seeds, as was the run as it is: the gain is the mean "
        "difference of these pairs, with its 95% interval."
    )
    heads = ("Change", "Trained", "Up to step", f"Validation {metric.label}", "As it is", "Remark")
    rows = tuple(_row(attempt, found, metric) for attempt in found.attempts)
    code = found.recommended.code if found.recommended and found.works else None
    return Treatment(Caption(title, reading, title), heads, rows, code)


def sentence(found: Prescription) -> str:
    """What the visit came to, in a sentence or two."""
    if not found.attempts:
        return "There is no remedy to try by machine."
    if found.recommended is None:
        return "None of the changes tried helps."
    metric = _metric(found)
    on = f"on {words.plural(len(found.proof.gains), 'fresh seed')}"
    change = found.recommended.name
    if found.works:
        return (
            f"What helps: {change}. It improves the {metric.label} by {_gain(found, metric)} {on}."
        )
    gain = f": {_gain(found, metric)}" if all(map(math.isfinite, found.proof.interval)) else ""
    return f"The most promising change is {change}, but it is not shown to help {on}{gain}."


def _metric(found: Prescription) -> Metric:
    """How the metric prints, with digits for the interval of the gain."""
    lo, hi = found.proof.interval
    spans = [Interval((lo + hi) / 2, lo, hi)] if math.isfinite(hi - lo) else []
    return words.metric_of(found.metric, found.proof.maximize, spans)


def _gain(found: Prescription, metric: Metric) -> str:
    lo, hi = found.proof.interval
    return metric.interval(Interval(sum(found.proof.gains) / len(found.proof.gains), lo, hi))


def _row(attempt: Attempt, found: Prescription, metric: Metric) -> tuple[str, ...]:
    name, trained = attempt.change.name, attempt.trained
    if attempt.failure is not None:
        return name, "", "", "", "", f"could not be trained: {attempt.failure}"
    chosen = attempt.change is found.recommended
    remark = ("recommended" if found.works else "most promising") if chosen else ""
    values = (metric.value(attempt.metric), metric.value(attempt.untouched))
    return name, trained, f"{attempt.until:,}", *values, remark
