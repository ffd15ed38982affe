"""What every optimizer class shares: the whole step, over a rule and an engine."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any, Literal

import torch
from torch import Tensor
from torch.optim.optimizer import ParamsT

from ravine.engines import eager
from ravine.errors import InputError
from ravine.optim._checks import check_engine, check_group
from ravine.rules import Hyper, Rule, State, at_param
from ravine.rules._parts import zeros_and_step
from ravine.transforms import decoupled, l2

Decay = Literal["none", "l2", "decoupled"]
Group = dict[str, Any]


class RuleOptimizer(torch.optim.Optimizer, ABC):
    """A `torch.optim.Optimizer` that runs a rule. A subclass only says which one.

    Hyperparameters are read from `param_groups` at every step, so schedulers work as with torch.

    For a rule that takes its gradient away from θ (Nesterov), the parameters the model holds
    between steps *are* that point, the probe, and θ is kept in the state: an ordinary
    `loss.backward()` then takes the gradient there. Call `eval()` before evaluating or saving
    the model, and `train()` before training on. Both do nothing where probe and θ are one.

    Args:
        params: parameters, named parameters or groups, as for torch.
        defaults: the options of a group.
        engine: "auto" or "eager".
    """

    def __init__(self, params: ParamsT, defaults: Group, *, engine: str) -> None:
        self.engine = check_engine(engine)
        super().__init__(params, defaults)

    @abstractmethod
    def _rule(self, group: Group) -> Rule:
        """The rule that a group's options ask for; the same object for the same options."""

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Take one step.

        Args:
            closure: clears the gradients, computes the loss, backpropagates and returns the loss.

        Returns:
            What the closure returned; None without one.

        Raises:
            InputError: in eval mode, where the gradient was not taken at the probe.
        SettingError: a gradient is sparse.
        """
        self._refuse_in_eval_mode()
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            self._step_group(group)
        return loss

    def eval(self) -> None:
        """Put the weights to evaluate (the rule's `output`) into the parameters."""
        self._show(training=False)

    def train(self) -> None:
        """Put the point to take gradients at (the rule's `probe`) into the parameters."""
        self._show(training=True)

    def add_param_group(self, param_group: Group) -> None:
        """Add a group of parameters, with its own options where they differ.

        Raises:
            SettingError: an option or a parameter that cannot be used.
        """
        super().add_param_group(param_group)
        try:
            check_group(self.param_groups[-1])
        except Exception:
            self.param_groups.pop()
            raise

    def _step_group(self, group: Group) -> None:
        params = [param for param in group["params"] if param.grad is not None]
        rule = self._rule(group)
        hyper = _hyper(rule, group)
        grads = [-param.grad if group["maximize"] else param.grad for param in params]
        states = [self._state(rule, param) for param in params]
        if not _hides_theta(rule):
            eager.step(rule, params, grads, states, hyper)
            return
        thetas = [state["theta"] for state in states]
        eager.step(rule, thetas, grads, states, hyper)
        for param, theta, state in zip(params, thetas, states, strict=True):
            param.copy_(rule.probe(theta, state, hyper))

    def _state(self, rule: Rule, param: Tensor) -> State:
        """The state of a parameter, complete; not even an empty one is stored without need."""
        names = _state_names(rule)
        state: State = self.state[param] if names else {}
        if not names <= state.keys():
            fresh = _init(rule, param)
            state.update({name: fresh[name] for name in names - state.keys()})
        return state

    @torch.no_grad()
    def _show(self, *, training: bool) -> None:
        for group in self.param_groups:
            if group.get("train_mode", training) == training:
                continue
            rule = self._rule(group)
            hyper = _hyper(rule, group)
            point = rule.probe if training else rule.output
            for param in group["params"]:
                if state := self.state.get(param):
                    param.copy_(point(state["theta"], state, hyper))
            group["train_mode"] = training

    def _refuse_in_eval_mode(self) -> None:
        if not all(group.get("train_mode", True) for group in self.param_groups):
            raise InputError(
                f"{type(self).__name__}.step() came in eval mode, in which the parameters are the "
                "weights to evaluate and not the point to take gradients at: call "
                "optimizer.train() before the forward pass."
            )

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "engine": self.engine}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        for group in self.param_groups:
            for name, default in self.defaults.items():
                group.setdefault(name, default)  # options newer than the checkpoint
        for entries in self.state.values():
            for name, value in entries.items():
                if isinstance(value, int | float):  # step counts before torch 1.12
                    entries[name] = torch.tensor(float(value), dtype=torch.float32)


@cache
def composed(
    constructor: Callable[..., Rule], decay: Decay = "none", counted: bool = False, **choices: Any
) -> Rule:
    """The rule of `constructor(**choices)` with its decay; one object per set of arguments."""
    rule = constructor(**choices)
    if decay != "none":
        rule = l2(rule) if decay == "l2" else decoupled(rule)
    return _count_steps(rule) if counted else rule


def l2_of(group: Group) -> Decay:
    """The decay that a group asks for, in the classes where weight_decay is an L2 penalty."""
    return "l2" if group["weight_decay"] != 0 else "none"


def decay_of(group: Group) -> Decay:
    """As `l2_of`, in the classes with an option `decoupled_weight_decay`."""
    wanted = l2_of(group)
    return "decoupled" if wanted == "l2" and group["decoupled_weight_decay"] else wanted


def _count_steps(rule: Rule) -> Rule:
    """Add the entry "step" that torch's checkpoints hold, to a rule that needs none."""

    def init(param: Tensor) -> State:
        return {**rule.init(param), **zeros_and_step()(param)}

    def update(param: Tensor, grad: Tensor, state: State, hyper: Hyper) -> tuple[Tensor, State]:
        param, new = rule.update(param, grad, state, hyper)
        return param, {**new, "step": state["step"] + 1}

    return replace(rule, init=init, update=update)


def _hyper(rule: Rule, group: Group) -> Hyper:
    """The rule's hyperparameters out of a group, in which torch keeps two as `betas`."""
    options = dict(group)
    if "betas" in group:
        options["beta1"], options["beta2"] = group["betas"]
    return eager.hyper_tensors({name: options[name] for name in rule.defaults})


def _hides_theta(rule: Rule) -> bool:
    """Whether the parameters a model holds between steps are not θ."""
    return rule.probe is not at_param or rule.output is not at_param


def _init(rule: Rule, param: Tensor) -> State:
    state = rule.init(param)
    return {**state, "theta": param.detach().clone()} if _hides_theta(rule) else state


@cache
def _state_names(rule: Rule) -> frozenset[str]:
    return frozenset(_init(rule, torch.zeros(1)))
