"""Fully sharded data parallel (FSDP2): parameters and states are DTensors, a shard on each process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
from torch import Tensor, nn
from torch.distributed.checkpoint.state_dict import (
    get_model_state_dict,
    get_optimizer_state_dict,
    set_model_state_dict,
    set_optimizer_state_dict,
)
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor

from tests.integrations.processes import Group
from tests.integrations.trials import EXACT, STEPS, Spec, alone, batches, build, gap, learn, network

HALF = STEPS // 2
ADAMW: Spec = ("torch", "AdamW", {"lr": 0.02})
OWN: list[Spec] = [
    ("ravine", "LAMB", {"lr": 0.02}),
    ("ravine", "LAMB", {"lr": 0.02, "engine": "compiled"}),
    ("ravine", "LARS", {"lr": 1.0}),
    ("ravine", "MuonAdamW", {"lr": 0.02}),
    ("ravine", "Shampoo", {"lr": 0.02}),
    ("ravine", "ScheduleFreeAdamW", {"lr": 0.02}),
    ("any", "clipped adam", {"lr": 0.02}),
    ("any", "clipped adam", {"lr": 0.02, "engine": "compiled"}),
    ("any", "clipped adam", {"lr": 0.02, "engine": "eager"}),
    ("any", "clipped lamb", {"lr": 0.02}),
]


def named(spec: Spec) -> str:
    """A test's id."""
    return "-".join([spec[1], *map(str, spec[2].values())]).replace(" ", "-")


own_rules = pytest.mark.parametrize("spec", OWN, ids=named)


def sharded() -> nn.Module:
    """The network, every layer by itself, its parameters spread over all processes."""
    model = network()
    for layer in model:
        if isinstance(layer, nn.Linear):
            fully_shard(layer)
    return fully_shard(model)


def shares() -> list[tuple[Tensor, Tensor]]:
    """This process's rows of each batch."""
    rank, size = dist.get_rank(), dist.get_world_size()
    return [(inputs[rank::size], targets[rank::size]) for inputs, targets in batches()]


def whole(model: nn.Module) -> list[Tensor]:
    """All weights, out of their shards."""
    return [full(param.detach()) for param in model.parameters()]


def full(tensor: Tensor) -> Tensor:
    """A copy of all of it."""
    return (tensor.full_tensor() if isinstance(tensor, DTensor) else tensor).clone()


def train(spec: Spec) -> list[Tensor]:
    """The weights after all batches."""
    model = sharded()
    learn(model, build(spec, model.parameters()), shares())
    return whole(model)


def look_back(spec: Spec) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
    """The weights in training, in evaluation, and in training again."""
    model = sharded()
    optimizer = build(spec, model.parameters())
    learn(model, optimizer, shares())
    seen = [whole(model)]
    for turn in (optimizer.eval, optimizer.train):
        turn()
        seen.append(whole(model))
    return seen[0], seen[1], seen[2]


def spread(spec: Spec) -> list[tuple[bool, int, int]]:
    """(whether it is sharded as its parameter is, elements here, elements of the parameter here) of
    each entry that has the parameter's shape."""
    model = sharded()
    optimizer = build(spec, model.parameters())
    learn(model, optimizer, shares())
    return [
        (
            isinstance(entry, DTensor) and entry.placements == param.placements,
            entry.to_local().numel(),
            param.to_local().numel(),
        )
        for param, entries in optimizer.state.items()
        for entry in entries.values()
        if entry.shape == param.shape
    ]


def save_midway(spec: Spec, folder: Path) -> tuple[list[Tensor], list[Tensor]]:
    """The weights of a run, and of one that was saved midway and taken up by new objects."""
    straight = sharded()
    learn(straight, build(spec, straight.parameters()), shares())

    model = sharded()
    optimizer = build(spec, model.parameters())
    learn(model, optimizer, shares()[:HALF])
    dcp.save(checkpoint(model, optimizer), checkpoint_id=folder)

    fresh = sharded()
    for param in fresh.parameters():
        param.data.fill_(0.5)
    other = build(spec, fresh.parameters())
    resume(fresh, other, folder)
    learn(fresh, other, shares()[HALF:])
    return whole(straight), whole(fresh)


