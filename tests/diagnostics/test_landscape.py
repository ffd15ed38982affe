"""The slice through a path, against NumPy's SVD and a quadratic's closed form."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ravine import penalties
from ravine.diagnostics.landscape import grid, landscape, principal_plane
from ravine.diagnostics.watch.trajectory import Snapshot
from ravine.recipes import Split

SHAPES = {"conv": (4, 2, 3), "conv_bias": (4,), "linear": (3, 5), "bias": (3,)}
FILTERS = 7


def walk(shapes: dict[str, tuple[int, ...]], points: int = 9, seed: int = 0) -> list[Snapshot]:
    """A random walk in float64."""
    generator = torch.Generator().manual_seed(seed)

    def draw(shape: tuple[int, ...]) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    steps = {name: [draw(shape) for _ in range(points)] for name, shape in shapes.items()}
    places = {name: torch.stack(moves).cumsum(0) for name, moves in steps.items()}
    return [Snapshot(10 * t, {n: p[t] for n, p in places.items()}) for t in range(points)]


def in_filters(params, end) -> np.ndarray:
    """Displacement from the end, each filter in units of its length there, over √F."""
    pieces = []
    for name in ("conv", "linear"):
        for now, then in zip(params[name].numpy(), end[name].numpy(), strict=True):
            pieces.append((now - then).ravel() / np.linalg.norm(then))
    return np.concatenate(pieces) / math.sqrt(FILTERS)


def test_the_plane_is_that_of_numpys_svd():
    path = walk(SHAPES)
    end = path[-1].params
    matrix = np.stack([in_filters(snapshot.params, end) for snapshot in path])
    left, singular, right = np.linalg.svd(matrix, full_matrices=False)
    plane = principal_plane(path)
    for j in (0, 1):
        ours = np.array(plane.path)[:, j]
        theirs = left[:, j] * singular[j]
        sign = np.sign(ours @ theirs)
        np.testing.assert_allclose(ours, sign * theirs, rtol=0, atol=1e-12)
        assert ours[np.abs(ours).argmax()] < 0  # the run goes to the right and up
        moved = {name: end[name] + plane.directions[j][name] for name in end}
        np.testing.assert_allclose(
            in_filters(moved, end) * FILTERS, sign * right[j] * math.sqrt(FILTERS) * math.sqrt(FILTERS),
            rtol=0, atol=1e-12,
        )  # fmt: skip
        assert plane.shares[j] == pytest.approx(singular[j] ** 2 / (singular**2).sum(), rel=1e-12)
    assert plane.path[-1] == pytest.approx((0, 0), abs=1e-12)


def test_a_unit_moves_filters_by_their_own_length():
    path = walk(SHAPES)
    plane, end = principal_plane(path), path[-1].params
    flat = []
    for direction in plane.directions:
        ratios = [
            (d.norm() / w.norm()).item()
            for name in ("conv", "linear")
            for d, w in zip(direction[name], end[name], strict=True)
        ]
        assert len(ratios) == FILTERS
        assert np.mean(np.square(ratios)) == pytest.approx(1, rel=1e-12)
        flat.append(in_filters({n: end[n] + direction[n] for n in end}, end))
        assert not direction["bias"].any()
        assert not direction["conv_bias"].any()
    assert flat[0] @ flat[1] == pytest.approx(0, abs=1e-12)


def test_rescaled_layers_make_the_same_picture():
    path = walk(SHAPES)
    scaled = [
        Snapshot(s, {n: p * (1000 if n == "conv" else 0.01) for n, p in params.items()})
        for s, params in path
    ]
    one, two = principal_plane(path), principal_plane(scaled)
    np.testing.assert_allclose(one.path, two.path, rtol=0, atol=1e-12)
    np.testing.assert_allclose(one.shares, two.shares, rtol=1e-12)


def test_a_filter_of_length_zero_stays():
    path = walk(SHAPES)
    path[-1].params["linear"][1] = 0
    plane = principal_plane(path)
    for direction in plane.directions:
        assert not direction["linear"][1].any()
        assert direction["linear"][0].all()
    assert np.isfinite(plane.path).all()


class Point(nn.Module):
    """Returns its parameters, whatever comes in."""

    def __init__(self, theta: Tensor):
        super().__init__()
        self.theta = nn.Parameter(theta)

    def forward(self, x: Tensor) -> Tensor:
        return self.theta.expand(len(x), -1)


def test_the_slice_of_a_quadratic_is_its_closed_form():
    """J = ½ (θ-c)ᵀH(θ-c), on the plane of numpy's SVD."""
    rng = np.random.default_rng(1)
    n = 6
    root = rng.standard_normal((n, n))
    hessian, centre = root @ root.T - np.eye(n), rng.standard_normal(n)
    H, c = torch.tensor(hessian), torch.tensor(centre)

    def cost(output: Tensor, target: Tensor) -> Tensor:
        away = output - c
        return 0.5 * (away @ H * away).sum(1).mean()

    path = walk({"theta": (n,)}, seed=2)
    theta = np.stack([snapshot.params["theta"].numpy() for snapshot in path])
    end = theta[-1]
    length = np.linalg.norm(end)  # the vector is the one filter there is
    left, singular, right = np.linalg.svd((theta - end) / length, full_matrices=False)
    data = Split(torch.zeros(3, 1), torch.zeros(3))
    found = landscape(path, Point(path[0].params["theta"]), cost, data, cells=7)
    ours = np.array(found.path)
    signs = np.sign((ours * left[:, :2] * singular[:2]).sum(0))
    d = signs[:, None] * right[:2] * length

    def value_at(theta: np.ndarray) -> float:
        return float(0.5 * (theta - centre) @ hessian @ (theta - centre))

    for y, row in zip(found.b, found.costs, strict=True):
        for x, value in zip(found.a, row, strict=True):
            assert value == pytest.approx(value_at(end + x * d[0] + y * d[1]), rel=1e-10, abs=1e-10)
    assert found.along == pytest.approx([value_at(place) for place in theta], rel=1e-12)
    assert found.steps == tuple(range(0, 90, 10))


