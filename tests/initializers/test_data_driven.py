"""Scales measured on one minibatch."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import weight_norm

from ravine.errors import SettingError
from ravine.initializers import (
    Scaling,
    initialize,
    scale_to_activations,
    scale_to_gradients,
    value_range,
)

RANDOM = torch.Generator().manual_seed(0)
X = 3 * torch.randn(64, 10, dtype=torch.float64, generator=RANDOM) + 1
IMAGES = torch.randn(16, 2, 9, 9, dtype=torch.float64, generator=RANDOM)
LABELS = torch.randint(5, (64,), generator=RANDOM)


def chain(activation: Callable[[], nn.Module], depth: int = 6) -> nn.Sequential:
    """Layers 10 - 24 - ... - 24 - 5, orthogonal with a scale far from right."""
    widths = [10, *[24] * (depth - 1), 5]
    layers = [m for a, b in pairwise(widths) for m in (nn.Linear(a, b), activation())]
    return initialize(nn.Sequential(*layers[:-1]).double(), "orthogonal", gain=0.4)


def convolutional() -> nn.Sequential:
    layers = [nn.Conv2d(2, 6, 3, groups=2), nn.BatchNorm2d(6), nn.ReLU(inplace=True)]
    layers += [nn.Dropout(0.3), nn.ConvTranspose2d(6, 4, 3), nn.Tanh(), nn.Flatten()]
    return initialize(nn.Sequential(*layers, nn.Linear(4 * 81, 5)).double(), gain=3.0)


class Shuffled(nn.Module):
    """Layers run in another order than they stand in, one of them twice, one never."""

    def __init__(self) -> None:
        super().__init__()
        self.last, self.twice, self.unused = nn.Linear(24, 5), nn.Linear(24, 24), nn.Linear(3, 3)
        self.first = nn.Linear(10, 24)

    def forward(self, x: Tensor) -> Tensor:
        h = F.relu(self.first(x))
        return self.last(F.relu(self.twice(F.relu(self.twice(h)))))


def outputs_of(model: nn.Module, x: Tensor) -> dict[str, Tensor]:
    """Each layer's first output, by hooks, with the gradient it will get."""
    seen: dict[str, Tensor] = {}

    def hook(name):
        def keep(module, args, output):
            if name not in seen:
                output.requires_grad_() if output.is_leaf else output.retain_grad()
                seen[name] = output
                return output.clone()
            return None

        return keep

    layers = (nn.Linear, nn.Conv2d, nn.ConvTranspose2d, nn.Embedding)
    named = [(name, m) for name, m in model.named_modules() if isinstance(m, layers)]
    handles = [m.register_forward_hook(hook(name)) for name, m in named]
    seen["output"] = model(x)
    for handle in handles:
        handle.remove()
    return seen


def spread(x: Tensor) -> float:
    return float(x.detach().numpy().std())


@pytest.mark.parametrize("activation", [nn.ReLU, nn.Tanh, nn.Sigmoid, nn.GELU])
def test_activations_reach_unit_standard_deviation(activation: type[nn.Module]) -> None:
    model = chain(activation)
    before = copy.deepcopy(model)
    scaling = scale_to_activations(model, X)
    outputs = outputs_of(model, X)
    assert [row.layer for row in scaling.layers] == ["0", "2", "4", "6", "8", "10"]
    assert scaling.left == {}
    for row in scaling.layers:
        # Biases are 0: outputs are in proportion to weights, and one pass is exact.
        assert spread(outputs[row.layer]) == pytest.approx(1.0, rel=1e-12)
        layer = before.get_submodule(row.layer)
        assert torch.allclose(model.get_submodule(row.layer).weight, row.factor * layer.weight)


def test_target_and_range() -> None:
    model = chain(nn.ReLU)
    scale_to_activations(model, X, 3.0, measure=value_range)
    for name, output in outputs_of(model, X).items():
        y = output.detach().numpy()
        assert y.max() - y.min() == pytest.approx(3.0, rel=1e-12), name


