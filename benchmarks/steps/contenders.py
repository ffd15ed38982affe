"""Which implementations of a rule are measured against each other."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor
from torch.nn import Parameter
from torch.utils._pytree import tree_leaves

from steps.sets import Shape

PACKAGES = {
    "pytorch_optimizer": "pytorch_optimizer",
    "heavyball": "heavyball",
    "optimi": "torch-optimi",
}
"""Other libraries, by the name they are imported by, each with the name it is installed by."""

SLOW_TO_COMPILE = ("torch compiled", "heavyball")
"""Contenders that compile for 20 to 100 s before their first step: only measured when asked for."""

COMPILED_STEPS = ("sgd", "adam", "rmsprop")
"""Rules for which torch.compile(optimizer.step) is tried: one of each number of states."""


class Contender:
    """One implementation, over parameters of its own.

    Args:
        optimizers: what steps; several where an implementation leaves some parameters to another.
        compiled: whether torch.compile goes around `step`.
    """

    def __init__(self, *optimizers: torch.optim.Optimizer, compiled: bool = False):
        self._optimizers = optimizers
        if compiled:
            self.step = torch.compile(self.step)  # type: ignore[method-assign]

    def step(self) -> None:
        for optimizer in self._optimizers:
            optimizer.step()

    def state_bytes(self) -> int:
        """What the state tensors take; a tensor that parameters share counts once."""
        return sum(t.numel() * t.element_size() for t in self._state_tensors())

    def _state_tensors(self) -> Iterable[Tensor]:
        entries = (leaf for o in self._optimizers for leaf in tree_leaves(dict(o.state)))
        return {t.data_ptr(): t for t in entries if isinstance(t, Tensor)}.values()


Make = Callable[[list[Parameter]], Contender]


@dataclass(frozen=True)
class Case:
    """A rule, and what it is called in each library.

    Attributes:
        states: tensors of the parameters' size that it keeps; smaller ones are left out.
        ours: its class in ravine.optim.
        torch: its class in torch.optim; None where torch has none.
        options: for both. Whatever is not named is left at each library's own default.
        others: module -> (class, options).
        sets: the sets of parameters on which a step takes seconds at most.
        matrices_only: leave the vectors out.
    """

    states: int
    ours: str
    torch: str | None
    options: Mapping[str, Any] = field(default_factory=dict)
    others: Mapping[str, tuple[str, dict[str, Any]]] = field(default_factory=dict)
    sets: tuple[str, ...] = ("small", "gpt2")
    matrices_only: bool = False

    def shapes(self, shapes: list[Shape]) -> list[Shape]:
        """Those of a set's parameters that the rule is measured on."""
        return [s for s in shapes if len(s) == 2] if self.matrices_only else shapes


_MOMENTUM = {"momentum": 0.9}
_LR = {"lr": 1e-3}

CASES: dict[str, Case] = {
    "sgd": Case(0, "SGD", "SGD", others={"optimi": ("SGD", _LR)}),
    "momentum": Case(
        1,
        "SGD",
        "SGD",
        _MOMENTUM,
        {"optimi": ("SGD", {**_LR, **_MOMENTUM}), "heavyball": ("SGD", {"beta": 0.9})},
    ),
    "nesterov": Case(1, "SGD", "SGD", {**_MOMENTUM, "nesterov": True}),
    "adagrad": Case(1, "Adagrad", "Adagrad"),
    "rmsprop": Case(1, "RMSprop", "RMSprop", others={"heavyball": ("RMSprop", {})}),
    "rmsprop centered": Case(2, "RMSprop", "RMSprop", {"centered": True}),
    "rmsprop momentum": Case(2, "RMSprop", "RMSprop", _MOMENTUM),
    "adadelta": Case(2, "Adadelta", "Adadelta", others={"pytorch_optimizer": ("AdaDelta", {})}),
    "adam": Case(2, "Adam", "Adam", others={"optimi": ("Adam", _LR)}),
    "amsgrad": Case(3, "Adam", "Adam", {"amsgrad": True}),
    "adamw": Case(
        2, "AdamW", "AdamW", others={"optimi": ("AdamW", _LR), "heavyball": ("AdamW", {})}
    ),
    "nadam": Case(2, "NAdam", "NAdam", others={"heavyball": ("NAdam", {})}),
    "adamax": Case(2, "Adamax", "Adamax", others={"pytorch_optimizer": ("AdaMax", {})}),
    "radam": Case(
        2,
        "RAdam",
        "RAdam",
        others={"optimi": ("RAdam", _LR), "pytorch_optimizer": ("RAdam", {})},
    ),
    "asgd": Case(1, "ASGD", "ASGD"),
    "rprop": Case(2, "Rprop", "Rprop"),
    "lion": Case(
        1, "Lion", None, others={"optimi": ("Lion", _LR), "pytorch_optimizer": ("Lion", {})}
    ),
    "sign_sgd": Case(
        0, "SignSGD", None, others={"pytorch_optimizer": ("SignSGD", {"momentum": 0.0})}
    ),
    "lars": Case(1, "LARS", None, others={"pytorch_optimizer": ("LARS", {})}),
    "lamb": Case(2, "LAMB", None, others={"pytorch_optimizer": ("Lamb", {})}),
    "adafactor": Case(
        0,
        "Adafactor",
        "Adafactor",
        others={"pytorch_optimizer": ("AdaFactor", {"betas": (None, 0.999)})},
    ),
    "schedule_free_sgd": Case(
        1, "ScheduleFreeSGD", None, others={"pytorch_optimizer": ("ScheduleFreeSGD", {})}
    ),
    "schedule_free_adamw": Case(
        2,
        "ScheduleFreeAdamW",
        None,
        others={
            "pytorch_optimizer": ("ScheduleFreeAdamW", {}),
            "heavyball": ("SFAdamW", {}),
        },
    ),
    "muon": Case(
        1,
        "MuonAdamW",
        "Muon",
        others={"pytorch_optimizer": ("Muon", {}), "heavyball": ("MuonAdamW", {})},
        sets=("small",),
    ),
    # A vector of 2000 would need the root of a 2000x2000 matrix at every step, in every library.
    "shampoo": Case(
        0,
        "Shampoo",
        None,
        others={"pytorch_optimizer": ("Shampoo", {})},
        sets=("small",),
        matrices_only=True,
    ),
    "soap": Case(
        2,
        "SOAP",
        None,
        others={"pytorch_optimizer": ("SOAP", {}), "heavyball": ("SOAP", {})},
        sets=("small",),
    ),
}


