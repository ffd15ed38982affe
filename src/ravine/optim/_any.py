"""The optimizer of any rule, by name, by itself or in a chain; also several rules by group."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from copy import copy
from itertools import count
from typing import Any

from torch import Tensor
from torch.optim.optimizer import ParamsT

from ravine import rules
from ravine.errors import SettingError
from ravine.optim._base import Group, RuleOptimizer
from ravine.optim._checks import check_number, check_options
from ravine.optim._ranges import FINITE, ranges_of
from ravine.rules import REGISTRY, Rule

Values = Callable[[int], float]
"""Step, from 0 on -> value of a hyperparameter: one of `ravine.schedules`, or any function."""

BESIDE = ("params", "param_names", "rule", "maximize", "initial_lr", "name")
"""Keys of a group that are no hyperparameters of its rule."""


class Optimizer(RuleOptimizer):
    """Steps parameters under any rule.

        Optimizer(model.parameters(), "lion", lr=1e-4)
        Optimizer(model.parameters(), chain(clip_norm(1.0), adam()), lr=0.1 * inverse_time(0.01))
        Optimizer(model.parameters(), "momentum", lr=0.1, momentum=ramp(0.5, 0.99, 1000))
        Optimizer(groups(model, {"*.bias": "sgd", "*": "muon"}))

    The options of a group are the rule's hyperparameters, by the rule's names. A group may have a
    "rule" of its own. In `param_groups`, and in checkpoints, the rule stands by its name.

    Any hyperparameter may be a schedule, step -> value: one of `ravine.schedules`, times a number
    where it gives factors, or any function. It is evaluated at every step, from 0 on, and never
    multiplied with anything; its value is written to the group. The group's "steps_taken" is in
    checkpoints, so a run that goes on has the values of one that never stopped.

    Args:
        params: parameters, named parameters or groups, as for torch; or what `groups` gives.
        rule: of the groups that name none: a rule, alone or in a chain, or its name on the command
            line (`ravine.rules.REGISTRY`).
        lr: of the groups that set none: a number or a schedule. None: the default of each group's
            rule.
        engine, rounding: as for `RuleOptimizer`.
        maximize: climb instead of descend.
        options: other hyperparameters of the groups that set none, as numbers or schedules; every
            group's rule must have them.

    Raises:
        UnknownNameError: no rule goes by that name.
        UnknownOptionError: a group sets what its rule does not have.
        SettingError: an option or a parameter that cannot be used.
    """

    def __init__(
        self,
        params: ParamsT,
        rule: Rule | str = "adamw",
        lr: float | Tensor | Values | None = None,
        *,
        engine: str = "auto",
        rounding: str = "nearest",
        maximize: bool = False,
        **options: float | Tensor | Values,
    ) -> None:
        self._rules = _Rules()
        self._default = {"rule": self._rules.name(rules.as_rule(rule)), **options}
        if lr is not None:
            self._default["lr"] = lr
        self._schedules: list[dict[str, Values]] = []
        self._written: list[dict[str, float]] = []  # what schedules wrote to the groups last
        super().__init__(params, {"maximize": maximize}, engine=engine, rounding=rounding)

    def add_param_group(self, param_group: Group) -> None:
        """Add a group of parameters, with its own rule and options where they differ.

        Raises:
            SettingError: a rule, an option or a parameter that cannot be used.
        """
        group = {**self._default, **param_group}
        known = copy(self._rules)
        rule = known.find(group["rule"])
        check_options(group, rule, BESIDE)
        group = {**rule.defaults, **group, "rule": known.name(rule)}
        schedules = {name: group[name] for name in rule.defaults if callable(group[name])}
        written = _evaluated(schedules, 0, rule)
        if schedules:
            group |= {**written, "steps_taken": 0}
        before, self._rules = self._rules, known
        try:
            super().add_param_group(group)
        except Exception:
            self._rules = before
            raise
        self._schedules.append(schedules)
        self._written.append(written)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take options and states from a checkpoint of this class, as `RuleOptimizer` does.

        Schedules are in no checkpoint: those of this optimizer go on from the step that was saved.

        Raises:
            SettingError: the checkpoint is of another rule or does not fit; nothing has been changed
                then.
        """
        pairs = zip(state_dict["param_groups"], self.param_groups, strict=False)
        for index, (saved, group) in enumerate(pairs):
            if saved.get("rule") != group["rule"]:
                raise SettingError(
                    f"group {index} of the checkpoint is of the rule {saved.get('rule')!r}, and the "
                    f"optimizer's is of {group['rule']!r}: build it with the rule of the run that "
                    "was saved."
                )
        super().load_state_dict(state_dict)
        for group, schedules in zip(self.param_groups, self._schedules, strict=True):
            if schedules:
                group.setdefault("steps_taken", 0)
        pairs_of = zip(self.param_groups, self._schedules, strict=True)
        self._written = [{name: group[name] for name in of_group} for group, of_group in pairs_of]

    def _rule(self, group: Group) -> Rule:
        return self._rules.find(group["rule"])

    def _step(self) -> None:
        groups = list(zip(self.param_groups, self._schedules, self._written, strict=True))
        for index, (group, _, written) in enumerate(groups):
            _insist_on_untouched(index, group, written)
        self._written = [
            _evaluated(schedules, group["steps_taken"], self._rule(group)) if schedules else {}
            for group, schedules, _ in groups
        ]
        for (group, _, _), values in zip(groups, self._written, strict=True):
            group.update(values)
        super()._step()
        for group, schedules, _ in groups:
            if schedules:
                group["steps_taken"] += 1

    def __getstate__(self) -> dict[str, Any]:
        own = {
            "_rules": self._rules,
            "_default": self._default,
            "_schedules": self._schedules,
            "_written": self._written,
        }
        return {**super().__getstate__(), **own}


