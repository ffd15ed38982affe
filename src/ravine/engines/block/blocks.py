"""Parameters that one call of a kernel updates together, and their state."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from ravine.engines.block.homes import (
    Arena,
    Gathered,
    Home,
    InPlace,
    is_plain,
    plain,
)
from ravine.engines.eager import count_names
from ravine.engines.shards import is_sharded, layout, spread_like
from ravine.rules import Granularity, Rule, State

SMALL = 2**16
"""Parameters of fewer elements share a block. A call of a kernel takes 15 us, in which 60,000 floats
are gathered: larger ones are worth a call of their own, on the memory they have."""

LARGEST_BLOCK = 2**22
"""Elements in a block of small parameters, at most: their gradients are gathered into 16 MiB."""


@dataclass(frozen=True, eq=False)
class Block:
    """Parameters, and what a rule remembers of them.

    Attributes:
        home: where the parameters are.
        state: entries with axes, [block].
        counts: 0-D entries, the same for all parameters of the block, and shared between blocks.
        kind: equal for blocks that one kernel can run on: dtypes, devices, and shape or axes.
    """

    home: Home
    state: State
    counts: State
    kind: Any


@dataclass(frozen=True)
class Arenas:
    """Memory that blocks use in turn.

    Attributes:
        weights: for parameters that are gathered.
        grads: for gradients.
    """

    weights: Arena = field(default_factory=Arena)
    grads: Arena = field(default_factory=Arena)


def make_blocks(
    rule: Rule,
    params: Sequence[Tensor],
    store: MutableMapping[Tensor, State],
    arenas: Arenas,
    counts_on_device: bool = False,
) -> list[Block]:
    """Put parameters into blocks, and their states into `store`, as views of the blocks.

    Args:
        rule: the rule.
        params: parameters, each in no other block.
        store: parameter -> what is remembered of it so far; nothing at the start.
        arenas: memory for gathered parameters and for gradients.
        counts_on_device: whether counts lie beside the parameters, else on the CPU.
    """
    twice = _at_one_place(params)
    together: dict[Any, list[Tensor]] = {}
    for index, param in enumerate(params):
        lonely = index if param.numel() >= SMALL or index in twice else None
        key = (_kind(rule, param), _remembered(rule, param, store.get(param, {})), lonely)
        together.setdefault(key, []).append(param)
    counts: dict[Any, State] = {}
    blocks = []
    for (_, remembered, _), members in together.items():
        members.sort(key=lambda param: param.shape)  # neighbours of one shape are gathered faster
        for chunk in _chunks(members):
            home = _home(rule.granularity, chunk, arenas)
            block = _fill(rule, home, store, counts_on_device)
            shared = counts.setdefault((remembered, block.kind), block.counts)
            blocks.append(replace(block, counts=shared))
            publish(rule, blocks[-1], store)
    return blocks


def publish(rule: Rule, block: Block, store: MutableMapping[Tensor, State]) -> None:
    """Show each parameter's state in `store`, as views of the block's."""
    if not block.state and not block.counts:
        return
    for param in block.home.params:
        store.setdefault(param, {}).update(block.counts)
    for name, entry in block.state.items():
        for param, view in zip(block.home.params, _views(rule, block.home, entry), strict=True):
            store[param][name] = _like(param, view)


def _fill(rule: Rule, home: Home, store: Mapping[Tensor, State], counts_on_device: bool) -> Block:
    """A block with the states of its parameters: what is remembered, else what the rule begins with."""
    state, counts = initial_state(rule, home)
    known = [store.get(param, {}) for param in home.params]
    for name, entry in state.items():
        if name in known[0]:
            state[name] = entry = entry.to(plain(known[0][name]).dtype)
            for view, saved in zip(_views(rule, home, entry), known, strict=True):
                view.copy_(plain(saved[name]).view(view.shape))
    counts = {name: known[0].get(name, count).clone() for name, count in counts.items()}
    if not counts_on_device:
        counts = {name: count.cpu() for name, count in counts.items()}
    return Block(home, state, counts, _block_kind(rule.granularity, home, state, counts))


def _block_kind(granularity: Granularity, home: Home, state: State, counts: State) -> Any:
    weights = home.open()
    return (
        weights.dtype,
        weights.device,
        home.shape if granularity == "matrix" else len(home.shape),
        tuple((name, entry.dtype) for name, entry in state.items()),
        tuple((name, count.dtype, count.device) for name, count in counts.items()),
    )


def initial_state(rule: Rule, home: Home) -> tuple[State, State]:
    """The state of a block before the first step: entries with axes, and counts."""
    if rule.granularity == "matrix":
        each = [rule.init(param) for param in home.open()]
        entries = {name: torch.stack([state[name] for state in each]) for name in each[0]}
        counts = {name: entry for name, entry in each[0].items() if entry.ndim == 0}
        return {name: e for name, e in entries.items() if name not in counts}, counts
    entries = rule.init(home.open())
    counts = {name: entry for name, entry in entries.items() if entry.ndim == 0}
    return {name: entry for name, entry in entries.items() if name not in counts}, counts


def _views(rule: Rule, home: Home, entry: Tensor) -> list[Tensor]:
    """A block's state entry as one view for each parameter."""
    if rule.granularity != "matrix":
        return home.cut(entry)
    return [
        view if param.ndim or view.ndim > 1 else view.view(())  # a scalar was seen as a vector
        for param, view in zip(home.params, entry, strict=True)
    ]


