"""Stanford's cs231n, optimizers of a small network: the rates that lecture notes give, as they stand."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import nn

from ravine import datasets, metrics, rules
from ravine.recipes import Recipe
from ravine.recipes.images import Folder
from ravine.reproduce.claims import Claim, ahead
from ravine.reproduce.study import Given, Group, Panel, Setting, Study

SOURCE = "Notes on Stanford's cs231n, Optimization algorithms in neural networks"

OWN_RATES = {"sgd": 5e-3, "momentum": 5e-3, "rmsprop": 1e-4, "adam": 1e-3}
"""Figure 2 of the notes."""

SAME_RATE = {"sgd": 1e-3, "momentum": 1e-3, "rmsprop": 1e-3, "adam": 1e-3}
"""Figure 3 of the notes."""

SWEEPS = {
    "sgd": (1e-4, 5e-3, 3e-3, 1e-3, 1e-2),
    "momentum": (1e-4, 5e-3, 3e-3, 1e-3, 1e-2),
    "rmsprop": (1e-4, 5e-4, 5e-3, 1e-3, 1e-2),
    "adam": (1e-4, 5e-4, 5e-3, 1e-3, 1e-2),
}
"""Figures 4 to 7 of the notes."""

SMALLER = (1e-5, 5e-5, 5e-4, 1e-4)
"""RMSProp again, "RMS Prop needs smaller lr"."""

EXAMPLES = 4000
"""Of the exercise's small set."""

SEEDS = 6

LOOKED_AT = 1000
"""Training examples that are evaluated, as in the exercise."""


