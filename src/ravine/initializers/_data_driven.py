"""Scales of weights measured on one minibatch: of activations (LSUV) or of gradients."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NoReturn, final

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from ravine.errors import SettingError
from ravine.initializers._undisturbed import undisturbed

_LOOK_UPS = (nn.Embedding, nn.EmbeddingBag)
LAYERS = (nn.Linear, nn.Bilinear, _ConvNd, *_LOOK_UPS)
"""Layers whose output is linear in their weight, bias aside."""

Measure = Callable[[Tensor], Tensor]
"""A tensor -> a 0-D measure of its size, which doubles when the tensor does."""

Cost = Callable[[Tensor, Tensor], Tensor]
"""(output, target) -> 0-D mean over the examples."""


@final
@dataclass(frozen=True)
class Scaled:
    """One layer whose weight was scaled.

    Attributes:
        layer: its name.
        before, after: what was measured at its output.
        factor: what its weight was multiplied by in all.
    """

    layer: str
    before: float
    after: float
    factor: float


@final
@dataclass(frozen=True)
class Scaling:
    """What scaling did: the layers in order of execution, and those left alone, with the reason."""

    layers: tuple[Scaled, ...]
    left: dict[str, str]

    def __str__(self) -> str:
        lines = [
            f"{row.layer}: {row.before:.4g} -> {row.after:.4g}, weight x {row.factor:.4g}"
            for row in self.layers
        ]
        return "\n".join(
            [*lines, *(f"{name}: left alone, {why}" for name, why in self.left.items())]
        )


def standard_deviation(x: Tensor) -> Tensor:
    """Standard deviation over all elements, divided by their number."""
    return x.std(correction=0)


def value_range(x: Tensor) -> Tensor:
    """Largest element minus smallest."""
    return x.max() - x.min()


def scale_to_activations(
    model: nn.Module,
    inputs: Tensor,
    target: float = 1.0,
    *,
    measure: Measure = standard_deviation,
    tolerance: float = 1e-3,
    attempts: int = 20,
) -> Scaling:
    """Scale each layer's weight until its output on one minibatch has unit standard deviation.

    Layer by layer, in order of execution:  W ← W · target / measure(output)

    repeated until the output measures target · (1 ± tolerance). Without biases one time is enough.
    Linear, Bilinear, convolutions and Embedding are scaled, once each, by their first call. The paper
    starts from orthogonal weights and zero biases: `initialize(model, "orthogonal")`.

    The model runs in the mode it is in (batch normalization and dropout as in training, if it
    trains). Its buffers, mode, gradients and torch's random state stay as they were.

    A layer is left alone, and named in the result, where its output measures 0 (it is dead), where
    the spread of its biases alone keeps it from the target, and where its weight is computed (weight
    normalization), shared with a layer before it, or never used by calling the layer (attention).

    Args:
        model: changed in place.
        inputs: one minibatch.
        target: what the measure is to be.
        measure: `standard_deviation`, `value_range`, or any function that doubles with its argument.
        tolerance: relative. attempts: passes per layer at most.

    Raises:
        SettingError: an output is not finite, or a setting is not positive; the weights are then as
            they were.

    Source: Mishkin & Matas, "All you need is a good init", ICLR 2016, algorithm 1.
    """
    _insist_on_positive(target=target, tolerance=tolerance, attempts=attempts)
    rows: dict[str, Scaled] = {}
    layers, left = _layers(model)

    def scale(name: str, layer: nn.Module, output: Tensor, again: Callable[[], Tensor]) -> Tensor:
        if name in rows or name in left:
            return output
        weight, original = _weight(layer), originals[name]
        before = value = _measured(measure, name, output)
        factor = 1.0
        for _ in range(int(attempts)):
            if value == 0 or abs(value / target - 1) <= tolerance:
                break
            factor *= target / value
            weight.copy_(original * factor)
            output = again()
            value = _measured(measure, name, output)
        if abs(value / target - 1) <= tolerance:
            rows[name] = Scaled(name, before, value, factor)
            return output
        weight.copy_(original)
        left[name] = (
            "its output is constant" if before == 0 else f"its biases keep it at {value:.4g}"
        )
        return again()

    with (
        undisturbed(model),
        torch.no_grad(),
        _restoring(layers) as originals,
        _watching(layers, scale),
    ):
        model(inputs)
    return Scaling(tuple(rows.values()), left | _unused(layers, {*rows, *left}))


def scale_to_gradients(
    model: nn.Module,
    inputs: Tensor,
    targets: Tensor,
    cost: Cost,
    *,
    tolerance: float = 1e-3,
    attempts: int = 50,
) -> Scaling:
    r"""Scale weights until the gradients have one standard deviation at the outputs of all layers.

    With δ_l the gradient of the cost with respect to the output of layer l (before its
    activation), for the layers 1 ... L in order of execution:

        W_l ← W_l · std(δ_l) / std(δ_{l-1})        for l = 2 ... L, all at once

    repeated until std(δ_l) = std(δ_L) · (1 ± tolerance) for all l. W_l carries δ_l back to δ_{l-1},
    so their ratio is in proportion to it. Only ratios are set: std(δ_L) is what cost and outputs make
    it, and the first layer's weight stays. In a chain of layers with homogeneous activations (ReLU),
    linear in the outputs' gradient, one pass is enough; others take a few; one with batch
    normalization after each layer takes L.

    Two layers that are next to each other are taken to follow each other. Where they do not
    (residual connections, whose gradients add up whatever the weights) it may not be possible.

    Layers, mode, buffers, gradients and random state: as `scale_to_activations`, but embeddings,
    whose inputs have no gradient, are not counted. A layer that no gradient reaches is left alone.
    The result names both.

    Args:
        model: changed in place.
        inputs, targets: one minibatch.
        cost: (output, target) -> 0-D mean over the examples.
        tolerance: relative. attempts: passes at most.

    Returns:
        What was measured at each layer's output, before and after, and the factor of its weight.

    Raises:
        SettingError: a gradient is not finite, a setting is not positive, or the gradients are not
            equal after all attempts; the weights are then as they were.

    Source: the backward condition of Glorot & Bengio 2010, equation 11, and He et al. 2015,
        equation 14, measured rather than derived.
    """
    _insist_on_positive(tolerance=tolerance, attempts=attempts)
    layers, left = _layers(model)
    for name in [name for name, layer in layers.items() if isinstance(layer, _LOOK_UPS)]:
        del layers[name]
        left[name] = "its inputs are indices, to which no gradient goes back"
    first: dict[str, float] = {}
    factors = dict.fromkeys(layers, 1.0)
    with _restoring(layers) as originals:
        for attempt in range(int(attempts) + 1):
            spreads = _gradient_spreads(model, layers, inputs, targets, cost)
            live = {name: spread for name, spread in spreads.items() if spread > 0}
            first = first or spreads
            if _equal(live, tolerance):
                break
            if attempt == int(attempts):
                _refuse_unequal(live, attempt)
            for before, name in pairwise(live):
                factors[name] *= live[name] / live[before]
            _put(layers, {name: originals[name] * factors[name] for name in layers})
    left |= {name: "no gradient reaches it" for name in spreads if name not in live}
    rows = tuple(Scaled(name, first[name], live[name], factors[name]) for name in live)
    return Scaling(rows, left | _unused(layers, {*spreads, *left}))


def _gradient_spreads(
    model: nn.Module, layers: dict[str, nn.Module], inputs: Tensor, targets: Tensor, cost: Cost
) -> dict[str, float]:
    """Standard deviation of the gradient at each layer's output, in order of execution."""
    outputs: dict[str, Tensor] = {}

    def keep(name: str, layer: nn.Module, output: Tensor, again: Callable[[], Tensor]) -> Tensor:
        if name in outputs:
            return output
        outputs[name] = output if output.requires_grad else output.detach().requires_grad_()
        return outputs[name].clone()  # an activation in place then leaves the output itself alone

    with undisturbed(model), torch.enable_grad(), _watching(layers, keep):
        value = cost(model(inputs), targets)
        if not (outputs and value.requires_grad):
            return dict.fromkeys(outputs, 0.0)
        grads = torch.autograd.grad(value, list(outputs.values()), allow_unused=True)
    return {
        name: 0.0 if grad is None else _measured(standard_deviation, name, grad, "gradient at")
        for name, grad in zip(outputs, grads, strict=True)
    }


