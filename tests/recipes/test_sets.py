"""Recipes of real data sets: their models, on made data of the same schema."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ravine.errors import SettingError
from ravine.recipes import build_model, check, find, load
from ravine.recipes.language import BagOfWords
from ravine.recipes.loading import OF_SETS
from tests.sets import write_set

PARAMETERS = {
    "mnist-softmax": 784 * 10 + 10,
    "mnist-mlp": 785 * 1000 + 1001 * 1000 + 1001 * 10,
    "mnist-mlp-l2": 785 * 1000 + 1001 * 1000 + 1001 * 10,
    "fashion-cnn": (9 + 1) * 32 + (32 * 9 + 1) * 64 + (64 * 25 + 1) * 256 + 257 * 10,
    "cifar10-mlp": 3073 * 512 + 513 * 256 + 257 * 10,
    "cifar10-cnn": (75 + 1) * 64 + (64 * 25 + 1) * (64 + 128) + (128 * 9 + 1) * 1000 + 1001 * 10,
    "imdb-bow": 10_001 * 2,
}
RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    """A folder with a little of every set."""
    folder = tmp_path_factory.mktemp("sets")

    def images(column, *shape):
        pixels = RNG.integers(0, 256, (150, *shape), dtype=np.uint8)
        return {column: pixels, "label": [i % 10 for i in range(150)]}

    reviews = {"text": [f"w{i} w{i % 7} film" for i in range(150)], "label": [0, 1] * 75}
    write_set(folder, "mnist", train=images("image", 28, 28), test=images("image", 28, 28))
    write_set(folder, "fashion_mnist", train=images("image", 28, 28), test=images("image", 28, 28))
    write_set(folder, "cifar10", train=images("img", 32, 32, 3), test=images("img", 32, 32, 3))
    write_set(folder, "imdb", train=reviews, test=reviews)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAVINE_CACHE", str(folder / "cache"))
        yield folder


@pytest.mark.parametrize("name", OF_SETS)
def test_a_recipe_of_a_data_set_hangs_together(name, sets):
    problem = load(find(name, sets))
    check(problem)
    assert problem.recipe.name == name
    assert sum(p.numel() for p in build_model(problem, 0).parameters()) == PARAMETERS[name]


def test_data_for_a_recipe_that_has_its_own_are_refused(sets):
    with pytest.raises(SettingError, match="came with the recipe digits-mlp, which brings its own"):
        find("digits-mlp", sets)


def test_a_bag_of_words_is_a_linear_layer_of_the_dense_row():
    torch.manual_seed(0)
    bag = BagOfWords(9, 3, dropout=0.5).double()
    numbers = torch.tensor([[1, 4, 9, 0], [2, 0, 0, 0], [0, 0, 0, 0]], dtype=torch.int16)
    dense = torch.zeros(3, 9, dtype=torch.float64)
    dense[0, [0, 3, 8]] = dense[1, 1] = 1
    bag.eval()
    assert torch.allclose(bag(numbers), bag.linear(dense), rtol=1e-14, atol=0)
    (ours,) = torch.autograd.grad(bag(numbers).square().sum(), [bag.linear.weight])
    (theirs,) = torch.autograd.grad(bag.linear(dense).square().sum(), [bag.linear.weight])
    assert torch.allclose(ours, theirs, rtol=1e-13, atol=1e-15)


def test_dropout_leaves_out_words_and_scales_the_others():
    bag = BagOfWords(4, 1, dropout=0.5)
    with torch.no_grad():
        bag.linear.weight.copy_(torch.tensor([[1.0, 10.0, 100.0, 1000.0]]))
        bag.linear.bias.zero_()
    torch.manual_seed(0)
    seen = {bag(torch.tensor([[1, 3]]))[0, 0].item() for _ in range(64)}
    assert seen == {0.0, 2.0, 200.0, 202.0}
