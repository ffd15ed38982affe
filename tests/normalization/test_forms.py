"""The two forms of a batch norm, and what training in the first makes of the weights' scale."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from ravine.normalization import evaluation_form, training_form
from ravine.normalization._forms import moments
from tests.normalization.models import drawn

SHAPES = {"1d": (7, 5), "sequence": (7, 5, 4), "2d": (3, 5, 4, 2), "3d": (3, 5, 2, 3, 2)}
LAYERS = {
    "1d": nn.BatchNorm1d,
    "sequence": nn.BatchNorm1d,
    "2d": nn.BatchNorm2d,
    "3d": nn.BatchNorm3d,
}


@pytest.mark.parametrize("eps", [1e-5, 1e-3])
@pytest.mark.parametrize("kind", SHAPES)
def test_both_forms_are_torchs(kind: str, eps: float) -> None:
    H = 3 * drawn(*SHAPES[kind]) + 2
    layer = LAYERS[kind](5, eps=eps, affine=False).double()
    torch.testing.assert_close(training_form(H, eps), layer(H), rtol=1e-12, atol=1e-13)
    layer(H + 1)
    mean, variance = layer.running_mean, layer.running_var
    ours = evaluation_form(H, mean, variance, eps)
    torch.testing.assert_close(ours, layer.eval()(H), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("kind", SHAPES)
def test_the_training_form_is_numpys(kind: str) -> None:
    H = drawn(*SHAPES[kind]).numpy() * 3 + 2
    axes = tuple(axis for axis in range(H.ndim) if axis != 1)
    mean, variance = H.mean(axis=axes, keepdims=True), H.var(axis=axes, keepdims=True)
    found = moments(torch.from_numpy(H))
    assert found.count == H.size // 5
    np.testing.assert_allclose(found.mean, mean.ravel(), rtol=1e-12)
    np.testing.assert_allclose(found.variance, variance.ravel(), rtol=1e-12)
    expected = (H - mean) / np.sqrt(variance + 1e-5)
    np.testing.assert_allclose(training_form(torch.from_numpy(H)), expected, atol=1e-12)


def test_a_constant_channel_becomes_zero() -> None:
    assert torch.equal(training_form(torch.full((4, 2), 0.5)), torch.zeros(4, 2))


@pytest.mark.parametrize("scale", [0.1, 0.5, 3.0, 1000.0])
def test_the_output_does_not_depend_on_the_scale_of_the_weights(scale: float) -> None:
    """BN(aWx + b) = r BN(Wx), r² = (σ² + δ) / (σ² + δ/a²), so |r - 1| ≤ |1 - a⁻²| δ / σ².

    For a > 1 (r - 1)(r + 1) = (1 - a⁻²) δ / (σ² + δ/a²) and r ≥ 1; for a < 1 the denominator is
    larger than σ² as well. At σ² of 1 and δ of 10⁻⁵ that is 10⁻⁵ for large a, 10⁻³ for a = 0.1.
    """
    x, W, b = drawn(50, 6), drawn(6, 4, seed=1), drawn(4, seed=2)
    H = x @ W
    variance, one = H.var(dim=0, correction=0), training_form(H)
    other = training_form(scale * H + b)
    bound = abs(1 - scale**-2) * 1e-5 / variance
    assert (((other - one).abs() / one.abs()) <= bound + 1e-11).all()
    r = ((variance + 1e-5) / (variance + 1e-5 / scale**2)).sqrt()
    torch.testing.assert_close(other, r * one, rtol=1e-10, atol=1e-12)
    assert float((r - 1).abs().max()) > 1e-7  # δ is there, so it is no exact invariance
    exact = training_form(scale * H + b, eps=0.0)
    torch.testing.assert_close(exact, training_form(H, eps=0.0), rtol=1e-10, atol=1e-12)
    without = (scale * H + b - H).abs().max() / H.abs().max()
    assert float(without) > 0.1  # and the layer before it does depend on the scale
