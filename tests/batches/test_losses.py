"""Scores by the losses of a model."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ravine.batches import by_loss
from ravine.errors import SettingError


class Restless(nn.Module):
    """A model that would change by being called: modes, buffers, random numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(3, dtype=torch.float64)
        self.drop = nn.Dropout(0.5)
        self.linear = nn.Linear(3, 2, dtype=torch.float64)
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        torch.rand(3)
        return self.linear(self.drop(self.norm(x)))


def worked() -> tuple[Restless, Tensor, Tensor]:
    """A model with running statistics of its own, and gradients, in mixed modes."""
    torch.manual_seed(0)
    model = Restless()
    inputs = torch.randn(11, 3, dtype=torch.float64) * 2 + 1
    targets = torch.randint(2, (11,))
    F.cross_entropy(model(inputs), targets).backward()
    model.norm.eval()
    return model, inputs, targets


@pytest.mark.parametrize("batch_size", [1, 4, 11, 256])
def test_scores_are_the_cost_of_each_example_at_test_time(batch_size: int) -> None:
    model, inputs, targets = worked()
    graphs = []

    def cost(output: Tensor, target: Tensor) -> Tensor:
        graphs.append(output.requires_grad)
        return F.cross_entropy(output, target)

    scores = by_loss(model, cost, inputs, targets, batch_size)
    assert graphs == [False] * 11

    norm, linear = model.norm, model.linear
    x, y = inputs.numpy(), targets.numpy()
    mean, var = norm.running_mean.numpy(), norm.running_var.numpy()
    logits = (x - mean) / np.sqrt(var + norm.eps)
    logits = logits @ linear.weight.detach().numpy().T + linear.bias.detach().numpy()
    expected = np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(11), y]
    assert scores.dtype == torch.float64
    assert np.max(np.abs(scores.numpy() - expected)) <= 1e-12


def test_the_model_is_left_as_it_was() -> None:
    model, inputs, targets = worked()
    state = {name: value.clone() for name, value in model.state_dict().items()}
    modes = [module.training for module in model.modules()]
    assert len(set(modes)) == 2
    grads = [p.grad.clone() for p in model.parameters()]
    random = torch.get_rng_state()
    by_loss(model, F.cross_entropy, inputs, targets)
    for name, value in model.state_dict().items():
        assert torch.equal(value, state[name]), name
    assert [module.training for module in model.modules()] == modes
    for p, grad in zip(model.parameters(), grads, strict=True):
        assert torch.equal(p.grad, grad)
    assert torch.equal(torch.get_rng_state(), random)


def test_modes_come_back_after_an_error() -> None:
    model, inputs, targets = worked()
    modes = [module.training for module in model.modules()]
    with pytest.raises(RuntimeError):
        by_loss(model, F.cross_entropy, inputs[:, :2], targets)
    assert [module.training for module in model.modules()] == modes


def test_lengths_that_differ_are_said() -> None:
    model, inputs, targets = worked()
    with pytest.raises(SettingError, match="11 inputs and 10 targets"):
        by_loss(model, F.cross_entropy, inputs, targets[:10])
