"""A member of the serial lane that goes on elsewhere: by another procedure, in the population lane."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from ravine.engines import eager
from ravine.engines.population import PopulationEngine
from ravine.rules import State
from ravine.training.lane import Member
from ravine.training.population import PopulationLane
from ravine.training.procedure import Procedure
from ravine.training.records import Trial
from ravine.transforms import at_probe


def remember_alike(one: Procedure, other: Procedure, model: nn.Module) -> bool:
    """Whether a run by the one procedure can go on by the other from what its rule remembers."""
    rules = at_probe(one.rule), at_probe(other.rule)
    param = next(model.parameters())
    first, second = (eager.entry_shapes(rule, param) for rule in rules)
    return first == second and one.rule.granularity == other.rule.granularity


def forked(member: Member, trial: Trial) -> Member:
    """A member that goes on by another trial from where this one stands, which stays as it is."""
    return Member(replace(member.run, trial=trial), deepcopy(member.snapshot))


def into_population(member: Member, lane: PopulationLane) -> Member:
    """The member, its snapshot as the population lane keeps it.

    Args:
        member: as the serial lane left it.
        lane: where it goes on, by the procedure that its trial names there.
    """
    snapshot = member.snapshot
    if snapshot is None:
        return member
    held = _flat(snapshot)
    state = _state(snapshot["state"], lane.procedure(member.run.trial), held["weights"], lane)
    best = {"best": _flat(snapshot["best"])} if "best" in snapshot else {}
    return replace(member, snapshot={**held, "state": state, **best})


def _flat(kept: Mapping[str, Any]) -> dict[str, Any]:
    """Blocks of weights -> end to end, [size]."""
    weights = torch.cat([block.reshape(-1) for block in kept["weights"]])
    buffers = {name: value.clone() for name, value in kept["buffers"].items()}
    return {"weights": weights, "buffers": buffers}


def _state(
    blocks: Sequence[State], procedure: Procedure, weights: Tensor, lane: PopulationLane
) -> State:
    """What the rule remembers, by block and name -> by piece and name, in the population's shapes.

    Both lanes cut the weights alike: an elementwise rule's are one block, others' the parameters.
    """
    rule, shapes = procedure.rule, list(lane.layout.shapes.values())
    fresh = PopulationEngine(rule, [rule.defaults], weights[None], shapes).state
    return {
        name: blocks[int(index)][entry].reshape(value.shape[1:]).clone()
        for name, value in fresh.items()
        for index, _, entry in [name.partition(".")]
    }
