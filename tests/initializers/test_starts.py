"""Starting points by name."""

from __future__ import annotations

import copy
import re

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import weight_norm

from ravine.errors import SettingError, UnknownNameError
from ravine.initializers import (
    NAMES,
    STARTS,
    Start,
    initialize,
    random_normal,
    scale_to_activations,
    scale_to_gradients,
    start,
    zeros,
)
from ravine.initializers._data_driven import nearest_to_equal

RANDOM = torch.Generator().manual_seed(0)
X = torch.randn(40, 6, generator=RANDOM)
LABELS = torch.tensor([0] * 8 + [1] * 20 + [2] * 12)


def built() -> nn.Sequential:
    torch.manual_seed(3)
    return nn.Sequential(nn.Linear(6, 8), nn.Dropout(0.5), nn.ReLU(), nn.Linear(8, 3))


def started(what, seed: int = 7, model: nn.Module | None = None) -> list[torch.Tensor]:
    model = built() if model is None else model
    start(what)(model, seed, X, LABELS, F.cross_entropy)
    return [value.clone() for value in model.state_dict().values()]


def same(first: list[torch.Tensor], second: list[torch.Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_names() -> None:
    others = {"as_built", "lsuv", "gradient_scaled", "output_bias", "open_gates"}
    assert STARTS.keys() == {*NAMES} | others
    assert all(STARTS[name].name == name == start(name).name for name in STARTS)


@pytest.mark.parametrize("name", NAMES)
def test_a_name_draws_weights_and_leaves_biases_zero(name: str) -> None:
    expected = initialize(built(), name, "zeros", seed=7).state_dict()
    assert same(started(name), list(expected.values()))


def test_as_built_changes_nothing() -> None:
    assert same(started("as_built"), list(built().state_dict().values()))


def test_lsuv_and_gradient_scaled_start_from_orthogonal_weights() -> None:
    """Without dropout: there nothing is random but the weights."""
    model = initialize(built().eval(), "orthogonal", seed=7)
    scale_to_activations(model, X)
    assert same(started("lsuv", model=built().eval()), list(model.state_dict().values()))
    model = initialize(built().eval(), "orthogonal", seed=7)
    scale_to_gradients(model, X, LABELS, F.cross_entropy)
    values = list(model.state_dict().values())
    assert same(started("gradient_scaled", model=built().eval()), values)


def test_the_seed_decides_dropout_and_what_functions_draw() -> None:
    for what in ("lsuv", "gradient_scaled", noisy):
        model, other = built(), built()
        torch.manual_seed(1)
        first = started(what, model=model)
        torch.manual_seed(2)
        assert same(first, started(what, model=other))
        assert not same(first, started(what, seed=8))


def noisy(model: nn.Module, seed: int) -> None:
    nn.init.normal_(model[0].weight)


def test_initializers_functions_and_starts_are_taken() -> None:
    drawn = initialize(built(), random_normal(stddev=0.3), seed=7).state_dict().values()
    assert same(started(random_normal(stddev=0.3)), list(drawn))
    assert start(random_normal(stddev=0.3)).name == "random_normal(mean=0.0, stddev=0.3)"

    def all_equal(model: nn.Module, seed: int) -> None:
        torch.rand(1)
        for param in model.parameters():
            nn.init.constant_(param, seed)

    assert all(torch.all(value == 7) for value in started(all_equal))
    assert start(all_equal).name == "all_equal"
    own = Start("own", lambda model, seed, x, y, cost: all_equal(model, seed))
    assert start(own) is own


def test_the_random_state_stays() -> None:
    model = built()
    for what in (noisy, "lsuv", "gradient_scaled", "he_normal+output_bias"):
        before = torch.get_rng_state()
        started(what, model=model)
        assert torch.equal(before, torch.get_rng_state()), what
        assert all(param.grad is None for param in model.parameters())


def test_what_a_function_writes_into_buffers_stays() -> None:
    model = nn.BatchNorm1d(6)
    start(lambda model, seed: model.running_mean.fill_(4.0))(model, 0, X, LABELS, F.cross_entropy)
    assert torch.all(model.running_mean == 4.0)


def test_names_in_a_row() -> None:
    """Smoothed by one example a class: 9, 21 and 13 of 43."""
    model = built()
    values = started("he_normal+output_bias", model=model)
    expected = initialize(built(), "he_normal", seed=7)
    assert same(values[:-1], list(expected.state_dict().values())[:-1])
    frequencies = torch.tensor([9.0, 21.0, 13.0]) / 43
    assert torch.allclose(model[3].bias, frequencies.log(), rtol=1e-6)
    assert start("he_normal+output_bias").name == "he_normal+output_bias"


@pytest.mark.parametrize(
    ("cost", "targets", "expected"),
    [
        (F.mse_loss, (LABELS == 0).float()[:, None], 0.2),
        (F.mse_loss, LABELS.float()[:, None] - 5, -3.9),
        (
            F.binary_cross_entropy_with_logits,
            (LABELS == 0).float()[:, None],
            torch.tensor(9 / 33).log().item(),
        ),
        (lambda y, t: F.l1_loss(y[:, 0], t), 10 * LABELS.float() + 1, 12.0),
    ],
    ids=["squared error of 0 and 1", "squared error", "cross-entropy of bits", "of one axis"],
)
def test_the_cost_says_what_the_output_bias_stands_for(cost, targets, expected: float) -> None:
    model = initialize(nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 1)), seed=2)
    weights = [copy.deepcopy(model[i].weight) for i in (0, 2)]
    start("output_bias")(model, 0, X, targets, cost)
    assert model[2].bias.item() == pytest.approx(expected, rel=1e-5)
    assert all(torch.equal(model[i].weight, w) for i, w in zip((0, 2), weights, strict=True))


