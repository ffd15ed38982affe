"""Initializers on whole models."""

from __future__ import annotations

import copy
import math
import warnings

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations
from torch.nn.utils.parametrizations import spectral_norm, weight_norm
from torch.nn.utils.parametrize import register_parametrization

from ravine.errors import ParameterError, SettingError, UnknownNameError
from ravine.initializers import (
    BeforeReLU,
    constant,
    get,
    initialize,
    lecun_normal,
    orthogonal,
    plan,
    random_normal,
)
from ravine.seeds import generator


class Everything(nn.Module):
    """A layer of each kind, and two parameters that no rule reaches."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(20, 12, padding_idx=3)
        self.linear = nn.Linear(12, 12)
        self.norm = nn.LayerNorm(12)
        self.batch_norm = nn.BatchNorm1d(12)
        self.conv = nn.Conv1d(12, 12, 3, groups=3)
        self.up = nn.ConvTranspose1d(12, 6, 4, stride=2, groups=2)
        self.attention = nn.MultiheadAttention(12, 3)
        self.lstm = nn.LSTM(12, 5, bidirectional=True)
        self.gru = nn.GRUCell(12, 7)
        self.bilinear = nn.Bilinear(3, 4, 5)
        self.slope = nn.PReLU()
        self.own = nn.Parameter(torch.full((2, 2), 7.0))


def filled() -> Everything:
    """All parameters 7, so that one sees what was drawn."""
    model = Everything()
    for param in model.parameters():
        nn.init.constant_(param, 7.0)
    return model


def test_every_layer_is_drawn_and_the_others_are_left() -> None:
    model = initialize(filled(), "he_normal", "zeros", seed=1)
    assert plan(model).left == ("own", "slope.weight")
    for name, param in model.named_parameters():
        if name in ("own", "slope.weight"):
            assert torch.all(param == 7.0), name
        elif "norm" in name:
            assert torch.all(param == (1.0 if name.endswith("weight") else 0.0)), name
        elif "bias" in name:
            assert torch.all(param == 0.0), name
        elif name == "embedding.weight":
            assert torch.all(param[3] == 0.0)
            assert torch.all(param[4:] != 7.0)
        else:
            assert torch.unique(param.detach()).numel() == param.numel(), name


def test_normalization_keeps_scale_1_and_shift_0() -> None:
    layers = nn.Sequential(
        nn.BatchNorm2d(4),
        nn.InstanceNorm1d(4, affine=True),
        nn.GroupNorm(2, 4),
        nn.LayerNorm(4),
        nn.RMSNorm(4),
    )
    for param in layers.parameters():
        nn.init.constant_(param, 7.0)
    initialize(layers, "he_normal", constant(0.3))
    for name, param in layers.named_parameters():
        assert torch.all(param == (1.0 if name.endswith("weight") else 0.0)), name


def test_draws_depend_on_seed_and_name_alone() -> None:
    small = nn.Sequential(nn.Linear(4, 5))
    large = nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 3))
    first = initialize(small, seed=2)[0].weight
    assert torch.equal(first, initialize(large, seed=2)[0].weight)
    assert not torch.equal(first, initialize(copy.deepcopy(small), seed=3)[0].weight)
    expected = get("he_normal")((5, 4), generator(2, "initialize", "0.weight"))
    assert torch.equal(first, expected)


def test_dtypes_stay_and_numbers_agree() -> None:
    def draw(dtype):
        return initialize(Everything().to(dtype), "glorot_uniform", "uniform_fan_in")

    exact = draw(torch.float64)
    for dtype in (torch.float32, torch.bfloat16):
        for mine, theirs in zip(draw(dtype).parameters(), exact.parameters(), strict=True):
            assert mine.dtype == dtype
            assert mine.requires_grad
            assert torch.equal(mine, theirs.to(dtype))


def blocks(model: Everything) -> dict[str, torch.Tensor]:
    """The matrices [out, in] that are stacked in each parameter: [blocks, out, in]."""
    up = model.up.weight.unflatten(0, (2, 6))  # [group, in, out, k]
    return {
        "attention": model.attention.in_proj_weight.unflatten(0, (3, 12)),
        "lstm input": model.lstm.weight_ih_l0.unflatten(0, (4, 5)),
        "lstm hidden": model.lstm.weight_hh_l0_reverse.unflatten(0, (4, 5)),
        "gru": model.gru.weight_hh.unflatten(0, (3, 7)),
        "groups": model.conv.weight.unflatten(0, (3, 4)).flatten(2),
        "transposed groups": up.transpose(1, 2).flatten(2),
        "linear": model.linear.weight[None],
    }


def test_stacked_matrices_are_orthogonal_each() -> None:
    for name, stack in blocks(initialize(Everything().double(), "orthogonal")).items():
        for block in stack:
            wide = block if block.shape[0] <= block.shape[1] else block.T
            unit = torch.eye(len(wide), dtype=torch.float64)
            assert (wide @ wide.T - unit).abs().max() < 1e-12, name
        assert len({float(block[0, 0].detach()) for block in stack}) == len(stack), name


def test_stacked_matrices_have_the_variance_of_one() -> None:
    """glorot of the whole [3E, E] would give 2/(4E) in place of 2/(2E). 3·160² draws: 0.5%."""
    layer = initialize(nn.MultiheadAttention(160, 4), "glorot_normal")
    for block in layer.in_proj_weight.detach().chunk(3):
        assert block.var().item() == pytest.approx(1 / 160, rel=0.05)


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (nn.Linear(6, 6), (2, 6)),
        (nn.Conv2d(6, 6, 3, padding=1, groups=2), (2, 6, 5, 5)),
        (nn.ConvTranspose2d(6, 6, 3, padding=1, groups=3), (2, 6, 5, 5)),
        (nn.Conv1d(6, 6, 5, padding=2, groups=6), (2, 6, 9)),
    ],
    ids=str,
)
def test_identity_layers_pass_their_input_on(layer: nn.Module, shape: tuple[int, ...]) -> None:
    x = torch.randn(shape)
    assert torch.equal(initialize(layer, "identity")(x), x)


def test_patterns_go_first_and_the_first_match_holds() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4), nn.BatchNorm1d(4), nn.PReLU())
    patterns = {"1.weight": "identity", "1.*": constant(2.0), "2.bias": "ones", "3.*": "zeros"}
    initialize(model, "glorot_normal", layers=patterns, gain=3.0)
    assert torch.equal(model[1].weight, torch.eye(4))
    assert torch.all(model[1].bias == 2.0)
    assert torch.all(model[2].bias == 1.0)
    assert torch.all(model[2].weight == 1.0)
    assert torch.all(model[3].weight == 0.0)
    drawn = get("glorot_normal")(
        (4, 4), generator(0, "initialize", "0.weight"), dtype=torch.float64
    )
    assert torch.allclose(model[0].weight.double(), 3 * drawn, rtol=1e-6, atol=0)


def test_biases_have_the_fans_of_their_weight() -> None:
    """torch's own start of Linear: both within 1/√fan_in. 4000 draws reach 0.99 of it."""
    layer = initialize(nn.Linear(25, 4000), "uniform_fan_in", "uniform_fan_in")
    for param in (layer.weight, layer.bias):
        assert 0.99 * 0.2 < param.abs().max().item() <= 0.2


