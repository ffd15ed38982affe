"""How many members fit into memory at once."""

from __future__ import annotations

import os
from collections.abc import Iterable

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from ravine.recipes import Problem, build_model
from ravine.training.procedure import Procedure, pace_of

COPIES = 10
"""Tensors of the size of the weights that a step of a population holds at once, at most: points,
gradients, two states and the temporaries of the rule."""

SHARE = 0.5
"""Share of the machine's memory that a population may take."""

PASSES = 2
"""What a backward pass holds besides what the forward pass saved for it is at most as much again."""


def largest(problem: Problem, procedures: Iterable[Procedure]) -> Problem:
    """The problem with the largest minibatches of several procedures."""
    return problem.resized(max(pace_of(problem, one).batch_size for one in procedures))


def members_that_fit(problem: Problem) -> int:
    """The largest population that a step of may be taken in memory, by what one member takes."""
    there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return int(SHARE * there // bytes_of_member(problem))


def bytes_of_member(problem: Problem) -> int:
    """Bytes that a step of one member takes: its weights with what the rule makes of them, its
    minibatch, and what a forward pass saves for the backward pass, which is tried."""
    model = build_model(problem, seed=0)
    batch = problem.train.first(problem.batch_size)
    saved: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        saved[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.random.fork_rng(devices=[]), saved_tensors_hooks(note, lambda tensor: tensor):
        # a copy: what is saved is counted by its storage, and a slice has that of the whole data
        problem.recipe.cost(model(batch.inputs.clone()), batch.targets.clone())
    weights = sum(p.numel() * p.element_size() for p in model.parameters())
    held = batch.inputs.numel() * batch.inputs.element_size()
    return COPIES * weights + held + PASSES * sum(saved.values())


def out_of_memory(error: Exception) -> bool:
    """Whether an error says that there was no memory left, on a GPU or on the CPU."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and "can't allocate memory" in str(error)
