"""The targets of a step: no instrument is given them, but the loss's graph keeps them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ravine.diagnostics.look import Look
from ravine.diagnostics.watch.graph import kept, kind, towards_output

CLASSES = "cost_is_likelihood_of_classes"
SQUARES = "cost_is_squared_error"
SHARES = "cost_is_likelihood_of_shares"
LOGITS = "cost_is_likelihood_of_logits"

OPERATIONS = {
    **{"NllLoss": CLASSES, "NllLoss2D": CLASSES},
    **{"MseLoss": SQUARES, "SmoothL1Loss": SQUARES, "HuberLoss": SQUARES},
    **{"BinaryCrossEntropy": SHARES, "BinaryCrossEntropyWithLogits": LOGITS},
}
"""torch's own costs."""

SUM = 2
"""torch's number of reduction="sum"."""


@dataclass(frozen=True)
class Bill:
    """What a cost compares.

    Attributes:
        kind: one of the four quantities above.
        targets: of classes [examples, ...], whole numbers, -1 where they are ignored; else of the
            output's shape, [examples, ...].
        broadcast: whether output and targets were broadcast against each other.
        constant: loss of the best output that is the same for all examples, as the mean over them.
        summed: what the loss is over their mean: their number where it adds them up, 1/k where k
            minibatches are accumulated.
        robust: whether the cost grows with the error itself, at least with large ones.
        zeros: loss of an output of zeros, or of shares of a half, as the mean; NaN where unknown.
        least: loss of the targets themselves as output, as the mean: above 0 for shares.
    """

    kind: str
    targets: Tensor
    broadcast: bool
    constant: float
    summed: float = 1.0
    robust: bool = False
    zeros: float = math.nan
    least: float = 0.0


def bill(look: Look) -> Bill | None:
    """What the look's cost compares; None for costs that are not known, or that keep no targets."""
    nodes = list(towards_output(look))
    names = [kind(node) for node in nodes]
    for place, node in enumerate(nodes):
        if names[place] in OPERATIONS:
            found = _of_torch(node, "Expand" in names[place + 1 :])
        else:
            by_hand = BY_HAND.get(names[place])
            found = by_hand(node, look) if by_hand else None
        if found is not None:
            return replace(found, summed=found.summed * _scale(nodes[:place]))
    return None


def _scale(nodes: Sequence[Any]) -> float:
    """Numbers that the loss was multiplied with or divided by, as by the count of minibatches that
    are accumulated; 1 where terms were added, as penalties are."""
    scale = 1.0
    for node in nodes:
        number = kept(node, "other")
        if kind(node) == "Add":
            return 1.0
        if number is not None and number.ndim == 0 and kind(node) in ("Mul", "Div"):
            scale = scale * float(number) if kind(node) == "Mul" else scale / float(number)
    return scale


def priced(nodes: list[str]) -> str | None:
    """The kind of a cost by the names of its operations, whether it keeps targets or not."""
    return next((OPERATIONS[name] for name in nodes if name in OPERATIONS), None)


def _of_torch(node: Any, broadcast: bool) -> Bill | None:
    targets, given = kept(node, "target"), kept(node, "self")
    if targets is None or given is None:
        return None
    of = OPERATIONS[kind(node)]
    summed = getattr(node, "_saved_reduction", 1) == SUM
    if of == CLASSES:
        targets = torch.where(targets == node._saved_ignore_index, -1, targets)
        weight, counted = kept(node, "weight"), targets[targets >= 0]
        constant = entropy_of_classes(targets, weight)
        size = float(counted.numel() if weight is None else weight[counted].sum())
        zeros = math.log(given.shape[1 if given.ndim > 1 else 0])
        return Bill(of, targets, False, constant, size if summed else 1.0, zeros=zeros)
    values, least = targets.double(), 0.0
    nothing = torch.zeros_like(values)
    if kind(node) == "MseLoss":
        constant, zeros = _variance(values), float(values.square().mean())
    elif of == SQUARES:
        constant, zeros = _robust(node, values), _robust_loss(node, nothing, values)
    else:
        weight = kept(node, "pos_weight")
        constant = _entropy_of_shares(values, weight)
        least = float(_entropies(_weighted(values, weight), values).mean())
        zeros = float(_weighted(values, weight).add(1 - values).mean()) * math.log(2)
    size = float(given.numel()) if summed else 1.0
    robust = of == SQUARES and kind(node) != "MseLoss"
    return Bill(of, targets, broadcast, constant, size, robust, zeros, least)


def entropy_of_classes(targets: Tensor, weight: Tensor | None = None) -> float:
    """-Σ p log p of the classes' shares, by weight: the likelihood that knows nothing else."""
    classes, counts = torch.unique(targets[targets >= 0], return_counts=True)
    heavy = counts.double() if weight is None else counts * weight[classes].double()
    p = heavy / heavy.sum()
    return float(-torch.xlogy(p, p).sum())


def _rows(values: Tensor) -> Tensor:
    return values.reshape(len(values), -1) if values.ndim else values.reshape(1, 1)


def _variance(values: Tensor) -> float:
    return float(_rows(values).var(dim=0, unbiased=False).mean())


def _robust(node: Any, values: Tensor) -> float:
    """Of the better one of two constants, mean and median, in each column."""
    rows = _rows(values)
    levels = [level.expand_as(rows) for level in (rows.mean(dim=0), rows.median(dim=0).values)]
    return min(_robust_loss(node, level, rows) for level in levels)