def test_biases_that_spread_are_scaled_around_and_too_large_ones_are_reported() -> None:
    model = chain(nn.ReLU, depth=3)
    with torch.no_grad():
        model[0].bias.copy_(torch.linspace(-1, 1, 24))  # standard deviation 0.6
        model[2].bias.copy_(torch.linspace(-4, 4, 24))  # 2.4
    kept = model[2].weight.clone()
    scaling = scale_to_activations(model, X)
    outputs = outputs_of(model, X)
    assert spread(outputs["0"]) == pytest.approx(1.0, rel=1.1e-3)
    assert spread(outputs["4"]) == pytest.approx(1.0, rel=1.1e-3)
    assert scaling.left.keys() == {"2"}
    assert scaling.left["2"].startswith("its biases keep it at 2.")
    assert torch.equal(model[2].weight, kept)


def test_convolutions_in_training_mode() -> None:
    """Batch statistics and dropout as in training: the same random state shows the same outputs."""
    model = convolutional()
    torch.manual_seed(5)
    scale_to_activations(model, IMAGES)
    torch.manual_seed(5)
    outputs = outputs_of(model, IMAGES)
    for name in ("0", "4", "7"):
        assert spread(outputs[name]) == pytest.approx(1.0, rel=1e-12), name


def test_layers_are_taken_in_order_of_execution() -> None:
    model = initialize(Shuffled().double(), "orthogonal", gain=0.3)
    scaling = scale_to_activations(model, X)
    assert [row.layer for row in scaling.layers] == ["first", "twice", "last"]
    assert scaling.left == {"unused": "the model does not call it"}
    outputs = outputs_of(model, X)
    assert [spread(outputs[n]) for n in ("first", "twice", "last")] == pytest.approx([1, 1, 1])


def test_what_cannot_be_scaled_is_left_alone_and_named() -> None:
    tied = nn.Linear(24, 24)
    model = nn.Sequential(
        nn.Linear(10, 24), weight_norm(nn.Linear(24, 24)), tied, nn.Linear(24, 24), nn.Linear(24, 5)
    ).double()
    model[3].weight = tied.weight
    nn.init.zeros_(model[4].weight)
    scaling = scale_to_activations(model, X)
    assert [row.layer for row in scaling.layers] == ["0", "2"]
    assert scaling.left.keys() == {"1", "3", "4"}
    assert "computed" in scaling.left["1"]
    assert "that of '2'" in scaling.left["3"]
    assert torch.all(model[4].weight == 0)
    text = str(scaling).splitlines()
    assert text[0].startswith("0: ")
    assert "weight x" in text[0]
    assert text[2].startswith("1: left alone, its weight is computed")


def test_a_dead_layer_is_not_blown_up() -> None:
    """Units that are never on leave the next layer its bias, 0.1: a constant but for rounding."""
    model = chain(nn.ReLU, depth=3)
    nn.init.constant_(model[0].bias, -1e6)
    nn.init.constant_(model[2].bias, 0.1)
    kept = model[2].weight.clone()
    scaling = scale_to_activations(model, X)
    assert scaling.left == {"2": "its output is constant"}
    assert torch.equal(model[2].weight, kept)


def test_weights_are_as_they_were_after_an_error() -> None:
    model = chain(nn.ReLU, depth=3)
    before = copy.deepcopy(model.state_dict())
    nn.init.constant_(model[4].bias, float("nan"))
    with pytest.raises(SettingError, match=r"output of layer '4' measures nan"):
        scale_to_activations(model, X)
    assert all(torch.equal(model[i].weight, before[f"{i}.weight"]) for i in (0, 2, 4))


def test_embeddings_are_scaled() -> None:
    model = nn.Sequential(nn.Embedding(9, 4), nn.Flatten(), nn.Linear(12, 3)).double()
    words = torch.randint(9, (40, 3), generator=RANDOM)
    scale_to_activations(model, words)
    outputs = outputs_of(model, words)
    assert spread(outputs["0"]) == pytest.approx(1.0, rel=1e-3)
    assert scale_to_gradients(model, words, LABELS[:40] % 3, F.cross_entropy).left.keys() == {"0"}


