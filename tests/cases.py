"""The table of rules that tests run through, and the problem they run on."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ravine import rules
from ravine.rules import Rule, State
from ravine.rules._rule import Update
from tests import references, references_matrix
from tests.references import Array

STEPS = 50
TOLERANCE = 1e-12

Settings = Mapping[str, Any]
Shape = tuple[int, ...]
Twin = Callable[[list[Tensor], Settings], torch.optim.Optimizer]


@dataclass(frozen=True)
class Case:
    """One rule with one choice of settings.

    Attributes:
        constructor: makes the rule.
        reference: the same rule as a NumPy loop.
        settings: what the constructor is called with.
        twin: the torch optimizer that walks the same path, if there is one.
        shape: of the parameter that it is tried on.
        idle: hyperparameters that do nothing at these settings.
    """

    constructor: Callable[..., Rule]
    reference: Callable[..., Array]
    settings: Settings
    twin: Twin | None = None
    shape: Shape = (8,)
    idle: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """Name of the test."""
        chosen = ",".join(f"{name}={value}" for name, value in self.settings.items())
        shape = "" if self.shape == (8,) else "x".join(map(str, self.shape))
        return f"{self.constructor.__name__}({chosen}){shape}"

    @property
    def rule(self) -> Rule:
        """The rule."""
        return self.constructor(**self.settings)

    @property
    def all_settings(self) -> dict[str, Any]:
        """The settings with the defaults of the hyperparameters filled in."""
        return {**self.rule.defaults, **self.settings}

    def problem(self, seed: int = 0) -> Ravine:
        """The problem, for a parameter of this shape."""
        return Ravine(seed=seed, shape=self.shape)


def _betas(s: Settings) -> tuple[float, float]:
    return s["beta1"], s["beta2"]


def _sgd(params: list[Tensor], s: Settings) -> torch.optim.Optimizer:
    return torch.optim.SGD(params, **s)


def _nesterov_sgd(params: list[Tensor], s: Settings) -> torch.optim.Optimizer:
    return torch.optim.SGD(params, **s, nesterov=True)


def _adagrad(params: list[Tensor], s: Settings) -> torch.optim.Optimizer:
    return torch.optim.Adagrad(params, **s)


def _rmsprop(params: list[Tensor], s: Settings) -> torch.optim.Optimizer:
    return torch.optim.RMSprop(params, **s)


def _adadelta(params: list[Tensor], s: Settings) -> torch.optim.Optimizer:
    return torch.optim.Adadelta(params, **s)


def _adam(params: list[Tensor], s: Settings) -> torch.optim.Optimizer:
    return torch.optim.Adam(params, lr=s["lr"], betas=_betas(s), eps=s["eps"])


def _amsgrad(params: list[Tensor], s: Settings) -> torch.optim.Optimizer:
    return torch.optim.Adam(params, lr=s["lr"], betas=_betas(s), eps=s["eps"], amsgrad=True)


def _adamw(params: list[Tensor], s: Settings) -> torch.optim.Optimizer:
    decay = s["weight_decay"]
    return torch.optim.AdamW(params, lr=s["lr"], betas=_betas(s), eps=s["eps"], weight_decay=decay)


def _nadam(params: list[Tensor], s: Settings) -> torch.optim.Optimizer:
    decay = s["momentum_decay"]
    return torch.optim.NAdam(
        params, lr=s["lr"], betas=_betas(s), eps=s["eps"], momentum_decay=decay
    )


def _adamax(params: list[Tensor], s: Settings) -> torch.optim.Optimizer:
    return torch.optim.Adamax(params, lr=s["lr"], betas=_betas(s), eps=s["eps"])


def _radam(params: list[Tensor], s: Settings) -> torch.optim.Optimizer:
    return torch.optim.RAdam(params, lr=s["lr"], betas=_betas(s), eps=s["eps"])


def _asgd(params: list[Tensor], s: Settings) -> torch.optim.Optimizer:
    return torch.optim.ASGD(params, **s)


def _rprop(params: list[Tensor], s: Settings) -> torch.optim.Optimizer:
    etas, sizes = (s["eta_minus"], s["eta_plus"]), (s["step_min"], s["step_max"])
    return torch.optim.Rprop(params, lr=s["lr"], etas=etas, step_sizes=sizes)


def _adafactor(params: list[Tensor], s: Settings) -> torch.optim.Optimizer:
    eps = (s.get("eps1"), s["eps2"])
    rest = {name: s[name] for name in ("lr", "beta2_decay", "d", "weight_decay")}
    return torch.optim.Adafactor(params, eps=eps, **rest)


def _muon(params: list[Tensor], s: Settings) -> torch.optim.Optimizer:
    rest = {name: value for name, value in s.items() if name != "precision"}
    return torch.optim.Muon(params, **rest, weight_decay=0)


def _cases(
    constructor: Callable[..., Rule],
    twin: Twin | None,
    *settings: Settings,
    shape: Shape = (8,),
    idle: tuple[str, ...] = (),
) -> list[Case]:
    boxes = references if hasattr(references, constructor.__name__) else references_matrix
    reference = getattr(boxes, constructor.__name__)
    return [Case(constructor, reference, chosen, twin, shape, idle) for chosen in ({}, *settings)]


_ADAM = {"lr": 0.02, "beta1": 0.8, "beta2": 0.95, "eps": 1e-3}
_ADAFACTOR = {"lr": 0.3, "beta2_decay": -0.5, "eps2": 3.0, "d": 0.7, "weight_decay": 0.2}
_MUON = {"lr": 0.02, "momentum": 0.8}
_WIDE = {"precision": torch.float64}
_SOAP = {"lr": 0.02, "beta1": 0.8, "beta2": 0.9, "eps": 1e-3}

_MATRIX_CASES: tuple[Case, ...] = (
    *_cases(rules.adafactor, _adafactor, idle=("eps2",)),
    *_cases(rules.adafactor, _adafactor, {"weight_decay": 0.1}, shape=(4, 2), idle=("eps2",)),
    *_cases(rules.adafactor, None, {**_ADAFACTOR, "eps1": 2.0}, shape=(4, 2))[1:],
    *_cases(rules.adafactor, None, {**_ADAFACTOR, "eps1": 0.1})[1:],
    *_cases(rules.adafactor, _adafactor, shape=(2, 3, 1, 4), idle=("eps2",)),
    *_cases(
        rules.muon,
        None,
        {**_MUON, **_WIDE},
        {**_MUON, **_WIDE, "nesterov": False, "adjust_lr_fn": "match_rms_adamw"},
        shape=(4, 2),
        idle=("eps",),
    )[1:],
    *_cases(rules.muon, None, {**_MUON, **_WIDE, "eps": 3.0}, shape=(2, 5))[1:],
    *_cases(rules.muon, None, {**_MUON, **_WIDE}, shape=(3, 2, 1, 2), idle=("eps",))[1:],
    *_cases(rules.muon_adamw, None, {**_MUON, "eps": 1e-3}, idle=("momentum",)),
    *_cases(rules.muon_adamw, None, {"lr": 0.02}, shape=(4, 2), idle=("beta1", "beta2", "eps")),
    *_cases(rules.shampoo, None, {"lr": 0.05, "eps": 0.01})[1:],  # 1e-4: rounding times 10⁵
    *_cases(rules.shampoo, None, {"eps": 0.01, "update_every": 4}, shape=(4, 2)),
    *_cases(rules.shampoo, None, {"eps": 0.01, "update_every": 4}, shape=(2, 5))[1:],
    *_cases(rules.shampoo, None, {"update_every": 4}, shape=(2, 3, 1, 2)),
    *_cases(rules.soap, None, _SOAP, {**_SOAP, "precondition_frequency": 1}, shape=(3, 3)),
    *_cases(rules.soap, None, {**_SOAP, "max_precond_dim": 2}, shape=(4, 2))[1:],
    *_cases(rules.soap, None, {**_SOAP, "precondition_frequency": 3}, shape=(2, 2, 2, 2)),
    *_cases(rules.soap, None, _SOAP),
)

BFLOAT16: tuple[Case, ...] = (
    *_cases(rules.muon, _muon, _MUON, {**_MUON, "nesterov": False}, shape=(4, 2), idle=("eps",)),
    *_cases(rules.muon, _muon, {"adjust_lr_fn": "match_rms_adamw"}, shape=(2, 5), idle=("eps",)),
    *_cases(rules.muon, _muon, {"ns_steps": 3, "eps": 3.0}, shape=(5, 5)),
)
"""Rules that round to bfloat16 inside, as torch does: no NumPy loop goes their path."""
_SCHEDULE_FREE = {"weight_decay": 0.1, "warmup_steps": 10, "r": 0.5, "weight_lr_power": 1.5}

CASES: tuple[Case, ...] = (
    *_cases(rules.sgd, _sgd, {"lr": 0.05}),
    *_cases(rules.momentum, _sgd, {"lr": 0.01, "momentum": 0.7}),
    *_cases(rules.nesterov, None, {"lr": 0.01, "momentum": 0.7}),
    *_cases(
        rules.heavy_ball,
        _sgd,
        {"lr": 0.01, "momentum": 0.7},
        {"lr": 0.01, "momentum": 0.8, "dampening": 0.3},
    ),
    *_cases(rules.nesterov_buffer, _nesterov_sgd, {"lr": 0.01, "momentum": 0.7}),
    *_cases(
        rules.adagrad,
        _adagrad,
        {"lr": 0.1, "lr_decay": 0.05, "initial_accumulator_value": 0.1, "eps": 1e-2},
    ),
    *_cases(
        rules.rmsprop,
        _rmsprop,
        {"lr": 0.03, "alpha": 0.9, "eps": 1e-2},
        {"lr": 0.03, "alpha": 0.9, "eps": 1e-2, "centered": True},
    ),
    *_cases(rules.rmsprop, None, {"alpha": 0.9, "eps": 1e-2, "delta": "inside"})[1:],
    *_cases(rules.rmsprop_inside, None, {"lr": 0.03, "alpha": 0.9, "eps": 1e-2}),
    *_cases(
        rules.rmsprop_momentum,
        _rmsprop,
        {"lr": 0.01, "alpha": 0.9, "eps": 1e-2, "momentum": 0.7},
        {"lr": 0.01, "alpha": 0.9, "eps": 1e-2, "momentum": 0.7, "centered": True},
    ),
    *_cases(
        rules.rmsprop_nesterov,
        None,
        {"lr": 0.01, "alpha": 0.9, "eps": 1e-2, "momentum": 0.7},
        {"lr": 0.01, "alpha": 0.9, "eps": 1e-2, "momentum": 0.7, "delta": "inside"},
    ),
    *_cases(rules.adadelta, _adadelta, {"lr": 0.5, "rho": 0.95, "eps": 1e-4}),
    *_cases(rules.adam, _adam, _ADAM),
    *_cases(rules.amsgrad, _amsgrad, _ADAM),
    *_cases(rules.adamw, _adamw, {**_ADAM, "weight_decay": 0.3}),
    *_cases(rules.nadam, _nadam, {**_ADAM, "momentum_decay": 0.05}),
    *_cases(rules.adamax, _adamax, _ADAM),
    *_cases(rules.radam, _radam, _ADAM),
    *_cases(rules.asgd, _asgd, idle=("t0",)),  # averaging starts after 10⁶ steps
    *_cases(rules.asgd, _asgd, {"lr": 0.05, "lambd": 0.1, "alpha": 0.6, "t0": 20})[1:],
    *_cases(rules.delta_bar_delta, None, idle=("theta",)),  # too slow to turn an averaged slope
    *_cases(rules.delta_bar_delta, None, {"lr": 0.02, "kappa": 0.2, "phi": 0.3, "theta": 0.5})[1:],
    *_cases(rules.rprop, _rprop, idle=("step_min", "step_max")),  # 10⁻⁶ and 50 are far away
    *_cases(
        rules.rprop,
        _rprop,
        {"lr": 0.1, "eta_minus": 0.4, "eta_plus": 1.3, "step_min": 0.01, "step_max": 0.3},
    )[1:],
    *_cases(rules.lion, None, idle=("beta2",)),  # steps of 10⁻⁴ are too short to turn a momentum
    *_cases(rules.lion, None, {"lr": 0.02, "beta1": 0.7, "beta2": 0.95})[1:],
    *_cases(rules.sign_sgd, None, {"lr": 0.02}),
    *_cases(rules.signum, None, idle=("momentum",)),  # as for Lion
    *_cases(rules.signum, None, {"lr": 0.02, "momentum": 0.7})[1:],
    *_cases(rules.schedule_free_sgd, None, idle=("weight_lr_power",)),  # the step size is constant
    *_cases(rules.schedule_free_sgd, None, {"lr": 0.2, "momentum": 0.8, **_SCHEDULE_FREE})[1:],
    *_cases(rules.schedule_free_adamw, None, idle=("weight_lr_power",)),
    *_cases(rules.schedule_free_adamw, None, {**_ADAM, **_SCHEDULE_FREE})[1:],
    *_cases(
        rules.lars,
        None,
        {"lr": 3.0, "momentum": 0.7, "weight_decay": 0.1, "trust_coefficient": 0.01},
    ),
    *_cases(rules.lamb, None, {**_ADAM, "weight_decay": 0.3}),
    *_MATRIX_CASES,
)
TWINS: tuple[Case, ...] = tuple(case for case in (*CASES, *BFLOAT16) if case.twin is not None)


class Ravine:
    """½ (θ-c)ᵀ H (θ-c) with condition number 10³, rotated, and noise on the gradient."""

    def __init__(self, seed: int = 0, steps: int = STEPS, shape: Shape = (8,)) -> None:
        random, n = np.random.default_rng(seed), math.prod(shape)
        turn, _ = np.linalg.qr(random.normal(size=(n, n)))
        self.hessian: Array = turn @ np.diag(np.logspace(-2, 1, n)) @ turn.T
        self.center: Array = random.normal(size=n)
        self.start: Array = random.normal(size=n).reshape(shape)
        self.noise: Array = 0.1 * random.normal(size=(steps, n)).reshape(steps, *shape)

    def gradient(self, theta: Array, k: int) -> Array:
        """The gradient at `theta` on the k-th minibatch, of the same shape."""
        slope = self.hessian @ (theta.reshape(-1) - self.center)
        return slope.reshape(theta.shape) + self.noise[k]

    def gradient_at(self, theta: Tensor, k: int) -> Tensor:
        """As `gradient`, from tensor to tensor."""
        return torch.from_numpy(self.gradient(theta.detach().numpy(), k))


def hyper_of(rule: Rule) -> dict[str, Tensor]:
    """The rule's hyperparameters as engines pass them to it."""
    return {k: torch.tensor(v, dtype=torch.float64) for k, v in rule.defaults.items()}


