"""Adam's first steps with and without the correction of bias."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from ravine import rules
from ravine.engines import eager
from ravine.rules import Hyper, Rule, State
from tests.references import Array

LR, EPS = 1e-3, 1e-8
GRADIENT = torch.tensor([2.0, -0.3, 1e-2], dtype=torch.float64)


def uncorrected() -> Rule:
    """Adam whose moments are used as they are, s and r for ŝ and r̂."""

    def init(param: Tensor) -> State:
        return {"s": torch.zeros_like(param), "r": torch.zeros_like(param)}

    def update(param: Tensor, grad: Tensor, state: State, hyper: Hyper) -> tuple[Tensor, State]:
        s = hyper["beta1"] * state["s"] + (1 - hyper["beta1"]) * grad
        r = hyper["beta2"] * state["r"] + (1 - hyper["beta2"]) * grad**2
        return param - hyper["lr"] * s / (r.sqrt() + hyper["eps"]), {"s": s, "r": r}

    return Rule("uncorrected", "Adam without", rules.adam().defaults, init, update, "the notes")


def steps_of(rule: Rule, steps: int, **hyper: float) -> Array:
    """Lengths of the first steps under a constant gradient, [steps, 3]."""
    theta = torch.zeros(3, dtype=torch.float64)
    (state,) = eager.init_states(rule, [theta])
    settings = eager.hyper_tensors({**rule.defaults, "lr": LR, **hyper})
    path = [theta.clone()]
    for _ in range(steps):
        eager.step(rule, [theta], [GRADIENT], [state], settings)
        path.append(theta.clone())
    return np.abs(np.diff(torch.stack(path).numpy(), axis=0))


@pytest.mark.parametrize(
    ("beta2", "times"), [(0.99, 1.0), (0.999, 3.1623), (0.9999, 10.0), (0.99999, 31.623)]
)
def test_the_first_step_without_correction_is_too_large(beta2, times):
    """The notes: "second moment will still close to zero. When we divide by second moment, we make a
    very large step at the beginning"; "this matters most in case of a value of beta2 close to 1".

    Corrected, the first step is ε g/(|g| + δ) ≈ ε; without, ε (1-ρ₁) g / (√(1-ρ₂) |g| + δ).
    """
    g = np.abs(GRADIENT.numpy())
    (corrected,) = steps_of(rules.adam(), 1, beta2=beta2)
    (without,) = steps_of(uncorrected(), 1, beta2=beta2)
    np.testing.assert_allclose(corrected, LR * g / (g + EPS), rtol=1e-6)  # t is float32
    np.testing.assert_allclose(without, LR * 0.1 * g / (np.sqrt(1 - beta2) * g + EPS), rtol=1e-12)
    np.testing.assert_allclose(without / corrected, times, rtol=1e-3)


def test_later_first_steps_without_correction_are_larger_still():
    """Under a constant gradient the corrected step stays ε; without, it is ε (1-ρ₁ᵗ)/√(1-ρ₂ᵗ), which
    rises to 6.57 ε at step 12, since the first moment fills up faster than the second."""
    t = np.arange(1, 101)[:, None]
    corrected, without = (steps_of(rule, 100, eps=0.0) for rule in (rules.adam(), uncorrected()))
    told = (1 - 0.9**t) / np.sqrt(1 - 0.999**t)
    np.testing.assert_allclose(corrected, LR, rtol=1e-4)
    np.testing.assert_allclose(without, LR * np.broadcast_to(told, without.shape), rtol=1e-9)
    assert without[:, 0].argmax() + 1 == 12
    np.testing.assert_allclose(without.max() / LR, 6.568, rtol=1e-3)


@pytest.mark.parametrize(("rho", "times"), [(0.9, 3.1623), (0.999, 31.623)])
def test_rmsprop_lacks_the_correction(rho, times):
    """The notes: "RMSProp also lacks a bias-correction term": its first step is ε/√(1-ρ)."""
    (first,) = steps_of(rules.rmsprop(), 1, alpha=rho, eps=0.0)
    np.testing.assert_allclose(first / LR, times, rtol=1e-4)
