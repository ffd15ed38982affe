"""Costs and metrics of the cases, right ones and wrong ones: (output, target) -> 0-D mean."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def squared(output: Tensor, target: Tensor) -> Tensor:
    """Mean of squares, the target in the output's shape."""
    return (output - target.view_as(output)).square().mean()


def squared_broadcast(output: Tensor, target: Tensor) -> Tensor:
    """Mean of squares as typed without a look at shapes: [n, 1] - [n] is [n, n]."""
    return (output - target).square().mean()


def one_hot_squared(output: Tensor, target: Tensor) -> Tensor:
    """Mean of squares against class indicators."""
    return (output - F.one_hot(target, output.shape[1])).square().mean()


def index_squared(output: Tensor, target: Tensor) -> Tensor:
    """Mean of squares of every output against the number of the class."""
    return (output - target[:, None]).square().mean()


def log_of_softmax(output: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy as the book writes it: the log of a probability that can round to 0."""
    p = torch.softmax(output, dim=1)
    return -(F.one_hot(target, output.shape[1]) * torch.log(p)).sum(dim=1).mean()


def exp_over_sum(output: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy with a softmax whose exponentials overflow beyond 88."""
    e = torch.exp(output)
    p = e / e.sum(dim=1, keepdim=True)
    return F.nll_loss(torch.log(p + 1e-8), target)


def bernoulli(output: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy of a probability, as `nn.BCELoss`."""
    return F.binary_cross_entropy(output, target)


def threshold_error(output: Tensor, target: Tensor) -> Tensor:
    """Share of probabilities on the wrong side of a half; [n, 1] both."""
    return ((output > 0.5) != (target > 0.5)).double().mean()


def sign_error(output: Tensor, target: Tensor) -> Tensor:
    """Share of scores on the wrong side of 0; [n, 1] both."""
    return ((output > 0) != (target > 0.5)).double().mean()


def by_place(output: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy of labels [n, length] under scores [n, length, classes]."""
    return F.cross_entropy(output.transpose(1, 2), target)


def by_place_swapped(output: Tensor, target: Tensor) -> Tensor:
    """The same without the transpose: places are taken for classes, which goes unnoticed if there
    are as many of them."""
    return F.cross_entropy(output, target)


def place_error(output: Tensor, target: Tensor) -> Tensor:
    """Share of wrong labels, [n, length, classes] and [n, length]."""
    return (output.argmax(dim=-1) != target).double().mean()


def gaussian_well(output: Tensor, target: Tensor) -> Tensor:
    """1 - exp(-‖θ‖²/2): a hole in a plain."""
    return (1 - torch.exp(-output.square().sum(dim=1) / 2)).mean()


def double_well(output: Tensor, target: Tensor) -> Tensor:
    """x²/2 + y⁴/4 - y²/2 + 1/4: minima at y = ±1, a strict saddle between."""
    x, y = output.unbind(dim=1)
    return (x.square() / 2 + y**4 / 4 - y.square() / 2 + 0.25).mean()


def ravine(output: Tensor, target: Tensor, condition: float) -> Tensor:
    """(x²·condition + y²)/2."""
    x, y = output.unbind(dim=1)
    return ((condition * x.square() + y.square()) / 2).mean()