def gradients_of(model: nn.Module, x: Tensor, y: Tensor, cost) -> dict[str, float]:
    outputs = outputs_of(model, x)
    result = outputs.pop("output")
    cost(result, y).backward()
    model.zero_grad()
    return {name: spread(output.grad) for name, output in outputs.items()}


def relu_in_place() -> nn.Module:
    return nn.ReLU(inplace=True)


@pytest.mark.parametrize("activation", [nn.ReLU, nn.Tanh, nn.GELU, relu_in_place])
def test_gradients_reach_one_standard_deviation(activation: Callable[[], nn.Module]) -> None:
    model = chain(activation)
    before = copy.deepcopy(model)
    unequal = gradients_of(model, X, LABELS, F.cross_entropy)
    assert max(unequal.values()) / min(unequal.values()) > 10
    scaling = scale_to_gradients(model, X, LABELS, F.cross_entropy, tolerance=1e-6)
    reached = gradients_of(model, X, LABELS, F.cross_entropy)
    assert [row.layer for row in scaling.layers] == list(reached)
    for row in scaling.layers:
        assert reached[row.layer] == pytest.approx(reached["10"], rel=1.1e-6)
        assert row.before == pytest.approx(unequal[row.layer], rel=1e-9)
        assert row.after == pytest.approx(reached[row.layer], rel=1e-9)
        layer = before.get_submodule(row.layer)
        assert torch.allclose(model.get_submodule(row.layer).weight, row.factor * layer.weight)
    assert torch.equal(model[0].weight, before[0].weight)


def linear_cost(output: Tensor, target: Tensor) -> Tensor:
    """Its gradient does not depend on the output."""
    return (output * target).mean()


def test_one_pass_is_exact_in_a_homogeneous_chain() -> None:
    model = chain(nn.ReLU)
    directions = torch.randn(64, 5, dtype=torch.float64, generator=RANDOM)
    scaling = scale_to_gradients(model, X, directions, linear_cost, tolerance=1e-12, attempts=1)
    reached = gradients_of(model, X, directions, linear_cost)
    assert list(reached.values()) == pytest.approx([scaling.layers[-1].before] * 6, rel=1e-12)


def test_gradients_through_convolutions_in_training_mode() -> None:
    model, labels = convolutional(), LABELS[:16]
    torch.manual_seed(5)
    scale_to_gradients(model, IMAGES, labels, F.cross_entropy, tolerance=1e-6)
    torch.manual_seed(5)
    reached = gradients_of(model, IMAGES, labels, F.cross_entropy)
    assert list(reached.values()) == pytest.approx([reached["7"]] * 3, rel=1.1e-6)


