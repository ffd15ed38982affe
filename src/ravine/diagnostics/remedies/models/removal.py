"""Modules of one's own, taken out."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ravine.diagnostics.doctor.patient import Change, Patient, Remedy, built
from ravine.diagnostics.remedies.models.editing import changed_by, run_on_few, swapped
from ravine.diagnostics.remedies.models.kinds import DROPOUTS


def taken_out() -> Remedy:
    """Modules of one's own without parameters, and what drops nearly all, taken out, kind by kind.

    Only those that give back the shape they are given: the rest of the model then fits.
    """

    def changes(patient: Patient) -> Sequence[Change]:
        suspects = _suspects(patient)
        kinds = dict.fromkeys(type(module) for module in suspects.values())
        return [_without(kind, suspects) for kind in kinds]

    return changes


def _without(kind: type[nn.Module], suspects: dict[str, nn.Module]) -> Change:
    paths = [path for path, module in suspects.items() if type(module) is kind]

    def edit(model: nn.Module) -> nn.Module | None:
        modules = dict(model.named_modules())
        gone = [modules[path] for path in paths]
        return swapped(model, lambda m: any(m is g for g in gone), lambda m: nn.Identity())

    lines = [f"{_typed(path)} = nn.Identity()  # without {kind.__name__}" for path in paths]
    return changed_by(f"without {kind.__name__}", "\n".join(lines), edit)


def _suspects(patient: Patient) -> dict[str, nn.Module]:
    """Modules that could be taken out, by path."""
    model = built(patient)
    shapes: dict[str, set[bool]] = {}
    for path, module in model.named_modules():
        own = not type(module).__module__.startswith("torch.")
        drops = isinstance(module, DROPOUTS) and module.p > 0.9
        bare = not any(True for _ in module.parameters()) and not any(module.children())
        if path and bare and (own or drops):

            def note(
                module: nn.Module, given: tuple[object, ...], back: object, path: str = path
            ) -> None:
                shapes.setdefault(path, set()).add(_shape(given[:1]) == _shape((back,)))

            module.register_forward_hook(note)
    run_on_few(patient, model)
    modules = dict(model.named_modules())
    return {path: modules[path] for path, same in shapes.items() if same == {True}}


def _shape(values: tuple[object, ...]) -> torch.Size | None:
    """The shape of the one tensor; None where there is another thing, or nothing."""
    return values[0].shape if values and isinstance(values[0], Tensor) else None


def _typed(path: str) -> str:
    """A module's path as it is typed: "blocks.0.norm" -> "model.blocks[0].norm"."""
    return "model" + "".join(f"[{p}]" if p.isdigit() else f".{p}" for p in path.split("."))
