"""Changes of numbers and of the procedure: rates, clipping, schedules, starts, optimizers, batches."""

from __future__ import annotations

from dataclasses import replace

from ravine import rules, schedules
from ravine.diagnostics.patient import Change, Patient
from ravine.initializers import start
from ravine.recipes import load
from ravine.transforms import chain, clip_norm, l2


def rate(factor: float) -> Change:
    """Another learning rate."""
    times = f"x {factor:g}" if factor >= 1 else f"/ {1 / factor:.3g}"
    return Change(
        f"learning rate {times}",
        f"lr = lr {times.replace('x', '*')}",
        1,
        lambda patient: replace(patient, lr=patient.lr * factor),
    )


def momentum(value: float) -> Change:
    """Another momentum, where the rule has one."""

    def apply(patient: Patient) -> Patient:
        rule = patient.procedure.rule
        if "momentum" not in rule.defaults:
            return patient
        defaults = {**rule.defaults, "momentum": value}
        return _with(patient, rule=replace(rule, defaults=defaults))

    return Change(f"momentum {value:g}", f"momentum={value:g}", 1, apply)


def batch(factor: int) -> Change:
    """Larger minibatches, at the same number of gradient steps."""

    def apply(patient: Patient) -> Patient:
        problem = load(patient.recipe)
        recipe = replace(
            patient.recipe, batch_size=problem.batch_size * factor, steps=problem.steps, epochs=None
        )
        return replace(patient, recipe=recipe)

    return Change(
        f"batch size x {factor}", f"DataLoader(..., batch_size=batch_size * {factor})", 1, apply
    )


def clipping(largest: float = 1.0) -> Change:
    """Gradients no longer than so."""
    return Change(
        f"clip gradients to norm {largest:g}",
        f"torch.nn.utils.clip_grad_norm_(model.parameters(), {largest:g})",
        2,
        lambda patient: _with(patient, rule=chain(clip_norm(largest), patient.procedure.rule)),
    )


def decay(weight: float) -> Change:
    """A penalty on the weights."""
    return Change(
        f"weight decay {weight:g}",
        f"weight_decay={weight:g}",
        1,
        lambda patient: _with(patient, rule=chain(l2(weight), patient.procedure.rule)),
    )


def stopping(patience: int = 3) -> Change:
    """The best weights instead of the last ones."""
    return Change(
        "early stopping",
        f"ravine.stopping.EarlyStopping(model, patience={patience})",
        2,
        lambda patient: replace(patient, recipe=replace(patient.recipe, patience=patience)),
    )


def schedule(name: str) -> Change:
    """A schedule of the learning rate over the whole training."""

    def apply(patient: Patient) -> Patient:
        made = schedules.named(name, load(patient.recipe).steps)
        return _with(patient, schedules={**patient.procedure.schedules, "lr": made})

    return Change(f"schedule {name}", f'ravine.schedules.named("{name}", steps)', 2, apply)


def begin(name: str) -> Change:
    """Another start."""
    return Change(
        f"start {name}",
        f'ravine.initializers.initialize(model, "{name}")',
        2,
        lambda patient: _with(patient, start=start(name)),
    )


def optimizer(name: str) -> Change:
    """Another rule, at its own learning rate."""

    def apply(patient: Patient) -> Patient:
        rule = rules.get(name)
        plain = {n: s for n, s in patient.procedure.schedules.items() if n == "lr"}
        changed = _with(patient, rule=rule, schedules=plain)
        return replace(changed, lr=rule.defaults["lr"])

    title = rules.get(name).title
    return Change(f"{title} at its default rate", f"ravine.Optimizer(params, {name!r})", 3, apply)


def _with(patient: Patient, **parts: object) -> Patient:
    procedure = replace(patient.procedure, **parts)  # type: ignore[arg-type]
    return replace(patient, procedure=procedure)
