"""How a model is edited: parts swapped for others."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from ravine.diagnostics.doctor.attempting import tried
from ravine.diagnostics.doctor.patient import Change, Patient, Remedy, built
from ravine.recipes import load

Edit = Callable[[nn.Module], nn.Module | None]
"""A model -> the same one edited in place, or another one; None where there is nothing to edit."""


def edited(name: str, code: str, edit: Edit, grows: bool = False) -> Remedy:
    """The edit as a remedy, for patients whose model has something to edit. An edit that raises is
    offered, too, and fails when it is tried, so that its reason is said."""

    def changes(patient: Patient) -> Sequence[Change]:
        with torch.random.fork_rng(devices=[]):  # layers that are made anew are drawn
            fits = tried(lambda: edit(built(patient))) is not None
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
    """A model whose modules without children went through `edit`, once each wherever they are used."""
    done: dict[int, nn.Module] = {}

    def visited(module: nn.Module) -> nn.Module:
        if id(module) not in done:
            done[id(module)] = module  # one with children stays itself
            if not any(module.children()):
                done[id(module)] = edit(module)
            for name, child in _children(module).items():
                setattr(module, name, visited(child))
        return done[id(module)]

    return visited(model)


def _children(module: nn.Module) -> dict[str, nn.Module]:
    """By name; one of two names stays, too, where `named_children` passes over it."""
    return {name: child for name, child in module._modules.items() if child is not None}


def in_sequences(
    model: nn.Module, edit: Callable[[Mapping[str, nn.Module]], Mapping[str, nn.Module]]
) -> nn.Module | None:
    """The model with parts of its `nn.Sequential`s replaced; None if none was.

    Names and number of a sequence's parts stay as they are, as a model's own code may use them. What
    inherits from `nn.Sequential` is left alone: it may use its parts in another order.

    Args:
        model: it is edited in place.
        edit: parts of a sequence, by name and in their order -> those to put in place of some.
    """
    changed = False
    for sequence in [m for m in model.modules() if type(m) is nn.Sequential]:
        for name, part in edit(_children(sequence)).items():
            changed = True
            setattr(sequence, name, part)
    return model if changed else None


def placed(new: nn.Module, old: nn.Module) -> nn.Module:
    """A new module with the floating-point format and the device of an old one's parameters, or else
    its buffers."""
    tensors = (t for t in (*old.parameters(), *old.buffers()) if t.is_floating_point())
    first = next(tensors, None)
    return new if first is None else new.to(first)


def outputs(patient: Patient) -> tuple[Tensor, Tensor] | None:
    """What an example of the model says to the first training examples, and their targets; None where
    it cannot be asked, or gives no tensor."""
    return run_on_few(patient, built(patient))


def run_on_few(patient: Patient, model: nn.Module) -> tuple[Tensor, Tensor] | None:
    """Outputs for the first training examples, and their targets; None where there are none."""
    few = load(patient.recipe).train.first(8)
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        output = tried(lambda: model(few.inputs))  # too few for a batch norm, or so
    return (output, few.targets) if isinstance(output, Tensor) and output.ndim > 0 else None
