"""Recipes that workers find by their function."""

from __future__ import annotations

import os
import signal
import time

import torch.nn.functional as F
from torch import nn

from tests.problems import digits_recipe

STEPS = 27


def in_worker() -> bool:
    """Whether this process is one of Ray's workers."""
    import ray

    return ray.is_initialized() and ray.get_runtime_context().worker.mode == ray.WORKER_MODE


def linear():
    return nn.Linear(64, 10)


def short():
    return digits_recipe(linear, name="short", steps=STEPS)


def slow_cost(output, target):
    """So slow in a worker that it is found while it trains."""
    time.sleep(0.002 * in_worker())
    return F.cross_entropy(output, target)


def slow():
    return digits_recipe(linear, name="slow", steps=STEPS, cost=slow_cost)


def deadly_cost(output, target):
    if in_worker():
        os.kill(os.getpid(), signal.SIGKILL)
    return F.cross_entropy(output, target)


def deadly():
    """No worker survives it."""
    return digits_recipe(linear, name="deadly", steps=STEPS, cost=deadly_cost)
