"""Greedy layer-wise pretraining against the same done by hand in plain PyTorch."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from ravine import batches, rules
from ravine.errors import RecipeError, SettingError
from ravine.recipes import Recipe
from ravine.seeds import derive
from ravine.strategies import fit_stages, layerwise
from ravine.strategies._layerwise import blocks
from tests.problems import convolutional, digits_recipe
from tests.strategies.models import LANES, assert_same_state

PRETRAINING, WHOLE = 30, 40


def deep() -> nn.Module:
    """Three hidden blocks of one width, so that temporary output layers have one shape."""
    hidden = [(nn.Linear(64 if i == 0 else 16, 16), nn.Tanh()) for i in range(3)]
    return nn.Sequential(*(layer for pair in hidden for layer in pair), nn.Linear(16, 10))


def train(recipe: Recipe, model: nn.Module, params: list, optimizer: type, steps: int) -> None:
    inputs, targets = recipe.train
    stepper = optimizer(params, lr=0.02)
    order = batches.shuffled().epoch(5, 0, len(inputs))
    order = torch.cat(
        [order[: 32 * (len(order) // 32)], batches.shuffled().epoch(5, 1, len(inputs))]
    )
    for step in range(steps):
        batch = order[step * 32 : (step + 1) * 32]
        model.zero_grad()
        F.cross_entropy(model(inputs[batch]), targets[batch]).backward()
        stepper.step()


def drawn(count: int) -> tuple[nn.Module, nn.Module]:
    """The network, and the temporary layer drawn behind it, as the seed gives them."""
    torch.manual_seed(derive(5, "init"))
    return deep().double(), nn.Linear(16, 10).double()


def by_hand(recipe: Recipe, optimizer: type, earlier: str) -> list[nn.Module]:
    """Bengio et al. 2007: each layer as the hidden layer of a network of its own, then the whole."""
    learned, bodies = drawn(0)[0], []
    for count in (1, 2, 3):
        top = drawn(count)[1]
        newest = learned[2 * count - 2 : 2 * count]
        kept = learned[: 2 * count - 2] if earlier == "trained" else nn.Sequential()
        model = nn.Sequential(*learned[: 2 * count], top)
        params = [*kept.parameters(), *newest.parameters(), *top.parameters()]
        train(recipe, model, params, optimizer, PRETRAINING)
        bodies.append({n: p.clone() for n, p in learned[: 2 * count].state_dict().items()})
    train(recipe, learned, list(learned.parameters()), optimizer, WHOLE)
    return [*bodies, learned]


@pytest.mark.parametrize("lane", LANES.values(), ids=LANES)
@pytest.mark.parametrize(
    ("earlier", "rule", "optimizer"),
    [("frozen", rules.adam, torch.optim.Adam), ("trained", rules.sgd, torch.optim.SGD)],
)
def test_stages_are_those_by_hand(lane, earlier: str, rule: Callable, optimizer: type):
    recipe = digits_recipe(deep, torch.float64, steps=WHOLE)
    stages = layerwise(recipe, steps=PRETRAINING, earlier=earlier)
    ours, _ = fit_stages(stages, rule(), 0.02, (5, 6), lane)
    *bodies, whole = by_hand(recipe, optimizer, earlier)
    for stage, body in zip(ours.stages, bodies, strict=False):
        state = stage.model.state_dict()
        assert len(state) == len(body) + 2  # the temporary layer's weight and bias
        assert all((state[name] - value).abs().max() <= 1e-10 for name, value in body.items())
    assert_same_state(whole, ours.model, 1e-10)


def test_frozen_blocks_stay_where_they_are_and_trained_ones_move():
    recipe = digits_recipe(deep, torch.float64, steps=5)
    for earlier, same in (("frozen", True), ("trained", False)):
        (member,) = fit_stages(layerwise(recipe, earlier=earlier), "sgd", 0.1, lane=LANES["serial"])
        first, second = (stage.model[0].weight for stage in member.stages[:2])
        assert torch.equal(first, second) is same


def test_a_convolutional_network_in_both_lanes():
    recipe = digits_recipe(convolutional, torch.float64, steps=5)
    stages = layerwise(recipe, steps=4)
    assert [s.name for s in stages] == ["digits-test-block-1", "digits-test-block-2", "digits-test"]
    assert [s.steps for s in stages] == [4, 4, 5]
    assert [len(s.model()) for s in stages] == [5, 7, 7]
    alone, together = (fit_stages(stages, "sgd", 0.05, (0, 1), lane) for lane in LANES.values())
    for one, other in zip(alone, together, strict=True):
        for stage, same in zip(one.stages, other.stages, strict=True):
            assert_same_state(stage.model, same.model, 1e-10)


def test_blocks_begin_at_weights():
    names = [[name for name, _ in block] for block in blocks(convolutional())]
    assert names == [["0", "1", "2", "3"], ["4", "5"], ["6"]]
    nested = nn.Sequential(
        OrderedDict(a=nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2)), b=nn.Linear(2, 1))
    )
    assert [[name for name, _ in block] for block in blocks(nested)] == [["a"], ["b"]]


def test_what_ends_the_model_ends_every_stage():
    def ended(*end: nn.Module) -> list[Recipe]:
        return layerwise(digits_recipe(lambda: nn.Sequential(nn.Linear(64, 8), nn.Tanh(), *end)))

    x = digits_recipe().validation[0]
    stages = {
        "softmax": ended(nn.Linear(8, 10), nn.LogSoftmax(1)),
        "both": ended(nn.Unflatten(1, (8, 1)), nn.Conv1d(8, 10, 1), nn.Flatten(), nn.LogSoftmax(1)),
        "none": ended(nn.Linear(8, 10), nn.Unflatten(1, (10, 1)), nn.Flatten()),
    }
    for name, (first, _) in stages.items():
        output = first.model()(x)
        assert output.shape == (len(x), 10)
        assert bool((output.logsumexp(1).abs() <= 1e-5).all()) is (name != "none")


def test_words_go_in_as_whole_numbers():
    def words() -> nn.Module:
        return nn.Sequential(nn.Embedding(5, 3), nn.Flatten(), nn.Linear(12, 2))

    pair = torch.randint(5, (8, 4)), torch.zeros(8, dtype=torch.int64)
    recipe = digits_recipe(words, train=pair, validation=pair, test=None)
    recipe = replace(recipe, train=pair, validation=pair)
    assert layerwise(recipe)[0].model()(pair[0]).shape == (8, 2)


def test_a_head_of_ones_own_for_outputs_of_any_shape():
    def maps() -> nn.Module:
        return nn.Sequential(nn.Conv2d(1, 2, 1), nn.ReLU(), nn.Conv2d(2, 3, 1))

    pair = torch.randn(8, 1, 4, 4), torch.zeros(8, 4, 4, dtype=torch.int64)
    recipe = replace(digits_recipe(maps, train=pair, validation=pair, test=None), metric=None)
    with pytest.raises(SettingError, match=r"shape \[3, 4, 4\].*give a head"):
        layerwise(recipe)[0].model()
    shapes = []

    def head(features: torch.Size, output: torch.Size) -> nn.Module:
        shapes.append((tuple(features), tuple(output)))
        return nn.Conv2d(features[0], output[0], 1)

    stages = layerwise(recipe, head=head)
    (member,) = fit_stages(stages, "sgd", lane=LANES["serial"])
    assert set(shapes) == {((2, 4, 4), (3, 4, 4))}
    assert member.model(pair[0]).shape == (8, 3, 4, 4)


def test_what_has_no_layers_to_train_in_turn_is_refused():
    recipe = digits_recipe()
    with pytest.raises(RecipeError, match=r"is Linear; .*expects an nn.Sequential"):
        layerwise(replace(recipe, model=lambda: nn.Linear(64, 10)))
    with pytest.raises(RecipeError, match="no hidden block"):
        layerwise(replace(recipe, model=lambda: nn.Sequential(nn.Linear(64, 10), nn.ReLU())))
    with pytest.raises(SettingError, match="earlier='kept'"):
        layerwise(recipe, earlier="kept")
    with pytest.raises(SettingError, match="steps"):
        layerwise(recipe, steps=0)
