"""Where the numbers of parameters lie: how a kernel gets at them as one block, and back."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from itertools import groupby

import torch
from torch import Tensor
from torch.utils.dlpack import from_dlpack

from ravine.engines.shards import is_sharded, local

Join = Callable[..., Tensor]
"""torch.cat, or torch.stack for scalars."""


def plain(tensor: Tensor) -> Tensor:
    """The memory behind a parameter, gradient or state, as a real tensor.

    A DTensor gives this process's shard, a complex tensor its real view.
    """
    tensor = local(tensor).detach()
    return torch.view_as_real(tensor) if tensor.is_complex() else tensor


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
        """Whether the parameters still are where the block expects them."""
        return True

    def release(self) -> None:
        """Give every parameter memory of its own again."""
        return

    def cut(self, block: Tensor) -> list[Tensor]:
        """A block as one view for each parameter, in the parameter's shape."""
        pieces = torch.split(block.view(-1), self._sizes)
        return [piece.view(shape) for piece, shape in zip(pieces, self._shapes, strict=True)]

    def _memory(self, tensors: list[Tensor]) -> list[Tensor]:
        """`plain` of each, at no cost where nothing needs it (it takes 1 us a tensor)."""
        return tensors if self._plain else [plain(tensor) for tensor in tensors]


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
    """Parameters whose memory is not ours to move: copied into a block and back.

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


class Packed(Home):
    """Parameters moved into one block: from now on they are views of it.

    Args:
        params, shape: as for all homes.
        grads: memory for the gradients.
    """

    def __init__(self, params: Sequence[Tensor], shape: torch.Size, grads: Arena):
        super().__init__(params, shape)
        self._grads = _Views(self, grads)
        self._block = torch.cat([plain(param).reshape(-1) for param in params]).view(shape)
        pieces = torch.split(self._block.view(-1), self._sizes)
        for param, piece in zip(self.params, pieces, strict=True):
            param.data = _by_itself(piece).view(param.shape)
        self._places = self._pointers()

    def open(self) -> Tensor:
        """The block itself."""
        return self._block

    def close(self) -> None:
        """Nothing to do: parameters are views of the block."""

    def gradients(self, grads: list[Tensor]) -> Tensor:
        """A copy."""
        return self._grads.filled(grads)

    def intact(self) -> bool:
        """Whether all parameters still are views of the block."""
        return self._pointers() == self._places

    def release(self) -> None:
        """Copy every parameter out of the block."""
        for param, place in zip(self.params, self._places, strict=True):
            if param.data_ptr() == place:
                param.data = param.data.clone()

    def _pointers(self) -> list[int]:
        return [param.data_ptr() for param in self.params]


def _by_itself(piece: Tensor) -> Tensor:
    """The same memory as a storage of its own, which keeps the whole alive.

    The storage of a view is the whole: safetensors refuses to save a model of views, and a layer that
    is saved or copied takes the weights of all others along.
    """
    return from_dlpack(piece)


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


def movable(param: Tensor) -> bool:
    """Whether a parameter may be moved: nobody else can be using its memory.

    Not so for shards, views of something larger (flattened RNN weights, FSDP), shared memory, memory
    that was lent and cannot be resized (another optimizer's block, NumPy's), and where the memory
    format would be lost.
    """
    storage = param.untyped_storage()
    return (
        type(param) in (Tensor, torch.nn.Parameter)
        and not param.is_complex()
        and param.is_contiguous()
        and storage.nbytes() == param.numel() * param.element_size()
        and storage.resizable()
        and not (param.device.type == "cpu" and storage.is_shared())
    )
