"""What a run folder belongs to: the recipe's fingerprint and the settings."""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ravine.comparison.records import Settings
from ravine.comparison.store import Store
from ravine.errors import FolderError
from ravine.recipes import Problem, build_model


def fingerprint(problem: Problem) -> dict[str, str]:
    """What tells one recipe from another, part by part.

    Model, cost and metric are known by what they do: the initial parameters under seed 0, and the
    cost and the metric of that model on a first batch.
    """
    recipe = problem.recipe
    model = build_model(problem, seed=0)
    inputs, targets = (
        t[: problem.batch_size] for t in (problem.train.inputs, problem.train.targets)
    )
    model.eval()
    with torch.no_grad():
        output = model(inputs)
        values = [recipe.cost(output, targets), recipe.measure(output, targets)]
    splits = [problem.train, problem.validation, *([problem.test] if problem.test else [])]
    return {
        "name": recipe.name,
        "batch size": str(problem.batch_size),
        "data": _digest(*(t for split in splits for t in (split.inputs, split.targets))),
        "model and its start": _digest(*model.state_dict().values()) + f" {model}",
        "cost and metric": " ".join(f"{value.item():.4g}" for value in values)
        + f" {recipe.metric_name} {'maximize' if recipe.maximize else 'minimize'} {recipe.target}",
    }


def _digest(*tensors: Tensor) -> str:
    total = hashlib.sha256()
    for tensor in tensors:
        total.update(f"{tensor.dtype}{list(tensor.shape)}".encode())
        total.update(np.ascontiguousarray(tensor.detach().cpu().numpy()).tobytes())
    return total.hexdigest()[:16]


def same_or_refuse(store: Store, problem: Problem, settings: Settings) -> None:
    """Bind a new folder to this recipe and these settings; on a known one, insist on the same.

    Raises:
        FolderError: the folder holds a comparison of something else; says what differs.
    """
    now: dict[str, Any] = {"recipe": fingerprint(problem), "settings": asdict(settings)}
    now["settings"]["optimizers"] = list(settings.optimizers)
    if store.fact("recipe") is None:
        for name, value in now.items():
            store.set_fact(name, value)
        return
    for kind, wanted in now.items():
        stored = store.fact(kind) or {}
        for name, value in wanted.items():
            if stored.get(name) != value:
                raise FolderError(_difference(store.folder, kind, name, stored.get(name), value))


def _difference(folder: Path, kind: str, name: str, stored: object, wanted: object) -> str:
    readable = kind == "settings" or name in ("name", "batch size")
    shown = (
        f"with {name} {_short(stored)}, this command asks for {_short(wanted)}"
        if readable
        else f"of another recipe of this name: its {name} differ"
    )
    return (
        f"{folder} holds a comparison {shown}; "
        "type the same setting to continue it, or choose another --out"
    )


def _short(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)
