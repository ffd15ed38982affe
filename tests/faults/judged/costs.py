"""Costs and metrics of the judging cases, right ones and wrong ones: (output, target) -> 0-D mean."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def absolute(output: Tensor, target: Tensor) -> Tensor:
    """Mean of distances."""
    return F.l1_loss(output, target)


def huber(output: Tensor, target: Tensor) -> Tensor:
    """Squares near 0, distances far from it."""
    return F.smooth_l1_loss(output, target)


def logistic_of_signs(output: Tensor, target: Tensor) -> Tensor:
    """log(1 + exp(-y·score)), y = ±1."""
    return F.softplus(-output * target).mean()


def hinge(output: Tensor, target: Tensor) -> Tensor:
    """max(0, 1 - y·score), y = ±1: of targets 0, nothing can be learned."""
    return (1 - output * target).clamp(min=0).mean()


def wrong_side(output: Tensor, target: Tensor) -> Tensor:
    """Share of scores on the wrong side of 0; the larger code is the positive one."""
    return ((output > 0) != (target > 0.5)).double().mean()


def multi_hinge(output: Tensor, target: Tensor) -> Tensor:
    """Every class by 1 below the right one."""
    return F.multi_margin_loss(output, target)


def smoothed(output: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy against 0.9 for the class and 0.1 spread over all."""
    return F.cross_entropy(output, target, label_smoothing=0.1)


def likelihood(output: Tensor, target: Tensor) -> Tensor:
    """Minus the output at the class: cross-entropy, if outputs are log-probabilities."""
    return F.nll_loss(output, target)


def against_one_hot(output: Tensor, target: Tensor) -> Tensor:
    """Every class for itself, right or not."""
    return F.binary_cross_entropy_with_logits(output, F.one_hot(target, output.shape[1]).float())


def next_class(output: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy of labels that were counted from 1, and from 0 again."""
    return F.cross_entropy(output, (target + 1) % output.shape[1])


def by_letter(output: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy of [n, length] under scores [n, length, letters]."""
    return F.cross_entropy(output.flatten(0, 1), target.flatten())


def poisson(output: Tensor, target: Tensor) -> Tensor:
    """λ - k log λ + log k!, of the mean λ."""
    return (output - target * torch.log(output) + torch.lgamma(target + 1)).mean()


def poisson_of_log(output: Tensor, target: Tensor) -> Tensor:
    """The same of log λ."""
    return (torch.exp(output) - target * output + torch.lgamma(target + 1)).mean()


def entropy_of_odds(output: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy of sigmoids as one types it: a log of 0 where one is full."""
    p = torch.sigmoid(output)
    return -(target * torch.log(p) + (1 - target) * torch.log(1 - p)).mean()


def ellipsoid(output: Tensor, target: Tensor, condition: float) -> Tensor:
    """Half of a sum of squares, curvatures from 8 down to 8/condition, turned by a rotation."""
    count = output.shape[1]
    matrix = torch.linspace(0, math.pi, count)[:, None] * torch.arange(count)
    axes = torch.linalg.qr(torch.cos(matrix) + torch.eye(count)).Q
    curvatures = 8 * torch.logspace(0, -math.log10(condition), count)
    return ((output @ axes).square() * curvatures).sum(dim=1).mean() / 2


def himmelblau(output: Tensor, target: Tensor) -> Tensor:
    """(x² + y - 11)² + (x + y² - 7)², over 100: four minima, four saddles, a hill."""
    x, y = output.unbind(dim=1)
    return ((x.square() + y - 11).square() + (x + y.square() - 7).square()).mean() / 100


def shelf(output: Tensor, target: Tensor) -> Tensor:
    """Σ tanh²(θ): flat far from 0, in every direction."""
    return torch.tanh(output).square().sum(dim=1).mean()