def _like(param: Tensor, view: Tensor) -> Tensor:
    """A view of a state entry in the form of its parameter: complex, or a shard."""
    if param.is_complex():
        return torch.view_as_complex(view)
    return spread_like(view, param) if is_sharded(param) else view


def _kind(rule: Rule, param: Tensor) -> Any:
    """What parameters of one block have in common."""
    local = plain(param)
    shapes = {"elementwise": None, "tensor": local.numel(), "matrix": local.shape}
    return (
        local.dtype,
        local.device,
        shapes[rule.granularity],
        layout(param),
        is_plain(param),
    )


def _remembered(rule: Rule, param: Tensor, state: State) -> Any:
    """What states of one block have in common: their names and dtypes, and the values of counts."""
    counts = count_names(rule, param)
    return tuple(
        (name, entry.dtype, float(entry) if name in counts else None)
        for name, entry in sorted(state.items())
    )


def _at_one_place(params: Sequence[Tensor]) -> set[int]:
    """Indices of parameters that share their memory with another one."""
    places: dict[int, list[int]] = {}
    for index, param in enumerate(params):
        memory = plain(param)
        if memory.numel():  # empty shards all lie at address 0
            places.setdefault(memory.data_ptr(), []).append(index)
    return {index for shared in places.values() if len(shared) > 1 for index in shared}


def _chunks(params: Sequence[Tensor]) -> Iterator[list[Tensor]]:
    """Parameters in pieces of at most `LARGEST_BLOCK` elements."""
    chunk: list[Tensor] = []
    elements = 0
    for param in params:
        if chunk and elements + param.numel() > LARGEST_BLOCK:
            yield chunk
            chunk, elements = [], 0
        chunk.append(param)
        elements += param.numel()
    yield chunk


def _home(granularity: Granularity, params: Sequence[Tensor], arenas: Arenas) -> Home:
    shape = _shape(granularity, [plain(param) for param in params])
    if len(params) == 1 and plain(params[0]).is_contiguous():
        return InPlace(params, shape)
    return Gathered(params, shape, arenas.weights, arenas.grads)


def _shape(granularity: Granularity, params: Sequence[Tensor]) -> torch.Size:
    """The shape of a block: what the rule's granularity wants to see of its parameters."""
    if granularity == "matrix":
        return torch.Size([len(params), *(params[0].shape or (1,))])
    if granularity == "tensor" and len(params) > 1:
        return torch.Size([len(params), params[0].numel()])
    return torch.Size([sum(param.numel() for param in params)])
