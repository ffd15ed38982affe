"""The reference engine: one parameter after the other, in place, readable in a debugger."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, MutableMapping, Sequence
from functools import cache

import torch
from torch import Tensor

from ravine.engines.shards import cut_like, whole
from ravine.rules import Hyper, Rule, State


class EagerEngine:
    """Steps parameters under one rule, one after the other.

    Args:
        rule: the rule; it takes its gradient at the parameter (see `transforms.at_probe`).
        store: parameter -> its state, completed where it is not.
        differentiable: whether gradients flow through the step.
    """

    def __init__(
        self, rule: Rule, store: MutableMapping[Tensor, State], differentiable: bool = False
    ):
        self.rule = rule
        self._store = store
        self._params: list[Tensor] = []
        self._step = differentiable_step if differentiable else step

    def arrange(self, params: Sequence[Tensor]) -> None:
        """Say which parameters take the next step."""
        self._params = list(params)

    def total(self, name: str, grads: Sequence[Tensor], hyper: Hyper) -> Tensor:
        """One of the rule's sums; arguments as for `BlockEngine.total`."""
        return total(name, self.rule, self._params, grads, self._states(), hyper)

    def step(self, grads: Sequence[Tensor], hyper: Hyper) -> None:
        """One step, in place; arguments as for `BlockEngine.step`."""
        self._step(self.rule, self._params, grads, self._states(), hyper)

    def release(self) -> None:
        """Nothing to do: parameters and states are where they were."""

    def _states(self) -> list[State]:
        return [complete(self.rule, param, self._store) for param in self._params]


def complete(rule: Rule, param: Tensor, store: MutableMapping[Tensor, State]) -> State:
    """The state of a parameter, what is missing added; not even an empty one is stored without need."""
    names = entry_names(rule, param)
    state: State = store.setdefault(param, {}) if names else {}
    if not names <= state.keys():
        (fresh,) = init_states(rule, [param])
        state.update({name: entry for name, entry in fresh.items() if name not in state})
    return state


def entry_shapes(rule: Rule, param: Tensor) -> Mapping[str, torch.Size]:
    """What a rule remembers of a parameter: shapes of entries, by name."""
    outline = torch.empty(param.shape, dtype=param.dtype, device="meta")  # gathers no shards
    seen = _see(rule, outline).shape
    shapes = _seen_shapes(rule, seen, param.dtype.to_real())
    return {name: param.shape if shape == seen else shape for name, shape in shapes.items()}


def entry_names(rule: Rule, param: Tensor) -> frozenset[str]:
    """The names of what a rule remembers of a parameter."""
    return frozenset(entry_shapes(rule, param))


def count_names(rule: Rule, param: Tensor) -> frozenset[str]:
    """What of it are counts. (Other entries of a scalar parameter are 0-D, too.)"""
    at_least_an_axis = param if param.ndim else param.detach().reshape(1)
    shapes = entry_shapes(rule, at_least_an_axis)
    return frozenset(name for name, shape in shapes.items() if not shape)


@cache
def _seen_shapes(rule: Rule, shape: torch.Size, dtype: torch.dtype) -> Mapping[str, torch.Size]:
    state = rule.init(torch.empty(shape, dtype=dtype, device="meta"))
    return {name: entry.shape for name, entry in state.items()}


def hyper_tensors(values: Mapping[str, float | Tensor]) -> dict[str, Tensor]:
    """Hyperparameters as 0-D float64 tensors; a tensor keeps its device."""
    return {name: _scalar(value) for name, value in values.items()}


def init_states(rule: Rule, params: Iterable[Tensor]) -> list[State]:
    """The states of `params` before the first step, entries in the shape of their parameter."""
    with torch.no_grad():
        return [_init(rule, param) for param in params]


def total(
    name: str,
    rule: Rule,
    params: Sequence[Tensor],
    grads: Sequence[Tensor],
    states: Sequence[State],
    hyper: Hyper,
) -> Tensor:
    """One of the rule's sums, over these parameters, 0-D.

    Args:
        name: one of `rule.totals`.
        rule, params, grads, states: as for `step`.
        hyper: 0-D tensors, the totals that come before this one among them.
    """
    parts = [
        _sum(rule.totals[name](*_seen(rule, param, grad, state), hyper))
        for param, grad, state in zip(params, grads, states, strict=True)
    ]
    return torch.stack([part.to(hyper["lr"].device) for part in parts]).sum()


