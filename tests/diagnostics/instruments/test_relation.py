"""Two quick predictors, against NumPy's and scikit-learn's."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ravine.diagnostics.instruments.relation import MOST, Relation, compared
from tests.diagnostics.looking import look_at


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def named(readings) -> dict[str, float]:
    return {name.quantity: value for name, value in readings.items()}


def test_errors_are_those_of_leaving_one_out() -> None:
    """Linear, by fits without each example; the neighbours' are larger where all is linear."""
    x = drawn(80, 4)
    t = x @ drawn(4, 1, seed=1) + 0.3 * drawn(80, 1, seed=2)
    away, alone = 0.0, 0.0
    for i in range(80):
        rest = np.delete(np.arange(80), i)
        ones = np.ones((79, 1))
        weights, *_ = np.linalg.lstsq(
            np.hstack([x[rest].numpy(), ones]), t[rest].numpy(), rcond=None
        )
        away += float((np.append(x[i].numpy(), 1) @ weights - t[i].numpy())[0]) ** 2
        alone += float(t[rest].mean() - t[i]) ** 2
    assert named(compared(x, t))["probe_left"] == pytest.approx(away / alone, rel=1e-9)


def test_neighbours_are_those_of_scikit_learn() -> None:
    from sklearn.neighbors import KNeighborsRegressor

    x = drawn(90, 2)
    t = torch.sin(3 * x[:, :1]) * torch.cos(3 * x[:, 1:])
    scaled = ((x - x.mean(0)) / x.std(0)).float().numpy()
    others = KNeighborsRegressor(5).fit(scaled, t.numpy()).kneighbors(return_distance=False)
    near = t.numpy()[others].mean(1)
    alone = float(((t - t.mean()) ** 2).sum()) * (90 / 89) ** 2
    error = float(((near - t.numpy()) ** 2).sum()) / alone
    assert named(compared(x, t))["probe_left"] == pytest.approx(error, rel=1e-6)


@pytest.mark.parametrize(("n", "d"), [(80, 2), (120, 10), (250, 40)])
def test_what_has_no_relation_lies_within_chance(n: int, d: int) -> None:
    """40 draws of the larger one of two normal numbers: 1 in 1000 exceeds 3.3, so one of all in 20 would
    once; cubes have heavier tails. Their mean is 1/√π = 0.56, give or take 0.13."""
    found = [
        named(compared(drawn(n, d, seed=2 * k), drawn(n, 1, seed=2 * k + 1) ** 3))["relation"]
        for k in range(40)
    ]
    assert max(found) < 4.5
    assert -0.5 < np.mean(found) < 1.0
    related = drawn(n, d)
    assert named(compared(related, related[:, :1] ** 3))["relation"] > 4


def test_long_targets_are_told_by_all_of_their_numbers() -> None:
    """The first 64 are the same for all: what is left shows in projections alone."""
    x = drawn(128, 2)
    t = torch.cat([torch.zeros(128, 64, dtype=torch.float64), x, x], 1)
    relation = Relation()
    look = look_at(nn.Linear(2, 68).double(), x, t, F.mse_loss)
    found = named(relation.look(look))
    assert found["relation"] > 5
    assert found["relation_of_indices"] == 0


def test_one_example_alone_is_compared_with_nothing(recwarn) -> None:
    """128 copies of it."""
    same = drawn(1, 2).expand(128, 2)
    assert compared(same, drawn(128, 1)) == {}
    assert not recwarn


def test_examples_that_come_twice_count_once() -> None:
    x, t = drawn(80, 3), drawn(80, 1, seed=1)
    once, twice = compared(x, t), compared(x.repeat(2, 1), t.repeat(2, 1))
    assert twice == once


def test_a_run_s_examples_are_gathered_and_no_more_than_its_memory_holds() -> None:
    model = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))
    instrument, seen = Relation(), []
    for step in range(20):
        x = drawn(32, 6, seed=step).float()
        seen.append(named(instrument.look(look_at(model, x, x[:, :3].argmax(1), F.cross_entropy))))
    assert [s["relation_examples"] for s in seen if s] == [64, 128, MOST]
    assert [i for i, s in enumerate(seen) if s] == [1, 3, 7]
    assert all(s["relation"] > 4 for s in seen if s)


def test_targets_by_place_of_indices() -> None:
    """Words and the same backwards, and those of other words."""
    draws = torch.Generator().manual_seed(0)
    model = nn.Sequential(nn.Embedding(6, 8), nn.Linear(8, 6))
    words = torch.randint(6, (MOST, 7), generator=draws)

    def cost(o: Tensor, t: Tensor) -> Tensor:
        return F.cross_entropy(o.transpose(1, 2), t)

    right = named(Relation().look(look_at(model, words, words.flip(1), cost)))
    wrong = named(Relation().look(look_at(model, words, words.flip(1).roll(1, 0), cost)))
    assert right["relation"] > 10
    assert wrong["relation"] < 3


def test_a_cost_that_keeps_no_targets_says_nothing() -> None:
    x = drawn(200, 3)
    assert (
        Relation().look(look_at(nn.Linear(3, 1).double(), x, x, lambda o, t: (o**4).mean())) == {}
    )
