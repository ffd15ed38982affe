"""Continuation: a series of costs, blurred from wide to narrow, the last one the true cost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from torch import nn

from ravine.errors import SettingError, insist_on_count
from ravine.recipes import Recipe, load
from ravine.schedules import Schedule
from ravine.strategies._smoothed import Smoothed


def continuation(
    recipe: Recipe, sigma: Schedule, stages: int, steps: int | None = None
) -> list[Recipe]:
    r"""Stages on smoother costs, and the recipe itself at the end.

        J_σ(θ) = E J(θ + ε),  ε ~ N(0, σ_k² I)      σ_k = sigma(k), k = 0, ..., stages - 1; then σ = 0

        fit_stages(continuation(recipe, 0.5 * schedules.exponential(0.7), stages=4), "sgd")

    Blurring removes minima that are narrower than σ; each stage begins where the one before has
    ended, so the way leads along the minima of wide basins. It pays where the narrow ones are bad;
    no theorem says that it leads to the global one.

    The expectation is sampled, one ε a step (see `Smoothed`). Where it has a closed form, say it:
    E cos(ω(θ+ε)) = exp(-ω²σ²/2) cos ωθ, E (θ+ε)² = θ² + σ². Then
    `[replace(recipe, cost=blurred(s)) for s in ...]` is a series for `fit_stages`, too.

    Args:
        recipe: what is to be trained in the end.
        sigma: stage k -> σ_k > 0, in the units of the weights.
        stages: how many blurred ones there are.
        steps: gradient steps of each of them; None: as many as the recipe has itself.

    Raises:
        SettingError: stages below 1, or a σ_k of 0.
        RecipeError: the recipe's data cannot be used.

    Source: Goodfellow, Bengio & Courville 2016, section 8.7.6; Mobahi & Fisher 2015.
    """
    insist_on_count("stages", stages)
    if not isinstance(sigma, Schedule):
        raise SettingError(
            f"sigma={sigma!r}; expected a schedule over the stages, "
            "e.g. 0.5 * ravine.schedules.exponential(0.7)"
        )
    widths = [sigma(stage) for stage in range(stages)]
    if not all(width > 0 for width in widths):
        raise SettingError(
            f"sigma is 0 at stage {widths.index(0.0)} of {stages}; expected positive numbers: the "
            "true cost, sigma = 0, comes by itself at the end"
        )
    length = load(recipe, steps=steps).steps
    blurred = [
        replace(
            recipe,
            name=f"{recipe.name}-smoothed-{stage}",
            model=_smoothed(recipe.model, width),
            steps=length,
            epochs=None,
        )
        for stage, width in enumerate(widths)
    ]
    return [*blurred, recipe]


def _smoothed(model: Callable[[], nn.Module], sigma: float) -> Callable[[], nn.Module]:
    return lambda: Smoothed(model(), sigma)