class Skips(nn.Module):
    """Residual blocks, whose gradients add up."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(10, 10) for _ in range(6))

    def forward(self, x: Tensor) -> Tensor:
        for first, second in zip(self.layers[::2], self.layers[1::2], strict=True):
            x = x + second(F.relu(first(x)))
        return x


def test_gradients_that_cannot_be_equal_are_refused_and_weights_restored() -> None:
    model = initialize(Skips().double())
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(
        SettingError, match=r"in the best of 50 passes the gradient at layer 'layers\..*residual"
    ):
        scale_to_gradients(model, X, X, F.mse_loss)
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name]), name
    poisoned = X.clone()
    poisoned[0, 0] = float("inf")
    with pytest.raises(
        SettingError, match=r"the (output of|gradient at) layer 'layers.*expected finite inputs"
    ):
        scale_to_gradients(model, poisoned, X, F.mse_loss)
    with pytest.raises(SettingError, match=r"output of layer 'layers.0' measures (nan|inf)"):
        scale_to_activations(model, poisoned)
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_the_tolerance_that_an_error_offers_is_enough() -> None:
    model = initialize(Skips().double())
    with pytest.raises(SettingError, match="--init gradient_scaled") as refused:
        scale_to_gradients(model, X, X, F.mse_loss)
    offered = float(re.search(r"tolerance=([0-9.e+-]+),", str(refused.value))[1])
    scaling = scale_to_gradients(model, X, X, F.mse_loss, tolerance=offered)
    assert 1e-3 < scaling.spread <= offered
    gradients = gradients_of(model, X, X, F.mse_loss)
    ratios = [value / gradients["layers.5"] for value in gradients.values()]
    assert max(max(r, 1 / r) for r in ratios) - 1 == pytest.approx(scaling.spread, rel=1e-9)


def test_the_spread_that_remains_of_activations() -> None:
    model = chain(nn.ReLU, depth=3)
    with torch.no_grad():
        model[0].bias.copy_(torch.linspace(-1, 1, 24))
    scaling = scale_to_activations(model, X, tolerance=0.05)
    reached = [spread(output) for output in list(outputs_of(model, X).values())[:-1]]
    assert scaling.spread == pytest.approx(max(max(r, 1 / r) for r in reached) - 1, rel=1e-9)
    assert 1e-6 < scaling.spread <= 0.05


@pytest.mark.parametrize("way", ["activations", "gradients"])
def test_frozen_layers_are_left_alone_and_named(way: str) -> None:
    model = convolutional()
    model[4].weight.requires_grad_(False)
    kept = model[4].weight.clone()
    scaling = WAYS[way](model)
    assert scaling.left == {"4": "its weight is frozen"}
    assert torch.equal(model[4].weight, kept)
    assert [row.layer for row in scaling.layers] == ["0", "7"]


def test_layers_that_no_gradient_reaches_are_left_alone() -> None:
    model = chain(nn.ReLU, depth=3)
    nn.init.zeros_(model[4].weight)
    before = copy.deepcopy(model.state_dict())
    counts = scale_to_gradients(model, X, LABELS, lambda y, t: (y.argmax(1) != t).double().mean())
    assert counts.left == dict.fromkeys(("0", "2", "4"), "no gradient reaches it")
    scaling = scale_to_gradients(model, X, LABELS, F.cross_entropy)
    assert [row.layer for row in scaling.layers] == ["4"]
    assert scaling.left == dict.fromkeys(("0", "2"), "no gradient reaches it")
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name]), name


WAYS = {
    "activations": lambda model: scale_to_activations(model, IMAGES),
    "gradients": lambda model: scale_to_gradients(model, IMAGES, LABELS[:16], F.cross_entropy),
}


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("way", WAYS)
def test_nothing_but_weights_is_changed(way: str, training: bool) -> None:
    model = convolutional().train(training)
    model[7].requires_grad_(False)
    model[0].bias.grad = torch.ones_like(model[0].bias)
    buffers = {name: (buffer, buffer.clone()) for name, buffer in model.named_buffers()}
    state = torch.get_rng_state()
    weights = [model[i].weight.clone() for i in (0, 4, 7)]
    others = [model[1].weight.clone(), *(model[i].bias.clone() for i in (0, 1, 4, 7))]
    scaling = WAYS[way](model)
    assert isinstance(scaling, Scaling)
    assert not torch.equal(model[4].weight, weights[1])
    assert torch.equal(state, torch.get_rng_state())
    for name, buffer in model.named_buffers():
        assert buffer is buffers[name][0]
        assert torch.equal(buffer, buffers[name][1]), name
    now = [model[1].weight, *(model[i].bias for i in (0, 1, 4, 7))]
    assert all(torch.equal(a, b) for a, b in zip(now, others, strict=True))
    assert all(module.training is training for module in model.modules())
    assert [p.grad is not None for p in model.parameters()] == [False, True, *[False] * 6]
    assert torch.all(model[0].bias.grad == 1)
    assert not any(module._forward_hooks for module in model.modules())
    assert [p.requires_grad for p in model.parameters()] == [True] * 6 + [False] * 2


def test_impossible_settings_are_refused() -> None:
    with pytest.raises(SettingError, match=r"target=0; expected a number above 0"):
        scale_to_activations(chain(nn.ReLU), X, 0)
    with pytest.raises(SettingError, match="tolerance=-1"):
        scale_to_gradients(chain(nn.ReLU), X, LABELS, F.cross_entropy, tolerance=-1)