def test_the_grid_covers_the_path_with_room():
    a, b = grid([(-4.0, 0.0), (0.0, 1.0), (-2.0, -1.0)], cells=5)
    assert a == pytest.approx((-5, -3.5, -2, -0.5, 1))
    assert b == pytest.approx((-1.5, -0.75, 0, 0.75, 1.5))
    _, narrow = grid([(-4.0, 0.0), (0.0, 0.0)], cells=3)
    assert narrow == pytest.approx((-0.75, 0, 0.75))  # a quarter of 4, and half as much again


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Linear(5, 4), nn.BatchNorm1d(4), nn.Dropout(), nn.ReLU(), nn.Linear(4, 3)
    )


def path_of(model: nn.Module, points: int = 5) -> list[Snapshot]:
    named = {name: tuple(p.shape) for name, p in model.named_parameters()}
    return [
        Snapshot(s, {n: p.float() for n, p in params.items()})
        for s, params in walk(named, points=points, seed=4)
    ]


DATA = Split(
    torch.randn(1200, 5, generator=torch.Generator().manual_seed(3)), torch.arange(1200) % 3
)


def test_the_model_is_left_as_it_was():
    model = network()
    model[0].eval()
    model(DATA.inputs[:7]).sum().backward()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    pointers = [p.data_ptr() for p in model.parameters()]
    grads = [p.grad.clone() for p in model.parameters()]
    modes = [module.training for module in model.modules()]
    random = torch.get_rng_state()
    assert landscape(path_of(model), model, F.cross_entropy, DATA, cells=3) is not None
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert [p.data_ptr() for p in model.parameters()] == pointers
    assert all(torch.equal(p.grad, g) for p, g in zip(model.parameters(), grads, strict=True))
    assert [module.training for module in model.modules()] == modes
    assert torch.equal(torch.get_rng_state(), random)


def test_costs_are_those_of_the_evaluated_model_on_evenly_spaced_examples():
    model = network()
    path = path_of(model)
    found = landscape(path, model, F.cross_entropy, DATA, cells=3)
    assert found.examples == 240
    model.load_state_dict({**model.state_dict(), **path[-1].params})
    with torch.no_grad():
        end = F.cross_entropy(model.eval()(DATA.inputs[::5]), DATA.targets[::5])
    assert found.along[-1] == pytest.approx(end.item(), rel=1e-6)


