"""Initializers on the parameters of a model: which goes where, and putting it there."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal, final

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.parameter import is_lazy

from ravine.errors import ParameterError, SettingError
from ravine.initializers._activations import Activation, activations_after
from ravine.initializers._distributions import constant, ones, zeros
from ravine.initializers._fans import Layout, layout_of
from ravine.initializers._initializer import Initializer
from ravine.initializers._names import as_initializer
from ravine.seeds import generator

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
class Choice:
    """What `initialize` does with one parameter.

    Attributes:
        parameter: its name, the first one if it has several.
        shape: its shape.
        initializer: how it is drawn; None if it is left alone.
        gain: what the draw is multiplied by.
        why: in words: the rule, the pattern, or why it is left alone.
        layout: fans and blocks, where the layer is known.
    """

    parameter: str
    shape: tuple[int, ...]
    initializer: Initializer | None
    gain: float
    why: str
    layout: Layout | None = None


@final
@dataclass(frozen=True)
class Plan:
    """What `initialize` does with a model, parameter by parameter. `str` gives a table."""

    choices: tuple[Choice, ...]

    @property
    def left(self) -> tuple[str, ...]:
        """Names of the parameters that are left alone."""
        return tuple(c.parameter for c in self.choices if c.initializer is None)

    def __str__(self) -> str:
        rows = [
            (
                choice.parameter,
                "x".join(map(str, choice.shape)),
                "left alone" if choice.initializer is None else repr(choice.initializer),
                "" if choice.gain == 1.0 else f"x {choice.gain:.4g}",
                choice.why,
            )
            for choice in self.choices
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
    - A parameter that no rule reaches (one of a module of your own, PReLU's slope) is left alone.
      `plan` says what goes where, and what is left.
    - `layers` goes before all these.

    A parameter's draw depends on the seed, its own name and its layer, not on other parameters. The
    padding row of an Embedding is 0. Frozen parameters are drawn as all others.

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
        SettingError: a pattern matches nothing, an initializer cannot fill a parameter it is chosen
            for, or a setting is not what is expected.
        UnknownNameError: no initializer goes by that name.
        ParameterError: a parameter has no shape yet (a lazy layer).
    """
    chosen = plan(model, weights, biases, layers=layers, gain=gain)
    params = dict(model.named_parameters())
    with torch.no_grad():
        for choice in chosen.choices:
            if choice.initializer is not None:
                param = params[choice.parameter]
                param.copy_(_drawn(choice, choice.initializer, param.dtype, seed))
                _clear_padding(model, choice.parameter)
    return model


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
    names = _names(model)
    for pattern in patterns:
        _insist_on_match(pattern, [name for same in names.values() for name in same])
    rules = _Rules(
        as_initializer(weights),
        biases if isinstance(biases, BeforeReLU) else as_initializer(biases),
        _checked_gain(gain),
        activations_after(model) if gain == "auto" or isinstance(biases, BeforeReLU) else {},
    )
    return Plan(
        tuple(
            _choice(model, first, param, names[first], patterns, rules)
            for first, param in model.named_parameters()
        )
    )


@dataclass(frozen=True)
class _Rules:
    """What holds where no pattern does."""

    weights: Initializer
    biases: Initializer | BeforeReLU
    gain: Gain
    activations: Mapping[str, Activation]


def _choice(
    model: nn.Module,
    name: str,
    param: Tensor,
    aliases: list[str],
    patterns: Mapping[str, Initializer],
    rules: _Rules,
) -> Choice:
    layer, _, own = name.rpartition(".")
    module = model.get_submodule(layer)
    shape = tuple(param.shape)
    with _naming(name):
        layout = layout_of(module, own)
    for pattern, initializer in patterns.items():
        if any(fnmatchcase(alias, pattern) for alias in aliases):
            return Choice(name, shape, initializer, 1.0, f"pattern {pattern!r}", layout)
    if not param.is_floating_point():
        return Choice(name, shape, None, 1.0, f"of {param.dtype}")
    if isinstance(module, NORMS) and own in ("weight", "bias"):
        return Choice(name, shape, ones() if own == "weight" else zeros(), 1.0, "normalization")
    if layout is None:
        return Choice(name, shape, None, 1.0, f"no rule for this of {type(module).__name__}")
    after = rules.activations.get(layer)
    if "bias" in own:
        return Choice(name, shape, _bias(rules.biases, after), 1.0, "bias", layout)
    factor, why = _gain(rules, after)
    return Choice(name, shape, rules.weights, factor, why, layout)


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


def _drawn(choice: Choice, initializer: Initializer, dtype: torch.dtype, seed: int) -> Tensor:
    """The new value of a parameter, block by block."""
    random = generator(seed, "initialize", choice.parameter)
    layout = choice.layout
    with _naming(choice.parameter):
        if layout is None or len(choice.shape) < 2:
            fans = None if layout is None else layout.fans
            drawn = initializer(choice.shape, random, fans=fans, dtype=torch.float64)
        else:
            blocks = (
                _block(initializer, choice.shape, layout, random) for _ in range(layout.blocks)
            )
            drawn = torch.cat(tuple(blocks))
    return (choice.gain * drawn).to(dtype)


@contextmanager
def _naming(parameter: str) -> Iterator[None]:
    """What is refused within it is said of this parameter."""
    try:
        yield
    except SettingError as error:
        raise SettingError(f"the parameter {parameter!r}: {error}") from error


def _block(
    initializer: Initializer, shape: tuple[int, ...], layout: Layout, random: torch.Generator
) -> Tensor:
    first, second, *kernel = shape[0] // layout.blocks, *shape[1:]
    if not layout.transposed:
        return initializer((first, second, *kernel), random, fans=layout.fans, dtype=torch.float64)
    drawn = initializer((second, first, *kernel), random, fans=layout.fans, dtype=torch.float64)
    return drawn.transpose(0, 1)


def _clear_padding(model: nn.Module, name: str) -> None:
    module = model.get_submodule(name.rpartition(".")[0])
    if isinstance(module, nn.Embedding | nn.EmbeddingBag) and module.padding_idx is not None:
        module.weight[module.padding_idx] = 0


def _names(model: nn.Module) -> dict[str, list[str]]:
    """All names of every parameter, by its first one."""
    names: dict[int, list[str]] = {}
    for name, param in model.named_parameters(remove_duplicate=False):
        names.setdefault(id(param), []).append(name)
    return {same[0]: same for same in names.values()}


def _insist_on_shapes(model: nn.Module) -> None:
    for name, param in model.named_parameters():
        if is_lazy(param):
            raise ParameterError(
                f"{name!r} has no shape yet: its layer is lazy; run one batch through the model first"
            )


def _insist_on_match(pattern: str, names: list[str]) -> None:
    if any(fnmatchcase(name, pattern) for name in names):
        return
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
