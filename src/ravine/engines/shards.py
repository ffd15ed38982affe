"""Parameters spread over processes (DTensor), for those who have some.

`torch.distributed.tensor` takes half a second to import, and not every build of torch has it: it is
looked at only where somebody else has imported it.
"""

from __future__ import annotations

import sys
from typing import Any

from torch import Tensor


def is_sharded(tensor: Tensor) -> bool:
    """Whether a tensor is a DTensor."""
    module = sys.modules.get("torch.distributed.tensor")
    return module is not None and isinstance(tensor, module.DTensor)


def local(tensor: Tensor) -> Tensor:
    """This process's part of a tensor."""
    return tensor.to_local() if is_sharded(tensor) else tensor  # type: ignore[attr-defined]


def layout(tensor: Tensor) -> Any:
    """How a tensor is spread: equal for tensors spread alike; None for one that is not."""
    return (tensor.device_mesh, tensor.placements) if is_sharded(tensor) else None  # type: ignore[attr-defined]


def spread_like(part: Tensor, tensor: Any) -> Tensor:
    """This process's part of what is spread like `tensor`, as a DTensor."""
    from torch.distributed.tensor import DTensor

    size, stride = tensor.shape, tensor.stride()
    mesh, placements = tensor.device_mesh, tensor.placements
    return DTensor.from_local(part, mesh, placements, run_check=False, shape=size, stride=stride)


def summed(part: Tensor, tensor: Any) -> Tensor:
    """The sum over all parts of what is spread like `tensor`, out of the sum over this part."""
    if not is_sharded(tensor):
        return part
    from torch.distributed.tensor import DTensor, Partial, Replicate

    kinds = [Partial() if place.is_shard() else Replicate() for place in tensor.placements]
    return DTensor.from_local(part, tensor.device_mesh, kinds, run_check=False).full_tensor()


def whole(tensor: Tensor) -> Tensor:
    """A tensor put together from all processes."""
    return tensor.full_tensor() if is_sharded(tensor) else tensor  # type: ignore[attr-defined]


def cut_like(tensor: Tensor, like: Any) -> Tensor:
    """A tensor that every process has, spread as `like` is; no process sends anything."""
    if not is_sharded(like) or is_sharded(tensor):
        return tensor
    from torch.distributed.tensor import DTensor, Replicate

    mesh = like.device_mesh
    everywhere = DTensor.from_local(tensor, mesh, [Replicate()] * mesh.ndim, run_check=False)
    return everywhere.redistribute(placements=like.placements)
