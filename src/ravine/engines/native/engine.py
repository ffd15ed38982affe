"""The fast engine for elementwise rules on the CPU: one call steps all parameters where they are.

Inductor's kernels take one tensor a call, so that 200 small parameters have to be gathered into one
first, or moved into common memory. A native kernel is given the addresses of all of them, and takes
half a second to compile where the first one of inductor takes four.
"""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from itertools import chain
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor
from torch.autograd.graph import increment_version

from ravine.engines.eager import complete, count_names, entry_names
from ravine.engines.graphs.functions import Names, terms, updating
from ravine.engines.graphs.parts import Function, take_apart
from ravine.engines.native.cpp import UnsupportedError, source
from ravine.engines.native.library import load
from ravine.rules import Hyper, Rule, State, at_param
from ravine.rules._rule import Summand, Update

Kernel = Callable[..., float]
"""(tensors, sizes, addresses, addresses of counts, hyperparameters, threads) -> a sum; see `cpp`."""

DTYPES = (torch.float32, torch.float64)

KERNELS: WeakKeyDictionary[Update | Summand, dict[Any, Kernel]] = WeakKeyDictionary()
"""Kernels by function, and by what they were traced for."""


class NativeEngine:
    """Steps contiguous parameters on the CPU under one elementwise rule.

    Args:
        rule: the rule; it takes its gradient at the parameter (see `transforms.at_probe`).
        store: parameter -> its state, completed where it is not.

    Raises:
        UnsupportedError: the rule has steps of several kinds, or an operator that has no C++ here.
        CompilerError: there is no C++ compiler.
    """

    def __init__(self, rule: Rule, store: MutableMapping[Tensor, State]):
        assert rule.probe is at_param
        if rule.granularity != "elementwise" or rule.choose is not None:
            raise UnsupportedError(f"{rule.title} is not one elementwise function")
        self.rule = rule
        self._store = store
        self._params: list[Tensor] = []
        self._addresses: list[int] = []
        self._sizes: list[int] = []
        self._held: list[Tensor] = []
        self._listings: list[_Listing] = []
        state = rule.init(torch.zeros(1))
        self._entries = tuple(name for name, entry in state.items() if entry.ndim)
        self._counted = tuple(name for name in state if name not in self._entries)
        counts = {name: state[name] for name in self._counted}
        self._make_kernels(torch.float32, counts)

    def total(self, name: str, grads: Sequence[Tensor], hyper: Hyper) -> Tensor:
        """One of the rule's sums; arguments as for `BlockEngine.total`."""
        total, summand = 0.0, self.rule.totals[name]
        for listing in self._listings:
            kernel = self._kernel(summand, terms, listing.dtype, listing.counts, tuple(hyper))
            total += listing.run(kernel, grads, hyper)
        return torch.tensor(total, dtype=torch.float64)

    def step(self, grads: Sequence[Tensor], hyper: Hyper) -> None:
        """One step, in place; arguments as for `BlockEngine.step`."""
        for listing in self._listings:
            names = tuple(hyper)
            kernel = self._kernel(self.rule.update, updating, listing.dtype, listing.counts, names)
            listing.run(kernel, grads, hyper)
        # So that autograd notices, as it does with torch's operators.
        increment_version(self._params)

    def release(self) -> None:
        """Forget where parameters and states are; they stay there."""
        self._params, self._addresses, self._listings = [], [], []
        self._sizes, self._held = [], []

    @torch.no_grad()
    def arrange(self, params: Sequence[Tensor]) -> None:
        """Say which parameters take the next step; quick if they are those of the last one.

        Raises:
            UnsupportedError: they are no longer what native kernels can work on.
        """
        if len(params) == len(self._params) and self._where_they_were(params):
            return
        if not can_step(self.rule, params, self._store):
            raise UnsupportedError("parameters were moved or converted")
        alike: dict[Any, list[int]] = {}
        for index, param in enumerate(params):
            state = complete(self.rule, param, self._store)
            counts = tuple((state[name].dtype, float(state[name])) for name in self._counted)
            alike.setdefault((param.dtype, counts), []).append(index)
        self._listings = []
        for places in alike.values():
            members = [params[index] for index in places]
            states = [self._store[p] for p in members] if self._entries or self._counted else []
            listing = _Listing(places, members, states, self._entries, self._counted)
            self._listings.append(listing)
        for listing in self._listings:
            self._make_kernels(listing.dtype, listing.counts)
        self._params = list(params)
        self._held = [param.detach() for param in params]
        self._sizes = [param.numel() for param in params]
        self._addresses = list(map(_ADDRESS, params))

    def _make_kernels(self, dtype: torch.dtype, counts: State) -> None:
        """Make all kernels that a step needs, or raise before anything has been stepped."""
        known = tuple(self.rule.defaults)
        for name, summand in self.rule.totals.items():
            self._kernel(summand, terms, dtype, counts, known)
            known = (*known, name)
        self._kernel(self.rule.update, updating, dtype, counts, known)

    def _where_they_were(self, params: Sequence[Tensor]) -> bool:
        """Whether parameters and states are what and where they were: kernels write to addresses.

        Aliases of the listed memory are held, so that nobody else can have got it.
        """
        return (
            list(map(_ADDRESS, params)) == self._addresses
            and list(map(Tensor.numel, params)) == self._sizes
            and all(listing.intact() for listing in self._listings)
        )

    def _kernel(
        self,
        function: Update | Summand,
        make: Callable[..., Function],
        dtype: torch.dtype,
        counts: State,
        hyper: tuple[str, ...],
    ) -> Kernel:
        """The kernel of a function; kernels are shared by all engines."""
        kernels = KERNELS.setdefault(function, {})
        key = (dtype, tuple((n, c.dtype) for n, c in counts.items()), self._entries, hyper)
        if key not in kernels:
            parts = take_apart(
                make(function, "elementwise", Names(self._entries, self._counted, hyper)),
                [torch.zeros(7, dtype=dtype) for _ in range(2 + len(self._entries))],
                [count.clone() for count in counts.values()],
                [torch.ones((), dtype=torch.float64) for _ in hyper],
                dynamic=True,
            )
            run = load(source(parts)).run
            run.restype = ctypes.c_double
            run.argtypes = [ctypes.c_int64, *[ctypes.c_void_p] * 4, ctypes.c_int]
            kernels[key] = run
        return kernels[key]


