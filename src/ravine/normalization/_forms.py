"""What a batch norm computes: the notes' H' = (H - μ) / σ, in training and at test time."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Moments:
    """Statistics of each channel.

    Attributes:
        count: values per channel, examples times positions.
        mean: μ, [channels].
        variance: σ², [channels]; the mean square of H - μ, without Bessel's correction.
    """

    count: int
    mean: Tensor
    variance: Tensor


def moments(H: Tensor) -> Moments:
    """Statistics of each channel of H, [examples, channels, ...], at least in float32."""
    wide = H.to(torch.promote_types(H.dtype, torch.float32))
    others = [axis for axis in range(H.ndim) if axis != 1]
    variance, mean = torch.var_mean(wide, dim=others, correction=0)
    return Moments(H.numel() // H.shape[1], mean, variance)


def has_variance(H: Tensor) -> bool:
    """Whether there are at least two values per channel; the training form of one is always 0."""
    return H.numel() > H.shape[1]


def training_form(H: Tensor, eps: float = 1e-5) -> Tensor:
    r"""Normalize each channel by the minibatch's own statistics.

        H' = (H - μ) / √(σ² + δ)      μ, σ²: mean and variance of the minibatch, per channel

    The layer's output is γH' + β.

    Args:
        H: activations, [examples, channels] or [examples, channels, ...].
        eps: δ, keeps constant channels finite; torch's default. Keras's is 1e-3.

    Source: Ioffe & Szegedy, "Batch Normalization", ICML 2015, algorithm 1; nn.BatchNorm1d.
    """
    found = moments(H)
    return evaluation_form(H, found.mean, found.variance, eps)


def evaluation_form(H: Tensor, mean: Tensor, variance: Tensor, eps: float = 1e-5) -> Tensor:
    r"""Normalize each channel by given statistics, so that an output depends on its example alone.

        H' = (H - μ) / √(σ² + δ)      μ, σ²: collected during training, per channel

    Args:
        H: activations, [examples, channels] or [examples, channels, ...].
        mean: μ, [channels]. variance: σ², [channels].
        eps: δ, as in `training_form`.

    Source: Ioffe & Szegedy 2015, algorithm 2; nn.BatchNorm1d in eval mode.
    """
    shape = (-1, *[1] * (H.ndim - 2))
    return (H - mean.reshape(shape)) / (variance + eps).sqrt().reshape(shape)