def test_tied_weights_are_drawn_once_under_their_first_name() -> None:
    model = nn.Sequential(nn.Embedding(9, 4), nn.Linear(4, 9, bias=False))
    model[1].weight = model[0].weight
    initialize(model, lecun_normal())
    drawn = lecun_normal()((9, 4), generator(0, "initialize", "0.weight")) * 2  # fan_in 1, not 4
    assert torch.allclose(model[1].weight, drawn, rtol=1e-6)
    initialize(model, layers={"1.weight": "zeros"})
    assert torch.all(model[0].weight == 0)


def gains(model: nn.Module, weights, gain) -> dict[str, float]:
    chosen = plan(model, weights, gain=gain).assignments
    return {
        assignment.parameter: assignment.gain
        for assignment in chosen
        if "weight" in assignment.parameter
    }


def test_the_gain_of_the_activation_that_follows() -> None:
    def build():
        return nn.Sequential(
            nn.Linear(5, 5), nn.ReLU(), nn.Linear(5, 5), nn.Tanh(), nn.Linear(5, 5)
        ).double()

    expected = {"0.weight": math.sqrt(2), "2.weight": 5 / 3, "4.weight": 1.0}
    for name in ("glorot_normal", "lecun_uniform", "orthogonal", "uniform_fan_in"):
        assert gains(build(), name, "auto") == pytest.approx(expected, rel=1e-12)
        plain, scaled = initialize(build(), name), initialize(build(), name, gain="auto")
        for param, factor in expected.items():
            ratio = scaled.get_parameter(param) / plain.get_parameter(param)
            assert torch.allclose(ratio, torch.tensor(factor).double(), rtol=1e-6), param
        assert torch.all(scaled[0].bias == 0)
    for other in ("he_normal", "he_uniform", random_normal(), "zeros"):
        assert set(gains(build(), other, "auto").values()) == {1.0}
    assert set(gains(build(), "he_normal", 0.5).values()) == {0.5}


