"""What a run folder belongs to: the recipe's fingerprint and the settings."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ravine.comparison.records import Settings
from ravine.comparison.space import FEWEST, searched
from ravine.comparison.store import Store
from ravine.engines import eager
from ravine.errors import FolderError
from ravine.recipes import Problem, build_model
from ravine.rules import Rule, Span
from ravine.training.pace import evaluation_steps
from ravine.training.procedure import Procedure, pace_of
from ravine.training.start import starting_model
from ravine.transforms import at_probe

PLAIN = ("name", "batch size", "last batch", "patience", "source of data")
"""Parts of a fingerprint that are words, and are shown where they differ."""

MEASURED = ("cost", "metric", "penalty")
"""Parts of a fingerprint that are numbers, measured on a first batch."""

ROUNDING = 1e-4
"""Relative difference between two such numbers that is none: other processors, or another number of
threads, round otherwise, by 1e-5 at most."""

BEFORE: Mapping[str, Mapping[str, Any]] = {"settings": {"trials": FEWEST}}
"""What folders of earlier versions do not say, since there was no choice."""


def fingerprint(problem: Problem) -> dict[str, str]:
    """What tells one recipe from another, part by part.

    Cost, metric and penalty are known by what they do: their values for the initial parameters under
    seed 0, on a first batch.
    """
    recipe = problem.recipe
    model = build_model(problem, seed=0)
    first = problem.train.first(problem.batch_size)
    model.eval()
    with torch.no_grad():
        output = model(first.inputs)
        named = {n: p for n, p in model.named_parameters() if p.requires_grad}
        cost, metric = (f(output, first.targets).item() for f in (recipe.cost, recipe.measure))
        penalty = 0.0 if recipe.penalty is None else recipe.penalty(named).item()
    splits = [problem.at_hand, problem.validation, *([problem.test] if problem.test else [])]
    return {
        "name": recipe.name,
        "batch size": str(problem.batch_size),
        "last batch": recipe.last_batch,
        "patience": str(recipe.patience),
        "source of data": type(problem.train).__name__,
        "data": _digest(*(t for split in splits for t in (split.inputs, split.targets))),
        "model": str(model),
        "start": _digest(*model.state_dict().values()),
        "cost": f"{cost:.9g}",
        "metric": f"{metric:.9g}",
        "penalty": f"{penalty:.9g}",
        "target": f"{recipe.metric_name} {'maximize' if recipe.maximize else 'minimize'} "
        f"{recipe.target}",
    }


def agree(name: str, one: object, other: object) -> bool:
    """Whether a part of two fingerprints is the same, numbers up to `ROUNDING`."""
    if name in MEASURED and isinstance(one, str) and isinstance(other, str):
        return one == other or math.isclose(float(one), float(other), rel_tol=ROUNDING)
    return one == other


def rule_digest(rule: Rule) -> str:
    """What tells one rule from another: its defaults, and three steps on fixed numbers."""
    hyper = eager.hyper_tensors(rule.defaults)
    rule = at_probe(rule)
    weights = [torch.linspace(-1, 1, 12, dtype=torch.float64).reshape(4, 3)]
    states = eager.init_states(rule, weights)
    seen = []
    for step in range(3):
        seen.append(eager.output(rule, weights[0], states[0], hyper))
        blocks = (weights, [torch.cos(weights[0] + step)], states)
        eager.step(rule, *blocks, eager.with_totals(rule, *blocks, hyper))
        seen.append(weights[0].clone())
    return f"{_digest(*seen)} {dict(rule.defaults)} {rule.granularity}"


def procedure_digest(problem: Problem, procedure: Procedure) -> str:
    """What tells one procedure from another: each of its parts, by what it does."""
    model, pace = starting_model(problem, procedure, 0), pace_of(problem, procedure)
    values = [
        torch.tensor([schedule(step) for step in evaluation_steps(pace.steps)])
        for _, schedule in sorted(procedure.schedules.items())
    ]
    order, examples = procedure.order or problem.recipe.order, problem.train.count
    # The first epoch of `shuffled` and `shuffled_once` is the same.
    epochs = range(0 if examples is None else min(order.epochs or 2, 2))
    seen = [order.epoch(0, epoch, examples or 0) for epoch in epochs]
    parts = [*model.state_dict().values(), *values, *seen]
    names = [procedure.start.name, order.name, *sorted(procedure.schedules)]
    if pace != (problem.batch_size, problem.steps):
        names += map(str, pace)
    return f"{_digest(*parts)} {' '.join(names)} {rule_digest(procedure.rule)}"


def _digest(*tensors: Tensor) -> str:
    total = hashlib.sha256()
    for tensor in tensors:
        total.update(f"{tensor.dtype}{list(tensor.shape)}".encode())
        data = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
        total.update(data.numpy().tobytes())
    return total.hexdigest()[:16]


def same_or_refuse(
    store: Store, problem: Problem, settings: Settings, arms: Mapping[str, Procedure]
) -> None:
    """Bind a new folder to this recipe and these settings; on a known one, insist on the same.

    Raises:
        FolderError: the folder holds a comparison of something else; says what differs.
    """
    now: dict[str, Any] = {"recipe": fingerprint(problem), "settings": asdict(settings)}
    now["settings"]["arms"] = list(settings.arms)
    now["procedures"] = {name: procedure_digest(problem, arm) for name, arm in arms.items()}
    spans = {name: searched(arm, settings.trials) for name, arm in arms.items()}
    now["spans"] = {name: _spans_as_json(of) for name, of in spans.items() if of}
    if store.fact("recipe") is None:
        store.set_facts(**now)
        return
    for kind, wanted in now.items():
        stored = {**BEFORE.get(kind, {}), **(store.fact(kind) or {})}
        for name, value in wanted.items():
            known = stored.get(name)
            same = agree(name, known, value) if kind == "recipe" else known == value
            if not same:
                raise FolderError(_difference(store.folder, kind, name, known, value))


def _spans_as_json(spans: Mapping[str, Span]) -> dict[str, list[Any]]:
    return {name: [span.lo, span.hi, span.scale] for name, span in spans.items()}


def spans_of(store: Store) -> dict[str, dict[str, Span]]:
    """Arm -> hyperparameter -> where it was searched, of those besides the learning rate."""
    stored = store.fact("spans") or {}
    return {
        arm: {name: Span(lo, hi, scale, "") for name, (lo, hi, scale) in spans.items()}
        for arm, spans in stored.items()
    }


def _difference(folder: Path, kind: str, name: str, stored: object, wanted: object) -> str:
    if name == "arms":
        shown = f"of {_short(stored)}, this command asks for {_short(wanted)}"
    elif kind == "settings" or name in PLAIN:
        shown = f"with {name} {_short(stored)}, this command asks for {_short(wanted)}"
    elif kind == "spans":
        shown = f"with hyperparameters of {name!r} searched elsewhere"
    elif kind == "procedures":
        shown = f"with another {name!r}: its rule, start, schedule or minibatches differ"
    else:
        shown = f"of another recipe of this name: its {name} differ"
    return (
        f"{folder} holds a comparison {shown}; "
        "type the same setting to continue it, or choose another --out"
    )


def _short(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)
