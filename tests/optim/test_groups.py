"""Groups by patterns over the names of parameters."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

import ravine
from ravine import rules
from ravine.errors import SettingError, UnknownNameError, UnknownOptionError


class Tied(nn.Module):
    """Two blocks of a linear layer and a norm, and a head that shares the embedding's weight."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(5, 3)
        self.blocks = nn.ModuleList(
            nn.ModuleDict({"linear": nn.Linear(3, 3), "norm": nn.LayerNorm(3)}) for _ in range(2)
        )
        self.head = nn.Linear(3, 5)
        self.head.weight = self.embedding.weight

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.embedding(x)
        for block in self.blocks:
            x = block["norm"](torch.tanh(block["linear"](x)))
        out: torch.Tensor = self.head(x)
        return out


def named(found: list[dict[str, Any]]) -> list[tuple[list[str], dict[str, Any]]]:
    """(names, the rest) of every group."""
    return [
        ([name for name, _ in group["params"]], {k: v for k, v in group.items() if k != "params"})
        for group in found
    ]


def test_first_match_gives_the_rule_and_each_option() -> None:
    found = ravine.groups(
        Tied(),
        {
            "*.bias": {"weight_decay": 0},
            "blocks.0.*": {"lr": 0.5, "weight_decay": 7},
            "blocks.*.linear.weight": "muon",
            "*": {"rule": "adamw", "lr": 0.1},
        },
    )
    assert named(found) == [
        (["embedding.weight", "blocks.1.norm.weight"], {"rule": "adamw", "lr": 0.1}),
        (["blocks.0.linear.weight"], {"rule": "muon", "lr": 0.5, "weight_decay": 7}),
        (
            ["blocks.0.linear.bias", "blocks.0.norm.bias"],
            {"rule": "adamw", "lr": 0.5, "weight_decay": 0},
        ),
        (["blocks.0.norm.weight"], {"rule": "adamw", "lr": 0.5, "weight_decay": 7}),
        (["blocks.1.linear.weight"], {"rule": "muon", "lr": 0.1}),
        (
            ["blocks.1.linear.bias", "blocks.1.norm.bias", "head.bias"],
            {"rule": "adamw", "lr": 0.1, "weight_decay": 0},
        ),
    ]


def test_every_parameter_comes_once_and_a_tied_one_by_any_name() -> None:
    model = Tied()
    found = ravine.groups(model, {"head.weight": {"lr": 0.3}})
    params = [param for group in found for _, param in group["params"]]
    assert set(map(id, params)) == set(map(id, model.parameters()))
    assert len(params) == len(list(model.parameters()))
    assert (["embedding.weight"], {"lr": 0.3}) in named(found)


def test_the_optimizer_steps_them_by_their_rules() -> None:
    model, twin = Tied(), Tied()
    twin.load_state_dict(model.state_dict())
    muon = rules.muon(precision=torch.float64)
    patterns = {"blocks.*.linear.weight": muon, "*": {"lr": 0.02}}
    optimizer = ravine.Optimizer(ravine.groups(model, patterns), "adam", lr=0.1, engine="eager")
    matrices = [b["linear"].weight for b in twin.blocks]
    rest = [p for p in twin.parameters() if not any(p is m for m in matrices)]
    others = [
        ravine.Optimizer(matrices, muon, lr=0.02, engine="eager"),
        ravine.optim.Adam(rest, lr=0.02, engine="eager"),
    ]
    for each, steppers in ((model, [optimizer]), (twin, others)):
        for _ in range(5):
            each.zero_grad()
            each(torch.arange(5)).square().mean().backward()
            for stepper in steppers:
                stepper.step()
    for one, other in zip(model.parameters(), twin.parameters(), strict=True):
        assert torch.equal(one, other)
    names = [name for group in optimizer.param_groups for name in group["param_names"]]
    assert sorted(names) == sorted(name for name, _ in model.named_parameters())


@pytest.mark.parametrize(
    ("patterns", "message"),
    [
        ({"*.biass": "sgd"}, r"'\*\.biass' matches no parameter; near it are .*\.bias"),
        ({"zzz": "sgd"}, r"'zzz' matches no parameter; there are embedding\.weight"),
        ({"*": "adamw", "*.bias": "sgd"}, r"'\*\.bias' says nothing new.*blocks\.0.*before it"),
        ({"*": {}}, r"'\*' says {}; it is to say a rule or options"),
        ({"*": {"params": []}}, r"it is to say a rule or options"),
        ({"*": 3}, r"3 is no rule"),
    ],
)
def test_bad_patterns_are_named(patterns: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingError, match=message):
        ravine.groups(Tied(), patterns)


def test_unknown_rules_and_options_are_named() -> None:
    with pytest.raises(UnknownNameError, match="did you mean adamw"):
        ravine.groups(Tied(), {"*": "adamww"})
    found = ravine.groups(Tied(), {"*": "sgd", "*.bias": {"weight_decay": 0}})
    with pytest.raises(UnknownOptionError, match="the rule SGD has no option 'weight_decay'"):
        ravine.Optimizer(found)