class _Rules(dict[str, Rule]):
    """The rules that an optimizer uses, by the names that they have in its groups."""

    def find(self, rule: Rule | str) -> Rule:
        """The rule of a name, first of those in use."""
        return self[rule] if isinstance(rule, str) and rule in self else rules.as_rule(rule)

    def name(self, rule: Rule) -> str:
        """The name of a rule, which is taken into use.

        A plain rule goes by its name on the command line, any other one by its title, for a chain is
        named like the rule in it. Another rule of the same name is the second one.
        """
        plain = rule.name in REGISTRY and rules.get(rule.name).title == rule.title
        name = rule.name if plain else rule.title
        for number in count(1):
            numbered = name if number == 1 else f"{name} ({number})"
            if self.setdefault(numbered, rule) is rule:
                return numbered
        raise AssertionError

    def __copy__(self) -> _Rules:
        return _Rules(self)

    def __deepcopy__(self, memo: dict[int, Any]) -> _Rules:
        return _Rules(self)  # rules are compared by identity

    def __reduce__(self) -> Any:
        for name, rule in self.items():
            if name not in REGISTRY or rules.get(name) is not rule:
                raise SettingError(
                    f"an optimizer of the rule {name!r} cannot be pickled, only one whose rules came "
                    'by name, such as "adamw": save its state_dict() instead.'
                )
        return _by_name, (list(self),)


def _by_name(names: list[str]) -> _Rules:
    return _Rules({name: rules.get(name) for name in names})


def _insist_on_untouched(index: int, group: Group, written: Mapping[str, float]) -> None:
    """Raise SettingError if somebody else has set what a schedule sets: it would have no effect."""
    for name, value in written.items():
        if group[name] != value:
            raise SettingError(
                f"param_groups[{index}][{name!r}] was set to {group[name]}, but {name} is a schedule "
                f"of this optimizer: pass a number for {name} to set it from outside, as torch's "
                "schedulers do."
            )


def _evaluated(schedules: Mapping[str, Values], step: int, rule: Rule) -> dict[str, float]:
    """The hyperparameters of a step, by name.

    Raises:
        SettingError: one of them is out of its range.
    """
    ranges, values = ranges_of(rule), {}
    for name, schedule in schedules.items():
        value = schedule(step)
        values[name] = float(value) if value is not None else math.nan
        shown = f"{name} (the schedule at step {step})"
        check_number(shown, values[name], ranges.get(name, FINITE))
    return values