def checkpoint(model: nn.Module, optimizer: Any) -> dict[str, Any]:
    """Sharded, by the names of the parameters."""
    return {
        "model": get_model_state_dict(model),
        "optimizer": get_optimizer_state_dict(model, optimizer),
    }


def resume(model: nn.Module, optimizer: Any, folder: Path, alone: bool = False) -> None:
    """Take weights and states from a sharded checkpoint."""
    loaded = checkpoint(model, optimizer)
    dcp.load(loaded, checkpoint_id=folder, no_dist=alone)
    set_model_state_dict(model, loaded["model"])
    set_optimizer_state_dict(model, optimizer, loaded["optimizer"])


@pytest.mark.parametrize("engine", ["auto", "compiled", "eager"])
def test_adamw_is_torchs_sharded_and_alone(pair: Group, engine: str) -> None:
    first, second = pair.run(train, ("ravine", "AdamW", {"lr": 0.02, "engine": engine}))
    assert gap(first, pair.run(train, ADAMW)[0]) < EXACT
    assert gap(first, alone(ADAMW)) < EXACT
    assert all(a.equal(b) for a, b in zip(first, second, strict=True))


@own_rules
def test_own_rules_go_the_way_of_one_process(pair: Group, spec: Spec) -> None:
    first, second = pair.run(train, spec)
    assert gap(first, alone(spec)) < EXACT
    assert all(a.equal(b) for a, b in zip(first, second, strict=True))


def test_nesterov_holds_torchs_points_and_evaluates_its_own(pair: Group) -> None:
    """torch's SGD walks through the probes φ = θ + αv, and v = -ε b with its buffer b."""
    model = network()
    options = {"lr": 0.02, "momentum": 0.9}
    reference = torch.optim.SGD(model.parameters(), **options, nesterov=True)
    learn(model, reference, batches())
    probes = [param.detach() for param in model.parameters()]
    buffers = [reference.state[param]["momentum_buffer"] for param in model.parameters()]
    outputs = [phi + 0.9 * 0.02 * b for phi, b in zip(probes, buffers, strict=True)]

    for in_training, evaluated, again in pair.run(look_back, ("ravine", "Nesterov", options)):
        assert gap(in_training, probes) < EXACT
        assert gap(evaluated, outputs) < EXACT
        assert gap(again, probes) < EXACT
    assert gap(probes, outputs) > 1e-3


@pytest.mark.parametrize(
    "spec",
    [("ravine", "AdamW", {}), ("ravine", "LAMB", {}), ("ravine", "MuonAdamW", {})],
    ids=named,
)
def test_a_process_keeps_states_of_its_own_shards_only(pair: Group, spec: Spec) -> None:
    for facts in pair.run(spread, spec):
        assert len(facts) >= 6
        assert all(alike and elements == of_param for alike, elements, of_param in facts)


@pytest.mark.filterwarnings("ignore:torch.distributed is disabled")
@pytest.mark.parametrize(
    "spec",
    [
        ("ravine", "AdamW", {"lr": 0.02}),
        ("ravine", "AdamW", {"lr": 0.02, "amsgrad": True, "engine": "eager"}),
        ("ravine", "ScheduleFreeAdamW", {"lr": 0.02}),
        ("ravine", "Nesterov", {"lr": 0.02}),
        *OWN[:1],
        *OWN[3:5],
        ("any", "clipped adam", {"lr": 0.02}),
    ],
    ids=named,
)
def test_a_checkpoint_of_shards_goes_on_and_fits_one_process(
    pair: Group, spec: Spec, tmp_path: Path
) -> None:
    for straight, resumed in pair.run(save_midway, spec, tmp_path):
        assert all(a.equal(b) for a, b in zip(resumed, straight, strict=True))

    model = network()
    optimizer = build(spec, model.parameters())
    resume(model, optimizer, tmp_path, alone=True)
    learn(model, optimizer, batches()[HALF:])
    assert gap(whole(model), alone(spec)) < EXACT