def test_the_output_bias_is_found_without_a_trace_in_buffers() -> None:
    model = nn.Sequential(nn.Linear(6, 4), nn.BatchNorm1d(4), nn.Linear(4, 3))
    start("output_bias")(model, 0, X, LABELS, F.cross_entropy)
    assert torch.all(model[1].running_mean == 0)
    assert model[1].num_batches_tracked == 0


def test_open_gates() -> None:
    model = nn.LSTM(3, 2)
    start("orthogonal+open_gates")(model, 0, X, LABELS, F.cross_entropy)
    assert torch.equal(
        model.bias_ih_l0 + model.bias_hh_l0, torch.tensor([0.0, 0, 1, 1, 0, 0, 0, 0])
    )


def test_what_is_no_start_is_refused() -> None:
    with pytest.raises(UnknownNameError, match=r"unknown initializer 'lsvu'.*lsuv"):
        start("he_normal+lsvu")
    for bad in (3, None, nn.ReLU()):
        with pytest.raises(SettingError, match="expected a name, an initializer or a function"):
            start(bad)
    for partial in ("he_normal+", "", "+output_bias", "he_normal++output_bias"):
        with pytest.raises(
            SettingError, match=rf"--init {re.escape(repr(partial))} has an empty part"
        ):
            start(partial)
    with pytest.raises(
        SettingError, match="--init output_bias: the classes are 5 to 7; expected 0"
    ):
        start("output_bias")(built(), 0, X, LABELS + 5, F.cross_entropy)


def test_what_was_typed_is_in_the_error() -> None:
    with pytest.raises(
        SettingError, match=r"^--init open_gates: Sequential has no LSTM.*lists other"
    ):
        start("he_normal+open_gates")(built(), 0, X, LABELS, F.cross_entropy)
    broken = X.clone()
    broken[0, 0] = float("nan")
    for name in ("lsuv", "gradient_scaled"):
        with pytest.raises(SettingError, match=rf"^--init {name}: the .* layer '0' measures nan"):
            start(name)(built(), 0, broken, LABELS, F.cross_entropy)


@pytest.mark.parametrize("name", [n for n in STARTS if n not in ("as_built", "open_gates")])
def test_frozen_parameters_stay(name: str) -> None:
    """A pretrained backbone, and a head that is trained."""
    model = built()
    model[0].requires_grad_(False)
    before = copy.deepcopy(model.state_dict())
    start(name)(model, 7, X, LABELS, F.cross_entropy)
    for key in ("0.weight", "0.bias"):
        assert torch.equal(model.state_dict()[key], before[key]), key
    changed = "3.bias" if name == "output_bias" else "3.weight"
    assert not torch.equal(model.state_dict()[changed], before[changed])


def test_frozen_biases_stay() -> None:
    lstm = nn.LSTM(3, 2, num_layers=2)
    lstm.bias_ih_l0.requires_grad_(False)
    kept = lstm.bias_ih_l0.clone()
    start("open_gates")(lstm, 0, X, LABELS, F.cross_entropy)
    assert torch.equal(lstm.bias_ih_l0, kept)
    assert lstm.bias_ih_l1[2:4].tolist() == [1, 1]
    lstm.requires_grad_(False)
    with pytest.raises(
        SettingError, match="--init open_gates: LSTM has no LSTM or LSTMCell with bias"
    ):
        start("open_gates")(lstm, 0, X, LABELS, F.cross_entropy)
    model = built().requires_grad_(False)
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(SettingError, match=r"--init output_bias: the bias .* '3' is frozen"):
        start("output_bias")(model, 0, X, LABELS, F.cross_entropy)
    assert same(list(model.state_dict().values()), list(before.values()))


