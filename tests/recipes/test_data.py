"""Splits: what is taken into memory, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

from ravine.errors import RecipeError
from ravine.recipes import check, load
from ravine.recipes.data import load_split
from tests.problems import digits_recipe

X, Y = torch.randn(8, 3), torch.arange(8) % 3


class Items(Dataset):
    """A dataset of given items; an exception among them is raised."""

    def __init__(self, *items):
        self.items = items

    def __len__(self):
        return len(self.items)

    def __getitem__(self, index):
        if isinstance(self.items[index], Exception):
            raise self.items[index]
        return self.items[index]


class Stream(IterableDataset):
    def __iter__(self):
        return iter(zip(X, Y, strict=True))


REFUSED = {
    "dict": ({"x": X, "y": Y}, "training data are dict; expected .inputs, targets. tensors or"),
    "one tensor": (torch.randn(2, 8), "training data are Tensor; expected"),
    "None": (None, "training data are NoneType; expected"),
    "triple": ((X, Y, Y), "training data are tuple of 3; expected"),
    "loader": (DataLoader(TensorDataset(X, Y)), "DataLoader; .*give the loader's .dataset"),
    "dict inputs": (({"x": X}, Y), "training inputs are dict; expected one tensor"),
    "dict targets": ((X, {"y": Y}), "training targets are dict; expected one tensor"),
    "ragged": (([[1.0, 2.0], [3.0]], [0, 1]), "training inputs are list; expected one tensor"),
    "words": ((X, ["a"] * 8), "training targets are list; expected one tensor"),
    "0-D": ((torch.tensor(1.0), torch.tensor(1)), "inputs are a single number .0-D.; expected"),
    "0-D targets": ((X, 3), "training targets are a single number"),
    "lengths": ((X, Y[:3]), "8 inputs and 3 targets; expected as many"),
    "bfloat16": ((X.bfloat16(), Y), r"inputs are torch.bfloat16; .* type \.float\(\)"),
    "sparse": ((X.to_sparse(), Y), r"inputs are a sparse or nested tensor; .*\.to_dense\(\)"),
    "complex NaN": ((X * complex(0, torch.nan), Y), "inputs hold 24 NaN or infinite values of 24"),
    "no items": (Items(), "training data are empty"),
    "items fail": (Items(KeyError("x")), "training data: Items cannot be read: KeyError: 'x'"),
    "long failure": (Items(OSError("one\ntwo")), "Items cannot be read: OSError: one; expected"),
    "stream": (Stream(), "training data: Stream cannot be read: .*map-style"),
    "item dicts": (Items({"x": X[0]}), "has items of type dict; expected .input, target. pairs"),
    "inputs alone": (Items(X[0], X[1]), "has items of type Tensor; expected"),
    "items of many sizes": (Items((X[0], 0), (X[1, :2], 1)), "items of Items cannot be stacked"),
    "items of dicts": (Items(({"a": X[0]}, 0)), "training inputs are dict; expected one tensor"),
    "items of objects": (Items((object(), 0)), "cannot be stacked: TypeError: default_collate"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_unusable_data_are_refused_in_one_line(case):
    data, message = REFUSED[case]
    with pytest.raises(RecipeError, match=message) as caught:
        load_split(data, "training")
    assert "\n" not in str(caught.value)


def test_ctrl_c_while_reading_passes():
    class Slow(Items):
        def __getitem__(self, index):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        load_split(Slow(1), "training")


@pytest.mark.parametrize(
    "data",
    [
        (X, Y),
        [X, Y],
        (X.numpy(), Y.numpy()),
        (X.tolist(), Y.tolist()),
        TensorDataset(X, Y),
        Items(*zip(X, Y.tolist(), strict=True)),
    ],
)
def test_pairs_of_all_kinds_are_taken(data):
    split = load_split(data, "training")
    assert torch.equal(split.inputs, X)
    assert torch.equal(split.targets, Y)


def test_data_come_without_the_graph_they_were_computed_with():
    split = load_split((X.clone().requires_grad_() * 2, Y), "training")
    assert not split.inputs.requires_grad


@pytest.mark.parametrize("kind", [torch.uint8, torch.int64, torch.bool, torch.float16])
def test_types_that_numpy_knows_are_taken(kind):
    assert load_split((X.to(kind), Y), "training").inputs.dtype == kind


def test_integer_inputs_train_an_embedding():
    words = torch.tensor(np.arange(120).reshape(40, 3) % 7)
    data = TensorDataset(words, words[:, 0] % 2)

    def model(size=7):
        return nn.Sequential(nn.Embedding(size, 4), nn.Flatten(), nn.Linear(12, 2))

    recipe = {"train": data, "validation": data, "test": None}
    check(load(digits_recipe(model, **recipe)))
    with pytest.raises(RecipeError, match=r"int64, 0 to 6\): IndexError: index out of range"):
        check(load(digits_recipe(lambda: model(6), **recipe)))
