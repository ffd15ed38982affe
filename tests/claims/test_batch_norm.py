"""Batch normalization and the scale of the weights before it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ravine.normalization import training_form
from ravine.recipes import Split
from tests.problems import digits_problem

SCALES = [0.25, 0.5, 3.0, 8.0, 100.0]
NONE = 1e-300  # for δ; torch refuses 0


def minibatch() -> tuple[Tensor, Tensor]:
    train = digits_problem(dtype=torch.float64).train
    assert isinstance(train, Split)
    return train.inputs[:64], train.targets[:64]


def network(scale: float, eps: float) -> nn.Sequential:
    """64-32-10 with batch norm after the first layer, whose weights are multiplied."""
    torch.manual_seed(4)
    model = nn.Sequential(
        nn.Linear(64, 32, bias=False), nn.BatchNorm1d(32, eps=eps), nn.Tanh(), nn.Linear(32, 10)
    ).double()
    with torch.no_grad():
        model[0].weight.mul_(scale)
    return model


def cost_and_gradients(
    scale: float, eps: float = NONE
) -> tuple[Tensor, list[Tensor], nn.Sequential]:
    model = network(scale, eps)
    inputs, targets = minibatch()
    cost = F.cross_entropy(model(inputs), targets)
    return cost.detach(), list(torch.autograd.grad(cost, list(model.parameters()))), model


@pytest.mark.parametrize("scale", SCALES)
def test_the_output_does_not_depend_on_the_scale_of_the_weights(scale):
    """The notes: "A method of adaptive reparametrization that reduces the problem of coordinating
    updates across many layers".

    H' = (H - μ)/σ is the same for H and sH. Powers of two change no digit.
    """
    inputs, _ = minibatch()
    with torch.no_grad():
        one, other = network(1.0, NONE)(inputs), network(scale, NONE)(inputs)
    if np.log2(scale) % 1 == 0:
        assert torch.equal(one, other)
    torch.testing.assert_close(other, one, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("scale", SCALES)
def test_gradients_before_it_fall_as_one_over_the_scale(scale):
    """C(sW) = C(W), so ∇C(sW) = ∇C(W)/s; those behind it stay. And W·∇C = 0 for each unit (Euler):
    a step never makes weights smaller."""
    _, plain, _ = cost_and_gradients(1.0)
    _, scaled, model = cost_and_gradients(scale)
    torch.testing.assert_close(scaled[0] * scale, plain[0], rtol=1e-9, atol=1e-14)
    for one, other in zip(plain[1:], scaled[1:], strict=True):
        torch.testing.assert_close(other, one, rtol=1e-10, atol=1e-14)
    radial = (model[0].weight * scaled[0]).sum(dim=1).abs()
    assert (radial <= 1e-12 * model[0].weight.norm(dim=1) * scaled[0].norm(dim=1)).all()


@pytest.mark.parametrize("scale", [0.5, 3.0, 100.0])
def test_delta_breaks_the_invariance_by_what_is_known(scale):
    """With δ inside the root H'(sH)/H'(H) = √((σ² + δ)/(σ² + δ/s²)), unit by unit."""
    inputs, _ = minibatch()
    with torch.no_grad():
        H = network(1.0, NONE)[0](inputs)
    variance = H.numpy().var(axis=0)
    found = training_form(scale * H, eps=1e-2) / training_form(H, eps=1e-2)
    told = np.sqrt((variance + 1e-2) / (variance + 1e-2 / scale**2))
    np.testing.assert_allclose(found.numpy(), np.broadcast_to(told, H.shape), rtol=1e-9)
    assert (np.abs(told - 1) > 1e-3).all()


def test_without_it_the_scale_matters():
    """The same network without batch norm: eight times the weights give another output."""
    inputs, _ = minibatch()
    outputs = []
    for scale in (1.0, 8.0):
        model = network(scale, NONE)
        with torch.no_grad():
            outputs.append(nn.Sequential(model[0], model[2], model[3])(inputs))
    assert (outputs[0] - outputs[1]).norm() > 0.1 * outputs[0].norm()
