"""Changes of numbers and of the procedure: rates, clipping, schedules, starts, optimizers, batches."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import replace

from torch import nn

from ravine import rules, schedules, snippets
from ravine.diagnostics.doctor.patient import Change, Patient, Remedy, built
from ravine.initializers import start
from ravine.recipes import load
from ravine.rules import Rule
from ravine.transforms import chain, clip_norm, l2

CLIPPING = {"max_norm", "max_value", "clipping"}
"""Hyperparameters of what clips gradients."""


def rate(factor: float) -> Remedy:
    """Another learning rate."""
    times = f"x {factor:g}" if factor >= 1 else f"/ {1 / factor:.3g}"

    def changes(patient: Patient) -> Sequence[Change]:
        def apply(patient: Patient) -> Patient:
            return replace(patient, lr=_tidy(patient.lr * factor))

        code = f"lr={apply(patient).lr:g}"
        return [Change(f"learning rate {times}", code, 1, apply, forks=True)]

    return changes


def own_rate(beyond: float) -> Remedy:
    """The rule's default learning rate, where that is further from the present one than a factor."""

    def changes(patient: Patient) -> Sequence[Change]:
        lr = patient.procedure.rule.defaults["lr"]
        largest = beyond * patient.lr
        if lr >= largest if beyond < 1 else lr <= largest:
            return []

        def apply(patient: Patient) -> Patient:
            return replace(patient, lr=lr)

        return [Change(f"learning rate {lr:g}, the default", f"lr={lr:g}", 1, apply, forks=True)]

    return changes


def momentum(value: float) -> Remedy:
    """Another momentum, where the rule has one."""

    def changes(patient: Patient) -> Sequence[Change]:
        if patient.procedure.rule.defaults.get("momentum", value) == value:
            return []

        def apply(patient: Patient) -> Patient:
            rule = patient.procedure.rule
            defaults = {**rule.defaults, "momentum": value}
            return _with(patient, rule=replace(rule, defaults=defaults))

        return [Change(f"momentum {value:g}", f"momentum={value:g}", 1, apply, forks=True)]

    return changes


def batch(factor: int) -> Remedy:
    """Larger minibatches, at the same number of gradient steps."""

    def changes(patient: Patient) -> Sequence[Change]:
        problem = load(patient.recipe)
        count = problem.train.count
        size = problem.batch_size * factor
        size = size if count is None else min(size, count)
        if size == problem.batch_size:
            return []

        def apply(patient: Patient) -> Patient:
            steps = load(patient.recipe).steps
            recipe = replace(patient.recipe, batch_size=size, steps=steps, epochs=None)
            return replace(patient, recipe=recipe)

        return [Change(f"batch size {size}", f"batch_size={size}", 1, apply, forks=True)]

    return changes


def clipping(largest: float = 1.0) -> Remedy:
    """Gradients no longer than so, where they are not clipped yet."""

    def changes(patient: Patient) -> Sequence[Change]:
        if "max_norm" in patient.procedure.rule.defaults:
            return []
        code = f"torch.nn.utils.clip_grad_norm_(model.parameters(), {largest:g})"
        name = f"clip gradients to norm {largest:g}"
        return [Change(name, code, 2, apply, forks=True, wraps=True)]

    def apply(patient: Patient) -> Patient:
        return _with(patient, rule=chain(clip_norm(largest), patient.procedure.rule))

    return changes


def decay(weight: float) -> Remedy:
    """A penalty on the weights, where there is none yet. It is not clipped, as in torch, where the
    optimizer adds it to gradients that are clipped by then."""

    def changes(patient: Patient) -> Sequence[Change]:
        rule = patient.procedure.rule
        penalized = patient.recipe.penalty is not None or "weight_decay" in rule.defaults
        if penalized or _decayed(rule, weight) is None:
            return []
        largest = rule.defaults.get("max_norm")
        clip = "" if largest is None else f"ravine.clip_norm({largest:g}), "
        code = f"weight_decay={weight:g}  # or ravine.chain({clip}ravine.l2({weight:g}), rule)"
        return [Change(f"weight decay {weight:g}", code, 1, apply, forks=True)]

    def apply(patient: Patient) -> Patient:
        rule = _decayed(patient.procedure.rule, weight)
        assert rule is not None
        return _with(patient, rule=rule)

    return changes


