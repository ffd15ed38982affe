"""Recipes: built-in ones, users' files, and what is refused."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import TensorDataset

from ravine.errors import RecipeError, SettingError, UnknownNameError
from ravine.recipes import Recipe, build_model, check, find, load
from ravine.recipes.loading import AT_HAND
from ravine.recipes.quadratic import hessian
from ravine.recipes.quadratic_deep import hessian as deep_hessian
from tests.problems import digits_problem, digits_recipe


@pytest.mark.parametrize("name", AT_HAND)
def test_built_in_recipes_hang_together(name):
    problem = load(find(name))
    check(problem)
    assert problem.recipe.name == name


def test_digits_are_all_the_images_once_stratified_and_standardized():
    from sklearn.datasets import load_digits

    problem = load(find("digits-mlp"))
    splits = [problem.train, problem.validation, problem.test]
    assert [len(split) for split in splits] == [1078, 359, 360]
    pixels, labels = load_digits(return_X_y=True)
    for split in splits:
        shares = Counter(split.targets.tolist())
        assert all(abs(shares[k] / len(split) - np.mean(labels == k)) < 0.005 for k in range(10))
    x = problem.train.inputs.double()
    assert x.mean(0).abs().max() < 1e-6
    spread = x.std(0, correction=0)
    assert ((spread - 1).abs() < 1e-6).logical_or(spread == 0).all()
    assert sum(p.numel() for p in build_model(problem, 0).parameters()) == 4810
    rows = torch.cat([split.inputs for split in splits])
    assert len({tuple(row.tolist()) for row in rows}) == len({tuple(row) for row in pixels})


def test_the_quadratic_is_ill_conditioned_with_its_minimum_at_zero():
    eigenvalues = torch.linalg.eigvalsh(hessian().double())
    assert (eigenvalues[-1] / eigenvalues[0]).item() == pytest.approx(1e3, rel=1e-3)
    problem = load(find("quadratic"))
    recipe = problem.recipe
    theta = torch.zeros(20, requires_grad=True)
    recipe.cost(theta - problem.train.inputs, problem.train.targets).backward()
    assert theta.grad.abs().max() < 1e-7  # the noise cancels over an epoch
    at_zero = recipe.measure(torch.zeros(1, 20), problem.validation.targets)
    assert at_zero.item() == 0
    off = torch.randn(1, 20)
    expected = 0.5 * off[0].double() @ hessian().double() @ off[0].double()
    assert recipe.measure(off, torch.zeros(1)).item() == pytest.approx(expected.item(), rel=1e-5)


def test_the_deep_quadratic_has_its_authors_spectrum_points_and_start():
    eigenvalues = np.linalg.eigvalsh(deep_hessian().double())
    rng = np.random.RandomState(42)
    drawn = np.sort(np.concatenate([rng.uniform(0, 1, 90), rng.uniform(30, 60, 10)]))
    np.testing.assert_allclose(eigenvalues, drawn, atol=1e-4)
    problem = load(find("quadratic-deep"))
    assert (problem.steps, problem.batch_size) == (700, 128)
    assert torch.equal(build_model(problem, 3).theta, torch.ones(100))
    points = np.random.RandomState(43).normal(0, 0.6, (1000, 100))[:896]  # seven batches of 128
    H = deep_hessian().double().numpy()
    expected = 0.5 * np.einsum("nd,de,ne->n", 1 - points, H, 1 - points).mean()
    output = build_model(problem, 0)(problem.validation.inputs)
    found = problem.recipe.cost(output, problem.validation.targets)
    assert found.item() == pytest.approx(expected, rel=1e-5)
    assert found.item() == pytest.approx(353.44676426478793, rel=1e-6)  # as their logs begin


def test_a_model_depends_on_its_seed_alone():
    problem = digits_problem()
    torch.manual_seed(1)
    first = build_model(problem, 5)[0].weight
    state = torch.get_rng_state()
    again = build_model(problem, 5)[0].weight
    assert torch.equal(first, again)
    assert torch.equal(torch.get_rng_state(), state)
    assert not torch.equal(first, build_model(problem, 6)[0].weight)


def test_datasets_and_arrays_are_taken_like_tensors():
    recipe = digits_recipe()
    inputs, targets = recipe.train
    for data in (TensorDataset(inputs, targets), (inputs.numpy(), targets.numpy())):
        problem = load(digits_recipe(train=data))
        assert torch.equal(problem.train.inputs, inputs)
        assert torch.equal(problem.train.targets, targets)


def test_epochs_count_whole_minibatches():
    assert load(digits_recipe(steps=None, epochs=30)).steps == 30 * (1078 // 32)
    assert load(digits_recipe(), epochs=2).steps == 66
    assert load(digits_recipe(batch_size=None, steps=None, epochs=4)).steps == 4


X, Y = torch.randn(8, 64), torch.zeros(8, dtype=torch.int64)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train": (X[:0], Y[:0])}, "training data are empty"),
        ({"validation": (X[:0], Y[:0])}, "validation data are empty"),
        ({"train": (X, Y[:3])}, "8 inputs and 3 targets"),
        ({"train": (X.clone().fill_(torch.nan), Y)}, "training inputs hold 512 NaN or infinite"),
        ({"test": (X * torch.inf, Y)}, "test inputs hold 512 NaN"),
        ({"train": 7}, "training data are int; expected"),
        ({"train": (X[:, :63], Y)}, r"does not take the training inputs of shape \[8, 63\]"),
        ({"validation": (X[:, :63], Y)}, r"does not take the validation inputs of shape"),
        ({"train": (X, Y.double())}, "the cost does not take an output of shape"),
        ({"model": lambda: 3}, "model.. returned int"),
        ({"model": lambda: nn.Linear(0, "x")}, "the model cannot be built"),
        ({"model": nn.ReLU}, "no trainable parameters"),
        (
            {"cost": lambda o, t: F.cross_entropy(o, t, reduction="none")},
            r"the cost returned torch.float32 of shape \[32\]; expected one number",
        ),
        ({"cost": lambda o, t: 1.0}, "the cost returned float"),
        ({"cost": lambda o, t: F.cross_entropy(o, t) * torch.nan}, "the cost is nan before"),
        ({"cost": lambda o, t: o.detach().sum()}, "does not depend on the model"),
        ({"metric": lambda o, t: o}, "the metric returned torch.float32 of shape"),
    ],
)
def test_bad_recipes_are_refused_in_one_line(changes, message):
    with pytest.raises(RecipeError, match=message) as caught:
        check(load(replace(digits_recipe(), **changes)))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "length", [{}, {"epochs": 1, "steps": 1}, {"steps": 0}, {"epochs": -1}, {"steps": 2.5}]
)
def test_bad_lengths(length):
    with pytest.raises(SettingError):
        Recipe("r", nn.Identity, F.cross_entropy, (X, Y), (X, Y), **length)


def test_unknown_recipe_names_the_nearest():
    with pytest.raises(UnknownNameError, match="did you mean digits-mlp"):
        find("digits-mpl")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1", "defines no recipe"),
        ("def recipe(): return 5", "returned int; expected a ravine.Recipe"),
        ("def recipe(): raise OSError('disk on fire')", "OSError: disk on fire"),
        ("def recipe(:", "cannot be run: SyntaxError"),
        ("import no_such_module", "No module named 'no_such_module'"),
    ],
)
def test_bad_files(tmp_path, text, message):
    path = tmp_path / "mine.py"
    path.write_text(text)
    with pytest.raises(RecipeError, match=message):
        find(str(path))


def test_a_missing_file():
    with pytest.raises(RecipeError, match=r"no/such.py is not a file"):
        find("no/such.py")


def test_a_users_file(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text("from ravine.recipes.digits import softmax as recipe\n")
    assert find(str(path)).name == "digits-softmax"
