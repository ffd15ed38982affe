"""What travels to a worker, and what a worker makes of it: a lane of its own, with its own data."""

from __future__ import annotations

import hashlib
import os
import pickle
import platform
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from ravine.comparison.identity import MEASURED, PLAIN, agree, fingerprint
from ravine.datasets.source import VARIABLE
from ravine.errors import ClusterError, RecipeError, said
from ravine.recipes import Problem, Recipe, find_again, load
from ravine.recipes.origin import Origin
from ravine.training.choose import lane_again
from ravine.training.lane import Lane, Member, unheard
from ravine.training.procedure import Procedure
from ravine.training.threads import threads

SAME = (*PLAIN, "data", "model", *MEASURED, "target")
"""Parts of a fingerprint in which a worker's recipe has to be the driver's. How bits are drawn and
rounded may differ from processor to processor, what is trained on may not."""


@dataclass(frozen=True)
class Work:
    """All that a worker needs to train members of a comparison.

    Attributes:
        recipe: what it can be found by; or itself, where that is not known.
        batch_size, steps, in_epochs: of the problem.
        procedures: the arms by name.
        lane: name, compiled, capacity and threads, as the driver chose them.
        same: the parts of the recipe's fingerprint that have to agree.
        versions: of ravine and torch, which have to agree.
        dtype: torch's default.
        folder: RAVINE_DATA of the driver, for a worker that has none.
    """

    recipe: Recipe | Origin
    batch_size: int
    steps: int
    in_epochs: bool
    procedures: Mapping[str, Procedure]
    lane: Mapping[str, Any]
    same: Mapping[str, str]
    versions: Mapping[str, str]
    dtype: torch.dtype
    folder: str | None


@dataclass(frozen=True)
class Parcel:
    """Work, packed.

    Attributes:
        key: tells one comparison's work from another's.
        content: the pickled `Work`.
        paths: where the driver looks for modules: a worker does so, too, before it unpacks.
    """

    key: str
    content: bytes
    paths: Sequence[str]


@dataclass(frozen=True)
class Bench:
    """What a worker keeps from one chunk to the next."""

    key: str
    lane: Lane
    threads: int


_bench: Bench | None = None


def packed(
    problem: Problem,
    procedures: Mapping[str, Procedure],
    lane: Mapping[str, Any],
    same: Mapping[str, str],
) -> Parcel:
    """The work of a comparison, for its workers.

    Args:
        problem: the recipe, loaded.
        procedures: the arms by name.
        lane: name, compiled, capacity and threads.
        same: the recipe's fingerprint.

    Raises:
        RecipeError: the recipe or a procedure cannot be pickled.
    """
    from ray import cloudpickle

    recipe = problem.recipe
    work = Work(
        recipe=recipe.origin or recipe,
        batch_size=problem.batch_size,
        steps=problem.steps,
        in_epochs=problem.in_epochs,
        procedures=dict(procedures),
        lane=dict(lane),
        same={name: same[name] for name in SAME},
        versions=_versions(),
        dtype=torch.get_default_dtype(),
        folder=os.environ.get(VARIABLE),
    )
    try:
        content = cloudpickle.dumps(work)
    except Exception as error:  # whatever its parts raise when they are pickled
        raise RecipeError(
            f"recipe {recipe.name!r} cannot be sent to workers ({said(error)}); expected parts that "
            "can be pickled, or a file that defines recipe(), by its path"
        ) from error
    return Parcel(hashlib.sha256(content).hexdigest(), content, tuple(sys.path))


def train_chunk(
    key: str, parcel: Sequence[Any], members: Sequence[Member], until: int, pause: float
) -> list[Member]:
    """Train a chunk in a worker, as `Lane.train` does.

    Args:
        key: the parcel's.
        parcel: one reference to the `Parcel`, which is fetched and unpacked once in a process.
        members, until, pause: as for `Lane.train`.
    """
    bench = _bench if _bench is not None and _bench.key == key else _set_up(parcel)
    with threads(bench.threads):
        return bench.lane.train(members, until, unheard, pause)


def _set_up(parcel: Sequence[Any]) -> Bench:
    global _bench
    import ray

    received: Parcel = ray.get(parcel[0])
    sys.path += [path for path in received.paths if path not in sys.path and Path(path).exists()]
    try:
        work = pickle.loads(received.content)
    except Exception as error:
        raise ClusterError(
            f"{_here()} cannot unpack the recipe ({said(error)}); expected its modules and the same "
            "versions on every machine"
        ) from error
    _insist("versions", work.versions, _versions())
    torch.set_default_dtype(work.dtype)
    if work.folder is not None and Path(work.folder).is_dir():
        os.environ.setdefault(VARIABLE, work.folder)
    with threads(work.lane["threads"]):
        problem = load(_recipe(work), steps=work.steps, batch_size=work.batch_size)
        problem = replace(problem, in_epochs=work.in_epochs)
        _insist("recipe", work.same, fingerprint(problem))
    lane = lane_again(work.lane, problem, work.procedures)
    _bench = Bench(received.key, lane, work.lane["threads"])
    return _bench


def _recipe(work: Work) -> Recipe:
    return work.recipe if isinstance(work.recipe, Recipe) else find_again(work.recipe)


def _insist(what: str, wanted: Mapping[str, str], found: Mapping[str, str]) -> None:
    """Raise ClusterError where this machine has something else than the driver."""
    for name, value in wanted.items():
        if not agree(name, found[name], value):
            printed = "\n" not in found[name] + value
            raise ClusterError(
                f"{_here()} has another {what}: {name} "
                f"{f'{found[name]}, here it is {value}' if printed else 'differs'}; "
                "expected the same on every machine"
            )


def _versions() -> dict[str, str]:
    return {"ravine": version("ravine"), "torch": torch.__version__}


def _here() -> str:
    return f"the worker on {platform.node()}"
