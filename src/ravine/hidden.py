"""What a training remembers outside of parameters and buffers: attributes, globals, closures.

Torch knows nothing of these: no checkpoint holds them, a functional call does not pass them on, and a
traced graph has them as they were when it was traced.
"""

from __future__ import annotations

import functools
import inspect
import pickle
import sys
import sysconfig
from collections.abc import Callable, Container, Iterator, Mapping
from dataclasses import dataclass
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any

import torch
from torch import Tensor, nn

BASE = frozenset(vars(nn.Module()))
"""What every module has: its tables of parameters, buffers, modules and hooks, and its mode."""

HOOKS = ("_forward_hooks", "_forward_pre_hooks")

INSTALLED = tuple({sysconfig.get_path(kind) for kind in ("stdlib", "purelib", "platlib")})

PLAIN = (bool, int, float, complex, str, bytes, type(None), torch.dtype, torch.device)


@dataclass(frozen=True)
class Opaque:
    """A value that is no plain data.

    Attributes:
        kind: its type's name.
        content: its pickle, to see whether it changes; None where it was not asked for, or has none.
    """

    kind: str
    content: bytes | None = None


def attributes(
    model: nn.Module, ours: tuple[type, ...] = (), opaque: bool = False
) -> dict[str, Any]:
    """Copies of what modules hold besides parameters, buffers and modules, by "path.name".

    Args:
        model: the module, with all inside of it.
        ours: kinds of modules that are left out.
        opaque: whether to look into values that are no plain data.
    """
    registered = {id(part) for part in (*model.modules(), *model.parameters(), *model.buffers())}
    return {
        f"{path}.{name}".lstrip("."): _copied(value, opaque, registered)
        for path, module in model.named_modules()
        if not isinstance(module, ours)
        for name, value in vars(module).items()
        if name not in BASE
    }


