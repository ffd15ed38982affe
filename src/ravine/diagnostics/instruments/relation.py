"""Whether targets have to do with inputs, and how much of them a quick predictor gets right."""

from __future__ import annotations

import math
import sys
from typing import final

import torch
from torch import Tensor

from ravine.diagnostics.instrument import Instrument, Name, Readings
from ravine.diagnostics.instruments._numbers import measurable
from ravine.diagnostics.instruments._targets import CLASSES, bill
from ravine.diagnostics.look import Look
from ravine.seeds import generator

MOST = 256
"""Examples that are remembered."""
LEAST = 64
"""Examples from which on they are compared, and again when they have doubled."""
WIDTH = 128
"""Numbers of an input that are remembered; of longer ones, random projections, which keep distances
to 1/√64 = 12%."""
COLUMNS = 64
"""Numbers of a target that are remembered: of classes the first ones, of longer targets random
projections."""
CODES = 4096
"""Indices that are told apart; others share a code with one of them."""
NEIGHBOURS = 5
"""Of each example; the mean of 5 has a fifth more error than the best guess from infinitely many."""

QUANTITIES = {
    "relation_of_indices": "1 if the inputs are indices, else 0",
    "relation_examples": "different examples of the run that were compared, at most 256",
    "relation": (
        "how far targets of neighbours in the inputs, or those along a line, agree beyond chance, in "
        "standard errors of chance"
    ),
    "probe_left": (
        "squared error of the better one of two quick predictors, 5 nearest neighbours and linear "
        "regression, over that of the mean target; each example predicted from the others"
    ),
}


@final
class Relation(Instrument):
    r"""Two quick predictors of targets from inputs, on examples of the run itself.

    Inputs x, [n, d], standardized by feature; targets t, [n, c], centered: class indicators, or ranks
    of numbers for the test and the numbers themselves for the error. With A the adjacency of the 5
    nearest neighbours, made symmetric, and the hat matrix P of x:

        s = Σᵢⱼ Aᵢⱼ tᵢ·tⱼ           by chance: -Σ A tr C / (n-1) ± √(2 Σ A² tr C²)      C = tᵀt/n
        F = (‖Pt‖²/d) / (‖t - Pt‖²/(n-1-d))      by chance: F's distribution, made a normal one

    The relation is the larger one of both distances from chance, in its deviations. The regression is
    taken where n > 3d. Errors are those of predicting each example from all others, in the
    regression by (t - Pt)ᵢ / (1 - Pᵢᵢ).

    Targets are those that the cost keeps; examples that come twice count once. Inputs that are
    indices are equal or different, place by place.

    Memory: 256 examples of 128 + 64 numbers.

    Source: Friedman & Rafsky, "Graph-theoretic measures of multivariate association and prediction",
        Annals of Statistics 1983, the moments under permutation to first order in 1/n; Paulson, "An
        approximate normalization of the analysis of variance distribution", same, 1942.
    """

    name = "relation"
    quantities = QUANTITIES
    cost = "a copy of inputs and targets; now and then the distances of up to 256 examples"
    passes = 0.1

    def __init__(self) -> None:
        self._inputs: list[Tensor] = []
        self._targets: list[Tensor] = []
        self._kind = ""
        self._indices = False
        self._count = 0
        self._next = LEAST

    @torch.no_grad()
    def look(self, look: Look) -> Readings:
        """Three numbers, when enough examples are new."""
        if self._count < MOST:
            self._remember(look)
        if self._count < self._next:
            return {}
        self._next = min(MOST, 2 * self._count) if self._count < MOST else sys.maxsize
        x, t = torch.cat(self._inputs)[:MOST], torch.cat(self._targets)[:MOST]
        found = compared(x, _indicators(t) if self._kind == CLASSES else t)
        return found | {Name("relation_of_indices"): float(self._indices)}

    def _remember(self, look: Look) -> None:
        paid, x = bill(look), look.inputs
        if paid is None or paid.broadcast or x is None or x.ndim == 0 or len(x) == 0:
            return
        t = paid.targets
        if t.numel() == 0 or t.numel() % len(x) != 0:
            return
        rows = _narrow(x.flatten(1) if measurable(x) else _codes(x))
        columns = t.reshape(len(x), -1)
        columns = columns[:, :COLUMNS] if paid.kind == CLASSES else _narrow(columns, COLUMNS)
        columns = columns.to("cpu", torch.float64)
        kept = self._inputs and (self._inputs[0].shape[1], self._targets[0].shape[1], self._kind)
        if kept and kept != (rows.shape[1], columns.shape[1], paid.kind):
            return  # sequences of another length
        self._kind, self._indices = paid.kind, not measurable(x)
        self._inputs.append(rows.to("cpu", torch.float64))
        self._targets.append(columns)
        self._count += len(rows)


