"""The way of a run through its parameters: snapshots, evenly spaced, within a bounded memory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, final

import torch
from torch import Tensor

from ravine.training.observer import Observer

MOST = 64
"""Snapshots of a run."""

FEWEST = 3
"""Snapshots without which nothing is kept: two points have no plane around them."""

MEMORY = 256 * 2**20
"""Bytes that all snapshots may take: 64 of a model with a million parameters, 3 of one with 22."""


class Snapshot(NamedTuple):
    """The parameters at a step, by name, on the CPU."""

    step: int
    params: Mapping[str, Tensor]


@final
class Trajectory(Observer):
    """Keeps snapshots of the parameters of a run: an observer that measures nothing.

    They are evenly spaced over however many steps there are: when their places are full, every second
    one is dropped, and from then on they are taken half as often. The first is of the start, the last
    of the end. Parameters that are no longer finite are not kept: the snapshots end there.

    Args:
        params: the parameters that are stepped, by name.
        memory: bytes that all snapshots may take, in float32. Where fewer than three fit, none is kept;
            nor is one of complex parameters, which have no plane of real directions.
    """

    def __init__(self, params: Mapping[str, Tensor], memory: int = MEMORY):
        self._params = params
        each = 4 * sum(param.numel() for param in params.values())
        complex_ = any(param.is_complex() for param in params.values())
        self._room = 0 if complex_ else min(MOST, memory // max(1, each))
        self._every = 1
        self._step = 0
        self._kept: list[Snapshot] = []
        self._finite = True

    @property
    def snapshots(self) -> list[Snapshot]:
        """Those kept so far, in order of steps."""
        return list(self._kept)

    def start(self) -> None:
        """Keep the parameters to begin with."""
        self._keep()

    def after_step(self, gradients: Mapping[str, Tensor]) -> None:
        """Keep the parameters if it is time."""
        self._step += 1
        if self._step % self._every == 0:
            if len(self._kept) == self._room - 1:  # one place is for the end
                self._kept = self._kept[::2]
                self._every *= 2
            if self._step % self._every == 0:
                self._keep()

    def stop(self) -> None:
        """Keep the parameters that the run ends with."""
        if self._kept and self._kept[-1].step != self._step:
            self._keep()

    def _keep(self) -> None:
        if self._room < FEWEST or not self._finite:
            return
        params = {
            name: param.detach().to("cpu", torch.float32, copy=True)
            for name, param in self._params.items()
        }
        self._finite = all(bool(param.isfinite().all()) for param in params.values())
        if self._finite:
            self._kept.append(Snapshot(self._step, params))