def contenders(name: str, set_name: str, compile_step: bool) -> dict[str, Make | str]:
    """Implementations of a rule: how to make each, or why it cannot be measured here."""
    case = CASES[name]
    made: dict[str, Make | str] = dict(_ours(case, set_name))
    if case.torch == "Muon":
        made["torch"] = _muon_and_adamw
    elif case.torch is not None:
        made.update(_torchs(case))
    if name in COMPILED_STEPS and set_name == "small":
        made["torch compiled"] = lambda params: Contender(
            getattr(torch.optim, str(case.torch))(params, **case.options), compiled=True
        )
    for module, (class_name, options) in case.others.items():
        made[module] = _other(module, class_name, options)
    if not compile_step:
        made.update(dict.fromkeys(SLOW_TO_COMPILE & made.keys(), "without --compile-step"))
    return made


def packages() -> dict[str, str]:
    """Versions of the other libraries."""
    return {
        module: version(package) if find_spec(module) else "not installed"
        for module, package in PACKAGES.items()
    }


def ours(case: Case, engine: str) -> Make:
    """ravine's class; imported when it is made, so that its import can be timed apart."""

    def make(params: list[Parameter]) -> Contender:
        optim = import_module("ravine.optim")
        return Contender(getattr(optim, case.ours)(params, **case.options, engine=engine))

    return make


def _ours(case: Case, set_name: str) -> Iterator[tuple[str, Make]]:
    yield "ravine", ours(case, "compiled")
    if set_name == "small":
        yield "ravine eager", ours(case, "eager")


def _torchs(case: Case) -> Iterator[tuple[str, Make]]:
    constructor = getattr(torch.optim, str(case.torch))

    def with_options(**ways: bool) -> Make:
        return lambda params: Contender(constructor(params, **case.options, **ways))

    yield "torch", with_options()
    for way in ("foreach", "fused"):
        if way in inspect.signature(constructor).parameters:
            yield f"torch {way}", with_options(**{way: True})


def _muon_and_adamw(params: list[Parameter]) -> Contender:
    """torch's Muon takes matrices only."""
    matrices = [param for param in params if param.ndim == 2]
    vectors = [param for param in params if param.ndim != 2]
    return Contender(torch.optim.Muon(matrices), torch.optim.AdamW(vectors))


def _other(module: str, class_name: str, options: dict[str, Any]) -> Make | str:
    if find_spec(module) is None:
        return f"not installed: pip install {PACKAGES[module]}"

    def make(params: list[Parameter]) -> Contender:
        groups: Any = params
        if (module, class_name) == ("pytorch_optimizer", "Muon"):
            groups = [
                {"params": [p for p in params if (p.ndim == 2) == on], "use_muon": on}
                for on in (True, False)
            ]
        optimizer = getattr(import_module(module), class_name)(groups, **options)
        if hasattr(optimizer, "train"):  # Schedule-Free steps in train mode only
            optimizer.train()
        return Contender(optimizer)

    return make
