"""How a model is edited: parts swapped, sequences rebuilt."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from ravine.diagnostics.doctor.patient import Change, Patient, Remedy, built
from ravine.recipes import load

Edit = Callable[[nn.Module], nn.Module | None]
"""A model -> the same one edited in place, or another one; None where there is nothing to edit."""


def edited(name: str, code: str, edit: Edit, grows: bool = False) -> Remedy:
    """The edit as a remedy, for patients whose model has something to edit."""

    def changes(patient: Patient) -> Sequence[Change]:
        with torch.random.fork_rng(devices=[]):  # layers that are made anew are drawn
            fits = edit(built(patient)) is not None
        return [changed_by(name, code, edit, grows)] if fits else []

    return changes


def changed_by(name: str, code: str, edit: Edit, grows: bool = False) -> Change:
    """The edit as a change; see `Change`."""

    def apply(patient: Patient) -> Patient:
        build = patient.recipe.model

        def edited() -> nn.Module:
            model = build()
            return edit(model) or model

        return replace(patient, recipe=replace(patient.recipe, model=edited))

    return Change(name, code, 5, apply, grows=grows)


def leaves_of(model: nn.Module) -> list[nn.Module]:
    """Modules without children, in their order."""
    return [module for module in model.modules() if not any(module.children())]


def last_leaf(model: nn.Module) -> nn.Module | None:
    """The last of them that does something; it is taken for the output's."""
    leaves = [module for module in leaves_of(model) if not isinstance(module, nn.Identity)]
    return leaves[-1] if leaves else None


def swapped(
    model: nn.Module, old: Callable[[nn.Module], bool], new: Callable[..., nn.Module]
) -> nn.Module | None:
    """The model with some of its modules without children replaced; `new` may take the old one."""
    if not any(old(leaf) for leaf in leaves_of(model)):
        return None
    return _each(model, lambda m: _made(new, m) if old(m) else m)


def _made(new: Callable[..., nn.Module], module: nn.Module) -> nn.Module:
    return new() if isinstance(new, type) else new(module)


def _each(model: nn.Module, edit: Callable[[nn.Module], nn.Module]) -> nn.Module:
    """A model whose modules without children went through `edit`."""
    if not any(model.children()):
        return edit(model)
    for name, child in model.named_children():
        setattr(model, name, _each(child, edit))
    return model


def in_sequences(
    model: nn.Module, edit: Callable[[nn.Sequential], nn.Sequential | None]
) -> nn.Module | None:
    """The model with its `nn.Sequential`s edited, from the inside out; None if none was."""
    changed = False
    for name, child in model.named_children():
        edited = in_sequences(child, edit)
        if edited is not None:
            changed = True
            setattr(model, name, edited)
    new = edit(model) if isinstance(model, nn.Sequential) else None
    return new or (model if changed else None)


def outputs(patient: Patient) -> tuple[Tensor, Tensor] | None:
    """What an example of the model says to the first training examples, and their targets; None where
    it cannot be asked, or gives no tensor."""
    return run_on_few(patient, built(patient))


def run_on_few(patient: Patient, model: nn.Module) -> tuple[Tensor, Tensor] | None:
    """Outputs for the first training examples, and their targets; None where there are none."""
    few = load(patient.recipe).train.first(8)
    try:
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            output = model(few.inputs)
    except (RuntimeError, ValueError, IndexError):  # too few examples for a batch norm, or so
        return None
    return (output, few.targets) if isinstance(output, Tensor) and output.ndim > 0 else None
