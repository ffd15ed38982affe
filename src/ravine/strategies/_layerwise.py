"""Greedy layer-wise supervised pretraining: a network trained block by block, then as a whole."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from typing import Literal, get_args

import torch
from torch import nn

from ravine.errors import RecipeError, SettingError
from ravine.recipes import Problem, Recipe, build_model, load

Earlier = Literal["frozen", "trained"]
"""What becomes of the blocks before the newest one in a stage."""

Head = Callable[[torch.Size, torch.Size], nn.Module]
"""(shape of one example's features, shape of its output) -> a temporary output layer."""

Block = list[tuple[str, nn.Module]]


def linear_head(features: torch.Size, output: torch.Size) -> nn.Module:
    """A linear layer from all features to the outputs.

    Raises:
        SettingError: the output is not a vector [outputs].
    """
    if len(output) != 1:
        raise SettingError(
            f"the model's output for one example has the shape {list(output)}; linear_head makes "
            "vectors [outputs]: give a head of your own, (features, output) -> nn.Module"
        )
    return nn.Sequential(nn.Flatten(), nn.Linear(features.numel(), output[0]))


def layerwise(
    recipe: Recipe,
    steps: int | None = None,
    earlier: Earlier = "frozen",
    head: Head = linear_head,
) -> list[Recipe]:
    """The stages of greedy layer-wise supervised pretraining, and the recipe itself for fine-tuning.

        fit_stages(layerwise(recipe), "sgd", lr=0.1, seeds=range(5))

    Stage k trains hidden block k, put behind blocks 1 to k-1 as they were trained, with an output
    layer of its own that is dropped afterwards. The last stage trains the whole network, its output
    layer new, from the blocks so found.

    A block begins at each child of the model that has a weight matrix or larger, and goes up to the
    next of these (nest an nn.Sequential to hold several together); children before the first belong
    to it. The last block is the output layer; what stands behind its weights and keeps the shape, a
    softmax for one, stands behind the temporary layers, too. Frozen blocks are in training mode as
    the rest: their dropout drops, and their batch norms take the minibatch's statistics.

    Args:
        recipe: its model is an nn.Sequential with one hidden block or more.
        steps: gradient steps of each stage of pretraining; None: as many as the recipe has itself.
        earlier: "frozen": a stage trains the newest block alone, as in the paper; "trained": all
            blocks so far.
        head: makes the temporary output layers.

    Raises:
        RecipeError: the model is not an nn.Sequential, or has no hidden block.
        SettingError: steps, `earlier` or the model's output cannot be used.

    Source: Bengio, Lamblin, Popovici & Larochelle, "Greedy Layer-Wise Training of Deep Networks",
        NIPS 2007, section 3 and appendix; Goodfellow, Bengio & Courville 2016, section 8.7.4.
    """
    if earlier not in get_args(Earlier):
        raise SettingError(f"earlier={earlier!r}; expected 'frozen' or 'trained'")
    problem = load(recipe, steps=steps)
    hidden = len(blocks(build_model(problem, seed=0))) - 1
    if hidden < 1:
        raise RecipeError(
            f"the model of recipe {recipe.name!r} has no hidden block to train before the others; "
            "expected an nn.Sequential of two layers with weights or more"
        )
    stages = [
        replace(
            recipe,
            name=f"{recipe.name}-block-{count}",
            model=_stage(problem, count, earlier, head),
            steps=problem.steps,
            epochs=None,
        )
        for count in range(1, hidden + 1)
    ]
    return [*stages, recipe]


def blocks(model: nn.Module) -> list[Block]:
    """The children of an nn.Sequential by name, cut into blocks; see `layerwise`.

    Raises:
        RecipeError: it is not an nn.Sequential.
    """
    if not isinstance(model, nn.Sequential):
        raise RecipeError(
            f"the model is {type(model).__name__}; layer-wise training expects an nn.Sequential, "
            "whose children are its layers in order"
        )
    cut: list[Block] = [[]]
    for name, child in model.named_children():
        if _weighty(child) and any(_weighty(module) for _, module in cut[-1]):
            cut.append([])
        cut[-1].append((name, child))
    return cut


def _weighty(module: nn.Module) -> bool:
    return any(param.ndim >= 2 for param in module.parameters())


def _stage(problem: Problem, count: int, earlier: Earlier, head: Head) -> Callable[[], nn.Module]:
    """Builds the first blocks of the recipe's model, and an output layer behind them."""
    inputs = problem.train.first(1).inputs

    def build() -> nn.Module:
        model = problem.recipe.model()
        parts = blocks(model)[:count]
        old = nn.Sequential(*(child for block in parts[:-1] for _, child in block))
        old.requires_grad_(earlier == "trained")
        body = nn.Sequential(OrderedDict(child for block in parts for child in block))
        dtype = next(model.parameters()).dtype
        top = head(_shape(body, inputs), _shape(model, inputs)).to(dtype)
        # A name that no other stage has: the layer is not to be taken over.
        body.add_module(f"temporary_output_{count}", nn.Sequential(top, *_finish(model, inputs)))
        return body

    return build


def _finish(model: nn.Module, inputs: torch.Tensor) -> list[nn.Module]:
    """The children behind the output layer that keep the output's shape, such as a softmax."""
    children = list(model.children())
    first = len(children) - len(blocks(model)[-1]) + 1
    whole = _shape(model, inputs)
    while _shape(nn.Sequential(*children[:first]), inputs) != whole:
        first += 1
    return children[first:]


@torch.no_grad()
def _shape(model: nn.Module, inputs: torch.Tensor) -> torch.Size:
    """The shape of what a model makes of one example; the model is left in training mode."""
    model.eval()
    output: torch.Tensor = model(inputs)
    model.train()
    return output.shape[1:]
