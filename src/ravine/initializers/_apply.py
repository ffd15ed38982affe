"""Initializers on the parameters of a model: which goes where, and putting it there."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal, final

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.parameter import is_lazy
from torch.nn.utils.parametrize import ParametrizationList

from ravine.errors import ParameterError, SettingError
from ravine.initializers._activations import Activation, activations_after
from ravine.initializers._distributions import constant, ones, zeros
from ravine.initializers._fans import Arrangement, arrangement_of
from ravine.initializers._initializer import Initializer
from ravine.initializers._names import as_initializer
from ravine.initializers._places import Place, places_of
from ravine.seeds import generator
from ravine.undisturbed import undisturbed

NORMS = (_NormBase, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm)
"""Normalization layers: Batch-, Instance-, Layer-, Group- and RMSNorm."""

Gain = float | Literal["auto"] | None


@final
@dataclass(frozen=True)
class BeforeReLU:
    """Biases of `value` for units that a ReLU follows, 0 for all others.

    With a bias above 0 a ReLU is active on most examples at the start, and gradients pass.

    Source: Goodfellow, Bengio & Courville, "Deep Learning", 2016, section 6.3.1: 0.1.

    Raises:
        SettingError: value is not a finite number.
    """

    value: float = 0.1

    def __post_init__(self) -> None:
        constant(self.value)  # refuses what is no number


@final
@dataclass(frozen=True)
class Assignment:
    """What `initialize` does with one parameter.

    Attributes:
        parameter: its name, the first one if it has several.
        shape: its shape.
        initializer: how it is drawn; None if it is left alone.
        gain: what the draw is multiplied by.
        why: in words: the rule, the pattern, or why it is left alone.
        arrangement: fans and blocks, where the layer is known.
    """

    parameter: str
    shape: tuple[int, ...]
    initializer: Initializer | None
    gain: float
    why: str
    arrangement: Arrangement | None = None


@final
@dataclass(frozen=True)
class Plan:
    """What `initialize` does with a model, parameter by parameter. `str` gives a table."""

    assignments: tuple[Assignment, ...]

    @property
    def left(self) -> tuple[str, ...]:
        """Names of the parameters that are left alone."""
        return tuple(a.parameter for a in self.assignments if a.initializer is None)

    @property
    def weights(self) -> tuple[str, ...]:
        """Names of the weights of layers that are drawn: neither biases nor normalization."""
        return tuple(
            a.parameter
            for a in self.assignments
            if a.initializer is not None and a.arrangement is not None and not _is_bias(a.parameter)
        )

    def __str__(self) -> str:
        rows = [
            (
                assignment.parameter,
                "x".join(map(str, assignment.shape)),
                "left alone" if assignment.initializer is None else repr(assignment.initializer),
                "" if assignment.gain == 1.0 else f"x {assignment.gain:.4g}",
                assignment.why,
            )
            for assignment in self.assignments
        ]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        return "\n".join(
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in rows
        )


def initialize(
    model: nn.Module,
    weights: str | Initializer = "he_normal",
    biases: str | Initializer | BeforeReLU = "zeros",
    *,
    layers: Mapping[str, str | Initializer] | None = None,
    gain: Gain = None,
    seed: int = 0,
) -> nn.Module:
    """Draw the parameters of a model anew, in place.

        initialize(model, "glorot_uniform", gain="auto", layers={"head.weight": "zeros"})

    - Weights of Linear, Bilinear, convolutions, Embedding, MultiheadAttention, RNN, LSTM, GRU: drawn
      by `weights`, with the fans of their layer (`fans_of`). Where several matrices are stacked (the
      gates of an LSTM, the three projections of attention, the groups of a convolution) each is
      drawn by itself: `orthogonal` makes every gate orthogonal.
    - Their biases: by `biases`, with the fans of the weight beside them.
    - Normalization layers: scale 1, shift 0.
    - A tensor under `torch.nn.utils.parametrize` (weight_norm, orthogonal) goes by its own name,
      "0.weight", and is drawn and then assigned through its parametrization, which may change it:
      spectral_norm divides by the largest singular value. It is left alone where the
      parametrization has no `right_inverse`.
    - Frozen parameters (requires_grad=False), as of a pretrained backbone, are left alone.
    - A parameter that no rule reaches (one of a module of your own, PReLU's slope) is left alone.
      `plan` says what goes where, and what is left.
    - `layers` goes before all these, but not into what is frozen.

    A parameter's draw depends on the seed, its own name and its layer, not on other parameters. The
    padding row of an Embedding is 0. All is drawn before anything is written, so that a refusal
    changes nothing.

    Args:
        model: changed in place.
        weights: an initializer or its name.
        biases: the same, or `BeforeReLU(0.1)`: 0.1 for units that a ReLU follows, 0 elsewhere.
        layers: shell patterns (`*` any characters, dots too, `?` one, `[ab]` one of these) over the
            names of parameters -> an initializer or its name; the first that matches holds.
        gain: multiplies what `weights` draws, not what `layers` does. "auto": the gain of
            the activation that follows, as `torch.nn.init.calculate_gain` gives it (ReLU √2, tanh
            5/3), for initializers meant for linear units: LeCun's, Glorot's, orthogonal,
            uniform_fan_in. It leaves He's alone, which have ReLU's √2 in them, and those of a fixed
            scale. The activation is seen in what torch.fx can trace and in a Sequential, through
            normalization, dropout, pooling and reshaping. It is not seen (gain 1) behind a branch
            on values, where an output goes to several places, and in torch's transformer and
            recurrent layers; activations that torch has no gain for (GELU, SiLU) count as 1, too.
        seed: names the draw.

    Returns:
        The model.

    Raises:
        SettingError: all parameters are frozen, a pattern matches nothing, or frozen ones alone, an
            initializer cannot fill a parameter it is chosen for, a parametrization refuses what was
            drawn, or a setting is not what is expected.
        UnknownNameError: no initializer goes by that name.
        ParameterError: a parameter has no shape yet (a lazy layer).
    """
    chosen = plan(model, weights, biases, layers=layers, gain=gain)
    _insist_on_something_to_draw(model)
    writes = []
    with undisturbed(model), torch.no_grad():
        for place, assignment in zip(places_of(model), chosen.assignments, strict=True):
            if assignment.initializer is not None:
                dtype = place.tensor().dtype
                drawn = _drawn(assignment, assignment.initializer, dtype, seed)
                _clear_padding(place, drawn)
                with _naming(place.name):
                    writes.append(place.write_later(drawn))
    for write in writes:
        write()
    return model


def _insist_on_something_to_draw(model: nn.Module) -> None:
    params = list(model.parameters())
    if params and not any(param.requires_grad for param in params):
        raise SettingError(
            "all of the model's parameters are frozen (requires_grad=False), and frozen ones are left "
            "alone; expected some that train, e.g. model.requires_grad_(True) before"
        )


def plan(
    model: nn.Module,
    weights: str | Initializer = "he_normal",
    biases: str | Initializer | BeforeReLU = "zeros",
    *,
    layers: Mapping[str, str | Initializer] | None = None,
    gain: Gain = None,
) -> Plan:
    """What `initialize` would do with these arguments; nothing is changed.

    Raises:
        SettingError, UnknownNameError, ParameterError: as `initialize`.
    """
    _insist_on_shapes(model)
    patterns = {key: as_initializer(value) for key, value in (layers or {}).items()}
    places = places_of(model)
    for pattern in patterns:
        _insist_on_match(pattern, places)
    rules = _Rules(
        as_initializer(weights),
        biases if isinstance(biases, BeforeReLU) else as_initializer(biases),
        _checked_gain(gain),
        activations_after(model) if gain == "auto" or isinstance(biases, BeforeReLU) else {},
    )
    with undisturbed(model), torch.no_grad():  # some parametrizations count how often they compute
        return Plan(tuple(_assignment(place, patterns, rules) for place in places))


@dataclass(frozen=True)
class _Rules:
    """What holds where no pattern does."""

    weights: Initializer
    biases: Initializer | BeforeReLU
    gain: Gain
    activations: Mapping[str, Activation]


def _assignment(place: Place, patterns: Mapping[str, Initializer], rules: _Rules) -> Assignment:
    name, own, module, tensor = place.name, place.own, place.layer, place.tensor()
    shape = tuple(tensor.shape)
    if place.frozen:
        return Assignment(name, shape, None, 1.0, "frozen: requires_grad is False")
    with _naming(name):
        arrangement = arrangement_of(module, own)
    for pattern, initializer in patterns.items():
        if any(fnmatchcase(alias, pattern) for alias in place.names):
            return Assignment(name, shape, initializer, 1.0, f"pattern {pattern!r}", arrangement)
    if not tensor.is_floating_point():
        return Assignment(name, shape, None, 1.0, f"of {tensor.dtype}")
    if isinstance(module, NORMS) and own in ("weight", "bias"):
        initializer = ones() if own == "weight" else zeros()
        return Assignment(name, shape, initializer, 1.0, "normalization")
    if arrangement is None:
        return Assignment(name, shape, None, 1.0, _no_rule(module))
    after = rules.activations.get(name.rpartition(".")[0])
    through = "" if place.parametrization is None else ", through its parametrization"
    if _is_bias(name):
        bias = _bias(rules.biases, after)
        return Assignment(name, shape, bias, 1.0, f"bias{through}", arrangement)
    factor, why = _gain(rules, after)
    return Assignment(name, shape, rules.weights, factor, f"{why}{through}", arrangement)


def _is_bias(name: str) -> bool:
    return "bias" in name.rpartition(".")[2]


def _no_rule(module: nn.Module) -> str:
    if isinstance(module, ParametrizationList):
        return "its parametrization has no right_inverse"
    return f"no rule for this of {type(module).__name__}"


def _bias(biases: Initializer | BeforeReLU, after: Activation | None) -> Initializer:
    if isinstance(biases, Initializer):
        return biases
    return constant(biases.value) if after == Activation("relu") else zeros()


def _gain(rules: _Rules, after: Activation | None) -> tuple[float, str]:
    if rules.gain != "auto":
        return (1.0 if rules.gain is None else rules.gain), "weight"
    if not rules.weights.linear:
        return 1.0, "weight; its scale is its own"
    if after is None:
        return 1.0, "weight; no activation seen"
    return after.gain, f"weight; {after.name} follows"


def _drawn(
    assignment: Assignment, initializer: Initializer, dtype: torch.dtype, seed: int
) -> Tensor:
    """The new value of a parameter, block by block."""
    random = generator(seed, "initialize", assignment.parameter)
    arrangement = assignment.arrangement
    with _naming(assignment.parameter):
        if arrangement is None or len(assignment.shape) < 2:
            fans = None if arrangement is None else arrangement.fans
            drawn = initializer(assignment.shape, random, fans=fans, dtype=torch.float64)
        else:
            blocks = (
                _block(initializer, assignment.shape, arrangement, random)
                for _ in range(arrangement.blocks)
            )
            drawn = torch.cat(tuple(blocks))
    return (assignment.gain * drawn).to(dtype)


@contextmanager
def _naming(parameter: str) -> Iterator[None]:
    """What is refused within it is said of this parameter."""
    try:
        yield
    except SettingError as error:
        raise SettingError(f"the parameter {parameter!r}: {error}") from error


def _block(
    initializer: Initializer,
    shape: tuple[int, ...],
    arrangement: Arrangement,
    random: torch.Generator,
) -> Tensor:
    first, second, *kernel = shape[0] // arrangement.blocks, *shape[1:]
    if not arrangement.transposed:
        return initializer(
            (first, second, *kernel), random, fans=arrangement.fans, dtype=torch.float64
        )
    drawn = initializer(
        (second, first, *kernel), random, fans=arrangement.fans, dtype=torch.float64
    )
    return drawn.transpose(0, 1)


def _clear_padding(place: Place, drawn: Tensor) -> None:
    layer = place.layer
    if isinstance(layer, nn.Embedding | nn.EmbeddingBag) and layer.padding_idx is not None:
        drawn[layer.padding_idx] = 0


def _insist_on_shapes(model: nn.Module) -> None:
    for name, param in model.named_parameters():
        if is_lazy(param):
            raise ParameterError(
                f"{name!r} has no shape yet: its layer is lazy; run one batch through the model first"
            )


def _insist_on_match(pattern: str, places: Sequence[Place]) -> None:
    matched = [p for p in places if any(fnmatchcase(name, pattern) for name in p.names)]
    if any(not place.frozen for place in matched):
        return
    if matched:
        raise SettingError(
            f"the pattern {pattern!r} matches frozen parameters alone, such as "
            f"{matched[0].name!r}, which are not drawn; requires_grad_(True) thaws them"
        )
    names = [name for place in places for name in place.names]
    near = difflib.get_close_matches(pattern.replace("*", ""), names, n=3, cutoff=0.3)
    raise SettingError(
        f"the pattern {pattern!r} matches no parameter; "
        f"{'near it are' if near else 'there are'} {', '.join(near or names[:5])}."
    )


def _checked_gain(gain: Gain) -> Gain:
    number = isinstance(gain, int | float) and not isinstance(gain, bool) and math.isfinite(gain)
    if not (gain is None or gain == "auto" or number):
        raise SettingError(f'gain={gain!r}; expected a finite number, "auto" or None')
    return gain
