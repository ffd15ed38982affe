"""The table of classes and options that tests run through, and the small network they train."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import ravine.optim
from tests.cases import TOLERANCE, Ravine, difference

Optimizer = Any
STEPS = 20

TWINS: list[tuple[str, dict[str, Any]]] = [
    ("SGD", {"lr": 0.02}),
    ("SGD", {"lr": 0.02, "momentum": 0.8}),
    ("SGD", {"lr": 0.02, "momentum": 0.8, "dampening": 0.4, "weight_decay": 0.1}),
    ("SGD", {"lr": 0.02, "momentum": 0.8, "nesterov": True, "weight_decay": 0.1}),
    ("ASGD", {}),
    ("ASGD", {"lr": 0.05, "lambd": 0.1, "alpha": 0.6, "t0": 7, "weight_decay": 0.1}),
    ("Rprop", {}),
    ("Rprop", {"lr": 0.1, "etas": (0.4, 1.3), "step_sizes": (0.01, 0.3)}),
    ("Adagrad", {}),
    ("Adagrad", {"lr": 0.1, "lr_decay": 0.1, "initial_accumulator_value": 0.2}),
    ("Adagrad", {"weight_decay": 0.1}),
    ("RMSprop", {}),
    ("RMSprop", {"alpha": 0.9, "centered": True, "weight_decay": 0.1}),
    ("RMSprop", {"momentum": 0.8, "eps": 1e-3}),
    ("RMSprop", {"momentum": 0.8, "centered": True}),
    ("Adadelta", {}),
    ("Adadelta", {"lr": 0.5, "rho": 0.8, "weight_decay": 0.1}),
    ("Adafactor", {}),
    ("Adafactor", {"lr": 0.3, "beta2_decay": -0.5, "eps": (0.9, 0.1), "weight_decay": 0.1}),
    ("Adam", {}),
    ("Adam", {"lr": 0.02, "betas": (0.8, 0.9), "eps": 1e-3, "weight_decay": 0.1}),
    ("Adam", {"amsgrad": True}),
    ("Adam", {"weight_decay": 0.1, "decoupled_weight_decay": True}),
    ("AdamW", {}),
    ("AdamW", {"amsgrad": True, "weight_decay": 0.1}),
    ("NAdam", {}),
    ("NAdam", {"weight_decay": 0.1, "momentum_decay": 0.1}),
    ("NAdam", {"weight_decay": 0.1, "decoupled_weight_decay": True}),
    ("Adamax", {}),
    ("Adamax", {"lr": 0.02, "betas": (0.8, 0.9), "eps": 1e-3, "weight_decay": 0.1}),
    ("RAdam", {}),
    ("RAdam", {"lr": 0.02, "betas": (0.8, 0.9), "eps": 1e-3, "weight_decay": 0.1}),
    ("RAdam", {"weight_decay": 0.1, "decoupled_weight_decay": True}),
    ("Muon", {}),
    ("Muon", {"lr": 0.02, "momentum": 0.8, "weight_decay": 0, "nesterov": False, "ns_steps": 3}),
    ("Muon", {"adjust_lr_fn": "match_rms_adamw", "ns_coefficients": (3.4, -4.7, 2.0)}),
]
NAMES = sorted({name for name, _ in TWINS})
OWN = (
    "DeltaBarDelta",
    "LAMB",
    "LARS",
    "Lion",
    "Momentum",
    "MuonAdamW",
    "Nesterov",
    "RMSpropNesterov",
    "SOAP",
    "ScheduleFreeAdamW",
    "ScheduleFreeSGD",
    "Shampoo",
    "SignSGD",
    "Signum",
)
ALL = (*NAMES, *OWN)
WITH_OUTPUT = ("ASGD", "Nesterov", "RMSpropNesterov", "ScheduleFreeAdamW", "ScheduleFreeSGD")
"""Classes whose weights to evaluate are not the parameters."""

twins = pytest.mark.parametrize(
    ("name", "options"), TWINS, ids=lambda value: str(value).replace(" ", "")
)


def ours(name: str) -> Callable[..., Optimizer]:
    """The class of ravine, run so that it can be compared with torch's.

    Muon's bfloat16 products are rounded more often where matrices are stacked (2 % of a step).
    """
    new: Callable[..., Optimizer] = getattr(ravine.optim, name)
    if name != "Muon":
        return new
    return lambda params, **options: new(params, **{"engine": "eager", **options})


def theirs(name: str) -> Callable[..., Optimizer]:
    """The class of torch."""
    found: Callable[..., Optimizer] = getattr(torch.optim, name)
    return found


def shape_for(name: str) -> tuple[int, ...]:
    """A shape that the class takes."""
    return (4, 2) if name in ("Muon", "Adafactor") else (8,)


def problem_for(name: str) -> Ravine:
    """The problem, in a shape that the class takes."""
    return Ravine(shape=shape_for(name))


class Trial:
    """A small network on fixed data, and an optimizer for it.

    Args:
        make: (model) -> optimizer.
        bias: whether the layers have one.
        dtype: of the model.
    """

    def __init__(
        self,
        make: Callable[[nn.Module], Optimizer],
        bias: bool = True,
        dtype: torch.dtype = torch.float64,
    ) -> None:
        generator = torch.Generator().manual_seed(0)
        inputs = torch.randn(2 * STEPS, 16, 3, generator=generator)
        targets = torch.randn(2 * STEPS, 16, 2, generator=generator)
        self.inputs, self.targets = inputs.to(dtype), targets.to(dtype)
        layers = [nn.Linear(3, 4, bias=bias), nn.Tanh(), nn.Linear(4, 2, bias=bias)]
        self.model = nn.Sequential(*layers)
        for param in self.model.parameters():
            param.data = torch.randn(param.shape, generator=generator).to(dtype)
        self.optimizer = make(self.model)
        self.scheduler: Any = None
        self.k = 0

    def loss(self) -> Tensor:
        """The loss on the batch of this step."""
        return nn.functional.mse_loss(self.model(self.inputs[self.k]), self.targets[self.k])

    def closure(self) -> Tensor:
        """What `optimizer.step` takes."""
        self.optimizer.zero_grad()
        loss = self.loss()
        loss.backward()
        return loss

    def run(self, steps: int) -> Trial:
        """Take steps."""
        for _ in range(steps):
            self.closure()
            self.optimizer.step()
            if self.scheduler is not None:
                self.scheduler.step()
            self.k += 1
        return self

    def weights(self) -> Any:
        """All parameters, laid out flat."""
        return nn.utils.parameters_to_vector(self.model.parameters()).detach().numpy().copy()


def trial(name: str, **options: Any) -> Trial:
    """A trial of a class of ravine."""
    return Trial(lambda model: ours(name)(model.parameters(), **options), bias=name != "Muon")


def side_by_side(
    name: str, make: Callable[[Callable[..., Optimizer], nn.Module], Optimizer]
) -> tuple[Trial, Trial]:
    """Trials of ravine's class and of torch's."""
    return (
        Trial(lambda model: make(ours(name), model), bias=name != "Muon"),
        Trial(lambda model: make(theirs(name), model), bias=name != "Muon"),
    )


def assert_same(first: Trial, second: Trial) -> None:
    """Both have the same weights, up to rounding."""
    assert difference(first.weights(), second.weights()) <= TOLERANCE


def through_file(state: dict[str, Any]) -> dict[str, Any]:
    """A checkpoint, saved and loaded."""
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    loaded: dict[str, Any] = torch.load(file, weights_only=True)
    return loaded
