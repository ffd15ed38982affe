"""Dropout whose masks are named by (seed, step, layer), not by when or beside whom a member trains."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from ravine.training.noise.keys import Keyed


class KeyedDropout(Keyed):
    """As `nn.Dropout(p)`, element by element."""

    axes: int | None = None

    def __init__(self, p: float):
        super().__init__()
        self.p = p
        self.hold_key()

    def forward(self, x: Tensor) -> Tensor:
        """x with parts zeroed with probability p and the others scaled by 1/(1-p), in training."""
        if not self.training or self.p == 0:
            return x
        return self.dropped(x, self.p, self.axes)


class KeyedFeatureDropout(KeyedDropout):
    """As `nn.Dropout1d(p)`, `2d` and `3d`: whole channels are zeroed.

    Channels lie as torch reads them. `Dropout1d` and `3d` take [n, channels, ...] of full rank, 3
    and 5, and below it one example, [channels, ...]. `Dropout2d` takes [n, channels, ...] at every
    rank: of [n, features] it zeroes features one by one.

    Args:
        p: the probability.
        spatial: 1, 2 or 3, axes behind the channels at full rank.
    """

    def __init__(self, p: float, spatial: int):
        super().__init__(p)
        self._spatial = spatial

    def forward(self, x: Tensor) -> Tensor:
        """See `KeyedDropout.forward`.

        Raises:
            RuntimeError: x has a rank that torch's layer does not take.
        """
        x = _TORCHS[self._spatial](x, training=False)  # what torch says to this rank, no noise
        if not self.training or self.p == 0:
            return x
        axes = 2 if self._spatial == 2 or x.ndim == self._spatial + 2 else 1
        if x.ndim < axes:
            raise RuntimeError(f"input has {x.ndim} axes; feature dropout expects {axes} or more")
        return self.dropped(x, self.p, axes)


_TORCHS = {1: F.dropout1d, 2: F.dropout2d, 3: F.dropout3d}