def compared(x: Tensor, t: Tensor) -> Readings:
    """The readings of examples x, [n, d], with targets t, [n, c], both float64."""
    x, t = x[torch.isfinite(x).all(1)], t[torch.isfinite(x).all(1)]
    first = _first_of_each(x)
    x, t = x[first], t[first]
    if len(x) < LEAST:
        return {}
    x, t = x - x.mean(0), t - t.mean(0)
    x, t = x[:, x.std(0) > 0], t[:, t.std(0) > 0]
    n, d = x.shape
    if d == 0 or t.shape[1] == 0:
        return {}
    x = x / x.std(0)
    ranked = t if _whole(t) else _ranks(t)
    nearest = (
        torch.cdist(x.float(), x.float())
        .fill_diagonal_(math.inf)
        .topk(NEIGHBOURS, largest=False)
        .indices
    )
    found, errors = [_by_neighbours(nearest, ranked)], [t - _of_the_others(t, nearest)]
    if n > 3 * d:
        Q, R = torch.linalg.qr(x)
        Q = Q[:, R.diagonal().abs() > 1e-9 * math.sqrt(n)]
        found.append(_along_a_line(Q, ranked))
        leverage = Q.square().sum(1, keepdim=True) + 1 / n
        errors.append((t - Q @ (Q.T @ t)) / (1 - leverage).clamp(min=1 / n))
    # the mean of the others is n/(n-1) times as far away as the mean of all
    alone = t.square().sum() * (n / (n - 1)) ** 2
    return {
        Name("relation_examples"): float(n),
        Name("relation"): max(found),
        Name("probe_left"): min(float(error.square().sum() / alone) for error in errors),
    }


def _of_the_others(t: Tensor, nearest: Tensor) -> Tensor:
    return t[nearest].mean(1)


def _by_neighbours(nearest: Tensor, t: Tensor) -> float:
    """(s - its mean) / its deviation under permutation."""
    n = len(t)
    t = t - t.mean(0)
    A = torch.zeros(n, n, dtype=t.dtype).scatter_(1, nearest, 1.0)
    A = (A + A.T) / 2
    C = t.T @ t / n
    s = float((t * (A @ t)).sum())
    expected = -float(A.sum() * C.trace()) / (n - 1)
    return (s - expected) / math.sqrt(2 * float(A.square().sum() * C.square().sum()))


def _along_a_line(Q: Tensor, t: Tensor) -> float:
    """F of the regression as a standard normal number, by Paulson; Q is an orthonormal basis of the
    centered inputs."""
    n, d = Q.shape
    t = t - t.mean(0)
    share = min(float((Q.T @ t).square().sum() / t.square().sum()), 1 - 1e-9)
    m = n - 1 - d
    root = math.pow(share / d / ((1 - share) / m), 1 / 3)
    a, b = 2 / (9 * d), 2 / (9 * m)
    return ((1 - b) * root - (1 - a)) / math.sqrt(b * root**2 + a)


def _first_of_each(x: Tensor) -> Tensor:
    """Rows, less those that came before."""
    _, group = torch.unique(x, dim=0, return_inverse=True)
    order = group.argsort(stable=True)
    grouped = group[order]
    new = torch.ones_like(grouped, dtype=torch.bool)
    new[1:] = grouped[1:] != grouped[:-1]
    kept: Tensor = order[new].sort().values
    return kept


def _whole(t: Tensor) -> bool:
    """Whether a column has two values alone, as indicators have."""
    return all(len(torch.unique(column)) <= 2 for column in t.T[:COLUMNS])


def _ranks(t: Tensor) -> Tensor:
    return t.argsort(0).argsort(0).to(t.dtype)


def _indicators(t: Tensor) -> Tensor:
    """[n, c] classes -> [n, c·classes], 0 where they are ignored; fewer columns where these are many."""
    classes, place = torch.unique(t, return_inverse=True)
    columns = max(1, MOST // len(classes))
    shown = torch.nn.functional.one_hot(place[:, :columns], len(classes))[..., classes >= 0]
    return shown.flatten(1).double()


def _narrow(x: Tensor, width: int = WIDTH) -> Tensor:
    """At most so many numbers a row."""
    if x.shape[1] <= width:
        return x
    directions = torch.randn(x.shape[1], width, generator=generator("relation", "directions"))
    return x.float() @ directions.to(x.device) / math.sqrt(width)


def _codes(x: Tensor) -> Tensor:
    """Indices, [n, ...], as numbers: 16 signs for each of them, the same wherever it stands."""
    table = torch.randn(CODES, 16, generator=generator("relation", "codes")).sign().to(x.device)
    found: Tensor = table[x.flatten(1).long() % CODES].flatten(1)
    return found