def _decayed(rule: Rule, weight: float) -> Rule | None:
    """A rule with a penalty inside of what clips it; None where that cannot be told apart."""
    if not CLIPPING & set(rule.defaults):
        return chain(l2(weight), rule)
    made = rules.REGISTRY.get(rule.name)
    settings = {name: value for name, value in rule.defaults.items() if name != "max_norm"}
    # A rule that has options beside its hyperparameters is not made by these alone.
    if made is None or set(inspect.signature(made).parameters) != set(settings):
        return None
    inside, clip = made(**settings), clip_norm(rule.defaults["max_norm"])
    again = clip(inside)
    same = (again.title, again.source, again.defaults) == (rule.title, rule.source, rule.defaults)
    return chain(clip, l2(weight), inside) if same else None


def stopping(patience: int = 3) -> Remedy:
    """The best weights instead of the last ones."""
    code = f"stopping = ravine.stopping.EarlyStopping(model, patience={patience})"

    def changes(patient: Patient) -> Sequence[Change]:
        if patient.recipe.patience is not None:
            return []
        return [Change("early stopping", code, 2, apply, forks=True)]

    def apply(patient: Patient) -> Patient:
        return replace(patient, recipe=replace(patient.recipe, patience=patience))

    return changes


def schedule(name: str) -> Remedy:
    """Another schedule of the learning rate over the whole training."""

    def changes(patient: Patient) -> Sequence[Change]:
        steps = load(patient.recipe).steps
        made = schedules.named(name, steps)
        if patient.procedure.schedules.get("lr", schedules.constant()) == made:
            return []
        code = f"scheduler = {snippets.scheduling(snippets.written(made, steps))}"
        code = f"lr={patient.lr:g}" if made == schedules.constant() else code
        return [Change(f"schedule {name}", code, 2, apply, forks=True)]

    def apply(patient: Patient) -> Patient:
        made = schedules.named(name, load(patient.recipe).steps)
        return _with(patient, schedules={**patient.procedure.schedules, "lr": made})

    return changes


def begin(name: str) -> Remedy:
    """Another start."""
    code = snippets.starting(name)
    if name == "as_built":
        code = "# keep the parameters that the model's constructor gives"

    def changes(patient: Patient) -> Sequence[Change]:
        if patient.procedure.start.name == name:
            return []
        return [Change(f"start {name}", code, 2, apply)]

    def apply(patient: Patient) -> Patient:
        return _with(patient, start=start(name))

    return changes


def remembering() -> Remedy:
    """A start from which recurrent layers remember: orthogonal matrices, and open forget gates."""
    plain, gated = begin("orthogonal"), begin("orthogonal+open_gates")

    def changes(patient: Patient) -> Sequence[Change]:
        kinds = {type(module) for module in built(patient).modules()}
        if nn.LSTM in kinds:
            return gated(patient)
        return plain(patient) if kinds & {nn.RNN, nn.GRU} else []

    return changes


def optimizer(name: str, factor: float = 1.0) -> Remedy:
    """Another rule, alone, at its own learning rate times a factor."""
    rule = rules.get(name)
    lr = _tidy(rule.defaults["lr"] * factor)
    code = snippets.by_ravine(rule, {"lr": lr})

    def changes(patient: Patient) -> Sequence[Change]:
        present = patient.procedure
        same = present.rule.defaults == {**rule.defaults, "lr": present.rule.defaults["lr"]}
        if present.rule.name == name and same and not _scheduled(patient):
            return []  # a learning rate of its own is another change
        return [Change(f"{rule.title} at rate {lr:g}", code, 3, apply)]

    def apply(patient: Patient) -> Patient:
        plain = {n: s for n, s in patient.procedure.schedules.items() if n == "lr"}
        return replace(_with(patient, rule=rule, schedules=plain), lr=lr)

    return changes


def plain_rule() -> Remedy:
    """The rule alone, with its own settings: no clipping, no decay, no other momentum."""

    def changes(patient: Patient) -> Sequence[Change]:
        present = patient.procedure.rule
        if present.name not in rules.REGISTRY:
            return []
        rule = rules.get(present.name)
        if {**rule.defaults, "lr": 0.0} == {**present.defaults, "lr": 0.0}:
            return []
        code = snippets.by_ravine(rule, {"lr": patient.lr})

        def apply(patient: Patient) -> Patient:
            return _with(patient, rule=rule)

        return [Change(f"{rule.title} alone, with its defaults", code, 2, apply)]

    return changes


def _scheduled(patient: Patient) -> bool:
    return any(name != "lr" for name in patient.procedure.schedules)


def _tidy(lr: float) -> float:
    """Four significant digits: what is typed is what was trained."""
    return float(f"{lr:.4g}")


def _with(patient: Patient, **parts: object) -> Patient:
    procedure = replace(patient.procedure, **parts)  # type: ignore[arg-type]
    return replace(patient, procedure=procedure)