def _robust_loss(node: Any, output: Tensor, targets: Tensor) -> float:
    if kind(node) == "HuberLoss":
        return float(F.huber_loss(output, targets, delta=node._saved_delta))
    return float(F.smooth_l1_loss(output, targets, beta=node._saved_beta))


def _entropy_of_shares(values: Tensor, weight: Tensor | None) -> float:
    """-Σ w p log q + (1 - p) log(1 - q), with q = wp / (wp + 1 - p), the best constant."""
    p = _rows(values).mean(dim=0).clamp(0, 1)
    heavy = p if weight is None else p * weight.double().expand_as(values[0]).reshape(-1)
    return float(_entropies(heavy, p).mean())


def _weighted(values: Tensor, weight: Tensor | None) -> Tensor:
    """Shares of the positive, times their weight."""
    return values if weight is None else values * weight.double()


def _entropies(heavy: Tensor, p: Tensor) -> Tensor:
    """Losses at the best q, from shares p and wp."""
    q = (heavy / (heavy + 1 - p)).nan_to_num(0)  # 0/0 is of weight 0
    return -(torch.xlogy(heavy, q) + torch.xlogy(1 - p, 1 - q))


def _squares(node: Any, look: Look) -> Bill | None:
    """(y - t)², or |y - t|, typed as it is: t is y without their difference."""
    away = kept(node, "self")
    if kind(node) == "Pow" and node._saved_exponent != 2:
        return None
    if kind(node) == "Mul" and not _same(away, kept(node, "other")):
        return None
    minus = node.next_functions[0][0]
    y = look.output
    if away is None or y is None or minus is None or kind(minus) != "Sub":
        return None
    sides = [side for side, _ in minus.next_functions]
    if (sides[0] is None) == (sides[1] is None) or minus._saved_alpha != 1:
        return None
    side = sides[0] or sides[1]
    shape = tuple(side._input_metadata[0].shape)
    if math.prod(shape) != y.numel():
        return None  # it is not the output that is compared
    y = y.detach().reshape(shape)
    targets = y - away if sides[0] is not None else y + away
    spread = tuple(targets.shape) != shape or _same_in_each_row(targets)
    values = targets.double().reshape(-1, 1) if spread else targets.double()
    if kind(node) == "Abs":
        rows = _rows(values)
        constant = float((rows - rows.median(dim=0).values).abs().mean())
        zeros = float(rows.abs().mean())
    else:
        constant, zeros = _variance(values), float(values.square().mean())
    factor = _factor(look, away, kind(node))
    return Bill(SQUARES, targets, spread, constant, factor, kind(node) == "Abs", zeros)


def _same(one: Tensor | None, other: Tensor | None) -> bool:
    """Whether two tensors are one."""
    return one is not None and other is not None and one.data_ptr() == other.data_ptr()


def _same_in_each_row(targets: Tensor) -> bool:
    """Whether every output of an example has the same target, and examples have different ones."""
    rows = _rows(targets)
    if rows.shape[1] < 2:
        return False
    rounding = 100 * torch.finfo(rows.dtype).eps * rows.abs().amax()
    within, between = rows.amax(1) - rows.amin(1), rows.amax(0) - rows.amin(0)
    return bool((within.amax() <= rounding) & (between.amax() > rounding))


def _factor(look: Look, away: Tensor, of: str) -> float:
    """Terms that the loss adds up: what it is over their mean, where it is larger than that by about
    their number; else 1."""
    mean = float((away.abs() if of == "Abs" else away.square()).mean())
    ratio = look.loss.item() / mean if mean > 0 else 1.0
    return next((n for n in (away.numel(), len(away)) if n > 1 and 0.9 < ratio / n < 1.1), 1.0)


def _picked(node: Any, look: Look) -> Bill | None:
    """-log p[i, yᵢ], by an index or `gather`."""
    before = node.next_functions[0][0]
    if before is None or kind(before) not in ("LogSoftmax", "Log"):
        return None
    if kind(node) == "Gather":
        classes = kept(node, "index")
    else:
        indices: Sequence[Tensor] = getattr(node, "_saved_indices", ())
        classes = indices[-1] if len(indices) == 2 else None
    if classes is None:
        return None
    classes = classes.detach().flatten()
    return Bill(CLASSES, classes, False, entropy_of_classes(classes), zeros=_log_classes(look))


def _log_classes(look: Look) -> float:
    """Loss of equal scores."""
    y = look.output
    return math.nan if y is None or y.ndim < 2 else math.log(y.shape[-1])


def _masked(node: Any, look: Look) -> Bill | None:
    """-Σ onehot · log p, classes on the last axis."""
    if not any(n is not None and kind(n) in ("LogSoftmax", "Log") for n, _ in node.next_functions):
        return None
    for mask in (kept(node, "self"), kept(node, "other")):
        if mask is None or mask.ndim < 2:
            continue
        if bool(((mask == 0) | (mask == 1)).all() & (mask.sum(-1) == 1).all()):
            classes = mask.argmax(-1)
            constant = entropy_of_classes(classes)
            return Bill(CLASSES, classes, False, constant, zeros=_log_classes(look))
    return None


def _product(node: Any, look: Look) -> Bill | None:
    return _squares(node, look) or _masked(node, look)


BY_HAND: dict[str, Callable[[Any, Look], Bill | None]] = {
    **{"Pow": _squares, "Abs": _squares, "Mul": _product},
    **{"Index": _picked, "Gather": _picked},
}
"""Costs written out of operations."""