def different(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """The names that are on one side only, or have other values."""
    names = dict.fromkeys([*before, *after])
    return [n for n in names if n not in before or n not in after or not same(before[n], after[n])]


def changed(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """What of `after` is other than before, and plain data: what a checkpoint can hold."""
    names = [name for name in different(before, after) if name in after]
    return {name: after[name] for name in names if not is_opaque(after[name])}


def put(
    model: nn.Module, built: Mapping[str, Any], kept: Mapping[str, Any], ours: tuple[type, ...] = ()
) -> None:
    """Give a module's attributes the values that they had.

    Args:
        model: the module.
        built: its attributes as the constructor left them.
        kept: those that were other, as `changed` gave them.
        ours: as for `attributes`.
    """
    wanted, present = {**built, **kept}, attributes(model, ours)
    for name in different(wanted, present):
        path, _, attribute = name.rpartition(".")
        held = vars(model.get_submodule(path))
        if name not in wanted:
            if not is_opaque(present[name]):
                del held[attribute]
        elif not is_opaque(wanted[name]):
            held[attribute] = _copied(wanted[name], opaque=False)


def same(one: Any, other: Any) -> bool:
    """Whether two copies are equal, tensors bit by bit."""
    if isinstance(one, Tensor) and isinstance(other, Tensor):
        alike = (one.shape, one.dtype, one.device) == (other.shape, other.dtype, other.device)
        return alike and torch.equal(one, other)
    if type(one) is not type(other):
        return False
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return list(one) == list(other) and all(map(same, one.values(), other.values()))
    return bool(one == other)


def is_opaque(value: Any) -> bool:
    """Whether a copy holds something that is no plain data, which a checkpoint cannot hold."""
    if isinstance(value, list | tuple):
        return any(map(is_opaque, value))
    if isinstance(value, dict):
        return any(map(is_opaque, value.values()))
    return isinstance(value, Opaque)


def outside(model: nn.Module, *functions: Any) -> dict[str, Any]:
    """What the code of a model's classes and of these functions reaches outside of the model's modules.

    Globals and class attributes that the code names, what functions have closed over, and what
    callable objects hold; what installed packages hold is theirs.
    """
    found: dict[str, Any] = {}
    seen: set[int] = {id(module) for module in model.modules()}
    for function in [*_methods(model), *functions]:
        _look(function, found, seen)
    return found


def _copied(value: Any, opaque: bool, registered: Container[int] = ()) -> Any:
    if id(value) in registered or isinstance(value, nn.Parameter):
        return Opaque("registered")
    if isinstance(value, Tensor):
        return value.detach().clone()
    if type(value) in PLAIN:
        return value
    if type(value) in (list, tuple):
        return type(value)(_copied(item, opaque, registered) for item in value)
    if type(value) is dict and all(type(key) in PLAIN for key in value):
        return {key: _copied(item, opaque, registered) for key, item in value.items()}
    return Opaque(type(value).__name__, _content(value) if opaque else None)


def _content(value: Any) -> bytes | None:
    if isinstance(value, torch.Generator):
        return bytes(value.get_state().tolist())
    if callable(value) and not hasattr(value, "__dict__"):
        return None
    try:
        return pickle.dumps(value)
    except Exception:  # locks, files, lambdas: whatever cannot be pickled cannot be compared
        return None


def _methods(model: nn.Module) -> Iterator[Any]:
    """Functions of the modules' own classes, and their hooks."""
    for module in model.modules():
        for kind in type(module).__mro__:
            if not _foreign(kind):
                yield kind
        for hooks in HOOKS:
            yield from vars(module)[hooks].values()


def _foreign(thing: Any) -> bool:
    """Whether something is not the user's own code: Python's, ravine's, or an installed package's."""
    name = getattr(thing, "__module__", None) or "builtins"
    if name.partition(".")[0] in ("builtins", "torch", "ravine"):
        return True
    file = getattr(sys.modules.get(name), "__file__", None) or ""
    return file.startswith(INSTALLED)


def _look(thing: Any, found: dict[str, Any], seen: set[int]) -> None:
    """Add what a class, a function or a callable object reaches."""
    partial = isinstance(thing, functools.partial)  # of functools, but what it holds is the user's
    if id(thing) in seen or (_foreign(thing) and not partial):
        return
    seen.add(id(thing))
    if isinstance(thing, type):
        _look_at_all(thing.__qualname__, vars(thing), found, seen)
    elif isinstance(thing, functools.partial):
        held = {f"argument {place}": value for place, value in enumerate(thing.args)}
        _look_at_all("partial", {"func": thing.func, **held, **thing.keywords}, found, seen)
    elif isinstance(thing, MethodType):
        _look_at_all(type(thing.__self__).__name__, {"self": thing.__self__}, found, seen)
        _look(thing.__func__, found, seen)
    elif isinstance(thing, FunctionType):
        names = set(_names(thing.__code__)) & set(thing.__globals__)
        reached = {name: thing.__globals__[name] for name in sorted(names)}
        closed = inspect.getclosurevars(thing).nonlocals
        _look_at_all(thing.__module__, reached, found, seen)
        _look_at_all(thing.__qualname__, closed, found, seen)
    elif isinstance(thing, Callable):  # type: ignore[arg-type]
        found[type(thing).__name__] = _copied(thing, opaque=True)
        _look(type(thing), found, seen)


def _look_at_all(
    where: str, values: Mapping[str, Any], found: dict[str, Any], seen: set[int]
) -> None:
    for name, value in values.items():
        if isinstance(value, staticmethod | classmethod):
            value = value.__func__
        if isinstance(value, property) and value.fget is not None:
            value = value.fget
        if isinstance(value, FunctionType | MethodType | functools.partial | type):
            _look(value, found, seen)
        elif not isinstance(value, ModuleType) and not (
            name.startswith("__") or isinstance(value, nn.Module)
        ):
            found[f"{where}.{name}"] = _copied(value, opaque=True)


def _names(code: CodeType) -> Iterator[str]:
    """The names that code uses, that of functions inside of it, too."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)
