"""Which activation follows a layer."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from ravine.initializers._activations import Activation, activations_after

RELU, TANH = Activation("relu"), Activation("tanh")


class Functional(nn.Module):
    """Functions and methods in place of modules."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c, self.d, self.e = (nn.Linear(3, 3) for _ in range(5))
        self.norm = nn.BatchNorm1d(3)

    def forward(self, x):
        x = F.relu(self.norm(self.a(x)))
        x = torch.tanh(self.b(x).view(-1, 3))
        x = F.leaky_relu(self.c(x), 0.3)
        return self.e(F.gelu(self.d(x).relu_()))


class Branch(nn.Module):
    """A branch on values: torch.fx cannot trace it. It writes into itself, too."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(3, 3), nn.Tanh(), nn.Linear(3, 3))
        self.seen = None

    def forward(self, x):
        self.seen = x
        return self.body(x) if x.sum() > 0 else x


class Residual(nn.Module):
    """One output that goes to two places, one layer called in two ways."""

    def __init__(self) -> None:
        super().__init__()
        self.fork, self.twice, self.always = (nn.Linear(3, 3) for _ in range(3))

    def forward(self, x):
        h = self.fork(x)
        h = h + F.relu(h)
        h = torch.tanh(self.twice(F.relu(self.twice(h))))
        return F.relu(self.always(F.relu(self.always(h))))


def test_in_a_sequential() -> None:
    model = nn.Sequential(
        nn.Conv2d(1, 2, 3),
        nn.BatchNorm2d(2),
        nn.ReLU(inplace=True),
        nn.Conv2d(2, 2, 3),
        nn.MaxPool2d(2),
        nn.Dropout(),
        nn.Flatten(),
        nn.Tanh(),
        nn.Sequential(nn.Linear(8, 3), nn.LeakyReLU(0.2)),
        nn.Linear(3, 3),
        nn.GELU(),
        nn.Linear(3, 2),
    )
    found = activations_after(model)
    assert {name: found[name] for name in ("0", "3", "8.0")} == {
        "0": RELU,
        "3": TANH,
        "8.0": Activation("leaky_relu", 0.2),
    }
    assert not {"9", "11"} & found.keys()


def test_functions_are_seen() -> None:
    found = activations_after(Functional())
    expected = {"a": RELU, "b": TANH, "c": Activation("leaky_relu", 0.3), "d": RELU}
    assert {name: found[name] for name in "abcde" if name in found} == expected


def test_children_of_what_cannot_be_traced_are_seen() -> None:
    """A Sequential around it still shows what stands in a row."""
    model = nn.Sequential(nn.Linear(3, 3), nn.Dropout(), nn.ReLU(), Branch(), nn.Linear(3, 3))
    assert activations_after(model) == {"0": RELU, "3.body.0": TANH}


def test_what_is_not_one_thing_is_not_seen() -> None:
    assert activations_after(Residual()) == {"always": RELU}


def test_looking_leaves_the_model_as_it_is() -> None:
    branch, called = Branch(), []
    model = nn.Sequential(branch.body, branch)
    branch.body.register_forward_hook(lambda *args: called.append(args))
    branch.body.register_forward_pre_hook(lambda *args: called.append(args))
    before = torch.get_rng_state()
    activations_after(model)
    assert branch.seen is None
    assert not called
    assert torch.equal(before, torch.get_rng_state())
    assert all(param.device.type == "cpu" for param in model.parameters())


@pytest.mark.parametrize(
    ("activation", "gain"),
    [(RELU, 2**0.5), (TANH, 5 / 3), (Activation("leaky_relu", 0.5), (2 / 1.25) ** 0.5)],
)
def test_gains_are_torchs(activation: Activation, gain: float) -> None:
    assert activation.gain == pytest.approx(gain, rel=1e-12)
