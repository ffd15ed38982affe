"""Signals that shrink or grow on their way through the layers."""

from __future__ import annotations

import math

from ravine.diagnostics.facts import Facts
from ravine.diagnostics.finding import Finding
from ravine.diagnostics.findings._outcome import Outcome, outcome
from ravine.diagnostics.findings._readings import always, constant_outputs, finite, first, usual
from ravine.diagnostics.history import History

VANISHED = 1e-3
SHRINKS = 0.65
"""The derivative at the first layer over that at the last hidden one, in all and per layer. Healthy
runs: at least 2.7e-3 in all."""
EXPLODED, GROWS = 5.0, 1.2
"""The same; healthy runs: at most 1.4 in all, deep residual networks 5 in all at 1.1 a layer."""
FORGETS = 0.35
"""A time step's share of it that is less than torch's own start gives: an RNN 0.45, a GRU 0.62, an
LSTM 0.58. With these a run fails for another reason first, unless it has to remember for long."""
TOO_MUCH, TOO_MUCH_SQUARED = 2.0, 4.0
"""The first loss over that of the best constant output, and over that of zeros; healthy starts: at most
1.4. Of a squared error outputs that start as wide as the targets have 2 already, healthy starts 2.3, and
4 at 1.7 times their width."""
NOTHING = 1e-4
"""Deviation of the outputs over the examples at the start, over what it has to become."""
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
    places = history.places("backpropagated_norm")[:-1]  # the output has a scale of its own
    if len(places) < 2:
        return []
    near, far = (first(history, "backpropagated_norm", p) for p in (places[-1], places[0]))
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
    if ratio > EXPLODED and each > GROWS:
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
    """Inside of recurrent layers, from the last time step to the first one."""
    found = [(first(history, "through_time", p), p) for p in history.places("through_time")]
    if not found:
        return None
    gain, place = max(found)
    steps = first(history, "time_steps", place)
    each = gain ** (1 / steps)
    if gain > EXPLODED:
        return Finding(
            "exploding_gradients",
            result.severity(0.92),
            f"Derivatives grow {gain:.3g} times on their way through {steps:.0f} time steps of {place}, "
            f"{each:.3g} times a step.",
            "Start with an orthogonal recurrent matrix of radius 1 at most, and clip gradients.",
            0,
            place,
        )
    little = result.left > (0.5 if each < FORGETS else 0.9)
    if gain < VANISHED and little:
        return Finding(
            "vanishing_gradients",
            result.severity(0.93 if each < FORGETS else 0.87),
            f"Derivatives shrink to {gain:.3g} on their way through {steps:.0f} time steps of {place}, "
            f"{each:.2g} times a step.",
            "Use a GRU or an LSTM with a forget bias of 1, or an orthogonal recurrent matrix.",
            0,
            place,
        )
    return None


def _forwards(history: History, result: Outcome) -> list[Finding]:
    start = first(history, "loss")
    places = history.places("activation_std")
    stds = [first(history, "activation_std", place) for place in places]
    squared, directness = always(history, "cost_is_squared_error"), 0.91
    plain = max(finite([result.constant, usual(history, "loss_of_zeros")]), default=math.nan)
    bound = (TOO_MUCH_SQUARED if squared else TOO_MUCH) * plain
    if start > bound > 0 and result.before > bound:
        evidence = (
            f"The first loss is {start:.3g} where outputs of 0 and the best constant have {plain:.3g}: "
            f"outputs start with a deviation of {first(history, 'output_std'):.3g}."
        )
    elif _nothing(history, result):
        directness, evidence = (
            0.86,
            f"Outputs start with a deviation of {first(history, 'output_std'):.2g} where targets have "
            f"{_unit(history, result):.2g}.",
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
    return [Finding("bad_scale_at_start", result.severity(directness), evidence, remedy, 0)]


def _nothing(history: History, result: Outcome) -> bool:
    """Whether outputs start next to 0, though not quite the same for all examples."""
    begun = first(history, "output_std")
    small = 0 < begun < NOTHING * _unit(history, result)
    return small and _random(history) and not constant_outputs(history)


def _unit(history: History, result: Outcome) -> float:
    """What outputs have to vary by in the end: targets' deviation, or 1 for scores."""
    if always(history, "cost_is_squared_error") and not always(history, "cost_is_robust"):
        return math.sqrt(result.constant) if result.constant > 0 else math.nan
    return 1.0


def _random(history: History) -> bool:
    """Whether weights were drawn: copies have a finding of their own."""
    places = history.places("equal_weights")
    return not any(first(history, "equal_weights", place) > 0.9 for place in places[:-1])
