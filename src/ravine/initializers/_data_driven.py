"""Scales of weights measured on one minibatch: of activations (LSUV) or of gradients."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, final

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from ravine.errors import SettingError
from ravine.undisturbed import undisturbed

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
    """What scaling did.

    Attributes:
        layers: those that were scaled, in order of execution.
        left: those left alone, with the reason.
        spread: how far the farthest of `layers` still is from what was aimed at: max r - 1, with r
            the measure over the aim or its inverse, whichever is larger. 0: all are equal to it.
    """

    layers: tuple[Scaled, ...]
    left: dict[str, str]
    spread: float

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
    the spread of its biases alone keeps it from the target, and where its weight is frozen
    (requires_grad=False), computed (weight normalization), shared with a layer before it, or never
    used by calling the layer (attention).

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
            if value == 0 or _apart(value, target) <= tolerance:
                break
            factor *= target / value
            weight.copy_(original * factor)
            output = again()
            value = _measured(measure, name, output)
        if _apart(value, target) <= tolerance:
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
    spread = max((_apart(row.after, target) for row in rows.values()), default=0.0)
    return Scaling(tuple(rows.values()), left | _unused(layers, {*rows, *left}), spread)


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

    repeated until std(δ_l) and std(δ_L) are within a factor 1 + tolerance for all l. W_l carries δ_l
    back to δ_{l-1}, so their ratio is in proportion to it. Only ratios are set: std(δ_L) is what cost
    and outputs make it, and the first layer's weight stays. In a chain of layers with homogeneous
    activations (ReLU), linear in the outputs' gradient, one pass is enough; others take a few; one with
    batch normalization after each layer takes L.

    Two layers that are next to each other are taken to follow each other. Where they do not
    (residual connections, whose gradients add up whatever the weights) it may not be possible. The
    error then says how close the best pass came, and from which tolerance on it is enough;
    `ravine.initializers.start("gradient_scaled")` takes the best pass as it is.

    Layers, mode, buffers, gradients and random state: as `scale_to_activations`, but embeddings,
    whose inputs have no gradient, are not counted. A layer that no gradient reaches is left alone.
    The result names both.

    Args:
        model: changed in place.
        inputs, targets: one minibatch.
        cost: (output, target) -> 0-D mean over the examples.
        tolerance: relative. attempts: passes at most.

    Returns:
        What was measured at each layer's output, before and after, the factor of its weight, and the
        spread that remains.

    Raises:
        SettingError: a gradient is not finite, a setting is not positive, or the gradients are not
            equal after all attempts; the weights are then as they were.

    Source: the backward condition of Glorot & Bengio 2010, equation 11, and He et al. 2015,
        equation 14, measured rather than derived.
    """
    _insist_on_positive(tolerance=tolerance, attempts=attempts)
    with _restoring(_layers(model)[0]):
        scaling = nearest_to_equal(model, inputs, targets, cost, tolerance, int(attempts))
        if not scaling.spread <= tolerance:
            raise _unequal(scaling, int(attempts))
    return scaling


def nearest_to_equal(
    model: nn.Module,
    inputs: Tensor,
    targets: Tensor,
    cost: Cost,
    tolerance: float = 1e-3,
    attempts: int = 50,
) -> Scaling:
    """As `scale_to_gradients`, but with the weights of the best pass whatever remains.

    The best one has the least `spread`; of equal ones it is the first.

    Raises:
        SettingError: a gradient is not finite before the first pass; the weights are as they were.
    """
    layers, left = _layers(model)
    for name in [name for name, layer in layers.items() if isinstance(layer, _LOOK_UPS)]:
        del layers[name]
        left[name] = "its inputs are indices, to which no gradient goes back"
    with _restoring(layers) as originals:
        first = spreads = _gradient_spreads(model, layers, inputs, targets, cost)
        live = [name for name, spread in first.items() if spread > 0]
        factors = dict.fromkeys(layers, 1.0)
        best = _Pass(first, factors, _farthest(first, live))
        for _ in range(attempts):
            if best.spread <= tolerance or not all(spreads[name] > 0 for name in live):
                break
            ratios = {name: spreads[name] / spreads[before] for before, name in pairwise(live)}
            factors = {name: factor * ratios.get(name, 1.0) for name, factor in factors.items()}
            _put(layers, {name: originals[name] * factors[name] for name in layers})
            try:
                found = _gradient_spreads(model, layers, inputs, targets, cost)
            except SettingError:  # out of range: farther from equal than any pass before
                break
            spreads = dict.fromkeys(first, 0.0) | found
            best = min(best, _Pass(spreads, factors, _farthest(spreads, live)), key=_spread_of)
        _put(layers, {name: originals[name] * best.factors[name] for name in layers})
    left |= {name: "no gradient reaches it" for name in first if name not in live}
    rows = tuple(Scaled(n, first[n], best.spreads[n], best.factors[n]) for n in live)
    return Scaling(rows, left | _unused(layers, {*first, *left}), best.spread)


@dataclass(frozen=True)
class _Pass:
    """What one pass measured, under which factors, and how far that is from equal."""

    spreads: dict[str, float]
    factors: dict[str, float]
    spread: float


def _spread_of(one: _Pass) -> float:
    return one.spread


def _farthest(spreads: dict[str, float], live: list[str]) -> float:
    """How far the farthest layer is from the last one."""
    return max((_apart(spreads[name], spreads[live[-1]]) for name in live), default=0.0)


def _apart(value: float, aim: float) -> float:
    """max(value / aim, aim / value) - 1: 0 for equal ones, infinite if one of them is 0."""
    return math.inf if value == 0 or aim == 0 else max(value / aim, aim / value) - 1


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
            elif not weight.requires_grad:
                left[name] = "its weight is frozen"
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


def _unequal(scaling: Scaling, attempts: int) -> SettingError:
    last = scaling.layers[-1].after
    row = max(scaling.layers, key=lambda row: _apart(row.after, last))
    return SettingError(
        f"in the best of {attempts} passes the gradient at layer {row.layer!r} still has "
        f"{row.after / last:.4g} times the standard deviation of that at the last layer; its weights do "
        "not set it alone (residual connections?). To take the best pass as it is: "
        f"tolerance={_rounded_up(scaling.spread)}, or --init gradient_scaled on the command line; "
        "scale_to_activations (--init lsuv) sets each layer by itself"
    )


def _rounded_up(number: float) -> str:
    """Two digits that are not below the number."""
    unit = 10.0 ** (math.floor(math.log10(number)) - 1)
    return f"{math.ceil(number / unit + 1e-9) * unit:.2g}"


def _insist_on_positive(**settings: float) -> None:
    for key, value in settings.items():
        if not (isinstance(value, int | float) and math.isfinite(value) and value > 0):
            raise SettingError(f"{key}={value!r}; expected a number above 0")
