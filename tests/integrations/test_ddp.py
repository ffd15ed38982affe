"""Distributed data parallel: every process steps its copy of the model, from averaged gradients."""

from __future__ import annotations

from typing import Any

import pytest
import torch.distributed as dist
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel

from tests.integrations.processes import Group
from tests.integrations.trials import (
    EXACT,
    STEPS,
    Spec,
    alone,
    batches,
    build,
    gap,
    learn,
    network,
    weights,
)

ADAMW: Spec = ("torch", "AdamW", {"lr": 0.02})


def train(spec: Spec, options: dict[str, Any]) -> list[Tensor]:
    """The weights after steps in which each process sees its share of every batch."""
    model = DistributedDataParallel(network(), **options)
    rank, size = dist.get_rank(), dist.get_world_size()
    shares = [(x[rank::size], y[rank::size]) for x, y in batches(steps=STEPS)]
    learn(model, build(spec, model.parameters()), shares)
    return weights(model)


@pytest.mark.parametrize("options", [{}, {"gradient_as_bucket_view": True}], ids=str)
@pytest.mark.parametrize("engine", ["auto", "compiled", "eager"])
def test_adamw_is_torchs_on_the_joint_batch(
    pair: Group, engine: str, options: dict[str, Any]
) -> None:
    first, second = pair.run(train, ("ravine", "AdamW", {"lr": 0.02, "engine": engine}), options)
    assert gap(first, alone(ADAMW)) < EXACT
    assert all(a.equal(b) for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize(
    "spec",
    [
        ("ravine", "LAMB", {"lr": 0.02}),
        ("ravine", "MuonAdamW", {"lr": 0.02}),
        ("ravine", "ScheduleFreeAdamW", {"lr": 0.02}),
        ("any", "clipped adam", {"lr": 0.02}),
    ],
    ids=lambda spec: spec[1],
)
def test_own_rules_go_the_way_of_one_process(pair: Group, spec: Spec) -> None:
    first, second = pair.run(train, spec, {})
    assert gap(first, alone(spec)) < EXACT
    assert all(a.equal(b) for a, b in zip(first, second, strict=True))