def _equal(spreads: dict[str, float], tolerance: float) -> bool:
    """Whether all are as the last one."""
    values = list(spreads.values())
    return all(abs(value / values[-1] - 1) <= tolerance for value in values)


def _layers(model: nn.Module) -> tuple[dict[str, nn.Module], dict[str, str]]:
    """The layers whose weights can be scaled, by name; those that cannot, with the reason."""
    layers: dict[str, nn.Module] = {}
    left: dict[str, str] = {}
    owners: dict[int, str] = {}
    for name, module in model.named_modules():
        if isinstance(module, LAYERS):
            weight = module._parameters.get("weight")
            if weight is None:
                left[name] = "its weight is computed from other parameters"
            elif id(weight) in owners:
                left[name] = f"its weight is that of {owners[id(weight)]!r}"
            else:
                layers[name] = module
                owners[id(weight)] = name
    return layers, left


@contextmanager
def _watching(
    layers: dict[str, nn.Module],
    look: Callable[[str, nn.Module, Tensor, Callable[[], Tensor]], Tensor],
) -> Iterator[None]:
    """Within it every call of a layer goes through look(name, layer, output, call it again)."""

    def hook(name: str) -> Callable[..., Tensor]:
        def on_call(module: nn.Module, args: Any, kwargs: Any, output: Tensor) -> Tensor:
            return look(name, module, output, lambda: module.forward(*args, **kwargs))

        return on_call

    handles = [
        layer.register_forward_hook(hook(name), with_kwargs=True) for name, layer in layers.items()
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _weight(layer: nn.Module) -> Tensor:
    weight = layer.weight
    assert isinstance(weight, Tensor)
    return weight


def _put(layers: dict[str, nn.Module], weights: dict[str, Tensor]) -> None:
    with torch.no_grad():
        for name, weight in weights.items():
            _weight(layers[name]).copy_(weight)


@contextmanager
def _restoring(layers: dict[str, nn.Module]) -> Iterator[dict[str, Tensor]]:
    """Gives copies of the layers' weights, and puts them back if anything is raised within it."""
    originals = {name: _weight(layer).detach().clone() for name, layer in layers.items()}
    try:
        yield originals
    except Exception:
        _put(layers, originals)
        raise


def _measured(measure: Measure, name: str, x: Tensor, what: str = "output of") -> float:
    """The measure of x in float64; 0 where it is but the rounding of a constant."""
    value = float(measure(x.double()))
    if not math.isfinite(value):
        raise SettingError(
            f"the {what} layer {name!r} measures {value} on this minibatch; expected finite inputs, "
            "weights and cost"
        )
    return value if value > 1e-12 * float(x.abs().max()) else 0.0


def _unused(layers: dict[str, nn.Module], seen: set[str]) -> dict[str, str]:
    return {name: "the model does not call it" for name in layers if name not in seen}


def _refuse_unequal(live: dict[str, float], attempts: int) -> NoReturn:
    last = list(live.values())[-1]
    name, spread = max(live.items(), key=lambda pair: abs(math.log(pair[1] / last)))
    raise SettingError(
        f"after {attempts} passes the gradient at layer {name!r} still has {spread / last:.4g} times "
        "the standard deviation of that at the last layer; its weights do not set it alone "
        "(residual connections?). Use scale_to_activations"
    )


def _insist_on_positive(**settings: float) -> None:
    for key, value in settings.items():
        if not (isinstance(value, int | float) and math.isfinite(value) and value > 0):
            raise SettingError(f"{key}={value!r}; expected a number above 0")
