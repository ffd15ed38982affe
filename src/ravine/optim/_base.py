"""What every optimizer class shares: the whole step, over rules and engines."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from operator import is_
from typing import Any

import torch
from torch import Tensor
from torch.optim.optimizer import ParamsT

from ravine.engines import eager
from ravine.engines.block.engine import BlockEngine
from ravine.engines.eager import EagerEngine, entry_names, entry_shapes
from ravine.engines.graphs.compiling import warn_without_compiler
from ravine.engines.native.cpp import UnsupportedError
from ravine.engines.native.engine import NativeEngine, can_step
from ravine.engines.native.library import CompilerError
from ravine.engines.shards import is_sharded
from ravine.errors import InputError, ParameterError
from ravine.optim._checkpoints import detached_from_blocks, matched
from ravine.optim._checks import (
    check_dense,
    check_group,
    check_ways,
    given,
    known_keywords,
    list_members,
)
from ravine.optim._composing import ready
from ravine.optim._settings import Settings
from ravine.rules import Rule, State, at_param
from ravine.transforms.precision import NARROW

Group = dict[str, Any]
Engine = BlockEngine | EagerEngine | NativeEngine

COMPILING_PAYS = 100_000
"""Parameter elements from which on "auto" lets inductor compile. A kernel of its takes a second, the
first one four; a step of a smaller model takes about 50 us either way."""


class RuleOptimizer(torch.optim.Optimizer, ABC):
    """A `torch.optim.Optimizer` that runs rules. A subclass only says which ones.

    Hyperparameters are read from `param_groups` at every step, so schedulers work as with torch.

    For a rule that takes its gradient away from θ (Nesterov), the parameters the model holds between
    steps *are* that point, the probe, and θ is kept in the state: an ordinary `loss.backward()` then
    takes the gradient there. Call `eval()` before evaluating or saving the model, and `train()`
    before training on. Both do nothing where the weights to evaluate are the parameters.

    Args:
        params: parameters, named parameters or groups, as for torch.
        defaults: the options of a group.
        engine: "auto", "eager" or "compiled". "eager" steps one parameter after the other, as the
            rule is written. "compiled" runs kernels over many parameters: elementwise rules in
            float32 or float64 on the CPU where the parameters are (`engines.native`), others by
            block (`engines.block`), into which small parameters are copied and back. "auto" does
            the same, but lets inductor compile only from 100,000 parameter elements on.
        rounding: how bfloat16 parameters are rounded after a step in float32: "nearest",
            "stochastic" or "kahan", see `ravine.transforms.in_float32`.

    Raises:
        SettingError: an option that is unknown or out of range.
    """

    def __init__(
        self, params: ParamsT, defaults: Group, *, engine: str, rounding: str = "nearest"
    ) -> None:
        check_ways(engine, rounding)
        params = given(params)
        self.engine = engine
        self.rounding = rounding
        self._units: dict[int, _Unit] = {}
        self._states: list[State] = []
        super().__init__(params, defaults)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "__init__" in cls.__dict__:
            cls.__init__ = known_keywords(cls.__init__, cls.__name__)  # type: ignore[method-assign]

    @abstractmethod
    def _rule(self, group: Group) -> Rule:
        """The rule that a group's options ask for; the same object for the same options."""

    def _check(self, group: Group) -> None:
        """Raise SettingError for a group that cannot be stepped as it is."""
        check_group(group, self._rule(group), self.engine, self.rounding)

    def _adopt(self, entries: State) -> State:
        """A state out of a checkpoint, perhaps of torch's class, as the rule wants it."""
        return entries

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Take one step.

        Args:
            closure: clears the gradients, computes the loss, backpropagates and returns the loss.

        Returns:
            What the closure returned; None without one.

        Raises:
            InputError: in eval mode, where the gradient was not taken at the probe.
            SettingError: a gradient is sparse. No parameter has been changed then.
        """
        self._refuse_in_eval_mode()
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        differentiable = any(group.get("differentiable") for group in self.param_groups)
        with torch.set_grad_enabled(bool(differentiable)):
            self._step()
        return loss

    @torch.no_grad()
    def eval(self) -> None:
        """Put the weights to evaluate (the rule's `output`) into the parameters."""
        for index, group in enumerate(self.param_groups):
            unit = self._unit(index, group)
            if unit.rule.output is at_param or not group.get("train_mode", True):
                continue
            for param in group["params"]:
                if state := self.state.get(param):
                    state["train_point"] = param.detach().clone()
                    param.copy_(eager.output(unit.rule, param, state, unit.settings.of(group)))
            group["train_mode"] = False

    @torch.no_grad()
    def train(self) -> None:
        """Put the point to take gradients at (the rule's `probe`) back into the parameters."""
        for group in self.param_groups:
            if not group.pop("train_mode", True):
                for param in group["params"]:
                    if "train_point" in self.state.get(param, {}):
                        param.copy_(self.state[param].pop("train_point"))

    def add_param_group(self, param_group: Group) -> None:
        """Add a group of parameters, with its own options where they differ.

        Raises:
            SettingError: an option or a parameter that cannot be used.
        """
        if isinstance(param_group, dict):
            list_members(param_group, self.param_groups)
        try:
            super().add_param_group(param_group)
        except (TypeError, ValueError) as error:  # torch's messages are clear
            raise ParameterError(str(error)) from error
        try:
            self._check(self.param_groups[-1])
        except Exception:
            self.param_groups.pop()
            raise

    def state_dict(self) -> dict[str, Any]:
        """Options and states, as torch's class of this name has them."""
        return detached_from_blocks(super().state_dict())

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take options and states from a checkpoint of this class, or of torch's of the same name.

        Parameters are matched by name where both sides have names, else by order. States keep the
        dtypes they were saved in.

        Raises:
            SettingError: the checkpoint does not fit; nothing has been changed then.
        """
        checkpoint = matched(
            state_dict, self.param_groups, self._expected, self._adopt, type(self).__name__
        )
        super().load_state_dict(checkpoint)
        for saved, group in zip(checkpoint["param_groups"], self.param_groups, strict=True):
            for key, param in zip(saved["params"], group["params"], strict=True):
                for name, entry in checkpoint["state"].get(key, {}).items():
                    if isinstance(entry, Tensor) and entry.dtype != self.state[param][name].dtype:
                        self.state[param][name] = entry.to(self.state[param][name].device)
        self._release()

    def _step(self) -> None:
        self._look_for_new_states()
        moving = [_moving(group["params"]) for group in self.param_groups]
        tasks = [self._task(i, *pair) for i, pair in enumerate(moving) if pair[0]]
        self._sum_up(tasks)
        for task in tasks:
            task.unit.engine.step(task.grads, task.hyper)
        if len(self._states) != len(self.state):
            self._states = list(self.state.values())

    def _task(self, index: int, params: list[Tensor], grads: list[Tensor]) -> _Task:
        """What one group has to do at this step."""
        group = self.param_groups[index]
        unit = self._unit(index, group)
        try:
            unit.engine.arrange(params)
        except UnsupportedError:  # the model was converted: another engine takes over
            unit.engine.release()
            del self._units[index]
            unit = self._unit(index, group)
            unit.engine.arrange(params)
        return _Task(unit, params, grads, dict(unit.settings.of(group)))

    def _sum_up(self, tasks: list[_Task]) -> None:
        """Add the totals that rules ask for to their hyperparameters: sums over all groups."""
        for name in dict.fromkeys(name for task in tasks for name in task.unit.rule.totals):
            asking = [task for task in tasks if name in task.unit.rule.totals]
            parts = [t.unit.engine.total(name, t.grads, t.hyper) for t in asking]
            total = torch.stack([part.to(parts[0].device) for part in parts]).sum()
            for task in asking:
                task.hyper[name] = total.to(task.hyper["lr"].device)

    def _unit(self, index: int, group: Group) -> _Unit:
        """The engine of a group; a new one where the options ask for another rule or way."""
        unit, way = self._units.get(index), _way(group)
        dtype = group["params"][0].dtype if group["params"] else None
        known = unit is not None and unit.dtype == dtype
        narrow = unit.narrow if unit is not None and known else _narrow(group)  # which takes 25 us
        rule = self._ready_rule(group, narrow)
        if unit is None or (unit.rule, unit.way, unit.dtype) != (rule, way, dtype):
            if unit is not None:
                unit.engine.release()
                self._forget_what_only(unit.rule, rule, group)
            engine, settings = self._new_engine(rule, group)
            unit = self._units[index] = _Unit(rule, way, dtype, narrow, engine, settings)
        return unit

    def _ready_rule(self, group: Group, narrow: bool) -> Rule:
        rounding = self.rounding if narrow else None
        return ready(self._rule(group), bool(group.get("maximize")), rounding)

    def _forget_what_only(self, before: Rule, now: Rule, group: Group) -> None:
        """Drop the entries that the rule before remembered and the one now does not."""
        for param in group["params"]:
            surplus = entry_names(before, param) - entry_names(now, param)
            for name in surplus & self.state.get(param, {}).keys():
                del self.state[param][name]

    def _new_engine(self, rule: Rule, group: Group) -> tuple[Engine, Settings]:
        params = group["params"]
        differentiable, on_device = _way(group)
        device = params[0].device if on_device and params else torch.device("cpu")
        settings = Settings(tuple(rule.defaults), device)
        sharded = any(map(is_sharded, params))
        by_parameter = self.engine == "eager" or differentiable
        if by_parameter or (sharded and rule.granularity != "elementwise"):
            return EagerEngine(rule, self.state, differentiable), settings
        if can_step(rule, params, self.state):
            try:
                return NativeEngine(rule, self.state), settings
            except CompilerError:
                warn_without_compiler()
            except UnsupportedError:
                pass  # a rule whose steps are not all alike, or an operator that inductor knows
        large = sum(param.numel() for param in params) >= COMPILING_PAYS
        compiled = self.engine == "compiled" or large or any(param.is_cuda for param in params)
        blocks = BlockEngine(rule, self.state, compiled=compiled, counts_on_device=on_device)
        return blocks, settings

    def _look_for_new_states(self) -> None:
        """Notice states that were put in the place of those the engines keep."""
        now = list(self.state.values())
        if len(now) != len(self._states) or not all(map(is_, now, self._states)):
            self._release()
            self._states = now

    def _release(self) -> None:
        for unit in self._units.values():
            unit.engine.release()
        self._units = {}

    def _expected(self, index: int, options: Group, param: Tensor) -> Mapping[str, torch.Size]:
        """The entries of a parameter's state under a checkpoint's options."""
        group = {**self.defaults, **self.param_groups[index], **options}
        return entry_shapes(self._ready_rule(group, param.dtype in NARROW), param)

    def _refuse_in_eval_mode(self) -> None:
        if not all(group.get("train_mode", True) for group in self.param_groups):
            raise InputError(
                f"{type(self).__name__}.step() came in eval mode, in which the parameters are the "
                "weights to evaluate and not the point to take gradients at: call "
                "optimizer.train() before the forward pass."
            )

    def __getstate__(self) -> dict[str, Any]:
        own = {"engine": self.engine, "rounding": self.rounding, "_units": {}, "_states": []}
        return {**super().__getstate__(), **own}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        for group in self.param_groups:
            for name, default in self.defaults.items():
                group.setdefault(name, default)  # options newer than the checkpoint
        for entries in self.state.values():
            for name, value in entries.items():
                if isinstance(value, int | float):  # step counts before torch 1.12
                    entries[name] = torch.tensor(float(value), dtype=torch.float32)


def _narrow(group: Group) -> bool:
    return any(param.dtype in NARROW for param in group["params"])


def _way(group: Group) -> tuple[bool, bool]:
    """Options that say how to run: whether differentiable, whether counts lie on the device."""
    return bool(group.get("differentiable")), bool(group.get("capturable"))


def _moving(params: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
    """The parameters that have a gradient, and their gradients, contiguous.

    Raises:
        SettingError: a gradient is sparse.
    """
    grads: list[Any] = [param.grad for param in params]
    with suppress(TypeError, RuntimeError):  # None and sparse tensors are asked in vain
        if all(map(Tensor.is_contiguous, grads)):
            return params, grads
    there = [(param, grad) for param, grad in zip(params, grads, strict=True) if grad is not None]
    check_dense([grad for _, grad in there])
    return [param for param, _ in there], [grad.contiguous() for _, grad in there]


@dataclass(frozen=True)
class _Unit:
    """What steps one group."""

    rule: Rule
    way: tuple[bool, bool]
    dtype: torch.dtype | None
    narrow: bool
    engine: Engine
    settings: Settings


@dataclass(frozen=True)
class _Task:
    """One group at one step: the parameters with a gradient."""

    unit: _Unit
    params: list[Tensor]
    grads: list[Tensor]
    hyper: dict[str, Tensor]
