"""How much of the gradient is noise: would a larger batch help?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor

from ravine.diagnostics.instrument import Instrument, Name, Readings
from ravine.diagnostics.instruments._hvp import flat
from ravine.diagnostics.look import Look
from ravine.errors import SettingError
from ravine.seeds import generator

PARTS = 8


@final
class Noise(Instrument):
    r"""Noise scale and standard error of the gradient, from the gradients of parts of the batch.

    The batch of B examples is dealt at random into K parts of bₖ examples. The gradient Gₖ of
    each is exact, through the graph that is there: dJ/d(output) with the rows of other examples
    set to 0, times B/bₖ. With Ḡ = Σ (bₖ/B) Gₖ:

        tr Σ  =  1/(K-1) Σ bₖ ‖Gₖ - Ḡ‖²      variance of one example's gradient
        |g|²  =  ‖G‖² - tr Σ / B              squared length of the gradient of all data
        B_s   =  tr Σ / |g|²                  the noise scale, in examples
        s     =  √(tr Σ / B)                  standard error of the batch's gradient, its length

    Both first lines are unbiased (for equal parts they are the estimators of appendix A.1). At
    B = B_s noise and signal are equally long; far below it, a larger batch makes better steps.
    Parts of one example (K ≥ B) give the exact sample variance. With fewer, tr Σ scatters about
    that by at most √(2/(K-1)) of itself (one standard error, if noise lies along a single
    direction; much less if along many), 53% for K = 8. |g|² can come out below 0: then the
    noise hides the gradient and B_s is infinite. Averages over looks should be taken of tr Σ and
    |g|² each, not of their ratio.

    What is assumed:

    - The first axis of what the model returns counts examples, and every example's cost depends
      on its own row. Of a batch of sequences an example is a sequence.
    - J may be a mean or a sum of the examples' costs. An example's gradient here is B times what
      it adds to G, so G is their mean either way; for a sum, tr Σ, |g|² and s are those of the
      sum's gradient (B² and B times larger), B_s and s/‖G‖ are the same. A normalizer that
      differs between batches (weights of classes, ignored tokens) counts as a constant.
    - What reaches J around that output (a penalty on weights, a second head) has no noise.
    - Batch norm in training mode couples the examples: each one's cost moves with all others
      through the batch's statistics, and the parts add up to G but are not independent draws.
      The share of the statistics is not told apart: on a small network for digits s² came out
      19, 10 and 8% above the true variance of G, at batches of 8, 32 and 128.

    A batch of one example has no parts: nothing is measured.

    Args:
        parts: K, at most; B where the batch is smaller.

    Raises:
        SettingError: fewer than 2 parts.
        RuntimeError (in `look`): the model returned no tensor, or J does not depend on it.

    Source: McCandlish, Kaplan, Amodei et al., "An Empirical Model of Large-Batch Training", 2018,
        section 2.2 and appendix A.1.
    """

    def __init__(self, parts: int = PARTS) -> None:
        if parts < 2:
            raise SettingError(f"{parts} parts came; a variance needs at least 2, {PARTS} is usual")
        self.name = "noise"
        self.quantities = {
            "gradient_variance": "tr Σ, variance of one example's gradient, (cost / parameter)²",
            "true_gradient_norm_squared": "|g|² without the noise's part, (cost / parameter)²",
            "gradient_noise_scale": "tr Σ / |g|², examples; infinite where |g|² ≤ 0",
            "gradient_standard_error": "√(tr Σ / B), cost / parameter",
        }
        self.parts = parts
        self.cost = f"{parts} backward passes and the gradient; memory of two gradients"
        self.passes = 1.0 + parts
        self.differentiates = True

    def look(self, look: Look) -> Readings:
        """The variance and what follows from it."""
        output, slope = _slope(look)
        size = output.shape[0]
        if size < 2:
            return {}
        g = flat(look.gradients.values())
        order = torch.randperm(size, generator=generator("noise", look.step))
        parts = torch.tensor_split(order.to(slope.device), min(self.parts, size))
        variance = _variance(look, output, slope, parts)
        signal = float(torch.dot(g, g)) - variance / size
        return {
            Name("gradient_variance"): variance,
            Name("true_gradient_norm_squared"): signal,
            Name("gradient_noise_scale"): float("inf") if signal <= 0.0 else variance / signal,
            Name("gradient_standard_error"): (variance / size) ** 0.5,
        }


def _slope(look: Look) -> tuple[Tensor, Tensor]:
    """What the model returned, and dJ/d(output), like it."""
    output = look.output
    if output is None or output.ndim == 0:
        came = "no tensor" if output is None else "a single number"
        raise RuntimeError(f"the model returned {came}; noise needs an output of [batch, ...]")
    if look.inputs is not None and look.inputs.shape[:1] != output.shape[:1]:
        raise RuntimeError(
            f"the first axis of the output, {list(output.shape)}, does not count the examples of "
            f"the input, {list(look.inputs.shape)}; noise needs both [batch, ...]"
        )
    try:
        (slope,) = torch.autograd.grad(look.loss, output, retain_graph=True)
    except RuntimeError as error:
        raise RuntimeError(
            f"the cost does not depend on what the model returned first: {error}; noise needs a "
            "cost that is computed from it"
        ) from error
    return output, slope


def _variance(look: Look, output: Tensor, slope: Tensor, parts: Sequence[Tensor]) -> float:
    """tr Σ from parts of the batch, each given by its rows.

    Welford's update of mean and sum of squares: two vectors are held, not K, and no large numbers
    cancel.
    """
    squares, seen, mean = 0.0, 0, None
    for rows in parts:
        gradient = _gradient(look, output, slope, rows)
        mean = torch.zeros_like(gradient) if mean is None else mean
        seen += len(rows)
        away = gradient - mean
        mean.add_(away, alpha=len(rows) / seen)
        squares += len(rows) * float(torch.dot(away, gradient.sub_(mean)))
    return squares / (len(parts) - 1)


def _gradient(look: Look, output: Tensor, slope: Tensor, rows: Tensor) -> Tensor:
    """Gₖ: the gradient if the batch were these rows alone, [n]."""
    masked = torch.zeros_like(slope).index_copy(0, rows, slope[rows])
    sums = torch.autograd.grad(
        output,
        list(look.params.values()),
        masked,
        retain_graph=True,
        allow_unused=True,
        materialize_grads=True,
    )
    return flat(sums).mul_(len(slope) / len(rows))
