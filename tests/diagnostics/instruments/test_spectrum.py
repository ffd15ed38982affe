"""Ends of the spectrum against dense Hessians in float64."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from ravine.diagnostics.instruments.spectrum import Spectrum
from ravine.errors import SettingError
from tests.diagnostics.instruments import truth
from tests.diagnostics.instruments.undisturbed import (
    MODELS,
    Attention,
    assert_undisturbed,
    examples,
)
from tests.diagnostics.looking import look_at

NONE = torch.zeros(0)


def spectrum_of(H: torch.Tensor, steps: int = 25) -> dict[str, float]:
    model = truth.Bowl(torch.ones(len(H), dtype=H.dtype))
    return truth.whole(Spectrum(steps).look(look_at(model, NONE, H, truth.quadratic)))


def assert_ends(readings: dict[str, float], eigenvalues: torch.Tensor, tolerance: float) -> None:
    """Both ends, and that a true eigenvalue lies within each stated residual."""
    for end, value in [("largest", eigenvalues[-1]), ("smallest", eigenvalues[0])]:
        found = readings[f"{end}_eigenvalue"]
        assert found == pytest.approx(float(value), rel=tolerance)
        rounding = 1e-12 * float(eigenvalues.abs().max())
        nearest = float((eigenvalues - found).abs().min())
        assert nearest <= readings[f"{end}_eigenvalue_residual"] + rounding


@pytest.mark.parametrize("trained", [0, 60])
@pytest.mark.parametrize("name", ["mlp", "conv"])
def test_ends_of_networks(name, trained):
    """<= 1%; reached: 0.09% at worst. Their Hessians are indefinite, at the start and later."""
    torch.manual_seed(0)
    model = MODELS[name]().double()
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    inputs, targets = examples()
    inputs = inputs.double()
    for _ in range(trained):
        loss = F.cross_entropy(model(inputs), targets)
        for p, g in zip(
            model.parameters(), torch.autograd.grad(loss, model.parameters()), strict=True
        ):
            p.data -= 0.1 * g
    eigenvalues = torch.linalg.eigvalsh(truth.hessian(model, inputs, targets, F.cross_entropy))
    assert eigenvalues[0] < 0 < eigenvalues[-1]
    readings = truth.whole(Spectrum().look(look_at(model, inputs, targets, F.cross_entropy)))
    assert_ends(readings, eigenvalues, 1e-2)


def test_a_saddle():
    """One way down among 99 ways up."""
    eigenvalues = torch.cat([torch.tensor([-0.3]), torch.linspace(0.1, 2.0, 99)]).double()
    readings = spectrum_of(truth.rotated(eigenvalues)[0])
    assert_ends(readings, eigenvalues, 1e-2)
    assert readings["smallest_eigenvalue"] < 0.0


def test_largest_eigenvalues_that_nearly_agree():
    """1 and 1 - 1e-6: their eigenvectors cannot be told apart, their value can."""
    bulk = torch.linspace(-0.2, 0.5, 98, dtype=torch.float64)
    eigenvalues = torch.cat([bulk, torch.tensor([1 - 1e-6, 1.0], dtype=torch.float64)])
    readings = spectrum_of(truth.rotated(eigenvalues)[0])
    assert readings["largest_eigenvalue"] == pytest.approx(1.0, abs=1.1e-6)
    assert readings["largest_eigenvalue_residual"] < 1e-6
    assert readings["smallest_eigenvalue"] == pytest.approx(-0.2, rel=1e-2)


def test_three_eigenvalues_are_found_in_three_steps_whatever_their_multiplicity():
    """Without a new direction the method ends; a fourth step would divide by rounding errors."""
    eigenvalues = torch.tensor([-1.0, *[0.5] * 20, *[4.0] * 9], dtype=torch.float64)
    readings = spectrum_of(truth.rotated(eigenvalues)[0])
    assert readings["largest_eigenvalue"] == pytest.approx(4.0, rel=1e-12)
    assert readings["smallest_eigenvalue"] == pytest.approx(-1.0, rel=1e-12)
    assert readings["largest_eigenvalue_residual"] < 1e-12


def test_a_wide_spectrum_keeps_its_vectors_orthogonal():
    """κ = 10⁸ and as many steps as dimensions: without reorthogonalization copies of the large
    eigenvalues crowd out the smallest."""
    eigenvalues = torch.logspace(-4, 4, 40, dtype=torch.float64)
    readings = spectrum_of(truth.rotated(eigenvalues)[0], steps=40)
    assert readings["largest_eigenvalue"] == pytest.approx(1e4, rel=1e-12)
    assert readings["smallest_eigenvalue"] == pytest.approx(1e-4, rel=1e-6)


def test_one_parameter_and_no_curvature():
    readings = spectrum_of(torch.tensor([[3.0]], dtype=torch.float64))
    assert readings["largest_eigenvalue"] == readings["smallest_eigenvalue"] == pytest.approx(3.0)
    flat = look_at(truth.Bowl(torch.ones(3)), NONE, NONE, lambda theta, _: theta.sum())
    ends = truth.whole(Spectrum().look(flat))
    assert "negative_curvature_share" not in ends
    assert set(ends.values()) == {0.0}


def test_share_of_negative_curvature():
    """Σ qᵢ²|λᵢ| over λ < 0 by Σ qᵢ²|λᵢ|, with qᵢ² near 1/n.

    λ is -1 for a fifth of 2,000 and 2 for the rest: the share is 0.2 / 1.8. The standard error of
    a ratio of such sums is about √(2p²(1-p)²(1/400 + 1/1600)) = 0.0078 for p = 1/9; 3 of them.
    """
    H = torch.cat([torch.full((400,), -1.0), torch.full((1600,), 2.0)]).double()
    model = truth.Bowl(torch.ones(2000, dtype=torch.float64))
    look = look_at(model, NONE, H, lambda theta, h: 0.5 * (h * theta * theta).sum())
    share = truth.whole(Spectrum(5).look(look))["negative_curvature_share"]
    assert share == pytest.approx(1 / 9, abs=3 * 0.0078)


def test_not_a_number_is_said():
    H = torch.diag(torch.tensor([1.0, float("nan")]))
    readings = spectrum_of(H)
    assert readings
    assert all(math.isnan(value) for value in readings.values())


def test_float32_reaches_its_precision():
    H, _ = truth.rotated(torch.linspace(-1.0, 3.0, 20, dtype=torch.float64))
    readings = spectrum_of(H.float())
    assert readings["largest_eigenvalue"] == pytest.approx(3.0, rel=3e-6)
    assert readings["smallest_eigenvalue"] == pytest.approx(-1.0, rel=3e-6)


def test_two_looks_at_one_point_agree_to_the_bit():
    H, _ = truth.rotated(torch.linspace(-1.0, 3.0, 60, dtype=torch.float64))
    torch.manual_seed(1)
    first = spectrum_of(H)
    torch.manual_seed(2)
    assert spectrum_of(H) == first


def test_fused_attention_says_what_to_do():
    inputs, targets = examples()
    with pytest.raises(RuntimeError, match=r"no second derivative.*SDPBackend\.MATH"):
        Spectrum().look(look_at(Attention(), inputs, targets, F.cross_entropy))


def test_steps_are_checked():
    with pytest.raises(SettingError, match="0 Lanczos steps"):
        Spectrum(0)


@pytest.mark.parametrize("make", MODELS.values())
def test_a_look_changes_nothing(make):
    assert_undisturbed(make, Spectrum(4))
