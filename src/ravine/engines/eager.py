"""The reference engine: one parameter after the other, in place, readable in a debugger."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor

from ravine.errors import SettingError
from ravine.rules import Hyper, Rule, State


def hyper_tensors(values: Mapping[str, float | Tensor]) -> dict[str, Tensor]:
    """Hyperparameters as 0-D float64 tensors; a tensor keeps its device."""
    return {name: _scalar(value) for name, value in values.items()}


def init_states(rule: Rule, params: Iterable[Tensor]) -> list[State]:
    """The states of `params` before the first step."""
    with torch.no_grad():
        return [rule.init(param) for param in params]


@torch.no_grad()
def step(
    rule: Rule,
    params: Sequence[Tensor],
    grads: Sequence[Tensor],
    states: Sequence[State],
    hyper: Hyper,
) -> None:
    """Take one step of `rule`, writing into the tensors of `params` and `states`.

    Written in place, so every tensor keeps its dtype, device and identity. Entries of a state that
    the rule does not know are left alone.

    Args:
        rule: what to do.
        params: θ, one tensor per parameter (not the probe).
        grads: the gradients, taken at the rule's probe.
        states: as `init_states` made them.
        hyper: 0-D tensors, as `hyper_tensors` makes them.

    Raises:
        SettingError: a gradient is sparse.
    """
    for param, grad, state in zip(params, grads, states, strict=True):
        _refuse_sparse(grad)
        new_param, new_state = rule.update(param, grad, state, hyper)
        param.copy_(new_param)
        for name, value in new_state.items():
            state[name].copy_(value)


def _scalar(value: float | Tensor) -> Tensor:
    if isinstance(value, Tensor):
        return value.detach().to(torch.float64).reshape(())
    return torch.tensor(value, dtype=torch.float64)


def _refuse_sparse(grad: Tensor) -> None:
    if grad.layout is not torch.strided:
        raise SettingError(
            f"a gradient of shape {list(grad.shape)} is sparse, and ravine's rules need dense "
            "ones: build the layer with sparse=False, or use torch.optim.SparseAdam for it."
        )