def test_cells_without_a_finite_cost_are_nan():
    path = walk({"theta": (4,)}, seed=5)
    for _, params in path:
        params["theta"][0].abs_().add_(0.1)  # the run itself has a finite cost all the way

    def picky(output: Tensor, target: Tensor) -> Tensor:
        first = output[0, 0]
        if first < -0.3:
            raise RuntimeError("all elements should be above -0.3")
        return first.log()  # NaN below 0

    data = Split(torch.zeros(2, 1), torch.zeros(2))
    found = landscape(path, Point(path[0].params["theta"]), picky, data, cells=9)
    plane = principal_plane(path)
    kinds = set()
    for y, row in zip(found.b, found.costs, strict=True):
        for x, value in zip(found.a, row, strict=True):
            first = float(plane.at(x, y)["theta"][0])
            kinds.add((first < -0.3, first < 0))
            if first < 0:
                assert math.isnan(value)
            else:
                assert value == pytest.approx(math.log(first), rel=1e-12)
    assert kinds == {(True, True), (False, True), (False, False)}


@pytest.mark.parametrize(
    ("costs", "points"),
    [
        ((2, 1, 1900, 2002, 2003, 1, 1), 4),  # 2 + 1000 · 2 is the ceiling
        ((2, 1, 1, 1, math.inf, 1, 1), 4),
        ((2, 1e9, 1e9, 1e9, 1, 1, 1), 3),
        ((-2, 1990, 1997, 1998, 1999, 1, 1), 4),
        ((2, 1, 3, 4, 5, 6, 7), 7),
        ((2, 1e9, math.nan, 1, 1, 1, 1), None),
    ],
)
def test_the_path_ends_where_its_cost_explodes(costs, points):
    path = walk({"theta": (4,)}, points=7, seed=6)
    known = {round(float(s.params["theta"][0]), 9): c for s, c in zip(path, costs, strict=True)}

    def cost(output: Tensor, target: Tensor) -> Tensor:
        return torch.tensor(float(known.get(round(float(output[0, 0]), 9), 1.0)))

    data = Split(torch.zeros(2, 1), torch.zeros(2))
    found = landscape(path, Point(path[0].params["theta"]), cost, data, cells=2)
    if points is None:
        assert found is None
    else:
        assert found.steps == tuple(range(0, 10 * points, 10))
        assert found.along == tuple(map(float, costs[:points]))
        assert found.path[-1] == pytest.approx((0, 0), abs=1e-12)


def test_without_a_plane_there_is_no_slice():
    model = Point(torch.ones(4))
    data = Split(torch.zeros(2, 1), torch.zeros(2))

    def at(*places: Tensor) -> list[Snapshot]:
        return [Snapshot(i, {"theta": place}) for i, place in enumerate(places)]

    ones, other = torch.ones(4), torch.tensor([1.0, -2.0, 0.5, 0.0])
    line = at(ones, ones + other, ones + 2 * other, ones + 5 * other)
    for path in ([], at(ones, ones + other), at(ones, ones, ones), line):
        assert landscape(path, model, lambda o, t: o.mean(), data) is None
    bent = at(ones, ones + other, ones + torch.arange(4.0))
    assert landscape(bent, model, lambda o, t: o.mean(), data, cells=2) is not None


def test_a_penalty_is_part_of_what_the_run_went_down():
    path = walk({"theta": (5,)}, seed=4)
    strength, data = 0.3, Split(torch.zeros(3, 1), torch.zeros(3))

    def cost(output: Tensor, target: Tensor) -> Tensor:
        return output.sum(1).mean()

    found = landscape(
        path, Point(path[0].params["theta"]), cost, data, penalties.l2(strength), cells=5
    )
    for snapshot, value in zip(path, found.along, strict=False):
        theta = snapshot.params["theta"].numpy()
        assert value == pytest.approx(theta.sum() + strength / 2 * theta @ theta, rel=1e-12)
    plane = principal_plane(path)
    for y, row in zip(found.b, found.costs, strict=True):
        for x, value in zip(found.a, row, strict=True):
            theta = plane.at(x, y)["theta"].numpy()
            assert value == pytest.approx(theta.sum() + strength / 2 * theta @ theta, rel=1e-9)
