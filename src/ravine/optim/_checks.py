"""What optimizers are given: options, parameters, gradients."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import wraps
from operator import attrgetter
from typing import Any

import torch
from torch import Tensor, nn

from ravine.errors import ParameterError, SettingError, UnknownOptionError
from ravine.optim._composing import ready
from ravine.optim._ranges import Range, ranges_of
from ravine.optim._settings import PAIRS
from ravine.rules import Rule
from ravine.transforms.precision import ROUNDINGS

ENGINES = ("auto", "eager", "compiled")


def check_ways(engine: str, rounding: str) -> None:
    """Raise SettingError unless there are an engine and a rounding of these names."""
    if engine not in ENGINES:
        raise SettingError(f"engine={engine!r} is unknown; pass {_either(ENGINES)}.")
    if rounding not in ROUNDINGS:
        raise SettingError(f"rounding={rounding!r} is unknown; pass {_either(tuple(ROUNDINGS))}.")


def given(params: Any) -> list[Any]:
    """The parameters or groups that an optimizer is given, as a list.

    Raises:
        ParameterError: there is none, or it is something else.
    """
    found = _listed(params)
    if not found:
        raise ParameterError(
            "no parameters came: either the model has none, or model.parameters() was used up "
            "before; call it anew."
        )
    return found


def list_members(group: dict[str, Any], others: Sequence[Mapping[str, Any]]) -> None:
    """Make the parameters of a new group a list, and check that each of them is new.

    Args:
        group: as the user gave it; its parameters may have names.
        others: the groups that the optimizer has.

    Raises:
        ParameterError: there are no parameters, or one is there already.
    """
    if "params" not in group:
        raise ParameterError(
            f'a group came without "params"; it has {", ".join(map(repr, group)) or "nothing"}: '
            'write {"params": [...], "lr": 0.1}.'
        )
    params = group["params"]
    group["params"] = [params] if isinstance(params, Tensor) else _listed(params)
    known = {id(param) for other in others for param in other["params"]}
    seen: set[int] = set()
    for place, member in enumerate(group["params"]):
        param = member[1] if isinstance(member, tuple) else member
        if id(param) in seen or id(param) in known:
            where = "in one group" if id(param) in seen else "in two groups"
            raise ParameterError(
                f"parameter {place} of a group, of shape {list(param.shape)}, came twice {where}; "
                "each parameter is to be given once."
            )
        seen.add(id(param))


def check_group(group: Mapping[str, Any], rule: Rule, engine: str, rounding: str) -> None:
    """Check the options and the parameters of one group.

    Args:
        group: options and parameters.
        rule: the rule that will step them.
        engine, rounding: as the user chose them.

    Raises:
        SettingError: the first thing that cannot be used.
    """
    for shown, name, value in _numbers(group):
        check_number(shown, value, ranges_of(rule).get(name))
    _check_way(group, engine)
    _check_params(group["params"], rule)
    _check_states(group["params"], ready(rule, False, rounding))


def check_number(shown: str, value: Any, allowed: Range | None) -> None:
    """Raise SettingError unless a number, or a tensor of one, lies in its range."""
    if isinstance(value, Tensor) and value.numel() != 1:
        raise SettingError(
            f"{shown} is a tensor of shape {list(value.shape)}; it must hold exactly one number."
        )
    if allowed is None:
        return
    try:
        inside = allowed.holds(value)
    except TypeError:
        inside = False
    if not inside:
        raise SettingError(f"{shown}={value} is out of range; it must be {allowed.words}.")


def check_dense(grads: Sequence[Tensor]) -> None:
    """Raise ParameterError if a gradient is sparse."""
    if {*map(attrgetter("layout"), grads)} == {torch.strided}:
        return
    for grad in grads:
        if grad.layout is not torch.strided:
            raise ParameterError(
                f"a gradient of shape {list(grad.shape)} is sparse, and ravine's rules need dense "
                "ones: build the layer with sparse=False, or use torch.optim.SparseAdam for it."
            )


def known_keywords(init: Callable[..., None], name: str) -> Callable[..., None]:
    """A constructor that says which option was meant where it does not know one.

    Raises:
        UnknownOptionError: (when called) a keyword that the constructor does not take.
    """
    parameters = inspect.signature(init).parameters
    known = [key for key in parameters if key != "self"]
    takes_any = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values())

    @wraps(init)
    def checked(self: Any, *args: Any, **options: Any) -> None:
        for key in () if takes_any else options:
            if key not in parameters:
                raise UnknownOptionError.of(f"option of {name}:", key, known, f"help({name})")
        init(self, *args, **options)

    return checked


def check_options(group: Mapping[str, Any], rule: Rule, beside: Iterable[str]) -> None:
    """Raise UnknownOptionError if a group sets what neither its rule nor the optimizer has.

    Args:
        group: options by name.
        rule: its hyperparameters may be set.
        beside: other keys that may be there.
    """
    for name in group.keys() - rule.defaults.keys() - set(beside):
        near = difflib.get_close_matches(name, list(rule.defaults), n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(near)}? " if near else ""
        raise UnknownOptionError(
            f"the rule {rule.title} has no option {name!r}; {hint}"
            f"It has {', '.join(rule.defaults)}."
        )


def _listed(params: Any) -> list[Any]:
    if isinstance(params, nn.Module):
        raise ParameterError(
            f"a model came, {type(params).__name__}, where its parameters were expected: "
            "pass model.parameters()."
        )
    if isinstance(params, Tensor | dict | str) or not isinstance(params, Iterable):
        hint = "[params]" if isinstance(params, Tensor | dict) else "model.parameters()"
        raise ParameterError(
            f"{_kind(params)} came, where an iterable of tensors or of groups was expected: "
            f"pass {hint}."
        )
    if isinstance(params, set | frozenset):
        raise ParameterError(
            "a set of parameters came, whose order changes between runs, and checkpoints go by the "
            "order: pass a list."
        )
    return list(params)


def _either(names: Sequence[str]) -> str:
    return ", ".join(f'"{name}"' for name in names[:-1]) + f' or "{names[-1]}"'


def _kind(value: Any) -> str:
    return f"a tensor of shape {list(value.shape)}" if isinstance(value, Tensor) else repr(value)


def _numbers(group: Mapping[str, Any]) -> Iterator[tuple[str, str, Any]]:
    """(name to show, name that rules have, value) of all options, pairs taken apart."""
    for name, value in group.items():
        if name not in PAIRS or not isinstance(value, tuple | list):
            yield name, name, value
            continue
        if len(value) != 2:
            raise SettingError(f"{name}={value} must be a pair of numbers.")
        for index, part in enumerate(value):
            if part is not None:
                yield f"{name}[{index}]", PAIRS[name][index], part


def _check_way(group: Mapping[str, Any], engine: str) -> None:
    """Options that say how to run, where two of them contradict each other."""
    if group.get("fused") and group.get("foreach"):
        raise SettingError("fused=True and foreach=True came together; pass one of them or none.")
    if not group.get("differentiable"):
        return
    for name in ("fused", "capturable"):
        if group.get(name):
            raise SettingError(
                f"differentiable=True and {name}=True came together, and gradients cannot flow "
                f"through such a step: leave {name} out."
            )
    if engine == "compiled":
        raise SettingError(
            'differentiable=True needs the reference engine: pass engine="auto" or "eager".'
        )


def _check_params(params: Sequence[Tensor], rule: Rule) -> None:
    kinds = sorted({param.device.type for param in params})
    if len(kinds) > 1:
        raise ParameterError(
            f"the parameters of one group lie on different devices, {' and '.join(kinds)}: "
            "move the model to one of them, or make a group for each."
        )
    for param in params:
        _check_param(param, rule)


def _check_states(params: Sequence[Tensor], rule: Rule) -> None:
    """Let the rule refuse what it cannot begin with; nothing is allocated."""
    whole = rule.granularity == "matrix"
    for shape, dtype in {(param.shape if whole else (), param.dtype) for param in params}:
        rule.init(torch.empty(shape or (1,), dtype=dtype.to_real(), device="meta"))


def _check_param(param: Tensor, rule: Rule) -> None:
    if not param.is_floating_point() and not param.is_complex():
        raise ParameterError(
            f"a parameter of shape {list(param.shape)} is {param.dtype}, and steps need fractions: "
            "give parameters of a floating-point dtype only."
        )
    if param.is_complex() and rule.granularity != "elementwise":
        raise ParameterError(
            f"a parameter of shape {list(param.shape)} is {param.dtype}, and the rule {rule.title} "
            "looks at whole parameters, of which it knows real ones only: give it "
            "torch.view_as_real(param), or step it by an elementwise rule, such as Adam."
        )