def test_biases_before_a_relu() -> None:
    model = nn.Sequential(nn.Linear(5, 5), nn.ReLU(), nn.Linear(5, 5), nn.Tanh(), nn.Linear(5, 5))
    initialize(model, biases=BeforeReLU())
    biases = [model[i].bias for i in (0, 2, 4)]
    for bias, value in zip(biases, (0.1, 0.0, 0.0), strict=True):
        assert torch.all(bias == value)
    # What it is for: with inputs of 0 the units are on, and the gradient reaches their weights.
    assert torch.all(model[1](model[0](torch.zeros(1, 5))) > 0)


def test_the_plan_is_a_table() -> None:
    model = nn.Sequential(nn.Linear(5, 6), nn.ReLU(), nn.PReLU())
    table = str(plan(model, "glorot_uniform", gain="auto"))
    assert table.splitlines() == [
        "0.weight  6x5  glorot_uniform()  x 1.414  weight; relu follows",
        "0.bias    6    zeros()                    bias",
        "2.weight  1    left alone                 no rule for this of PReLU",
    ]
    assert str(plan(nn.ReLU())) == ""


def test_what_cannot_be_done_is_refused() -> None:
    model = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3))
    with pytest.raises(SettingError, match=r"'0.wieght' matches no parameter; near.*0\.weight"):
        initialize(model, layers={"0.wieght": "zeros"})
    with pytest.raises(UnknownNameError, match="glorot_uniform"):
        initialize(model, "glorot_unifrom")
    with pytest.raises(SettingError, match=r"expected a name or an initializer"):
        initialize(model, 3)
    with pytest.raises(SettingError, match=r"gain='relu'; expected a finite number"):
        initialize(model, gain="relu")
    with pytest.raises(SettingError, match=r"'1.weight': the shape \(3,\) has no fans"):
        initialize(model, layers={"1.weight": "he_normal"})
    with pytest.raises(SettingError, match=r"'0.bias': orthogonal cannot fill"):
        initialize(model, biases=orthogonal())
    for gain in (None, "auto"):
        with pytest.raises(ParameterError, match="run one batch through the model first"):
            initialize(nn.LazyLinear(3), gain=gain)
    with pytest.raises(SettingError, match="value=nan"):
        BeforeReLU(math.nan)


def test_a_layer_without_inputs_is_refused() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's own, of the constructor
        model = nn.Linear(0, 3)
    with pytest.raises(SettingError, match="'weight': fan_in=0; expected a positive number"):
        initialize(model)


def test_frozen_parameters_are_left() -> None:
    model = filled()
    model.linear.requires_grad_(False)
    model.norm.bias.requires_grad_(False)
    model.embedding.weight.requires_grad_(False)
    initialize(model, layers={"l*": "ones", "conv.weight": "ones", "*.bias": "ones"})
    frozen = {"linear.weight", "linear.bias", "norm.bias", "embedding.weight"}
    chosen = plan(model)
    assert set(chosen.left) == frozen | {"own", "slope.weight"}
    assert {a.parameter for a in chosen.assignments if "frozen" in a.why} == frozen
    for name in frozen:
        assert torch.all(model.get_parameter(name) == 7.0), name
    assert torch.all(model.conv.weight == 1.0)
    assert torch.all(model.lstm.weight_ih_l0 == 1.0)


def test_a_pattern_for_frozen_parameters_alone_is_refused() -> None:
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    model[0].requires_grad_(False)
    with pytest.raises(
        SettingError, match=r"'0\.\*' matches frozen parameters alone, such as '0\.w"
    ):
        initialize(model, layers={"0.*": "zeros"})


