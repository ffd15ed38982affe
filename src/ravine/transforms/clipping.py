"""Gradient clipping for any rule: by the norm of all parameters, of each, by value, adaptively."""

from __future__ import annotations

from torch import Tensor

from ravine.rules import Hyper, Rule, State
from ravine.rules._parts import norm
from ravine.transforms._transform import Transform, at_least, on_gradient


def clip_norm(max_norm: float = 1.0) -> Transform:
    r"""Scale the gradients of all parameters by one factor, so that their norm is at most c.

        g ← g min(1, c / (‖g‖ + 10⁻⁶))      ‖g‖ over all elements of all parameters

    Args:
        max_norm: c, in the gradient's units.

    Source: Pascanu, Mikolov & Bengio, "On the difficulty of training recurrent neural networks",
        ICML 2013, algorithm 1; the 10⁻⁶ of torch.nn.utils.clip_grad_norm_.
    """

    def transform(rule: Rule) -> Rule:
        return on_gradient(
            rule,
            _clipped_together,
            title=f"{rule.title} with clipping by global norm",
            source="Pascanu, Mikolov & Bengio 2013, algorithm 1",
            settings={"max_norm": max_norm},
            totals={"grad_square_sum": _square},
        )

    return transform


def clip_norm_each(max_norm: float = 1.0) -> Transform:
    r"""Scale the gradient of each parameter by itself, so that its norm is at most c.

        g ← g min(1, c / (‖g‖ + 10⁻⁶))      ‖g‖ over the elements of one parameter

    Args:
        max_norm: c, in the gradient's units.

    Granularity: "tensor", or the rule's own where that is coarser.
    Source: Pascanu, Mikolov & Bengio 2013, algorithm 1, per parameter;
        torch.nn.utils.clip_grad_norm_ called for each.
    """

    def transform(rule: Rule) -> Rule:
        rule = at_least(rule, "tensor")
        return on_gradient(
            rule,
            _clipped_whole if rule.granularity == "matrix" else _clipped_rows,
            title=f"{rule.title} with clipping by norm",
            source="Pascanu, Mikolov & Bengio 2013, algorithm 1",
            settings={"max_norm": max_norm},
        )

    return transform


def clip_value(max_value: float = 1.0) -> Transform:
    r"""Keep every element of the gradient in [-c, c].

        g ← min(max(g, -c), c)

    Args:
        max_value: c, in the gradient's units.

    Source: Mikolov, "Statistical Language Models Based on Neural Networks", 2012;
        torch.nn.utils.clip_grad_value_.
    """

    def transform(rule: Rule) -> Rule:
        return on_gradient(
            rule,
            _clamped,
            title=f"{rule.title} with clipping by value",
            source="Mikolov 2012",
            settings={"max_value": max_value},
        )

    return transform


def clip_adaptive(clipping: float = 0.01, eps: float = 1e-3) -> Transform:
    r"""Adaptive gradient clipping (AGC): no unit's gradient is longer than a share of its weights.

        gᵢ ← gᵢ min(1, λ max(‖θᵢ‖, δ) / ‖gᵢ‖)

    Unit i is all weights that lead to one output: a row of a linear layer's [out, in], a filter of
    a convolution's [out, in, ...]. A parameter with at most one axis longer than 1 (a bias, a
    gain) is one unit. θ is the point at which the gradient was taken.

    The paper leaves the last linear layer unclipped: put it into a group of its own.

    Args:
        clipping: λ, the largest ratio of the norms. eps: δ, lets weights that start at zero move.

    Granularity: "matrix". Hyperparameters: clipping (λ) and clipping_eps (δ).
    Source: Brock et al., "High-Performance Large-Scale Image Recognition Without Normalization",
        ICML 2021, equation 3; units of vectors as in its published code.
    """

    def transform(rule: Rule) -> Rule:
        rule = at_least(rule, "matrix")

        def clipped(param: Tensor, grad: Tensor, state: State, hyper: Hyper) -> Tensor:
            weights = _unit_norm(rule.probe(param, state, hyper))
            longest = hyper["clipping"] * weights.clamp(min=hyper["clipping_eps"])
            # 1e-6 only avoids 0/0, as in the paper's code: λδ is 1e-5 by default.
            return grad * (longest / _unit_norm(grad).clamp(min=1e-6)).clamp(max=1.0)

        return on_gradient(
            rule,
            clipped,
            title=f"{rule.title} with adaptive clipping",
            source="Brock et al. 2021, equation 3",
            settings={"clipping": clipping, "clipping_eps": eps},
        )

    return transform


def _square(param: Tensor, grad: Tensor, state: State, hyper: Hyper) -> Tensor:
    return grad.square()


def _clipped_together(param: Tensor, grad: Tensor, state: State, hyper: Hyper) -> Tensor:
    return grad * _factor(hyper["grad_square_sum"].sqrt(), hyper)


def _clipped_rows(param: Tensor, grad: Tensor, state: State, hyper: Hyper) -> Tensor:
    """Each row of [..., n] is one parameter."""
    return grad * _factor(norm(grad), hyper)


def _clipped_whole(param: Tensor, grad: Tensor, state: State, hyper: Hyper) -> Tensor:
    """The gradient has the parameter's own shape."""
    return grad * _factor(norm(grad.flatten()), hyper)


def _factor(length: Tensor, hyper: Hyper) -> Tensor:
    """min(1, c / (‖g‖ + 10⁻⁶))."""
    return (hyper["max_norm"] / (length + 1e-6)).clamp(max=1.0)


def _clamped(param: Tensor, grad: Tensor, state: State, hyper: Hyper) -> Tensor:
    return grad.clamp(-hyper["max_value"], hyper["max_value"])


def _unit_norm(x: Tensor) -> Tensor:
    """Norm of each unit, shaped to be multiplied with x: [out, 1, ...], or [1] for a vector."""
    if sum(size > 1 for size in x.shape) <= 1:
        return norm(x.flatten())
    return norm(x.flatten(start_dim=1)).reshape(-1, *[1] * (x.ndim - 1))