def network() -> nn.Module:
    """3072-100-100-100-100-100-10 with ReLU, weights from N(0, 0.05²), biases 0."""
    sizes = (3072, *[100] * 5, 10)
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(sizes):
        linear = nn.Linear(inputs, outputs)
        nn.init.normal_(linear.weight, std=0.05)
        nn.init.zeros_(linear.bias)
        layers += [linear, nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def recipe(data: Folder, scale: float) -> Recipe:
    """The exercise: 4,000 images, bytes less their mean, minibatches of 100, five epochs."""
    inputs, targets = datasets.cifar10_centered(data).train
    count = max(100, round(scale * EXAMPLES))
    train = (torch.as_tensor(inputs[:count]), targets[:count])
    return Recipe(
        name="cs231n",
        model=network,
        cost=F.cross_entropy,
        train=train,
        validation=(train[0][:LOOKED_AT], train[1][:LOOKED_AT]),
        batch_size=100,
        epochs=5,
    )


def errors(data: Folder, scale: float) -> Recipe:
    """The same, its metric the training error."""
    return replace(recipe(data, scale), metric=metrics.error_rate)


def at_rates(rates: Sequence[tuple[str, float]]) -> list[Setting]:
    """Optimizers at rates; titles say what differs."""
    of = {name: rules.get(name) for name, _ in rates}
    alone = len(of) == 1
    return [
        Setting(named(name, lr), f"{lr:g}" if alone else f"{of[name].title} {lr:g}", of[name], lr)
        for name, lr in rates
    ]


def named(name: str, lr: float) -> str:
    """An optimizer at a rate."""
    return f"{name}-{lr:g}"


def given(
    rates: Sequence[tuple[str, float]],
    of: Callable[[Folder, float], Recipe] = recipe,
) -> Given:
    """Rates as they are given, on one recipe."""
    return Given(lambda data, scale: [Group("runs", of(data, scale), at_rates(rates))], SEEDS)


def best(optimizer: str, rates: Sequence[float]) -> tuple[Claim, ...]:
    """The rate of figure 2 is the best of a sweep."""
    chosen = OWN_RATES[optimizer]
    return ahead(named(optimizer, chosen), *(named(optimizer, r) for r in rates if r != chosen))


def comparing(
    name: str,
    title: str,
    figure: str,
    expected: str,
    rates: Mapping[str, float],
    orders: Sequence[tuple[str, tuple[str, ...]]],
) -> Panel:
    """Optimizers side by side, one rate each."""
    of = {optimizer: named(optimizer, lr) for optimizer, lr in rates.items()}
    claims = [c for first, others in orders for c in ahead(of[first], *(of[o] for o in others))]
    return Panel(
        name=name,
        title=title,
        source=figure,
        expected=expected,
        training=given(list(rates.items())),
        claims=tuple(claims),
        x="gradient steps",
    )


def sweep(optimizer: str, figure: str, expected: str) -> Panel:
    """One optimizer at five rates."""
    rates = SWEEPS[optimizer]
    return Panel(
        name=optimizer,
        title=f"{rules.get(optimizer).title} at five learning rates",
        source=figure,
        expected=expected,
        training=given([(optimizer, lr) for lr in rates]),
        claims=best(optimizer, rates),
        x="gradient steps",
    )


DIFFERS = (
    "The notes' figures are pictures that their text does not hold: what is expected is what the text "
    "says, and what follows from the rates that the notes go on with.",
    "The experiment is that of cs231n's second assignment, whose accuracies after five epochs the notes "
    f"quote: {EXAMPLES:,} images of CIFAR-10 and a network of six layers. The images are other ones of "
    "the set.",
    f"The cost is that of {LOOKED_AT:,} training examples at 27 points of the training; the original "
    "draws the cost of each minibatch.",
)


def scaled(scale: float) -> str:
    """What is smaller."""
    return f"{max(100, round(scale * EXAMPLES)):,} training examples were used."


OPTIMIZERS = Study(
    name="cs231n-optimizers",
    source=SOURCE,
    panels=(
        comparing(
            "own-rates",
            "Each optimizer at the rate given for it",
            "figure 2",
            "Momentum builds up velocity in any direction with a consistent gradient: it is ahead of "
            "SGD. RMSProp and Adam adapt the rate of each weight: Adam, which has both, is ahead of all.",
            OWN_RATES,
            [
                ("momentum", ("sgd",)),
                ("rmsprop", ("sgd",)),
                ("adam", ("sgd", "momentum", "rmsprop")),
            ],
        ),
        comparing(
            "same-rate",
            "All optimizers at learning rate 0.001",
            "figure 3",
            "A rate that is a fifth of their own for SGD and momentum, Adam's own, and ten times that of "
            "RMSProp, which needs smaller ones: Adam is ahead of all, momentum of SGD.",
            SAME_RATE,
            [("momentum", ("sgd",)), ("adam", ("sgd", "momentum", "rmsprop"))],
        ),
    ),
    scale=1.0,
    scaled=scaled,
    differs=DIFFERS,
)

OF_FIVE = "The notes go on with {:g}, the best of the five."

SWEPT = Study(
    name="cs231n-sweeps",
    source=SOURCE,
    panels=(
        sweep("sgd", "figure 4", OF_FIVE.format(OWN_RATES["sgd"])),
        sweep("momentum", "figure 5", OF_FIVE.format(OWN_RATES["momentum"])),
        sweep(
            "rmsprop",
            "figure 6",
            "RMSProp needs smaller rates: the lowest of the five, 0.0001, is ahead of the others.",
        ),
        Panel(
            name="rmsprop-smaller",
            title="RMSProp at smaller learning rates",
            source="the figure after figure 6",
            expected="Training accuracy after five epochs: 0.591 at 5e-05, 0.557 at 0.0001. The notes "
            "name these two: they are ahead of 1e-05 and of 0.0005.",
            training=given([("rmsprop", lr) for lr in SMALLER], errors),
            claims=(
                *ahead("rmsprop-5e-05", "rmsprop-0.0001", "rmsprop-1e-05", "rmsprop-0.0005"),
                *ahead("rmsprop-0.0001", "rmsprop-1e-05", "rmsprop-0.0005"),
            ),
            y="training error",
            x="gradient steps",
        ),
        sweep("adam", "figure 7", OF_FIVE.format(OWN_RATES["adam"])),
    ),
    scale=1.0,
    scaled=scaled,
    differs=DIFFERS,
)
