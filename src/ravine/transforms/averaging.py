"""Averages of the iterates, to be evaluated in their place: means (Polyak, SWA) and exponential ones."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ravine.errors import SettingError
from ravine.rules import Hyper, Rule, State
from ravine.rules._parts import average
from ravine.rules._rule import Update
from ravine.transforms._transform import Inputs, Transform, with_entries, wrap

Keep = Callable[[Tensor, Hyper], Tensor]
"""(t, hyper) -> the share of the old average that step t keeps, 0 at the first step."""


def polyak(start: int = 0) -> Transform:
    r"""Evaluate the mean of the iterates.

        θ̄ₜ = (θₜ₀₊₁ + ... + θₜ) / (t - t₀)      θ̄ₜ = θₜ for t ≤ t₀

    The iterates are the rule's own outputs; training goes on as without.

    Args:
        start: t₀, steps that are left out of the mean.

    Hyperparameter: average_start (t₀).
    State: average (θ̄), shaped like the parameter, at least float32; averaged (t), 0-D.
    Source: Polyak & Juditsky, "Acceleration of Stochastic Approximation by Averaging", 1992.
    """

    def transform(rule: Rule) -> Rule:
        title = f"{rule.title} with Polyak averaging"
        return _averaging(
            rule, _keep_mean, title, "Polyak & Juditsky 1992", {"average_start": start}
        )

    return transform


def stochastic_weight_average(start: int, every: int) -> Transform:
    r"""Evaluate the mean of every c-th iterate: stochastic weight averaging (SWA).

        θ̄ₜ = (θₜ₀₊c + θₜ₀₊₂c + ... + θₜ₀₊kc) / k      k = ⌊(t - t₀) / c⌋      θ̄ₜ = θₜ for k = 0

    With c = 1 it is `polyak`. The iterates are the rule's own outputs; training goes on as without,
    best at a constant or cyclical learning rate whose cycle is c. The paper begins its mean with the
    weights at the end of ordinary training: let start be that step less c.

    The statistics of batch norms belong to the weights of the last step: after `optimizer.eval()`,
    recompute them with `ravine.normalization.refresh(model, batches)`.

    Args:
        start: t₀, steps before the first interval, >= 0, such as 75 % of all.
        every: c, steps from one of the averaged weights to the next, >= 1, such as an epoch.

    Hyperparameters: average_start (t₀) and average_every (c).
    State: average (θ̄), shaped like the parameter, at least float32; averaged (t), 0-D.
    Raises:
        SettingError: start is no whole number >= 0, or every none >= 1.
    Source: Izmailov et al., "Averaging Weights Leads to Wider Optima and Better Generalization",
        UAI 2018, algorithm 1; torch.optim.swa_utils.AveragedModel.
    """
    _check_whole("start", start, 0)
    _check_whole("every", every, 1)

    def transform(rule: Rule) -> Rule:
        title = f"{rule.title} with stochastic weight averaging"
        source = "Izmailov et al. 2018, algorithm 1"
        settings: dict[str, float] = {"average_start": start, "average_every": every}
        return _averaging(rule, _keep_mean_of_some, title, source, settings)

    return transform


def exponential_average(decay: float = 0.999) -> Transform:
    r"""Evaluate an exponential moving average of the iterates.

        θ̄ₜ = Σᵢ ρᵗ⁻ⁱ θᵢ / Σᵢ ρᵗ⁻ⁱ      i = 1 ... t

    That is the average corrected for bias. It is usable from the first step on (θ̄₁ = θ₁, and for
    t ≪ 1/(1-ρ) it is the plain mean), while one that starts from θ₀ without correction still
    holds ρᵗ of it: 37 % of the random initialization after 1000 steps at ρ = 0.999. From
    t ≈ 5/(1-ρ) on the two differ by less than 1 %.

    Args:
        decay: ρ in [0, 1).

    Hyperparameter: average_decay (ρ).
    State: average (θ̄), shaped like the parameter, at least float32; averaged (t), 0-D.
    Source: Polyak averaging with exponential weights, corrected as in Kingma & Ba 2015, section 3.
    """

    def transform(rule: Rule) -> Rule:
        title = f"{rule.title} with exponential averaging"
        source = "Kingma & Ba 2015, section 3"
        return _averaging(rule, _keep_exponential, title, source, {"average_decay": decay})

    return transform


def _averaging(rule: Rule, keep: Keep, title: str, source: str, settings: dict[str, float]) -> Rule:
    def init(param: Tensor) -> State:
        return with_entries(rule, rule.init(param), _entries(param))

    def around(update: Update) -> Update:
        def step(param: Tensor, grad: Tensor, state: State, hyper: Hyper) -> tuple[Tensor, State]:
            param, new = update(param, grad, state, hyper)
            t = state["averaged"] + 1
            point = rule.output(param, new, hyper)
            mean = average(state["average"], point.to(state["average"].dtype), keep(t, hyper))
            return param, {**new, "average": mean, "averaged": t}

        return step

    return wrap(
        rule,
        _as_given,
        around,
        title=title,
        source=source,
        settings=settings,
        init=init,
        output=_average,
    )


def _entries(param: Tensor) -> State:
    """At least float32: bfloat16 would not take in a change of 1/1000."""
    wide = torch.promote_types(param.dtype, torch.float32)
    return {
        "average": param.detach().to(wide, copy=True),
        "averaged": torch.zeros((), dtype=torch.float32, device=param.device),
    }


def _as_given(param: Tensor, grad: Tensor, state: State, hyper: Hyper) -> Inputs:
    return param, grad, state, hyper


def _average(param: Tensor, state: State, hyper: Hyper) -> Tensor:
    return state["average"].to(param.dtype)


def _keep_mean(t: Tensor, hyper: Hyper) -> Tensor:
    return _keep_of(t - hyper["average_start"])


def _keep_mean_of_some(t: Tensor, hyper: Hyper) -> Tensor:
    """1 on the steps between two weights that are taken."""
    steps = t - hyper["average_start"]
    taken = (steps / hyper["average_every"]).long().to(steps.dtype)
    between = (taken >= 1) & (steps - taken * hyper["average_every"] >= 1)
    keep = _keep_of(taken)
    return torch.where(between, torch.ones_like(keep), keep)


def _keep_of(count: Tensor) -> Tensor:
    """1 - 1/k for the k-th weights that a mean takes in; 0 before the first."""
    return 1 - 1 / count.clamp(min=1)


def _keep_exponential(t: Tensor, hyper: Hyper) -> Tensor:
    """ρ (1 - ρᵗ⁻¹) / (1 - ρᵗ), which keeps the average free of bias as it goes."""
    rho = hyper["average_decay"]
    return rho * (1 - rho ** (t - 1)) / (1 - rho**t)


def _check_whole(name: str, number: int, least: int) -> None:
    if not isinstance(number, int) or isinstance(number, bool) or number < least:
        raise SettingError(
            f"{name}={number!r} is not a number of steps to average by: pass a whole number of at "
            f"least {least}, as in stochastic_weight_average(start=7500, every=100)."
        )
