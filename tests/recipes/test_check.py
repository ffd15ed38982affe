"""The check before a comparison: what it finds, and that it leaves no trace."""

from __future__ import annotations

import copy
import itertools
from dataclasses import replace
from functools import cache

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from ravine import metrics
from ravine.errors import RecipeError
from ravine.recipes import Recipe, check, load
from tests.problems import digits_recipe, mlp, noisy

X = torch.randn(5000, 4, generator=torch.Generator().manual_seed(0))
Y = torch.arange(5000) % 3
NET = mlp()
TABLE = torch.ones(10)
COUNT = itertools.count()


def recipe(**changes) -> Recipe:
    """5,000 points of three classes."""
    parts = {
        **{"name": "points", "model": lambda: nn.Linear(4, 3), "cost": F.cross_entropy},
        **{"metric": metrics.error_rate, "train": (X, Y), "validation": (X, Y), "test": (X, Y)},
        **{"batch_size": 8, "steps": 27},
    }
    return Recipe(**{**parts, **changes})


def regression(**changes) -> Recipe:
    """The same points with a number each as target."""
    line = (X, X.sum(1, keepdim=True))
    parts = {"cost": F.mse_loss, "metric": metrics.mean_squared_error}
    data = {"train": line, "validation": line, "test": line}
    return recipe(**{"model": lambda: nn.Linear(4, 1), **parts, **data, **changes})


def refused(bad: Recipe) -> str:
    """The one line that a recipe is refused with."""
    with pytest.raises(RecipeError) as caught:
        check(load(bad))
    assert "\n" not in str(caught.value)
    return str(caught.value)


class Frozen(nn.Module):
    """A network of its own around something that it may have in common with others."""

    def __init__(self, **parts):
        super().__init__()
        self.net = mlp()
        for name, part in parts.items():
            if isinstance(part, nn.Module):
                self.add_module(name, part)
            else:
                self.register_buffer(name, part)

    def forward(self, x):
        return self.net(x)


@pytest.mark.parametrize(
    ("model", "what"),
    [
        (lambda: NET, "the same '0.weight'"),
        (cache(mlp), "the same '0.weight'"),
        (lambda: Frozen(inner=NET), "the same 'inner.0.weight'"),
        (lambda: Frozen(table=TABLE), "the same 'table'"),
        (lambda: Frozen(table=TABLE[next(COUNT) :]), "the same 'table'"),
    ],
)
def test_a_module_built_once_is_refused(model, what):
    message = refused(digits_recipe(model))
    assert f"model() returned {what} twice" in message
    assert "build the module inside the function, e.g. model=lambda: nn.Linear" in message


@pytest.mark.parametrize(
    "model",
    [lambda: copy.deepcopy(NET), lambda: Frozen(table=torch.ones(0)), noisy],
)
def test_modules_of_their_own_are_fine(model):
    check(load(digits_recipe(model)))


def test_a_model_that_can_be_built_once_only_is_refused():
    made = iter([mlp()])
    assert "cannot be built: StopIteration" in refused(digits_recipe(lambda: next(made)))


def test_models_of_unusable_parameters_are_refused():
    assert "'weight' has no shape before" in refused(digits_recipe(lambda: nn.LazyLinear(10)))
    message = refused(digits_recipe(lambda: nn.Linear(64, 10).bfloat16(), dtype=torch.bfloat16))
    assert "training inputs are torch.bfloat16" in message
    bad = replace(digits_recipe(), model=lambda: nn.Linear(64, 10).bfloat16())
    assert "the model's 'weight' is torch.bfloat16; expected torch.float32" in refused(bad)


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_a_label_out_of_range_is_found_wherever_it_is(split):
    labels = Y.clone()
    labels[4321] = 3
    message = refused(recipe(**{split: (X, labels)}))
    assert "targets of shape [904] (torch.int64, 0 to 3): IndexError: Target 3" in message
    assert message.endswith("expected classes numbered from 0 to 2, e.g. targets - 1")


def test_labels_from_one_are_found_in_a_minibatch():
    assert "(torch.int64, 1 to 3)" in refused(recipe(train=(X, Y + 1)))


@pytest.mark.parametrize("kind", ["cost", "metric"])
def test_a_value_that_is_not_finite_on_some_slice_is_found(kind):
    def measure(output, target):
        bad = (target == 7).any()
        return torch.where(bad, torch.nan, F.mse_loss(output, target))

    target = X.sum(1, keepdim=True)
    target[2100] = 7
    message = refused(regression(validation=(X, target), **{kind: measure}))
    assert f"the {kind} is nan before any training, on validation examples 2049 to 4096" in message