@torch.no_grad()
def with_totals(
    rule: Rule,
    params: Sequence[Tensor],
    grads: Sequence[Tensor],
    states: Sequence[State],
    hyper: Hyper,
) -> Hyper:
    """The hyperparameters, and all totals of the rule over these parameters."""
    known = dict(hyper)
    for name in rule.totals:
        known[name] = total(name, rule, params, grads, states, known)
    return known


@torch.no_grad()
def output(rule: Rule, param: Tensor, state: State, hyper: Hyper) -> Tensor:
    """The weights to evaluate, like the parameter."""
    seen, _, entries = _seen(rule, param, param, state)
    return _unsee(rule.output(seen, entries, hyper), param)


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
        grads: the gradients, dense, taken at the rule's probe.
        states: as `init_states` made them.
        hyper: 0-D tensors, as `hyper_tensors` makes them; the rule's totals among them.
    """
    for param, grad, state in zip(params, grads, states, strict=True):
        update = rule.update_for(state)
        new_param, new_state = update(*_seen(rule, param, grad, state), hyper)
        _write(param, new_param)
        for name, value in new_state.items():
            _write(state[name], value)


def differentiable_step(
    rule: Rule,
    params: Sequence[Tensor],
    grads: Sequence[Tensor],
    states: Sequence[State],
    hyper: Hyper,
) -> None:
    """`step`, through which gradients flow; no parameter is a leaf that requires one.

    Nothing that they flow back through is written over: the update gets a copy of the parameter, and
    entries of a state are replaced.
    """
    for param, grad, state in zip(params, grads, states, strict=True):
        update = rule.update_for(state)
        new_param, new_state = update(*_seen(rule, param.clone(), grad, state), hyper)
        _write(param, new_param)
        for name, value in new_state.items():
            state[name] = _in_form_of(state[name], value)


def _scalar(value: float | Tensor) -> Tensor:
    if isinstance(value, Tensor):
        return value.to(torch.float64).reshape(())
    return torch.tensor(value, dtype=torch.float64)


def _see(rule: Rule, x: Tensor) -> Tensor:
    """A parameter as the rule's granularity wants to see it: whole, real, with an axis, perhaps flat.

    Shards are gathered, because operators on a DTensor neither flatten shards of unequal sizes nor
    keep a result spread as the parameter is.
    """
    if rule.granularity != "elementwise":
        x = whole(x)
    real = torch.view_as_real(x) if x.is_complex() else x
    if rule.granularity == "tensor":
        return real.reshape(-1)
    return real if real.ndim else real.reshape(1)


def _seen(rule: Rule, param: Tensor, grad: Tensor, state: State) -> tuple[Tensor, Tensor, State]:
    """A parameter, its gradient and its state as the rule wants to see them."""
    # Sorted by name: processes that gather shards must gather them in one order.
    return (
        _see(rule, param),
        _see(rule, grad),
        {
            name: _see(rule, entry) if _is_like(entry, param) else entry
            for name, entry in sorted(state.items())
        },
    )


def _is_like(entry: Tensor, param: Tensor) -> bool:
    """Whether an entry is shown as the parameter is. One of a 0-D parameter looks like a count, and
    does no harm as one, unless it is complex."""
    return entry.shape == param.shape and (param.ndim > 0 or entry.is_complex())


def _init(rule: Rule, param: Tensor) -> State:
    seen = _see(rule, param)
    return {
        name: _unsee(entry, param) if entry.shape == seen.shape else entry
        for name, entry in rule.init(seen).items()
    }


def _unsee(entry: Tensor, param: Tensor) -> Tensor:
    """An entry like the seen parameter in the form of the parameter itself."""
    if param.is_complex():
        entry = torch.view_as_complex(entry.reshape(*param.shape, 2))
    return cut_like(entry.reshape(param.shape), param)


def _write(place: Tensor, value: Tensor) -> None:
    """Copy, whatever shape or number type the rule saw in its place."""
    real = torch.view_as_real(place) if place.is_complex() else place
    real.copy_(cut_like(value.reshape(real.shape), real))


def _in_form_of(place: Tensor, value: Tensor) -> Tensor:
    """What `_write` would leave in `place`, as a tensor of its own."""
    if place.is_complex():
        return torch.view_as_complex(value.reshape(*place.shape, 2)).to(place.dtype)
    return value.reshape(place.shape).to(place.dtype)


def _sum(terms: Tensor) -> Tensor:
    return whole(terms.sum(dtype=torch.promote_types(terms.dtype, torch.float32)))
