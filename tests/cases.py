"""The table of rules that tests run through, and the problem they run on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ravine import rules
from ravine.rules import Rule, State
from tests import references
from tests.references import Array

STEPS = 50
TOLERANCE = 1e-12

Settings = Mapping[str, Any]
Twin = Callable[[list[Tensor], Settings], torch.optim.Optimizer]


@dataclass(frozen=True)
class Case:
    """One rule with one choice of settings.

    Attributes:
        constructor: makes the rule.
        reference: the same rule as a NumPy loop.
        settings: what the constructor is called with.
        twin: the torch optimizer that walks the same path, if there is one.
    """

    constructor: Callable[..., Rule]
    reference: Callable[..., Array]
    settings: Settings
    twin: Twin | None = None

    @property
    def label(self) -> str:
        """Name of the test."""
        chosen = ",".join(f"{name}={value}" for name, value in self.settings.items())
        return f"{self.constructor.__name__}({chosen})"

    @property
    def rule(self) -> Rule:
        """The rule."""
        return self.constructor(**self.settings)

    @property
    def all_settings(self) -> dict[str, Any]:
        """The settings with the defaults of the hyperparameters filled in."""
        return {**self.rule.defaults, **self.settings}


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


def _cases(constructor: Callable[..., Rule], twin: Twin | None, *settings: Settings) -> list[Case]:
    reference = getattr(references, constructor.__name__)
    return [Case(constructor, reference, chosen, twin) for chosen in ({}, *settings)]


_ADAM = {"lr": 0.02, "beta1": 0.8, "beta2": 0.95, "eps": 1e-3}

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
)
TWINS: tuple[Case, ...] = tuple(case for case in CASES if case.twin is not None)


class Ravine:
    """½ (θ-c)ᵀ H (θ-c) with condition number 10³, rotated, and noise on the gradient."""

    def __init__(self, n: int = 8, seed: int = 0, steps: int = STEPS) -> None:
        random = np.random.default_rng(seed)
        turn, _ = np.linalg.qr(random.normal(size=(n, n)))
        self.hessian: Array = turn @ np.diag(np.logspace(-2, 1, n)) @ turn.T
        self.center: Array = random.normal(size=n)
        self.start: Array = random.normal(size=n)
        self.noise: Array = 0.1 * random.normal(size=(steps, n))

    def gradient(self, theta: Array, k: int) -> Array:
        """The gradient at `theta` on the k-th minibatch."""
        return self.hessian @ (theta - self.center) + self.noise[k]

    def gradient_at(self, theta: Tensor, k: int) -> Tensor:
        """As `gradient`, from tensor to tensor."""
        return torch.from_numpy(self.gradient(theta.detach().numpy(), k))


def hyper_of(rule: Rule) -> dict[str, Tensor]:
    """The rule's hyperparameters as engines pass them to it."""
    return {k: torch.tensor(v, dtype=torch.float64) for k, v in rule.defaults.items()}


def walk(rule: Rule, problem: Ravine, hyper: Mapping[str, Tensor] | None = None) -> Array:
    """θ after every step of `rule`, by its functions alone, [steps, n]."""
    hyper = hyper_of(rule) if hyper is None else hyper
    theta = torch.from_numpy(problem.start.copy())
    state: State = rule.init(theta)
    path = []
    for k in range(len(problem.noise)):
        grad = problem.gradient_at(rule.probe(theta, state, hyper), k)
        theta, state = rule.update(theta, grad, state, hyper)
        path.append(theta.numpy())
    return np.array(path)


def walk_optimizer(make: Callable[[list[Tensor]], Any], problem: Ravine) -> Array:
    """The parameters after every step of a torch-like optimizer, [steps, n]."""
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
