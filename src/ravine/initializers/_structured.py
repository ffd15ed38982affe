"""Initializers of a whole matrix: orthogonal, identity, sparse."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ravine.errors import SettingError
from ravine.initializers._distributions import device_of, standard_normal, standard_uniform
from ravine.initializers._fans import Fans
from ravine.initializers._initializer import (
    Initializer,
    insist_on_finite,
    insist_on_positive,
)


def orthogonal(gain: float = 1.0) -> Initializer:
    r"""A random orthogonal matrix times the gain g, which keeps norms.

        W Wᵀ = g² I for a wide or square W [out, in],  Wᵀ W = g² I for a tall one

    Uniform over all such matrices (Haar): Q of a normal matrix's QR, signs of R's diagonal taken
    along. A convolution is looked at as [out, in · ∏k].

    Raises:
        SettingError: gain is not a finite number; on a call, fewer than two axes.

    Source: Saxe, McClelland & Ganguli, "Exact solutions to the nonlinear dynamics of learning in
        deep linear neural networks", ICLR 2014; Mezzadri, "How to generate random matrices from
        the classical compact groups", 2007, section 5.
    """
    insist_on_finite("orthogonal", gain=gain)
    return Initializer("orthogonal", {"gain": gain}, _orthogonal, linear=True)


def identity(gain: float = 1.0) -> Initializer:
    """The identity times the gain: unit i passes input i on, others give 0.

    For a convolution the Dirac kernel: the gain at the kernel's middle, index k // 2 of each axis,
    as `torch.nn.init.dirac_`. Layers that are not square pass on as many inputs as they can.

    Raises:
        SettingError: gain is not a finite number; on a call, fewer than two axes.
    """
    insist_on_finite("identity", gain=gain)
    return Initializer("identity", {"gain": gain}, _identity)


def sparse(nonzeros: int = 15, stddev: float = 1.0) -> Initializer:
    """Every unit has a fixed number of weights from N(0, stddev²), at random places; others are 0.

    A unit's total input then does not grow with the layer's width, and units stay distinct. One
    with fewer inputs than `nonzeros` has them all. A unit is a row of [out, in · ∏k];
    `torch.nn.init.sparse_` instead leaves a share of every column.

    Raises:
        SettingError: nonzeros is not a whole number from 1 on, or stddev ≤ 0; on a call, fewer than
            two axes.

    Source: Martens, "Deep learning via Hessian-free optimization", ICML 2010, section 5.
    """
    if not isinstance(nonzeros, int) or isinstance(nonzeros, bool) or nonzeros < 1:
        raise SettingError(f"sparse(nonzeros={nonzeros!r}); expected a whole number from 1 on")
    insist_on_positive("sparse", stddev=stddev)
    return Initializer("sparse", {"nonzeros": nonzeros, "stddev": stddev}, _sparse)


def _orthogonal(
    shape: torch.Size, generator: torch.Generator | None, fans: Fans | None, *, gain: float
) -> Tensor:
    rows, columns = _as_matrix("orthogonal", shape)
    tall = standard_normal(torch.Size((max(rows, columns), min(rows, columns))), generator)
    Q, R = torch.linalg.qr(tall)
    haar: Tensor = gain * Q * R.diagonal().sign()
    return (haar if rows >= columns else haar.T).reshape(shape)


def _identity(
    shape: torch.Size, generator: torch.Generator | None, fans: Fans | None, *, gain: float
) -> Tensor:
    _as_matrix("identity", shape)
    weight = torch.zeros(shape, dtype=torch.float64, device=device_of(generator))
    middle = weight
    for size in reversed(shape[2:]):
        middle = middle[..., size // 2]
    middle.fill_diagonal_(gain)  # a view [out, in]
    return weight


def _sparse(
    shape: torch.Size,
    generator: torch.Generator | None,
    fans: Fans | None,
    *,
    nonzeros: int,
    stddev: float,
) -> Tensor:
    matrix = torch.Size(_as_matrix("sparse", shape))
    places = standard_uniform(matrix, generator).argsort(dim=1)[:, :nonzeros]
    values = stddev * standard_normal(places.shape, generator)
    weight = torch.zeros(matrix, dtype=torch.float64, device=device_of(generator))
    return weight.scatter_(1, places, values).reshape(shape)


def _as_matrix(name: str, shape: torch.Size) -> tuple[int, int]:
    """[out, in · ∏k]."""
    if len(shape) < 2 or 0 in shape:
        raise SettingError(
            f"{name} cannot fill the shape {tuple(shape)}; expected [out, in, ...] without an "
            "empty axis"
        )
    return shape[0], math.prod(shape[1:])
