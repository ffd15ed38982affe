"""Changes of the model and of the cost: activations, normalization, output, trainable parameters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor, nn

from ravine.diagnostics.patient import Change, Patient

SQUASHING = (nn.Sigmoid, nn.Tanh, nn.Hardtanh, nn.Hardsigmoid, nn.Softsign)
RECTIFYING = (nn.ReLU, nn.ReLU6)
ENDINGS = (nn.Softmax, nn.LogSoftmax, nn.Sigmoid, nn.ReLU, nn.Tanh)
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


def activation(kind: str) -> Change:
    """Other hidden activations: "ReLU" for those that saturate, "LeakyReLU" for those that die."""
    old = SQUASHING if kind == "ReLU" else RECTIFYING

    def edit(model: nn.Module) -> nn.Module:
        last = _last(model)
        return _each(
            model, lambda m: getattr(nn, kind)() if isinstance(m, old) and m is not last else m
        )

    return _edited(f"{kind} activations", f"nn.{kind}()", edit)


def batch_norm() -> Change:
    """A batch norm behind every linear layer or convolution but the last, in sequential models."""
    return _edited("batch normalization", "nn.BatchNorm1d(width) behind each layer", _normalized)


def no_ending() -> Change:
    """The model without the activation at its end."""

    def edit(model: nn.Module) -> nn.Module:
        last = _last(model)
        return _each(model, lambda m: nn.Identity() if m is last and isinstance(m, ENDINGS) else m)

    return _edited("no activation at the output", "# remove the last activation", edit)


def no_batch_norm() -> Change:
    """Group norms of one group, which need no batch, in place of batch norms."""

    def swapped(module: nn.Module) -> nn.Module:
        if not isinstance(module, NORMS):
            return module
        return nn.GroupNorm(1, module.num_features)

    return _edited(
        "group norm for batch norm",
        "nn.GroupNorm(1, channels)",
        lambda model: _each(model, swapped),
    )


def usual_batch_norm() -> Change:
    """Batch norms with torch's momentum and epsilon."""

    def reset(module: nn.Module) -> nn.Module:
        if isinstance(module, NORMS):
            module.momentum, module.eps, module.track_running_stats = 0.1, 1e-5, True
        return module

    return _edited(
        "batch norms of the usual momentum",
        "nn.BatchNorm1d(width, momentum=0.1)",
        lambda model: _each(model, reset),
    )


def unfrozen() -> Change:
    """All parameters trained."""
    return _edited(
        "all parameters trained",
        "param.requires_grad_(True)",
        lambda model: model.requires_grad_(True),
    )


def fitting_targets() -> Change:
    """Targets in the shape of the output, before the cost broadcasts them."""

    def apply(patient: Patient) -> Patient:
        cost = patient.recipe.cost

        def shaped(output: Tensor, target: Tensor) -> Tensor:
            same = output.numel() == target.numel()
            return cost(output, target.reshape(output.shape) if same else target)

        return replace(patient, recipe=replace(patient.recipe, cost=shaped))

    return Change(
        "targets in the output's shape", "cost(output, target.reshape(output.shape))", 5, apply
    )


def cross_entropy() -> Change:
    """The likelihood of classes for targets that are classes."""

    def apply(patient: Patient) -> Patient:
        return replace(patient, recipe=replace(patient.recipe, cost=_of_classes))

    return Change("cross-entropy", "torch.nn.functional.cross_entropy(output, classes)", 5, apply)


def _of_classes(output: Tensor, target: Tensor) -> Tensor:
    classes = target.argmax(-1) if target.ndim > 1 and target.shape == output.shape else target
    return torch.nn.functional.cross_entropy(output, classes.reshape(len(output)).long())


def _edited(name: str, code: str, edit: Callable[[nn.Module], nn.Module]) -> Change:
    def apply(patient: Patient) -> Patient:
        build = patient.recipe.model
        return replace(patient, recipe=replace(patient.recipe, model=lambda: edit(build())))

    return Change(name, code, 5, apply)


def _last(model: nn.Module) -> nn.Module | None:
    leaves = [module for module in model.modules() if not any(module.children())]
    return leaves[-1] if leaves else None


def _each(model: nn.Module, edit: Callable[[nn.Module], nn.Module]) -> nn.Module:
    """A model whose modules without children went through `edit`."""
    if not any(model.children()):
        return edit(model)
    for name, child in model.named_children():
        setattr(model, name, _each(child, edit))
    return model


def _normalized(model: nn.Module) -> nn.Module:
    if not isinstance(model, nn.Sequential):
        for name, child in model.named_children():
            setattr(model, name, _normalized(child))
        return model
    weighty = [m for m in model if isinstance(m, nn.Linear | nn.Conv2d)]
    parts: list[nn.Module] = []
    for module in model:
        parts.append(_normalized(module))
        if isinstance(module, nn.Linear) and module is not weighty[-1]:
            parts.append(nn.BatchNorm1d(module.out_features))
        elif isinstance(module, nn.Conv2d) and module is not weighty[-1]:
            parts.append(nn.BatchNorm2d(module.out_channels))
    return nn.Sequential(*parts)
