"""Gradient noise against the batch size, in facts and words. Pure."""

from __future__ import annotations

import math

from ravine.report import words
from ravine.report.axes import log_axis
from ravine.report.records import Caption
from ravine.report.run.readings import finite, paired, tick
from ravine.report.run.record import RunRecord
from ravine.report.run.records import Chart, Charts, Line


def noise_charts(record: RunRecord) -> Charts | None:
    """The noise scale over the run; None where it was not measured."""
    scale = record.history.series("gradient_noise_scale")
    values = [value for value in scale.values if not math.isnan(value)]
    if not values:
        return None
    batch, last = record.facts.batch_size, record.steps
    late = late_scale(record)
    lines = [Line("noise scale", 0, "dots", tuple(scale.steps), tuple(scale.values))]
    if batch is not None:
        lines.insert(0, _level(f"a minibatch: {batch:,}", 6, batch, 0, last))
    if math.isfinite(late):
        lines.append(_level("the last half, averaged", 1, late, last // 2, last))
    y = log_axis((v for line in lines for v in finite(line.values)), tick)
    title = _title(record)
    reading = (
        "The noise scale is how many examples a minibatch needs for its gradient to hold as much "
        "signal as noise. Well below it, larger minibatches make better steps; well above it, they "
        "are a waste. It usually grows as the loss falls. Dots at the upper edge are infinite: the "
        "signal could not be seen."
    )
    chart = Chart("noise scale, examples", title, last, y, tuple(lines))
    return Charts("noise", "Gradient noise", Caption(title, reading, title), (chart,))


def _level(name: str, slot: int, value: float, start: int, end: int) -> Line:
    return Line(name, slot, "level", (start, end), (float(value), float(value)))


def late_scale(record: RunRecord) -> float:
    """tr Σ / |g|² over the last half of the run, both averaged before they are divided: single
    ratios are biased. Infinite where |g|² is not above zero, NaN without readings."""
    history = record.history
    both = paired(history.series("gradient_variance"), history.series("true_gradient_norm_squared"))
    late = [
        (noise, square)
        for step, noise, square in both
        if step >= record.steps / 2 and math.isfinite(noise) and math.isfinite(square)
    ]
    noise, square = (sum(values) for values in zip(*late, strict=True)) if late else (0.0, 0.0)
    if noise == 0:
        return math.nan
    return noise / square if square > 0 else math.inf


def _title(record: RunRecord) -> str:
    late, batch = late_scale(record), record.facts.batch_size
    if math.isnan(late):
        return "The noise of the gradient was measured in the first half of the run only."
    if math.isinf(late):
        return "In the last half of the run noise hid the gradient altogether."
    scale = words.plural(max(1, round(late)), "example")
    text = f"In the last half of the run the noise scale was {scale}"
    if batch is None:
        return f"{text}."
    than = "more than" if late > batch else "no more than"
    return f"{text}, {than} the {batch:,} of a minibatch."
