"""RMSProp: divide by a running root mean square (Hinton 2012), alone or with momentum."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from ravine.rules._parts import Delta, average, denominator, look_ahead, zeros
from ravine.rules._rule import Hyper, Rule, State
from ravine.rules._tuning import FLOOR, FLOOR_INSIDE, MEMORY, SQUARES, Span

Normalize = Callable[[Tensor, State, Hyper], tuple[Tensor, State]]


def rmsprop(
    lr: float = 1e-2,
    alpha: float = 0.99,
    eps: float = 1e-8,
    *,
    delta: Delta = "outside",
    centered: bool = False,
) -> Rule:
    r"""RMSProp.

        r ← ρ r + (1-ρ) g⊙g
        θ ← θ - ε g / (√r + δ)         delta="outside": torch, cs231n
        θ ← θ - ε g / √(r + δ)         delta="inside": the notes, Keras

    Args:
        lr: ε, step size. Keras's default is 1e-3, torch's 1e-2.
        alpha: ρ, decay rate of the running mean. Keras's default is 0.9.
        eps: δ, keeps the division finite. The notes take 1e-6, Keras 1e-7.
        delta: where δ stands, "outside" or "inside" the root.
        centered: divide by the running variance instead, r - m⊙m with m ← ρ m + (1-ρ) g
            (Graves 2013, equations 38-41).

    State: square_avg (r) and, if centered, grad_avg (m), shaped like the parameter.
    Source: Tieleman & Hinton, "Lecture 6.5 - rmsprop", Coursera 2012.
    """
    normalize = _normalizer(delta, centered)

    def update(param: Tensor, grad: Tensor, state: State, hyper: Hyper) -> tuple[Tensor, State]:
        direction, averages = normalize(grad, state, hyper)
        return param - hyper["lr"] * direction, averages

    inside = delta == "inside"
    return Rule(
        name="rmsprop_inside" if inside else "rmsprop",
        title="RMSProp (δ inside)" if inside else "RMSProp",
        defaults={"lr": lr, "alpha": alpha, "eps": eps},
        tunable=_spans(delta),
        init=zeros(*_averages(centered)),
        update=update,
        source="Tieleman & Hinton 2012, lecture 6.5",
    )


def rmsprop_inside(lr: float = 1e-2, alpha: float = 0.99, eps: float = 1e-6) -> Rule:
    """`rmsprop` with δ inside the root and the notes' δ of 1e-6."""
    return rmsprop(lr, alpha, eps, delta="inside")


def rmsprop_momentum(
    lr: float = 1e-3,
    alpha: float = 0.99,
    eps: float = 1e-8,
    momentum: float = 0.9,
    *,
    delta: Delta = "outside",
    centered: bool = False,
) -> Rule:
    r"""RMSProp with momentum on the rescaled gradient.

        r ← ρ r + (1-ρ) g⊙g
        b ← μ b + g / (√r + δ)
        θ ← θ - ε b

    Args:
        lr: ε, step size. A tenth of `rmsprop`'s: momentum 0.9 makes steps ten times as long.
        alpha: ρ, decay rate of the running mean. eps: δ. momentum: μ.
        delta: where δ stands, "outside" or "inside" the root. centered: as in `rmsprop`.

    State: square_avg (r), momentum_buffer (b) and, if centered, grad_avg, like the parameter.
    Source: Graves, "Generating Sequences with Recurrent Neural Networks", 2013, equations 38-41;
        torch.optim.RMSprop.
    """
    normalize = _normalizer(delta, centered)

    def update(param: Tensor, grad: Tensor, state: State, hyper: Hyper) -> tuple[Tensor, State]:
        direction, averages = normalize(grad, state, hyper)
        b = hyper["momentum"] * state["momentum_buffer"] + direction
        return param - hyper["lr"] * b, {**averages, "momentum_buffer": b}

    return Rule(
        name="rmsprop_momentum",
        title="RMSProp with momentum",
        defaults={"lr": lr, "alpha": alpha, "eps": eps, "momentum": momentum},
        tunable={**_spans(delta), "momentum": MEMORY},
        init=zeros(*_averages(centered), "momentum_buffer"),
        update=update,
        source="Graves 2013, equations 38-41; torch.optim.RMSprop",
    )


def rmsprop_nesterov(
    lr: float = 1e-3,
    alpha: float = 0.99,
    eps: float = 1e-8,
    momentum: float = 0.9,
    *,
    delta: Delta = "outside",
) -> Rule:
    r"""RMSProp with Nesterov momentum.

        g = ∇J(θ + α v)                the interim update is the rule's `probe`
        r ← ρ r + (1-ρ) g⊙g
        v ← α v - ε g / (√r + δ)
        θ ← θ + v

    Args:
        lr: ε, step size. A tenth of `rmsprop`'s: momentum 0.9 makes steps ten times as long.
        alpha: ρ, decay rate of the running mean (torch's name; not the α of the box above).
        eps: δ. The published box has none and divides by zero where g is 0; eps=0 is that box.
        momentum: α, how much velocity is kept.
        delta: where δ stands, "outside" or "inside" the root.

    State: square_avg (r) and velocity (v), shaped like the parameter.
    Source: Goodfellow, Bengio & Courville, "Deep Learning", 2016, algorithm 8.6.
    """
    normalize = _normalizer(delta, centered=False)

    def update(param: Tensor, grad: Tensor, state: State, hyper: Hyper) -> tuple[Tensor, State]:
        direction, averages = normalize(grad, state, hyper)
        v = hyper["momentum"] * state["velocity"] - hyper["lr"] * direction
        return param + v, {**averages, "velocity": v}

    return Rule(
        name="rmsprop_nesterov",
        title="RMSProp with Nesterov momentum",
        defaults={"lr": lr, "alpha": alpha, "eps": eps, "momentum": momentum},
        tunable={**_spans(delta), "momentum": MEMORY},
        init=zeros(*_averages(centered=False), "velocity"),
        update=update,
        probe=look_ahead,
        source="Goodfellow, Bengio & Courville 2016, algorithm 8.6",
    )


def _spans(delta: Delta) -> dict[str, Span]:
    return {"alpha": SQUARES, "eps": FLOOR if delta == "outside" else FLOOR_INSIDE}


def _averages(centered: bool) -> tuple[str, ...]:
    return ("square_avg", "grad_avg") if centered else ("square_avg",)


def _normalizer(delta: Delta, centered: bool) -> Normalize:
    """The function (grad, state, hyper) -> (g divided by its running scale, new averages)."""
    divisor = denominator(delta)

    def plain(grad: Tensor, state: State, hyper: Hyper) -> tuple[Tensor, State]:
        r = average(state["square_avg"], grad * grad, hyper["alpha"])
        return grad / divisor(r, hyper["eps"]), {"square_avg": r}

    def around_mean(grad: Tensor, state: State, hyper: Hyper) -> tuple[Tensor, State]:
        r = average(state["square_avg"], grad * grad, hyper["alpha"])
        m = average(state["grad_avg"], grad, hyper["alpha"])
        variance = (r - m * m).clamp(min=0)  # rounding can leave -1e-17 under the root
        return grad / divisor(variance, hyper["eps"]), {"square_avg": r, "grad_avg": m}

    return around_mean if centered else plain
