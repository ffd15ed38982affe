"""Parameter groups by the names of parameters."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any

from torch import Tensor, nn

from ravine.errors import SettingError
from ravine.rules import Rule, as_rule

Patterns = Mapping[str, "Rule | str | Mapping[str, Any]"]


def groups(model: nn.Module, patterns: Patterns) -> list[dict[str, Any]]:
    """Groups of named parameters for `Optimizer`, with rules and options by pattern.

        groups(model, {
            "*.bias": dict(weight_decay=0),
            "blocks.*.weight": "muon",
            "*": "adamw",
        })

    A parameter takes its rule from the first pattern that matches it and names one, and each option
    from the first pattern that matches it and sets that. Parameters that agree in all make one
    group. One that no pattern gives a rule is left to the optimizer's own. A parameter with several
    names (tied weights) comes once, under the first of them; a pattern may match any.

    Args:
        model: its parameters, each of them once.
        patterns: shell patterns (`*` any characters, dots too, `?` one, `[ab]` one of these) over the
            names that `model.named_parameters()` gives -> a rule, the name of one, or options, among
            which may be a "rule".

    Returns:
        Groups: "params", a list of (name, parameter); "rule", where one was named; options.

    Raises:
        SettingError: a pattern matches no parameter, or what it says is always said before it.
        UnknownNameError: no rule goes by that name.
    """
    chosen = {pattern: _options(pattern, value) for pattern, value in patterns.items()}
    useful: set[str] = set()
    found: list[dict[str, Any]] = []
    named = _named(model)
    for names, param in named:
        options: dict[str, Any] = {}
        for pattern, given in chosen.items():
            if any(fnmatchcase(name, pattern) for name in names) and given.keys() - options.keys():
                options = {**given, **options}
                useful.add(pattern)
        _group_with(found, options)["params"].append((names[0], param))
    for pattern in chosen.keys() - useful:
        _refuse_useless(pattern, chosen, [name for names, _ in named for name in names])
    return found


def _options(pattern: str, value: Any) -> dict[str, Any]:
    """What a pattern says, as options."""
    options = dict(value) if isinstance(value, Mapping) else {"rule": value}
    if "params" in options or not options:
        raise SettingError(
            f"the pattern {pattern!r} says {options!r}; it is to say a rule or options, such as "
            '"adamw" or {"weight_decay": 0}.'
        )
    if "rule" in options:
        as_rule(options["rule"])  # an unknown name is refused here
    return options


def _named(model: nn.Module) -> list[tuple[list[str], Tensor]]:
    """Every parameter once, with all its names."""
    names: dict[int, list[str]] = {}
    params: dict[int, Tensor] = {}
    for name, param in model.named_parameters(remove_duplicate=False):
        names.setdefault(id(param), []).append(name)
        params[id(param)] = param
    return [(names[key], param) for key, param in params.items()]


def _group_with(found: list[dict[str, Any]], options: dict[str, Any]) -> dict[str, Any]:
    """The group that has exactly these options; a new one if there is none."""
    for group in found:
        if {key: value for key, value in group.items() if key != "params"} == options:
            return group
    found.append({"params": [], **options})
    return found[-1]


def _refuse_useless(pattern: str, chosen: Mapping[str, Any], names: list[str]) -> None:
    matched = [name for name in names if fnmatchcase(name, pattern)]
    if matched:
        raise SettingError(
            f"the pattern {pattern!r} says nothing new: what it sets is set for {matched[0]!r} and "
            "all others that it matches by patterns before it. Put it before them, or leave it out."
        )
    near = difflib.get_close_matches(pattern.replace("*", ""), names, n=3, cutoff=0.3)
    raise SettingError(
        f"the pattern {pattern!r} matches no parameter; "
        f"{'near it are' if near else 'there are'} {', '.join(near or names[:5])}."
    )
