"""The gradient of a look as one vector, and products of the Hessian with vectors of that shape."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from ravine.diagnostics.look import Look


def flat(tensors: Iterable[Tensor]) -> Tensor:
    """Tensors one behind the other, [n], copied, without graph, on the first one's device.

    Half precision becomes float32: sums of 10⁶ squares mean nothing with 8 or 11 bits.
    """
    parts = [t.detach() for t in tensors]
    dtype = torch.promote_types(parts[0].dtype, torch.float32)
    return torch.cat([_dense(p).reshape(-1).to(parts[0].device, dtype) for p in parts])


def hessian_vector_product(look: Look, vector: Tensor) -> Tensor:
    r"""H v of the look's cost with respect to all its parameters.

        H v = d(gᵀv)/dθ      v held fixed

    One backward pass through the graph of the gradient, as long as two to three backward passes
    through the model. The graph stays for the next product.

    Args:
        look: where H is taken. vector: v, [n], laid out as `flat(look.gradients.values())`.

    Returns:
        [n], like `vector`. 0 along parameters that J is linear in.

    Raises:
        torch.OutOfMemoryError: as it came.
        RuntimeError: a part of the model has no second derivative in torch. What came, and what
            to do instead, is in the message. Known parts (torch 2.13):

            - `scaled_dot_product_attention` through a fused kernel (flash, memory-efficient,
              cuDNN; on CPU wherever there is no dropout). Its math kernel has one, chosen
              around the *forward* pass by `torch.nn.attention.sdpa_kernel(SDPBackend.MATH)`;
              around the backward pass alone it changes nothing. `nn.MultiheadAttention` with
              `need_weights=True` (its default) takes the math path anyway;
              `nn.TransformerEncoderLayer` asks for none.
            - `nn.LSTM`, `nn.GRU`, `nn.RNN` through cuDNN: `with
              torch.backends.cudnn.flags(enabled=False):` around the forward pass. On CPU they
              have one.
            - modules under `torch.compile`: watch the uncompiled module.
    """
    curved = {name: g for name, g in look.gradients.items() if g.requires_grad}
    if not curved:
        return torch.zeros_like(vector)
    sizes = [p.numel() for p in look.params.values()]
    pieces = dict(zip(look.params, torch.split(vector, sizes), strict=True))
    try:
        products = torch.autograd.grad(
            [_dense(g) for g in curved.values()],
            list(look.params.values()),
            [pieces[name].reshape(g.shape).to(g) for name, g in curved.items()],
            retain_graph=True,
            allow_unused=True,
            materialize_grads=True,
        )
    except torch.OutOfMemoryError:  # a RuntimeError, too
        raise
    except RuntimeError as error:
        raise RuntimeError(_ADVICE.format(error=str(error).split("\n")[0])) from error
    return flat(products).to(vector)


_ADVICE = (
    "a part of this model has no second derivative in torch ({error}). For fused attention, run the "
    "forward pass inside torch.nn.attention.sdpa_kernel(SDPBackend.MATH); for RNNs on CUDA, inside "
    "torch.backends.cudnn.flags(enabled=False); under torch.compile, watch the uncompiled module"
)


def _dense(tensor: Tensor) -> Tensor:
    """Gradients of `nn.Embedding(sparse=True)` are sparse."""
    return tensor if tensor.layout == torch.strided else tensor.to_dense()
