"""Signals that shrink or grow on their way through the layers."""

from __future__ import annotations

import math

from ravine.diagnostics.facts import Facts
from ravine.diagnostics.finding import Finding
from ravine.diagnostics.findings._outcome import Outcome, outcome
from ravine.diagnostics.findings._readings import first
from ravine.diagnostics.history import History

VANISHED = 1e-3
SHRINKS = 0.65
"""The derivative at the first layer over that at the last hidden one, in all and per layer. Healthy
runs: at least 2.7e-3 in all."""
EXPLODED = 5.0
"""The same; healthy runs: at most 1.4."""
THROUGH_TIME = 15.0
"""The gradient of a recurrent matrix over that of the last weight; healthy runs: at most 1.7."""
TOO_MUCH = 2.0
"""The first loss over that of a constant output; healthy starts: at most 1.4."""
TOO_LITTLE = 1e-2
"""Deviation of the last layer's outputs over that of the first one's; healthy starts: at least 0.05."""


def find(history: History, facts: Facts) -> list[Finding]:
    """vanishing_gradients, exploding_gradients, bad_scale_at_start."""
    result = outcome(history, facts)
    if result.well:
        return []
    found = [*_backwards(history, result), *_forwards(history, result)]
    return found


def _backwards(history: History, result: Outcome) -> list[Finding]:
    through_time = _through_time(history, result)
    if through_time is not None:
        return [through_time]
    places = history.places("backpropagated_rms")[:-1]  # the output has a scale of its own
    if len(places) < 2:
        return []
    near, far = (first(history, "backpropagated_rms", p) for p in (places[-1], places[0]))
    if not (near > 0 and math.isfinite(far)):
        return []
    ratio, each = far / near, (far / near) ** (1 / (len(places) - 1))
    between = f"from {places[-1]} ({near:.2g}) to {places[0]} ({far:.2g})"
    if 0 < ratio < VANISHED and each < SHRINKS and result.left > 0.5:
        return [
            Finding(
                "vanishing_gradients",
                result.severity(0.93),
                f"Back-propagated derivatives shrink {1 / ratio:.3g} times {between}, {each:.2g} "
                "times a layer.",
                "Use ReLU or tanh for sigmoids, glorot or he starts, normalization, or skips.",
                0,
                places[0],
            )
        ]
    if ratio > EXPLODED:
        return [
            Finding(
                "exploding_gradients",
                result.severity(0.92),
                f"Back-propagated derivatives grow {ratio:.3g} times {between}, {each:.2g} times a "
                "layer.",
                "Start with smaller weights (he_normal, glorot_uniform), clip, or normalize.",
                0,
                places[0],
            )
        ]
    return []


def _through_time(history: History, result: Outcome) -> Finding | None:
    """Inside a recurrent layer no derivative is seen; its matrix' gradient is their sum."""
    places = history.places("gradient_norm")
    weights = [place for place in places if place.endswith("weight")]
    matrices = [place for place in places if "weight_hh" in place]
    if not weights or not matrices:
        return None
    last = first(history, "gradient_norm", weights[-1])
    place, norm = max(
        ((p, first(history, "gradient_norm", p)) for p in matrices), key=lambda pair: pair[1]
    )
    if not norm > THROUGH_TIME * last > 0:
        return None
    return Finding(
        "exploding_gradients",
        result.severity(0.92),
        f"The gradient of {place} is {norm:.3g} long at the first step, {norm / last:.3g} times as "
        f"long as that of {weights[-1]}.",
        "Start with an orthogonal recurrent matrix of radius 1 at most, and clip gradients.",
        0,
        place,
    )


def _forwards(history: History, result: Outcome) -> list[Finding]:
    start = first(history, "loss")
    places = history.places("activation_std")
    stds = [first(history, "activation_std", place) for place in places]
    if start > TOO_MUCH * result.constant > 0 and result.before > TOO_MUCH * result.constant:
        evidence = (
            f"The first loss is {start:.3g} where a constant output has {result.constant:.3g}: "
            f"outputs start with a deviation of {first(history, 'output_std'):.3g}."
        )
    elif len(stds) > 2 and 0 < stds[-1] < TOO_LITTLE * stds[0] and _random(history):
        evidence = (
            f"Outputs start with a deviation of {stds[-1]:.2g}, {stds[-1] / stds[0]:.2g} of the "
            f"first layer's {stds[0]:.2g}."
        )
    else:
        return []
    remedy = (
        "Scale starting weights by fan-in: init='he_normal' for ReLU, 'glorot_uniform' for tanh."
    )
    return [Finding("bad_scale_at_start", result.severity(0.91), evidence, remedy, 0)]


def _random(history: History) -> bool:
    """Whether weights were drawn: copies have a finding of their own."""
    places = history.places("equal_weights")
    return not any(first(history, "equal_weights", place) > 0.9 for place in places[:-1])