class Own(nn.Module):
    """A layer that no rule knows."""

    def __init__(self) -> None:
        super().__init__()
        self.matrix, self.norm = nn.Parameter(torch.ones(6, 3)), nn.BatchNorm1d(6)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.norm(x) @ self.matrix


@pytest.mark.parametrize("name", [*NAMES, "lsuv", "gradient_scaled"])
def test_a_model_without_weights_to_draw_is_refused(name: str) -> None:
    for model, left in ((Own(), "matrix"), (built().requires_grad_(False), "0.weight, 0.bias")):
        message = (
            rf"--init {name}: .* draws no weight of .*Linear, .*plan\(model\)\.left .*: {left}"
        )
        with pytest.raises(SettingError, match=message):
            start(name)(model, 0, X, LABELS, F.cross_entropy)
    with pytest.raises(SettingError, match=r"zeros\(\) draws no weight of Own"):
        start(zeros())(Own(), 0, X, LABELS, F.cross_entropy)


def test_weight_norm_is_drawn_through() -> None:
    model = nn.Sequential(weight_norm(nn.Linear(6, 8)), nn.ReLU(), weight_norm(nn.Linear(8, 3)))
    started("glorot_uniform", model=model)
    plain = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))
    initialize(plain, "glorot_uniform", seed=7)
    for layer in (0, 2):
        assert torch.allclose(model[layer].weight, plain[layer].weight, rtol=1e-6)
    message = r"--init lsuv: no layer can be scaled \(0: its weight is computed"
    with pytest.raises(SettingError, match=message):
        started("lsuv", model=model)


class Residual(nn.Module):
    """Blocks whose gradients add up, whatever the weights."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(6, 6) for _ in range(6))
        self.head = nn.Linear(6, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for first, second in zip(self.layers[::2], self.layers[1::2], strict=True):
            x = x + second(F.relu(first(x)))
        return self.head(x)


def uneven(model: nn.Module) -> float:
    """The largest ratio of the gradients at a layer's output and at the last one's, or its inverse."""
    outputs = []
    layers = [module for module in model.modules() if isinstance(module, nn.Linear)]
    handles = [m.register_forward_hook(lambda m, args, out: outputs.append(out)) for m in layers]
    grads = torch.autograd.grad(F.cross_entropy(model(X), LABELS), outputs)
    for handle in handles:
        handle.remove()
    ratios = [float(grad.std(correction=0) / grads[-1].std(correction=0)) for grad in grads]
    return max(max(ratio, 1 / ratio) for ratio in ratios)


@pytest.mark.parametrize("seed", range(10))
def test_residual_models_start_from_the_best_pass(seed: int) -> None:
    model = Residual()
    initialize(model, "orthogonal", seed=seed)
    before = uneven(model)
    with pytest.raises(SettingError, match="in the best of 50 passes"):
        scale_to_gradients(model, X, LABELS, F.cross_entropy)
    assert uneven(model) == before
    start("gradient_scaled")(model, seed, X, LABELS, F.cross_entropy)
    after = uneven(model)
    assert 1 + 1e-3 < after <= before
    for attempts in (1, 2, 5, 20, 50):  # no pass is better
        other = initialize(Residual(), "orthogonal", seed=seed)
        found = nearest_to_equal(other, X, LABELS, F.cross_entropy, attempts=attempts)
        assert found.spread == pytest.approx(uneven(other) - 1, rel=1e-3)
        assert found.spread >= after - 1 - 1e-4


@pytest.mark.parametrize("name", ["lsuv", "gradient_scaled", "output_bias"])
def test_thousands_of_examples(name: str) -> None:
    """No pass takes more than 128 of them; they come from all classes, which lie one after another."""
    generator = torch.Generator().manual_seed(1)
    labels = torch.arange(3).repeat_interleave(torch.tensor([1000, 3000, 96]))
    inputs = torch.randn(4096, 6, generator=generator) + 4 * labels[:, None]
    model, seen = built().eval(), []
    model.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    start(name)(model, 0, inputs, labels, F.cross_entropy)
    assert {len(batch) for batch in seen} == {128}
    assert torch.equal(seen[0], inputs[::32])
    if name == "lsuv":  # 128 examples of 3 and 8 outputs measure a deviation to about 5%
        assert float(model(inputs).detach().std()) == pytest.approx(1, rel=0.1)
    if name == "output_bias":
        frequencies = torch.tensor([1001.0, 3001.0, 97.0]) / 4099
        assert torch.allclose(model[3].bias, frequencies.log(), rtol=1e-5)