def can_step(rule: Rule, params: Sequence[Tensor], store: Mapping[Tensor, State]) -> bool:
    """Whether native kernels can work on these parameters and states, where they are.

    Kernels write to bare addresses: what is not plain memory of the right size is left to others.
    """
    places = [param.data_ptr() for param in params if param.numel()]
    return len(set(places)) == len(places) and all(
        type(param) in (Tensor, torch.nn.Parameter)
        and _is_plain_memory(param)
        and getattr(param, "grad_dtype", None) in (None, param.dtype)
        and _fits(rule, param, store.get(param, {}))
        for param in params
    )


def _is_plain_memory(tensor: Tensor) -> bool:
    return (
        tensor.device.type == "cpu"
        and tensor.layout is torch.strided
        and tensor.dtype in DTYPES
        and tensor.is_contiguous()
        and not tensor.is_neg()
    )


def _fits(rule: Rule, param: Tensor, state: State) -> bool:
    """Whether a state's entries are plain memory like the parameter's, or counts."""
    counts = count_names(rule, param)
    return all(
        _is_plain_memory(entry)
        and (name in counts or (entry.dtype, entry.shape) == (param.dtype, param.shape))
        for name, entry in state.items()
        if name in counts or name in entry_names(rule, param)
    )


class _Listing:
    """Parameters of one dtype that have taken the same steps, and the addresses of all they need.

    Args:
        places: where their gradients are in the list that a step gets.
        params: the parameters.
        states: their states; counts are replaced by common ones.
        entries: names of the state's entries with axes.
        counted: names of its counts.
    """

    def __init__(
        self,
        places: list[int],
        params: list[Tensor],
        states: list[State],
        entries: tuple[str, ...],
        counted: tuple[str, ...],
    ):
        self.dtype = params[0].dtype
        self._places = places
        self.counts = {name: states[0][name].clone().cpu() for name in counted}
        for state in states:
            state.update(self.counts)
        count = len(params)
        self._sizes = (ctypes.c_int64 * count)(*(param.numel() for param in params))
        rows = [params, params, *([state[name] for state in states] for name in entries)]
        self._table = (ctypes.c_void_p * (count * len(rows)))()
        self._row = struct.Struct(f"{count}P")
        for index, row in enumerate(rows):
            self._row.pack_into(self._table, index * self._row.size, *map(_ADDRESS, row))
        self._states = states
        self._held = [entry.detach() for row in rows[2:] for entry in row]
        self._entries = self._addresses_of_entries()

    def intact(self) -> bool:
        """Whether the states hold the tensors that they held, and these are where they were."""
        return self._addresses_of_entries() == self._entries

    def _addresses_of_entries(self) -> list[int]:
        return list(map(_ADDRESS, chain.from_iterable(map(dict.values, self._states))))

    def run(self, kernel: Kernel, grads: Sequence[Tensor], hyper: Hyper) -> float:
        """Call a kernel on the parameters and their gradients; the sum of its terms."""
        mine = [grads[place] for place in self._places]
        self._row.pack_into(self._table, self._row.size, *map(_ADDRESS, mine))
        numbers = (ctypes.c_double * len(hyper))(*map(float, hyper.values()))
        counts = (ctypes.c_void_p * len(self.counts))(*map(_ADDRESS, self.counts.values()))
        threads = torch.get_num_threads()
        return kernel(len(mine), self._sizes, self._table, counts, numbers, threads)


_ADDRESS = Tensor.data_ptr
