"""Biases known before training, against what the model then puts out."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from ravine.errors import SettingError
from ravine.initializers import initialize, open_gates, output_bias


def silent(*head: nn.Module) -> nn.Sequential:
    """A model whose output layer has weights of 0, so that its bias is what comes out."""
    model = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), *head).double()
    return initialize(model, layers={"2.weight": "zeros"})


INPUTS = torch.randn(12, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
CLASSES = torch.tensor([0, 0, 0, 1, 1, 1, 1, 1, 1, 2, 2, 2])
FREQUENCIES = torch.tensor([3.0, 6.0, 3.0]).double() / 12


def test_classes_come_out_as_often_as_they_occur() -> None:
    model = output_bias(silent(nn.Linear(6, 3)), CLASSES, smoothing=0)
    assert torch.allclose(model(INPUTS).softmax(1), FREQUENCIES.expand(12, 3), rtol=1e-12)
    entropy = -(FREQUENCIES * FREQUENCIES.log()).sum()
    assert F.cross_entropy(model(INPUTS), CLASSES).item() == pytest.approx(
        entropy.item(), rel=1e-12
    )
    ignored = torch.cat([CLASSES, torch.full((5,), -100)])
    before = model[2].bias.clone()
    assert torch.equal(output_bias(model, ignored, smoothing=0)[2].bias, before)
    soft = F.one_hot(CLASSES, 3).double()
    output_bias(model, soft, link="softmax", smoothing=0)
    assert torch.allclose(model[2].bias, before, rtol=1e-12)


def test_classes_that_never_occur_are_smoothed() -> None:
    model = output_bias(silent(nn.Linear(6, 4)), CLASSES)
    expected = torch.tensor([4.0, 7.0, 4.0, 1.0]).double() / 16
    assert torch.allclose(model(INPUTS).softmax(1)[0], expected, rtol=1e-12)
    with pytest.raises(SettingError, match="smoothing above 0"):
        output_bias(model, CLASSES, smoothing=0)


def test_the_activation_may_be_the_models_last_module() -> None:
    model = output_bias(silent(nn.Linear(6, 3), nn.LogSoftmax(1)), CLASSES, smoothing=0)
    assert torch.allclose(model(INPUTS).exp()[0], FREQUENCIES, rtol=1e-12)


def test_a_probability_comes_out_as_often_as_it_is() -> None:
    labels = torch.tensor([1.0] * 3 + [0.0] * 9).double()
    model = output_bias(silent(nn.Linear(6, 1)), labels, smoothing=0)
    assert torch.allclose(model(INPUTS).sigmoid(), torch.tensor(0.25).double(), rtol=1e-12)
    assert model[2].bias.item() == pytest.approx(math.log(3 / 9), rel=1e-12)
    for same in (labels.bool(), labels.long(), labels[:, None]):
        assert output_bias(model, same)[2].bias.item() == pytest.approx(math.log(4 / 10), rel=1e-12)
    several = torch.stack([labels, 1 - labels], 1)
    model = output_bias(silent(nn.Linear(6, 2)), several, smoothing=0)
    assert torch.allclose(model(INPUTS).sigmoid()[0], torch.tensor([0.25, 0.75]).double())


def test_numbers_come_out_as_their_mean() -> None:
    targets = torch.randn(12, 2, dtype=torch.float64) * 3 + 5
    model = output_bias(silent(nn.Linear(6, 2)), targets)
    assert torch.allclose(model(INPUTS), targets.mean(0).expand(12, 2), rtol=1e-12)
    cost = F.mse_loss(model(INPUTS), targets).item()
    assert cost == pytest.approx(targets.var(0, correction=0).mean().item(), rel=1e-12)


def test_maps_are_counted_point_by_point() -> None:
    model = nn.Sequential(nn.Conv2d(1, 4, 1), nn.ReLU(), nn.Conv2d(4, 3, 1)).double()
    initialize(model, layers={"2.weight": "zeros"})
    labels = CLASSES.reshape(1, 3, 4)
    output_bias(model, labels, smoothing=0)
    probabilities = model(torch.randn(1, 1, 3, 4).double()).softmax(1)
    assert torch.allclose(probabilities[0, :, 1, 2], FREQUENCIES, rtol=1e-12)
    images = torch.randn(5, 3, 3, 4, dtype=torch.float64)
    output_bias(model, images)
    out = model(torch.randn(1, 1, 3, 4).double())
    assert torch.allclose(out.mean((0, 2, 3)), images.mean((0, 2, 3)), rtol=1e-12)


def test_a_layer_may_be_named() -> None:
    model = nn.ModuleDict({"head": nn.Linear(6, 3), "decoder": nn.Linear(3, 8)})
    with pytest.raises(SettingError, match="'decoder' has 8 outputs; another layer"):
        output_bias(model, torch.randn(5, 3))
    before = model["decoder"].bias.clone()
    output_bias(model, CLASSES, layer="head", smoothing=0)
    assert torch.allclose(model["head"].bias.double().softmax(0), FREQUENCIES, rtol=1e-6)
    assert torch.equal(before, model["decoder"].bias)


def test_what_does_not_fit_is_refused() -> None:
    model = silent(nn.Linear(6, 3))
    before = model[2].bias.clone()
    for targets, settings, message in (
        (CLASSES + 1, {}, r"the classes are 1 to 3; expected 0 to 2.*'2' has 3 outputs"),
        (CLASSES - 1, {}, r"the classes are -1 to 1"),
        (torch.randn(12, 2), {}, r"the targets are \[12, 2\]; expected \[examples, 3, ...\]"),
        (torch.full((4, 3), math.nan), {}, "the targets hold NaN"),
        (CLASSES, {"link": "probit"}, "link='probit'; expected softmax, sigmoid, identity or None"),
        (CLASSES, {"smoothing": -1}, "smoothing=-1; expected a number from 0 on"),
        (CLASSES, {"layer": "head"}, "called 'head'; there are: 0, 2"),
        (CLASSES[:0], {}, "the classes are none"),
    ):
        with pytest.raises(SettingError, match=message):
            output_bias(model, targets, **settings)
    assert torch.equal(before, model[2].bias)
    with pytest.raises(SettingError, match="no Linear or convolution with a bias; there are: none"):
        output_bias(nn.Linear(3, 2, bias=False), CLASSES)


@pytest.mark.parametrize("value", [1.0, -0.5])
def test_gates_forget_as_their_bias_says(value: float) -> None:
    """All else 0: the cell's candidate is tanh(0) = 0, so c' = σ(value) c."""
    cell = open_gates(initialize(nn.LSTMCell(3, 4).double(), "zeros"), value)
    c = torch.randn(2, 4, dtype=torch.float64)
    x = torch.randn(2, 3, dtype=torch.float64)
    after = cell(x, (torch.zeros_like(c), c))[1]
    kept = 1 / (1 + math.exp(-value))
    assert torch.allclose(after, kept * c, rtol=1e-12)

    lstm = nn.LSTM(3, 4, num_layers=2, bidirectional=True, proj_size=2).double()
    open_gates(initialize(lstm, "zeros"), value)
    c = torch.randn(4, 2, 4, dtype=torch.float64)
    after = lstm(x.expand(5, 2, 3), (torch.zeros(4, 2, 2).double(), c))[1][1]
    assert torch.allclose(after, kept**5 * c, rtol=1e-12)


def test_gates_opened_on_torchs_own_start_touch_nothing_else() -> None:
    lstm = nn.LSTM(3, 4)
    before = {name: param.clone() for name, param in lstm.named_parameters()}
    open_gates(lstm)
    total = lstm.bias_ih_l0 + lstm.bias_hh_l0
    assert torch.all(total[4:8] == 1.0)
    for name, param in lstm.named_parameters():
        others = torch.ones(len(param), dtype=torch.bool)
        if name.startswith("bias"):
            others[4:8] = False
        assert torch.equal(param[others], before[name][others]), name


def test_gates_of_a_model_without_any_are_refused() -> None:
    with pytest.raises(SettingError, match="GRU has no LSTM or LSTMCell with biases"):
        open_gates(nn.GRU(3, 4))
    with pytest.raises(SettingError, match="has no LSTM"):
        open_gates(nn.Sequential(nn.LSTM(3, 4, bias=False)))
    with pytest.raises(SettingError, match="value=inf"):
        open_gates(nn.LSTM(3, 4), math.inf)
