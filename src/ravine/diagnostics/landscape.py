r"""A slice of the cost through the path of a run: the plane that holds most of the path.

The plane is found by principal component analysis of the path about its end, in coordinates in which
every filter of the trained model has length 1. With filters f (rows of a weight matrix, output
channels of a convolution), their lengths s_f = ‖θ_end,f‖ and F of them:

    φ_t,f  =  (θ_t,f - θ_end,f) / (s_f √F)        M  =  [φ_0; φ_1; ...]  =  U S Vᵀ
    path:     (S₁ U_t1, S₂ U_t2)                  d_j,f  =  s_f √F V_j,f
    slice:    J(θ_end + a d₁ + b d₂)

A unit of a or b thus moves each filter by its own length, in the root mean square over filters:
1/F Σ_f ‖d_j,f‖²/s_f² = 1. Networks with ReLUs or normalization can be rescaled from layer to layer
without computing anything else; lengths in units of filters are the same for all of them.

Biases and the parameters of norms (whatever has one axis or none) stay as they were at the end, as do
filters of length 0. Where a model has nothing else, each of its parameters counts as one filter.

Source: Li, Xu, Taylor, Studer & Goldstein, "Visualizing the Loss Landscape of Neural Nets", 2018,
    sections 4 (filter normalization) and 7 (the path's principal components).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call

from ravine.diagnostics.watch.trajectory import FEWEST, Snapshot
from ravine.penalties import Penalty
from ravine.recipes import Measure, Split
from ravine.training.lane import mean_over
from ravine.undisturbed import undisturbed

CELLS = 21
"""Points of the grid along each direction. With 31, and 512 examples, the slice of a small transformer
took five times its training of 4,000 examples; with these a fifth of that."""

EXAMPLES = 256
"""Training examples that the cost is averaged over, at most."""

MARGIN = 0.25
"""Room around the path, in its extent."""

NARROW = 0.25
"""The slice is at least so wide as a share of its length, however straight the path."""

STRAIGHT = 1e-6
"""Second singular value over the first below which the path lies on a line: float32 has rounded it."""

FAR = 1000.0
"""A path ends where its cost is so many times that of its start, or not finite: of a run that explodes
the rest would be all that can be seen. It has three points all the same, if their costs are finite."""

COLUMNS = 2**16
"""Elements of a parameter that are looked at together, in float64."""

Tensors = Mapping[str, Tensor]


@dataclass(frozen=True)
class Plane:
    """A plane through the end of a path.

    Attributes:
        end: the parameters there.
        directions: d₁ and d₂, shaped as the parameters.
        path: the path's points on it, in order: (a, b) each.
        shares: of the path's squared distances from its end along d₁ and along d₂, 0 to 1; what is
            missing to 1 lies outside of the plane.
    """

    end: Tensors
    directions: tuple[Tensors, Tensors]
    path: tuple[tuple[float, float], ...]
    shares: tuple[float, float]

    def at(self, a: float, b: float) -> dict[str, Tensor]:
        """The parameters θ_end + a d₁ + b d₂."""
        d1, d2 = self.directions
        return {name: end + a * d1[name] + b * d2[name] for name, end in self.end.items()}


@dataclass(frozen=True)
class Slice:
    """The cost on a plane through a run's path.

    Attributes:
        steps: gradient steps of the path's points, up to where the cost exploded, if it did.
        path, shares: as in `Plane`.
        along: the cost at the path's points themselves, which lie beside the plane.
        a, b: the grid's coordinates, ascending.
        costs: at the grid's points, one row for each b; NaN where the cost is not finite.
        examples: training examples that it was averaged over.
    """

    steps: tuple[int, ...]
    path: tuple[tuple[float, float], ...]
    shares: tuple[float, float]
    along: tuple[float, ...]
    a: tuple[float, ...]
    b: tuple[float, ...]
    costs: tuple[tuple[float, ...], ...]
    examples: int


def landscape(
    snapshots: Sequence[Snapshot],
    model: nn.Module,
    cost: Measure,
    data: Split,
    penalty: Penalty | None = None,
    cells: int = CELLS,
) -> Slice | None:
    """The slice of the training cost that a run's path lies in, as nearly as a plane can.

    Costs cells² + 64 forward passes of up to 256 examples. The model is run in evaluation mode, batch
    norms by the statistics that it holds, and is left as it was.

    Args:
        snapshots: the path, `Trajectory.snapshots`.
        model: the module whose parameters these are.
        cost: (output, target) -> 0-D mean over examples.
        data: training examples; of more than 256 evenly spaced ones are taken.
        penalty: on the parameters, added to the cost: the run went down the sum.
        cells: points of the grid along each direction.

    Returns:
        None where no plane can be laid: fewer than three snapshots, or a path without extent or
        on a straight line.
    """
    if len(snapshots) < FEWEST:
        return None
    every = -(-len(data) // EXAMPLES)
    sample = Split(data.inputs[::every], data.targets[::every])
    with undisturbed(model):
        model.eval()
        loss = _loss(model, cost, sample, penalty)
        along = [loss(snapshot.params) for snapshot in snapshots]
        near = _near(along)
        plane = principal_plane(snapshots[:near])
        if plane is None:
            return None
        a, b = grid(plane.path, cells)
        costs = tuple(tuple(loss(plane.at(x, y)) for x in a) for y in b)
    steps = tuple(snapshot.step for snapshot in snapshots[:near])
    return Slice(steps, plane.path, plane.shares, tuple(along[:near]), a, b, costs, len(sample))


def _near(costs: Sequence[float]) -> int:
    """How many points the path has before its cost explodes."""
    ceiling = costs[0] + FAR * abs(costs[0])
    near = next((i for i, cost in enumerate(costs) if not cost <= ceiling), len(costs))
    known = next((i for i, cost in enumerate(costs) if math.isnan(cost)), len(costs))
    return max(near, min(known, FEWEST))


def principal_plane(snapshots: Sequence[Snapshot]) -> Plane | None:
    """The plane through the last snapshot that holds most of the way there; None if there is none."""
    if len(snapshots) < FEWEST:
        return None
    path = [snapshot.params for snapshot in snapshots]
    lengths = filter_lengths(path[-1])
    gram = _gram(path, lengths)
    values, vectors = torch.linalg.eigh(gram)
    singular = values.clamp(min=0).sqrt()[[-1, -2]]
    if not singular[1] > STRAIGHT * singular[0]:
        return None
    left = vectors[:, [-1, -2]]
    largest = left.abs().argmax(dim=0)
    left = left * -left[largest, torch.arange(2)].sign()  # the run goes to the right, and up
    filters = sum(int((length > 0).sum()) for length in lengths.values())
    weights = left / singular * math.sqrt(filters)
    points = left * singular / math.sqrt(filters)
    shares = values[[-1, -2]] / values.clamp(min=0).sum()
    return Plane(
        end=path[-1],
        directions=(
            _combined(path, lengths, weights[:, 0]),
            _combined(path, lengths, weights[:, 1]),
        ),
        path=tuple((float(x), float(y)) for x, y in points),
        shares=(float(shares[0]), float(shares[1])),
    )


def filter_lengths(params: Tensors) -> dict[str, Tensor]:
    """‖filter‖ of every parameter, float64, in a shape that broadcasts with it; 0 where the parameter
    stays as it is."""
    vectors_only = all(param.ndim < 2 for param in params.values())
    return {name: _lengths(param.double(), vectors_only) for name, param in params.items()}


def _lengths(param: Tensor, whole: bool) -> Tensor:
    if param.ndim >= 2:
        rest = tuple(range(1, param.ndim))
        return param.square().sum(dim=rest, keepdim=True).sqrt()
    length = float(param.norm()) if whole else 0.0
    return torch.full([1] * param.ndim, length, dtype=torch.float64)


def _gram(path: Sequence[Tensors], lengths: Tensors) -> Tensor:
    """Products of the displacements from the end, in units of filters: [snapshots, snapshots]."""
    gram = torch.zeros(len(path), len(path), dtype=torch.float64)
    for name, length in lengths.items():
        units = torch.where(length > 0, 1 / length, 0.0).expand_as(path[-1][name]).reshape(-1)
        flat = [params[name].reshape(-1) for params in path]
        for start in range(0, len(units), COLUMNS):
            columns = slice(start, start + COLUMNS)
            moved = torch.stack([params[columns].double() for params in flat])
            moved = (moved - moved[-1]) * units[columns]
            gram += moved @ moved.T
    return gram


def _combined(path: Sequence[Tensors], lengths: Tensors, weights: Tensor) -> dict[str, Tensor]:
    """Σ_t w_t (θ_t - θ_end), of the filters that move."""
    combined = {}
    for name, length in lengths.items():
        end = path[-1][name]
        total = torch.zeros_like(end)
        for weight, params in zip(weights.tolist(), path, strict=True):
            total += weight * (params[name] - end)
        combined[name] = torch.where(length > 0, total, 0.0)
    return combined


def grid(
    path: Sequence[tuple[float, float]], cells: int
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Coordinates that cover a path with room around it, `cells` along each direction."""
    ends = [(min(values), max(values)) for values in zip(*path, strict=True)]
    longest = max(hi - lo for lo, hi in ends)
    first, second = (_spread(lo, hi, NARROW * longest, cells) for lo, hi in ends)
    return first, second


def _spread(lo: float, hi: float, least: float, cells: int) -> tuple[float, ...]:
    reach = max(hi - lo, least) * (0.5 + MARGIN)
    middle = (lo + hi) / 2
    return tuple(middle + reach * (2 * i / (cells - 1) - 1) for i in range(cells))


def _loss(
    model: nn.Module, cost: Measure, data: Split, penalty: Penalty | None
) -> Callable[[Tensors], float]:
    """Parameters -> the model's cost with these, and their penalty; NaN if it is not finite."""
    own = dict(model.named_parameters())

    def loss(params: Tensors) -> float:
        placed = {name: param.to(own[name]) for name, param in params.items()}
        try:
            (value,) = mean_over(
                data,
                lambda inputs: functional_call(model, placed, (inputs,)),
                [cost],
                members=False,
            )
        except (RuntimeError, ValueError):  # some costs refuse outputs that are no numbers
            return math.nan
        if penalty is not None:
            value = value + penalty(placed)
        return float(value) if value.isfinite() else math.nan

    return loss
