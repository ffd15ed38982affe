"""Distillation: one model trained on what a teacher, such as an ensemble, thinks of each example."""

from __future__ import annotations

import copy
import functools
import math
from dataclasses import replace

import torch
from torch import Tensor, nn

from ravine.errors import RecipeError, SettingError
from ravine.recipes import Measure, Recipe, Split, load
from ravine.recipes.examples import EXAMPLES_AT_ONCE


def distill(
    recipe: Recipe, teacher: nn.Module, temperature: float = 2.0, hard: float = 0.5
) -> Recipe:
    r"""A recipe that trains the same model on the teacher's answers, the "dark knowledge".

        J(θ) = T² KL(softmax(v/T) ‖ softmax(z/T)) + α C(z, y)      means over the examples

    with the model's scores z, the teacher's v (an ensemble's log-likelihoods are scores), and the
    labels y under the recipe's own cost C. T² keeps both terms' gradients in proportion when T
    changes. The metric, on the labels alone, is the recipe's own (its cost, where it has none), so
    that students compare with models that were trained plainly.

    The teacher is asked once, here, in evaluation mode, about all examples: targets are from then on
    a tensor [examples, 1 + classes, ...] of labels and soft targets. A starting point that looks at
    targets (output_bias) cannot read them.

    Args:
        recipe: of a classifier: scores [examples, classes, ...], labels [examples, ...], in memory.
        teacher: gives scores of the same shape. It stays as it is.
        temperature: T > 0; high ones show how the teacher ranks the wrong classes.
        hard: α >= 0, weight of the labels. The defaults of T and α are the paper's best in its
            section 4.

    Raises:
        SettingError: temperature <= 0, hard < 0, or one of them is not finite.
        RecipeError: examples that are read while training, targets that are no classes, or scores of
            the teacher that do not fit them.

    Source: Hinton, Vinyals & Dean, "Distilling the Knowledge in a Neural Network", 2015, section 2.
    """
    _insist_on_temperature(temperature)
    if not (hard >= 0 and math.isfinite(hard)):
        raise SettingError(f"hard={hard!r}; expected a weight of the labels from 0 on, e.g. 0.5")
    problem = load(recipe)
    if not isinstance(problem.train, Split):
        raise RecipeError(
            f"the examples of recipe {recipe.name!r} are read while training; the teacher is asked "
            "about all of them beforehand: expected examples in memory, workers=None"
        )
    teacher = copy.deepcopy(teacher).eval()
    ask = functools.partial(_taught, teacher=teacher, temperature=temperature)
    return replace(
        recipe,
        name=f"{recipe.name}-distilled",
        cost=_objective(recipe.cost, temperature, hard),
        metric=_on_labels(recipe.measure),
        train=ask(problem.train, "training"),
        validation=ask(problem.validation, "validation"),
        test=None if problem.test is None else ask(problem.test, "test"),
    )


def soft_targets(scores: Tensor, temperature: float) -> Tensor:
    """Probabilities softmax(v/T) of a teacher's scores v [examples, classes, ...].

    Raises:
        SettingError: T is not a positive finite number.

    Source: Hinton, Vinyals & Dean 2015, equation 1.
    """
    _insist_on_temperature(temperature)
    return (scores / temperature).softmax(dim=1)


def soft_cost(scores: Tensor, soft: Tensor, temperature: float) -> Tensor:
    r"""T² KL(p ‖ softmax(z/T)), mean over the examples, 0-D.

    Its gradient in the scores of one example is T (softmax(z/T) - p), which for large T is that of
    matching the scores, (z - v)/N for N classes and scores of mean 0, up to a share of the order 1/T.

    Args:
        scores: z, [examples, classes, ...].
        soft: p, the teacher's `soft_targets` at the same temperature, shaped alike.
        temperature: T > 0.

    Raises:
        SettingError: T is not a positive finite number.
        ValueError: the shapes differ.

    Source: Hinton, Vinyals & Dean 2015, section 2 and equations 2-4.
    """
    _insist_on_temperature(temperature)
    if scores.shape != soft.shape:
        raise ValueError(
            "soft_cost takes scores and soft targets of the same shape, "
            f"not {list(scores.shape)} and {list(soft.shape)}"
        )
    logs = (scores / temperature).log_softmax(dim=1)
    # torch's kl_div has no batching rule: under vmap it would take one member after the other.
    divergence: Tensor = -(torch.special.entr(soft) + soft * logs).sum(dim=1).mean()
    return divergence * temperature**2


def _objective(cost: Measure, temperature: float, hard: float) -> Measure:
    def distillation_cost(output: Tensor, targets: Tensor) -> Tensor:
        labels, soft = _unpacked(targets)
        return soft_cost(output, soft, temperature) + hard * cost(output, labels)

    return distillation_cost


def _on_labels(measure: Measure) -> Measure:
    @functools.wraps(measure)
    def on_labels(output: Tensor, targets: Tensor) -> Tensor:
        return measure(output, _unpacked(targets)[0])

    return on_labels


def _taught(
    split: Split, which: str, teacher: nn.Module, temperature: float
) -> tuple[Tensor, Tensor]:
    """Inputs, and targets with what the teacher says of them."""
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        parts = [teacher(inputs) for inputs in torch.split(split.inputs, EXAMPLES_AT_ONCE)]
    scores = torch.cat(parts)
    _insist_on_classes(split.targets, scores, which)
    return split.inputs, _packed(split.targets, soft_targets(scores, temperature))


def _packed(labels: Tensor, soft: Tensor) -> Tensor:
    """[examples, 1 + classes, ...]: labels as numbers (exact up to 2²⁴ in float32), then soft ones."""
    dtype = torch.promote_types(soft.dtype, torch.float32)
    return torch.cat([labels.unsqueeze(1).to(dtype), soft.to(dtype)], dim=1)


def _unpacked(targets: Tensor) -> tuple[Tensor, Tensor]:
    return targets[:, 0].long(), targets[:, 1:]


def _insist_on_classes(labels: Tensor, scores: Tensor, which: str) -> None:
    if labels.dtype.is_floating_point or labels.dtype.is_complex:
        raise RecipeError(
            f"{which} targets are {labels.dtype}; distillation takes class indices: "
            "targets.long(), if that is what they are"
        )
    if scores.ndim < 2 or scores.shape[1] < 2 or scores[:, 0].shape != labels.shape:
        raise RecipeError(
            f"the teacher gives {list(scores.shape)} for {which} targets {list(labels.shape)}; "
            "expected scores [examples, classes, ...] of two classes or more for labels "
            "[examples, ...]"
        )
    if scores.isnan().any():
        raise RecipeError(
            f"the teacher's scores of {which} examples hold NaN; expected a teacher that has "
            "not diverged"
        )


def _insist_on_temperature(temperature: float) -> None:
    if not (temperature > 0 and math.isfinite(temperature)):
        raise SettingError(
            f"temperature={temperature!r}; expected a positive number, e.g. temperature=2.0"
        )