def test_a_refusal_changes_nothing() -> None:
    """The last parameter is the one that cannot be drawn."""
    model = nn.Sequential(weight_norm(nn.Linear(3, 3)), nn.Linear(3, 3), nn.BatchNorm1d(3))
    model.append(parametrizations.orthogonal(nn.Linear(3, 3)))
    model.append(nn.PReLU())
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(SettingError, match=r"'4\.weight': the shape \(1,\) has no fans"):
        initialize(model, "ones", layers={"4.weight": "he_normal"})
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_parametrized_weights_are_drawn_under_their_own_name() -> None:
    """weight_norm and a symmetric matrix by halves give back what was put in: as without them."""
    model = nn.Sequential(weight_norm(nn.Linear(6, 6)), nn.Linear(6, 6), nn.LSTM(6, 5)).double()
    weight_norm(model[2], "weight_hh_l0")
    weight_norm(model[1], "bias", dim=None)
    places = {name: param.data_ptr() for name, param in model.named_parameters()}
    plain = nn.Sequential(nn.Linear(6, 6), nn.Linear(6, 6), nn.LSTM(6, 5)).double()
    settings = {"layers": {"1.weight": "identity"}, "gain": 0.5, "seed": 3}
    initialize(model, "glorot_uniform", "ones", **settings)
    initialize(plain, "glorot_uniform", "ones", **settings)
    for name in ("0.weight", "0.bias", "1.weight", "1.bias", "2.weight_hh_l0", "2.weight_ih_l0"):
        layer, own = model[int(name[0])], name[2:]
        torch.testing.assert_close(
            getattr(layer, own), plain.get_parameter(name), rtol=1e-12, atol=1e-14
        )
    rows = {a.parameter: a.why for a in plan(model).assignments}
    assert rows["0.weight"] == "weight, through its parametrization"
    assert rows["1.bias"] == "bias, through its parametrization"
    assert not any("original" in name for name in rows)
    assert places == {name: param.data_ptr() for name, param in model.named_parameters()}
    initialize(model, biases="ones", layers={"0.weight": "identity"})
    torch.testing.assert_close(model[0].weight, torch.eye(6).double(), rtol=1e-12, atol=1e-14)


def test_what_a_parametrization_makes_of_a_draw() -> None:
    """Divided by its norm; orthogonal as before."""
    model = nn.Sequential(
        spectral_norm(nn.Linear(5, 4)), parametrizations.orthogonal(nn.Linear(4, 4))
    )
    model.double()
    initialize(model, "orthogonal", seed=1)
    expected = initialize(
        nn.Sequential(nn.Linear(5, 4), nn.Linear(4, 4)).double(), "orthogonal", seed=1
    )
    for _ in range(3):
        torch.testing.assert_close(model[0].weight, expected[0].weight, rtol=1e-12, atol=1e-13)
    torch.testing.assert_close(model[1].weight, expected[1].weight, rtol=1e-12, atol=1e-13)
    initialize(model, "random_normal")
    assert (
        float(torch.linalg.matrix_norm(model[1].weight @ model[1].weight.T - torch.eye(4))) < 1e-12
    )


def test_planning_leaves_no_trace() -> None:
    """spectral_norm changes its vectors whenever the weight is computed in training."""
    model = nn.Sequential(spectral_norm(nn.Linear(5, 4))).train()
    before = copy.deepcopy(model.state_dict())
    plan(model)
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name]), name


class OneWay(nn.Module):
    """A parametrization that nothing can be assigned through."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.exp()


def test_parametrizations_that_cannot_take_a_draw() -> None:
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    register_parametrization(model[0], "weight", OneWay())
    before = copy.deepcopy(model[0].state_dict())
    initialize(model, layers={"0.bias": "zeros"})
    original = "0.parametrizations.weight.original"
    assert plan(model).left == (original,)
    assert torch.equal(model.get_parameter(original), before["parametrizations.weight.original"])
    assert "no right_inverse" in str(plan(model))
    normed = nn.Sequential(nn.Linear(3, 3), weight_norm(nn.Linear(3, 3)))
    kept = copy.deepcopy(normed.state_dict())
    with pytest.raises(
        SettingError, match=r"'1\.weight': its parametrization makes what is not fin"
    ):
        initialize(normed, "zeros")
    for name, value in normed.state_dict().items():
        assert torch.equal(value, kept[name]), name
    normed[1].parametrizations.weight.original0.requires_grad_(False)
    assert plan(normed).left == ("1.weight",)


def test_a_model_that_is_all_frozen_is_refused() -> None:
    model = nn.Linear(3, 2).requires_grad_(False)
    with pytest.raises(SettingError, match="all of the model's parameters are frozen"):
        initialize(model)
