"""Narrow parameters (bfloat16, float16) stepped in float32, and three ways to round the result."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from ravine.errors import SettingError
from ravine.hashing import MASK32, hash32
from ravine.rules import Hyper, Rule, State
from ravine.rules._rule import Update
from ravine.transforms._transform import (
    Inputs,
    Point,
    Transform,
    same_if_at_param,
    with_entries,
    wrap,
)

RoundingName = Literal["nearest", "stochastic", "kahan"]

NARROW = (torch.float16, torch.bfloat16)
_LOW_16 = 0xFFFF


@dataclass(frozen=True)
class Rounding:
    """A way to keep in few digits what was computed in many.

    Attributes:
        entries: (param, the rule's state) -> what the rounding itself remembers, before the start.
        widen: (param, state) -> the parameter in float32.
        narrow: (exact, param, grad, state) -> the new parameter in param's dtype, and new entries.
            `exact` is float32; `param` and `grad` are what the step began with; `state` has the
            rule's new entries and the rounding's old ones.
        source: the paper.
    """

    entries: Callable[[Tensor, State], State]
    widen: Callable[[Tensor, State], Tensor]
    narrow: Callable[[Tensor, Tensor, Tensor, State], tuple[Tensor, State]]
    source: str = ""


def in_float32(rounding: RoundingName = "nearest") -> Transform:
    r"""Compute the step of bfloat16 and float16 parameters in float32.

    Parameter, gradient and state are widened, the rule runs, and all are rounded back to the dtypes
    they are stored in. Parameters of other dtypes are stepped as without. The new parameter is
    rounded

    - "nearest": to the nearest number. A step below 1/512 of a bfloat16 parameter is lost.
    - "stochastic": up or down at random, so that it is right on average; bfloat16 only. The random
      bits are a hash of the parameter's and the gradient's bits and the step count: the same in
      every engine and every layout, and no random generator is touched.
    - "kahan": to the nearest number, and what was lost is kept in a second one, which the next
      step takes along: 16 binary digits of bfloat16 instead of 8, for 2 bytes more per parameter.

    The rule's own averages are stored in the dtype they have, rounded to nearest.

    Args:
        rounding: one of the three words.

    State: the rule's. Besides, for "stochastic" and a rule without an entry step, rounding_step
        (t), 0-D float32; for "kahan" compensation, of the parameter's shape and dtype.
    Source: "stochastic" and "kahan": Zamirai et al., "Revisiting BFloat16 Training", 2020, with the
        step itself in float32.

    Raises:
        SettingError: another word; at `init`, stochastic rounding of float16.
    """
    if rounding not in ROUNDINGS:
        raise SettingError(
            f"rounding={rounding!r} is not a way to round; "
            f"pass one of {', '.join(map(repr, ROUNDINGS))}."
        )
    way = ROUNDINGS[rounding]

    def see(param: Tensor, grad: Tensor, state: State, hyper: Hyper) -> Inputs:
        if param.dtype not in NARROW:
            return param, grad, state, hyper
        return way.widen(param, state), _wide(grad), _all_wide(state), _all_wide(hyper)

    def around(update: Update) -> Update:
        def step(param: Tensor, grad: Tensor, state: State, hyper: Hyper) -> tuple[Tensor, State]:
            exact, new = update(*see(param, grad, state, hyper))
            if param.dtype not in NARROW:
                return exact, new
            stored = {name: entry.to(state[name].dtype) for name, entry in new.items()}
            rounded, entries = way.narrow(exact, param, grad, {**state, **stored})
            return rounded, {**stored, **entries}

        return step

    def transform(rule: Rule) -> Rule:
        def init(param: Tensor) -> State:
            state = rule.init(param)
            if param.dtype not in NARROW:
                return state
            return with_entries(rule, state, way.entries(param, state))

        def rounded(point: Point) -> Point:
            def nearest(param: Tensor, state: State, hyper: Hyper) -> Tensor:
                wide, _, wide_state, wide_hyper = see(param, param, state, hyper)
                return point(wide, wide_state, wide_hyper).to(param.dtype)

            return same_if_at_param(point, nearest)

        return wrap(
            rule,
            see,
            around,
            title=f"{rule.title} in float32, rounded {_WORDS[rounding]}",
            source=way.source,
            init=init,
            probe=rounded(rule.probe),
            output=rounded(rule.output),
        )

    return transform


def _wide(x: Tensor) -> Tensor:
    return x.float() if x.dtype in NARROW else x


def _all_wide(entries: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: _wide(entry) for name, entry in entries.items()}


def _no_entries(param: Tensor, state: State) -> State:
    return {}


def _param_alone(param: Tensor, state: State) -> Tensor:
    return param.float()


def _nearest(exact: Tensor, param: Tensor, grad: Tensor, state: State) -> tuple[Tensor, State]:
    return exact.to(param.dtype), {}


def _count_unless_the_rule_does(param: Tensor, state: State) -> State:
    if param.dtype is not torch.bfloat16:
        raise SettingError(
            f"stochastic rounding is made for bfloat16, and a parameter of shape "
            f'{list(param.shape)} is {param.dtype}: use in_float32("kahan").'
        )
    if "step" in state:
        return {}
    return {"rounding_step": torch.zeros((), dtype=torch.float32, device=param.device)}


def _stochastic(exact: Tensor, param: Tensor, grad: Tensor, state: State) -> tuple[Tensor, State]:
    """Add 16 random bits below bfloat16's last one and cut: up with the probability of the rest.

    The bits depend on the parameter before the step and not on the exact result, whose last bit
    may differ from one engine to the next: then one rounding in 2¹⁶ differs, and not every one.
    """
    own = {name: state[name] + 1 for name in ("rounding_step",) if name in state}
    step = own.get("rounding_step", state.get("step"))
    assert step is not None
    seed = hash32(step.to(torch.int64))
    noise = hash32(hash32(seed ^ _bits(grad)) ^ _bits(param)) & _LOW_16
    up_or_down = ((_bits(exact) + noise) & ~_LOW_16 & MASK32).to(torch.int32).view(torch.float32)
    # CUDA's NaN has the bits 0x7FFFFFFF, which noise would carry over into -0.
    return torch.where(exact.isfinite(), up_or_down, exact).to(param.dtype), own


def _bits(x: Tensor) -> Tensor:
    """The float32 number's bits, int64 in [0, 2³²)."""
    return x.float().view(torch.int32).to(torch.int64) & MASK32


def _nothing_lost(param: Tensor, state: State) -> State:
    return {"compensation": torch.zeros_like(param)}


def _with_compensation(param: Tensor, state: State) -> Tensor:
    return param.float() + state["compensation"].float()


def _kahan(exact: Tensor, param: Tensor, grad: Tensor, state: State) -> tuple[Tensor, State]:
    """Round to nearest; what is lost is exact in float32, and kept to 8 digits of its own."""
    rounded = exact.to(param.dtype)
    lost = exact - _as_stored(rounded)
    # A parameter beyond the range (float16: 65504) is infinite, and not ∞ - ∞ at the next step.
    lost = torch.where(rounded.isfinite(), lost, torch.zeros_like(lost))
    return rounded, {"compensation": lost.to(param.dtype)}


def _as_stored(narrow: Tensor) -> Tensor:
    """The narrow number in float32, by way of its bits, one of them turned over twice.

    Inductor takes float32 → bfloat16 → float32 for a detour and leaves it out, also where the bits
    are only looked at in between: then nothing would seem lost, and `kahan` would be `nearest`.
    """
    bits = (narrow.view(torch.int16) ^ 1) ^ 1
    return bits.view(narrow.dtype).float()


_ZAMIRAI = "Zamirai et al. 2020"

ROUNDINGS: Mapping[str, Rounding] = {
    "nearest": Rounding(_no_entries, _param_alone, _nearest),
    "stochastic": Rounding(_count_unless_the_rule_does, _param_alone, _stochastic, _ZAMIRAI),
    "kahan": Rounding(_nothing_lost, _with_compensation, _kahan, _ZAMIRAI),
}
"""The ways to round, by name."""

_WORDS = {"nearest": "to nearest", "stochastic": "at random", "kahan": "with compensation"}
