"""Where the numbers of parameters lie: how a kernel gets at them as one block, and back."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Any

import torch
from torch import Tensor

from ravine.engines.shards import is_sharded, local

Join = Callable[..., Tensor]
"""torch.cat, or torch.stack for scalars."""


def plain(tensor: Tensor) -> Tensor:
    """The memory behind a parameter, gradient or state, as a real tensor.

    A DTensor gives this process's shard, a complex tensor its real view.
    """
    tensor = local(tensor).detach()
    return torch.view_as_real(tensor.resolve_conj()) if tensor.is_complex() else tensor


def is_plain(tensor: Tensor) -> bool:
    """Whether a tensor is its own memory: `plain` would change nothing."""
    return not is_sharded(tensor) and not tensor.is_complex()


class Arena:
    """Memory for what lives no longer than a step; one piece serves all blocks in turn."""

    def __init__(self) -> None:
        self._pieces: dict[tuple[torch.dtype, torch.device], Tensor] = {}

    def take(self, elements: int, like: Tensor) -> Tensor:
        """`elements` uninitialized elements of the dtype and device of `like`."""
        key = (like.dtype, like.device)
        if key not in self._pieces or self._pieces[key].numel() < elements:
            self._pieces[key] = torch.empty(elements, dtype=like.dtype, device=like.device)
        return self._pieces[key][:elements]


class Home(ABC):
    """The parameters of one block.

    Attributes:
        params: the parameters, in order.
        shape: the shape of the block.
    """

    def __init__(self, params: Sequence[Tensor], shape: torch.Size):
        self.params = list(params)
        self.shape = shape
        self._shapes = [plain(param).shape for param in params]
        self._sizes = [shape.numel() for shape in self._shapes]
        self._plain = all(map(is_plain, params))
        self._outlines = list(map(_outline, params))
        self._addresses = list(map(Tensor.data_ptr, params)) if self._plain else []

    @abstractmethod
    def open(self) -> Tensor:
        """The parameters as a block, to read and to write."""

    @abstractmethod
    def close(self) -> None:
        """See to it that what was written into the block is in the parameters."""

    @abstractmethod
    def gradients(self, grads: list[Tensor]) -> Tensor:
        """Gradients, in the order of the parameters, as a block."""

    def intact(self) -> bool:
        """Whether the parameters are still of the kinds and sizes that the block was made for."""
        if self._plain and list(map(Tensor.data_ptr, self.params)) == self._addresses:
            return True  # 0.1 us a parameter; what follows takes 1 us
        return list(map(_outline, self.params)) == self._outlines

    def cut(self, block: Tensor) -> list[Tensor]:
        """A block as one view for each parameter, in the parameter's shape."""
        pieces = torch.split(block.view(-1), self._sizes)
        return [piece.view(shape) for piece, shape in zip(pieces, self._shapes, strict=True)]

    def _memory(self, tensors: list[Tensor]) -> list[Tensor]:
        """`plain` of each, at no cost where nothing needs it (it takes 1 us a tensor)."""
        return tensors if self._plain else [plain(tensor) for tensor in tensors]


def _outline(param: Tensor) -> Any:
    return param.dtype, param.device, param.shape, param.is_contiguous()


class InPlace(Home):
    """One contiguous parameter, where it is."""

    def open(self) -> Tensor:
        """The parameter's own memory."""
        return plain(self.params[0]).view(self.shape)

    def close(self) -> None:
        """Nothing to do: it is the parameter that was written to."""

    def gradients(self, grads: list[Tensor]) -> Tensor:
        """The gradient's own memory, or a copy if it is not contiguous."""
        return plain(grads[0]).contiguous().view(self.shape)


class Gathered(Home):
    """Small parameters: copied into a block and back.

    They are not moved into common memory, as whoever else holds it would no longer see the steps: a
    `state_dict()` taken before, a CUDA graph, a replica.

    Args:
        params, shape: as for all homes.
        weights: memory for the block.
        grads: memory for the gradients.
    """

    def __init__(self, params: Sequence[Tensor], shape: torch.Size, weights: Arena, grads: Arena):
        super().__init__(params, shape)
        self._weights = _Views(self, weights)
        self._grads = _Views(self, grads)

    def open(self) -> Tensor:
        """A copy."""
        return self._weights.filled(self._memory(self.params))

    def close(self) -> None:
        """Copy back."""
        torch._foreach_copy_(self._memory(self.params), self._weights.views)

    def gradients(self, grads: list[Tensor]) -> Tensor:
        """A copy."""
        return self._grads.filled(self._memory(grads))


class _Views:
    """A block in an arena that tensors are gathered into.

    Neighbours of one shape are joined by one `torch.cat`, which takes 0.3 us a tensor where
    `torch._foreach_copy_` takes 0.5.
    """

    def __init__(self, home: Home, arena: Arena):
        self._home = home
        self._arena = arena
        self._block: Tensor | None = None
        self._runs: list[tuple[slice, Join, Tensor]] = []
        self.views: list[Tensor] = []

    def filled(self, tensors: list[Tensor]) -> Tensor:
        """The block, with the tensors in it."""
        block = self._arena.take(self._home.shape.numel(), tensors[0])
        if self._block is None or self._block.data_ptr() != block.data_ptr():
            self._look_at(block)
        for places, join, run in self._runs:
            join(tensors[places], out=run)
        assert self._block is not None
        return self._block

    def _look_at(self, block: Tensor) -> None:
        self._block, self.views = block.view(self._home.shape), self._home.cut(block)
        self._runs = []
        start, element = 0, 0
        for shape, same in groupby(view.shape for view in self.views):
            count = len(list(same))
            part = block[element : element + count * shape.numel()]
            if shape.numel():
                join: Join = torch.cat if shape else torch.stack
                run = part.view(count * shape[0], *shape[1:]) if shape else part
                self._runs.append((slice(start, start + count), join, run))
            start, element = start + count, element + part.numel()