def test_a_start_that_is_not_finite_under_the_next_seed_is_found():
    starts = []

    def model():
        layer = nn.Linear(4, 1)
        starts.append(layer.weight.detach().clone())
        if not torch.equal(layer.weight, starts[0]):
            nn.init.constant_(layer.bias, torch.inf)
        return layer

    message = refused(regression(model=model))
    assert (
        "the cost is inf before any training, on training examples 1 to 8 under seed 1" in message
    )


class Backwardless(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, grad):
        raise NotImplementedError("first\nsecond")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"cost": lambda o, t: F.cross_entropy(Backwardless.apply(o), t)},
            "the cost has no gradient for an output of shape [8, 3] (torch.float32) with targets "
            "of shape [8] (torch.int64, 0 to 2): NotImplementedError: first",
        ),
        ({"cost": lambda o, t: o.detach().sum()}, "does not depend on the model's parameters"),
        (
            {"cost": lambda o, t: (0 * o.detach() + torch.ones(3, requires_grad=True)).mean()},
            "does not depend on the model's parameters",
        ),
        ({"cost": lambda o, t: o.sum() + 0j}, "the cost returned torch.complex64 of shape []"),
        ({"model": lambda: nn.LSTM(4, 3)}, "the model returned tuple for the training inputs"),
        ({"cost": lambda o, t: {}["loss"]}, "(torch.int64, 0 to 2): KeyError: 'loss'"),
        ({"train": (X.double(), Y)}, "parameters are torch.float32: give the inputs.float()"),
        (
            {"model": lambda: nn.Linear(4, 3).double()},
            "parameters are torch.float64: give the inputs.double()",
        ),
        ({"train": (X.to(torch.uint8), Y)}, "give the inputs.float()"),
        ({"train": (X, Y.float())}, "class indices are whole numbers: give the targets.long()"),
        ({"train": (X, Y[:, None])}, "give the targets.reshape(-1)"),
        (
            {"model": lambda: nn.Linear(4, 1), "cost": lambda o, t: o.mean()},
            "the metric does not take an output of shape [2048, 1] with targets of shape [2048] "
            "(torch.int64, 0 to 2): ValueError: error_rate takes scores [examples, classes] of two",
        ),
    ],
)
def test_what_does_not_fit_is_refused_with_what_to_type(changes, message):
    assert message in refused(recipe(**changes))


@pytest.mark.parametrize("loss", [F.mse_loss, nn.SmoothL1Loss(), F.l1_loss])
def test_torchs_warning_of_broadcasting_is_an_error(loss):
    for _ in range(2):  # Python shows a warning once
        message = refused(regression(train=(X, X.sum(1)), cost=loss))
        assert "output of shape [8, 1] with targets of shape [8] (torch.float32)" in message
        assert message.endswith("same shape: targets.reshape(-1, 1)")


def test_a_metric_is_not_broadcast():
    message = refused(
        regression(cost=lambda o, t: (o[:, 0] - t).square().mean(), train=(X, X.sum(1)))
    )
    assert "the metric does not take an output of shape [2048, 1] with targets of shape [2048]" in (
        message
    )


@pytest.mark.parametrize("dtype", [torch.float64, torch.int64])
def test_targets_of_another_type_say_what_to_type(dtype):
    bits = (X, (X[:, :1] > 0).to(dtype))
    message = refused(
        regression(cost=lambda o, t: F.binary_cross_entropy(o.sigmoid(), t), train=bits)
    )
    assert message.endswith("give both the same type: targets.float()")


def test_nothing_is_left_behind():
    problem = load(digits_recipe(noisy))
    before = torch.get_rng_state()
    check(problem)
    assert torch.equal(torch.get_rng_state(), before)
    with pytest.raises(RecipeError):
        check(load(digits_recipe(noisy, cost=lambda o, t: torch.rand(3) + o)))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.filterwarnings("ignore:each step changes")
def test_every_example_is_looked_at_in_slices():
    seen = []

    class Recording(nn.Linear):
        def forward(self, x):
            seen.append((len(x), self.training))
            return super().forward(x)

    check(load(recipe(model=lambda: Recording(4, 3), validation=(X[:2048], Y[:2048]), test=None)))
    assert seen == [(8, True)] * 3 + [(n, False) for n in (2048, 2048, 904, 2048)]


def test_a_last_batch_of_one_that_batch_norm_cannot_take_is_found():
    x, y = torch.randn(33, 64), torch.arange(33) % 10
    kept = digits_recipe(noisy, train=(x, y), last_batch="keep")
    assert "more than 1 value per channel" in refused(kept)
    check(load(replace(kept, last_batch="drop")))