def with_updates(rule: Rule, change: Callable[[Update], Update]) -> Rule:
    """The rule with every one of its updates changed."""
    changed, choose = cache(change), rule.choose
    if choose is None:
        return replace(rule, update=changed(rule.update))
    return replace(rule, update=changed(rule.update), choose=lambda state: changed(choose(state)))


def walk(rule: Rule, problem: Ravine, hyper: Mapping[str, Tensor] | None = None) -> Array:
    """θ after every step of `rule`, by its functions alone, [steps, *shape]."""
    hyper = hyper_of(rule) if hyper is None else hyper
    theta = torch.from_numpy(problem.start.copy())
    state: State = rule.init(theta)
    path = []
    for k in range(len(problem.noise)):
        grad = problem.gradient_at(rule.probe(theta, state, hyper), k)
        theta, state = rule.update_for(state)(theta, grad, state, hyper)
        path.append(theta.numpy())
    return np.array(path)


def walk_optimizer(make: Callable[[list[Tensor]], Any], problem: Ravine) -> Array:
    """The parameters after every step of a torch-like optimizer, [steps, *shape]."""
    param = torch.from_numpy(problem.start.copy()).requires_grad_()
    optimizer = make([param])
    path = []
    for k in range(len(problem.noise)):
        param.grad = problem.gradient_at(param, k)
        optimizer.step()
        path.append(param.detach().numpy().copy())
    return np.array(path)


def difference(ours: Array, reference: Array) -> float:
    """Largest difference relative to the reference's largest number; infinite for NaN."""
    worst = np.max(np.abs(ours - reference)) / np.max(np.abs(reference))
    return float("inf") if np.isnan(worst) else float(worst)
