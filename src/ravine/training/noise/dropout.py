"""Dropout whose masks are named by (seed, step, layer), not by when or beside whom a member trains."""

from __future__ import annotations

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
    """As `nn.Dropout1d(p)`, `2d` and `3d`: whole channels [n, channels, ...] are zeroed.

    Args:
        p: the probability.
        spatial: axes behind the channels; an input without examples has one axis less in front.
    """

    def __init__(self, p: float, spatial: int):
        super().__init__(p)
        self._spatial = spatial

    def forward(self, x: Tensor) -> Tensor:
        """See `KeyedDropout.forward`."""
        if not self.training or self.p == 0:
            return x
        return self.dropped(x, self.p, x.ndim - self._spatial)
