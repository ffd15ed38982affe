"""The fast engine for elementwise rules on the CPU: one call steps all parameters where they are.

Inductor's kernels take one tensor a call, so that 200 small parameters have to be gathered into one
first, or moved into common memory. A native kernel is given the addresses of all of them, and takes
half a second to compile where the first one of inductor takes four.
"""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Callable, MutableMapping, Sequence
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor
from torch.autograd.graph import increment_version

from ravine.engines.eager import complete
from ravine.engines.graphs.functions import Names, terms, updating
from ravine.engines.graphs.parts import Function, take_apart
from ravine.engines.native.cpp import UnsupportedError, source
from ravine.engines.native.library import load
from ravine.engines.shards import is_sharded
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
        self._listings: list[_Listing] = []
        state = rule.init(torch.zeros(1))
        self._entries = tuple(name for name, entry in state.items() if entry.ndim)
        self._counted = tuple(name for name in state if name not in self._entries)
        counts = {name: state[name] for name in self._counted}
        hyper = (*rule.defaults, *rule.totals)
        self._kernel(rule.update, updating, torch.float32, counts, hyper)  # raises now or never

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
        increment_version(
            self._params
        )  # so that autograd notices, as it does with torch's operators

    def release(self) -> None:
        """Forget where parameters and states are; they stay there."""
        self._params, self._addresses, self._listings = [], [], []

    @torch.no_grad()
    def arrange(self, params: Sequence[Tensor]) -> None:
        """Say which parameters take the next step; quick if they are those of the last one.

        Raises:
            UnsupportedError: they are no longer what native kernels can work on.
        """
        if len(params) == len(self._params) and self._where_they_were(params):
            return
        if not can_step(params, self._store):
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
        self._params = list(params)
        self._addresses = list(map(_ADDRESS, params))

    def _where_they_were(self, params: Sequence[Tensor]) -> bool:
        """Whether parameters and states lie where they did: kernels write to bare addresses.

        The listed tensors are held, so nobody else can have got their memory.
        """
        if list(map(_ADDRESS, params)) != self._addresses:
            return False
        return all(listing.intact() for listing in self._listings)

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
        key = (dtype, tuple(count.dtype for count in counts.values()), hyper)
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


def can_step(params: Sequence[Tensor], store: MutableMapping[Tensor, State]) -> bool:
    """Whether native kernels can work on these parameters and states, where they are."""
    return all(
        param.device.type == "cpu"
        and param.dtype in DTYPES
        and not is_sharded(param)
        and param.is_contiguous()
        and all(
            entry.dtype == param.dtype and entry.is_contiguous()
            for entry in store.get(param, {}).values()
            if entry.ndim
        )
        for param in params
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
        self._held = [entry for row in rows[2:] for entry in row]
        self._addresses = list(map(_ADDRESS, self._held))

    def intact(self) -> bool:
        """Whether the states are where they were."""
        return list(map(_ADDRESS, self._held)) == self._addresses

    def run(self, kernel: Kernel, grads: Sequence[Tensor], hyper: Hyper) -> float:
        """Call a kernel on the parameters and their gradients; the sum of its terms."""
        mine = [grads[place] for place in self._places]
        self._row.pack_into(self._table, self._row.size, *map(_ADDRESS, mine))
        numbers = (ctypes.c_double * len(hyper))(*map(float, hyper.values()))
        counts = (ctypes.c_void_p * len(self.counts))(*map(_ADDRESS, self.counts.values()))
        threads = torch.get_num_threads()
        return kernel(len(mine), self._sizes, self._table, counts, numbers, threads)


_ADDRESS = Tensor.data_ptr
