"""Copies of a run at rest: deepcopy, pickle, files."""

from __future__ import annotations

import copy
import io
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from tests.integrations.trials import STEPS, Spec, batches, build, learn, network, weights

HALF = STEPS // 2
SPECS: list[Spec] = [
    ("ravine", "AdamW", {"lr": 0.02}),
    ("ravine", "AdamW", {"lr": 0.02, "engine": "compiled"}),
    ("ravine", "AdamW", {"lr": 0.02, "engine": "eager"}),
    ("ravine", "LAMB", {"lr": 0.02}),
    ("ravine", "MuonAdamW", {"lr": 0.02}),
    ("ravine", "Shampoo", {"lr": 0.02}),
    ("ravine", "ScheduleFreeAdamW", {"lr": 0.02}),
    ("ravine", "Nesterov", {"lr": 0.02, "engine": "compiled"}),
]

Run = tuple[nn.Module, Any]


def named(spec: Spec) -> str:
    """A test's id."""
    return "-".join([spec[1], *map(str, spec[2].values())]).replace(" ", "-")


def pickled(run: Run) -> Run:
    """A copy through pickle."""
    return pickle.loads(pickle.dumps(run))


def saved(run: Run) -> Run:
    """A copy through torch.save."""
    buffer = io.BytesIO()
    torch.save(run, buffer)
    buffer.seek(0)
    return torch.load(buffer, weights_only=False)


def size(thing: Any) -> int:
    """Bytes of a file."""
    buffer = io.BytesIO()
    torch.save(thing, buffer)
    return len(buffer.getvalue())


@pytest.mark.parametrize("copied", [copy.deepcopy, pickled, saved])
@pytest.mark.parametrize("spec", SPECS, ids=named)
def test_a_run_and_its_copy_go_on_alike_and_apart(spec: Spec, copied: Callable[[Run], Run]) -> None:
    straight = network()
    learn(straight, build(spec, straight.parameters()), batches())

    model = network()
    optimizer = build(spec, model.parameters())
    learn(model, optimizer, batches()[:HALF])
    before = weights(model)
    other, its_optimizer = copied((model, optimizer))
    learn(other, its_optimizer, batches()[HALF:])
    assert all(a.equal(b) for a, b in zip(weights(other), weights(straight), strict=True))
    assert all(a.equal(b) for a, b in zip(weights(model), before, strict=True))
    learn(model, optimizer, batches()[HALF:])
    assert all(a.equal(b) for a, b in zip(weights(model), weights(straight), strict=True))
    assert all(a.equal(b) for a, b in zip(weights(other), weights(straight), strict=True))


@pytest.mark.parametrize("spec", SPECS, ids=named)
def test_a_state_dict_is_read_with_weights_only_and_goes_on(spec: Spec) -> None:
    model = network()
    optimizer = build(spec, model.parameters())
    learn(model, optimizer, batches()[:HALF])
    buffer = io.BytesIO()
    torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict()}, buffer)
    buffer.seek(0)
    loaded = torch.load(buffer, weights_only=True)

    other = network()
    its_optimizer = build(spec, other.parameters())
    other.load_state_dict(loaded["model"])
    its_optimizer.load_state_dict(loaded["optimizer"])
    for run in ((model, optimizer), (other, its_optimizer)):
        learn(*run, batches()[HALF:])
    assert all(a.equal(b) for a, b in zip(weights(other), weights(model), strict=True))


@pytest.mark.parametrize("engine", ["auto", "compiled", "eager"])
def test_a_file_of_states_is_as_large_as_torchs(engine: str) -> None:
    files, parts = [], []
    for spec in (("torch", "AdamW", {}), ("ravine", "AdamW", {"engine": engine})):
        model = nn.Sequential(*[nn.Linear(40, 40) for _ in range(8)])
        optimizer = build(spec, model.parameters())
        model(torch.ones(2, 40)).sum().backward()
        optimizer.step()
        states = optimizer.state_dict()["state"]
        files.append(size(optimizer.state_dict()))
        parts.append(size(states[1]))  # of a bias: 40 numbers
    # 8 (40·40 + 40) numbers, twice, in 4 bytes: 105 KB; what else a file holds differs by names only.
    assert files[0] > 105_000
    assert abs(files[1] - files[0]) < 2000
    assert abs(parts[1] - parts[0]) < 500
