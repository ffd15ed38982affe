"""What is refused, by what words, and that nothing has been changed then."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import ravine
from ravine.errors import ParameterError, SettingError, UnknownOptionError
from tests.optim.trials import ALL, NAMES, ours, shape_for, theirs

SETTINGS: list[tuple[str, dict[str, Any], str]] = [
    ("Adam", {"lr": -1.0}, r"lr=-1\.0 is out of range.*>= 0"),
    ("Adam", {"lr": float("nan")}, r"lr=nan is out of range"),
    ("Adam", {"lr": float("inf")}, r"lr=inf is out of range.*finite"),
    ("Adam", {"lr": torch.ones(2)}, r"lr is a tensor of shape \[2\].*exactly one number"),
    ("Adam", {"betas": (0.9, 1.0)}, r"betas\[1\]=1\.0 is out of range.*in \[0, 1\)"),
    ("Adam", {"betas": (0.9,)}, r"betas=\(0\.9,\) must be a pair"),
    ("Adam", {"eps": -1.0}, r"eps=-1\.0"),
    ("Adam", {"weight_decay": -1.0}, r"weight_decay=-1\.0"),
    ("NAdam", {"momentum_decay": -1.0}, r"momentum_decay=-1\.0"),
    ("Adadelta", {"rho": 1.5}, r"rho=1\.5 .*in \[0, 1\]"),
    ("RMSprop", {"alpha": 1.5}, r"alpha=1\.5 .*in \[0, 1\]"),
    ("RMSprop", {"momentum": -0.1}, r"momentum=-0\.1"),
    ("Adagrad", {"lr_decay": -0.1}, r"lr_decay=-0\.1"),
    ("Adagrad", {"initial_accumulator_value": -0.1}, r"initial_accumulator_value=-0\.1"),
    ("SGD", {"nesterov": True}, r"nesterov=True came with momentum=0.*0\.9"),
    ("ASGD", {"lambd": -1}, r"lambd=-1"),
    ("Rprop", {"etas": (1.0, 1.2)}, r"etas\[0\]=1\.0 .*in \(0, 1\)"),
    ("Rprop", {"etas": (0.5, 1.0)}, r"etas\[1\]=1\.0 .*> 1"),
    ("Rprop", {"step_sizes": (-1e-6, 50)}, r"step_sizes\[0\]=-1e-06"),
    ("Adafactor", {"beta2_decay": 0.8}, r"beta2_decay=0\.8 .*<= 0"),
    ("Adafactor", {"eps": (-1.0, 1e-3)}, r"eps\[0\]=-1\.0"),
    ("Adafactor", {"d": 0.0}, r"d=0\.0"),
    ("Muon", {"ns_steps": 100}, r"ns_steps=100 .*0 to 99"),
    ("Muon", {"adjust_lr_fn": "none"}, r"adjust_lr_fn='none'.*\"original\""),
    ("Shampoo", {"update_every": 0}, r"update_every=0"),
    ("Shampoo", {"eps": 0.0}, r"eps=0\.0"),
    ("SOAP", {"precondition_frequency": 0}, r"precondition_frequency=0"),
    ("SOAP", {"max_precond_dim": 0.5}, r"max_precond_dim=0\.5 .*whole number"),
    ("ScheduleFreeSGD", {"momentum": 0}, r"momentum=0 .*in \(0, 1\]"),
    ("ScheduleFreeAdamW", {"betas": (0.0, 0.9)}, r"betas\[0\]=0\.0 .*in \(0, 1\]"),
    ("ScheduleFreeAdamW", {"warmup_steps": -1}, r"warmup_steps=-1"),
    ("DeltaBarDelta", {"phi": 1.5}, r"phi=1\.5 .*in \[0, 1\]"),
    ("DeltaBarDelta", {"theta": 1.0}, r"theta=1\.0 .*in \[0, 1\)"),
    ("Signum", {"momentum": 1.0}, r"momentum=1\.0 .*in \[0, 1\)"),
    ("LARS", {"trust_coefficient": 0.0}, r"trust_coefficient=0\.0 .*> 0"),
    ("Adam", {"engine": "fast"}, r"engine='fast' is unknown; pass \"auto\", \"eager\" or"),
    ("Adam", {"rounding": "up"}, r"rounding='up' is unknown; pass \"nearest\""),
    ("Adam", {"fused": True, "foreach": True}, r"fused=True and foreach=True.*one of them"),
    ("Adam", {"fused": True, "differentiable": True}, r"differentiable=True and fused=True"),
    ("Adam", {"capturable": True, "differentiable": True}, r"and capturable=True.*leave capt"),
    ("SGD", {"engine": "compiled", "differentiable": True}, r"reference engine: pass engine="),
]


@pytest.mark.parametrize(("name", "options", "message"), SETTINGS)
def test_bad_settings_say_what_to_do(name: str, options: dict[str, Any], message: str) -> None:
    param = torch.zeros(shape_for(name))
    with pytest.raises(SettingError, match=message):
        ours(name)([param], **options)
    with pytest.raises(ValueError, match=message):  # as torch's own are caught
        ours(name)([param], **options)


@pytest.mark.parametrize("name", ALL)
def test_a_keyword_that_is_nearly_one_is_named(name: str) -> None:
    param = torch.zeros(shape_for(name))
    new = getattr(ravine.optim, name)
    with pytest.raises(UnknownOptionError, match=rf"{name}: 'lrr'; did you mean lr"):
        new([param], lrr=0.1)
    with pytest.raises(TypeError, match=rf"{name}: 'engin'; did you mean engine"):
        new([param], engin="eager")


def weight() -> Tensor:
    """A parameter."""
    return torch.ones(3, 2).requires_grad_()


TWICE = weight()

PARAMETERS: list[tuple[str, Callable[[], Any], str]] = [
    ("Adam", lambda: nn.Linear(2, 1), r"a model came, Linear.*model\.parameters\(\)"),
    ("Adam", weight, r"a tensor of shape \[3, 2\] came.*pass \[params\]"),
    ("Adam", lambda: {"params": [weight()]}, r"came, where an iterable .*pass \[params\]"),
    ("Adam", lambda: "params", r"'params' came"),
    ("Adam", lambda: {weight()}, r"a set of parameters came"),
    ("Adam", lambda: [], r"no parameters came.*call it anew"),
    ("Adam", lambda: iter(()), r"no parameters came"),
    ("Adam", lambda: [TWICE, weight(), TWICE], r"parameter 2.*\[3, 2\], came twice in one group"),
    (
        "Adam",
        lambda: [{"params": [TWICE]}, {"params": [weight(), TWICE]}],
        r"parameter 1.*came twice in two groups",
    ),
    ("Adam", lambda: [{"lr": 0.1}], r'a group came without "params"; it has \'lr\''),
    ("Adam", lambda: [weight() * 2], r"non-leaf"),
    ("Adam", lambda: [weight(), 3], r"one of the params is int"),
    ("Adam", lambda: [torch.zeros(2, dtype=torch.int64)], r"is torch\.int64, and steps need fract"),
    (
        "Adam",
        lambda: [weight(), torch.zeros(2, device="meta")],
        r"lie on different devices, cpu and meta: move the model",
    ),
    ("Muon", lambda: [weight(), torch.zeros(4)], r"shape \[4\] came: use MuonAdamW"),
    ("Muon", lambda: [torch.zeros(2, 2, 2)], r"shape \[2, 2, 2\] came"),
    *[
        (name, lambda: [torch.zeros(2, 2, dtype=torch.complex64)], r"complex64.*view_as_real")
        for name in ("Adafactor", "LAMB", "LARS", "Muon", "MuonAdamW", "SOAP", "Shampoo")
    ],
]


@pytest.mark.parametrize(("name", "params", "message"), PARAMETERS)
def test_bad_parameters_say_what_to_do(name: str, params: Callable[[], Any], message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        ours(name)(params())


def test_stochastic_rounding_of_float16_is_refused_at_once() -> None:
    with pytest.raises(SettingError, match=r'float16.*"kahan"'):
        ravine.optim.SGD([torch.zeros(2, dtype=torch.float16)], rounding="stochastic")


@pytest.mark.parametrize(
    "group",
    [
        {"lr": -1},
        {"params": [TWICE]},
        {"params": [torch.zeros(2, dtype=torch.int64)]},
        {"betas": (0.5, 2.0)},
    ],
)
@pytest.mark.parametrize("engine", ["eager", "auto"])
def test_a_refused_group_is_not_kept(group: dict[str, Any], engine: str) -> None:
    """And the optimizer goes on as if it had never come."""
    paths = []
    for refused in (True, False):
        with torch.no_grad():
            TWICE.fill_(1.0)
        optimizer = ravine.optim.Adam([TWICE], engine=engine)
        for _ in range(3):
            TWICE.grad = TWICE.detach().clone()
            optimizer.step()
            if refused:
                with pytest.raises(SettingError):
                    optimizer.add_param_group({"params": [torch.zeros(2)], **group})
        assert len(optimizer.param_groups) == 1
        paths.append(TWICE.detach().clone())
    assert torch.equal(*paths)


@pytest.mark.parametrize("name", [name for name in ALL if name != "Muon"])
@pytest.mark.parametrize("engine", ["eager", "auto"])
def test_a_sparse_gradient_is_refused_before_anything_moves(name: str, engine: str) -> None:
    """It lies in the last group; the others have moved at the steps before."""
    embedding, linear = nn.Embedding(5, 2, sparse=True), nn.Linear(2, 2)
    model = nn.ModuleList([linear, embedding])
    optimizer = ours(name)(
        [{"params": linear.parameters()}, {"params": embedding.parameters()}], engine=engine
    )
    linear(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    linear(embedding(torch.tensor([1]))).sum().backward()
    before = copy.deepcopy((model.state_dict(), optimizer.state_dict()["state"]))
    with pytest.raises(ParameterError, match=r"\[5, 2\] is sparse.*sparse=False"):
        optimizer.step()
    after = (model.state_dict(), optimizer.state_dict()["state"])
    torch.testing.assert_close(after, before, rtol=0, atol=0)


def test_what_torch_takes_is_taken() -> None:
    """Values at the ends of torch's ranges."""
    for name in NAMES:
        if name == "Rprop":
            continue
        for new in (ours(name), theirs(name)):
            taken = new([torch.zeros(shape_for(name))], lr=0.0, weight_decay=0.0)
            assert (taken.param_groups[0]["lr"], taken.param_groups[0]["weight_decay"]) == (0, 0)
