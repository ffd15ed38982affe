"""Changes of the model: activations, normalization, output, size, layers taken out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from ravine.diagnostics.doctor.patient import Change, Patient, Remedy, built
from ravine.recipes import load

SQUASHING = (nn.Sigmoid, nn.Tanh, nn.Hardtanh, nn.Hardsigmoid, nn.Softsign)
RECTIFYING = (nn.ReLU, nn.ReLU6)
ACTIVATIONS = (*SQUASHING, *RECTIFYING, nn.LeakyReLU, nn.ELU, nn.GELU, nn.SiLU, nn.Softplus)
ENDINGS = (*ACTIVATIONS, nn.Softmax, nn.LogSoftmax)
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
DROPOUTS = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout)
WEIGHTY = (nn.Linear, nn.Conv2d)

Edit = Callable[[nn.Module], nn.Module | None]
"""A model -> the same one edited in place, or another one; None where there is nothing to edit."""


def activation(kind: str) -> Remedy:
    """Other hidden activations: "ReLU" for those that saturate, "LeakyReLU" for those that die."""
    old = SQUASHING if kind == "ReLU" else RECTIFYING

    def edit(model: nn.Module) -> nn.Module | None:
        last = _last(model)
        return _swapped(model, lambda m: m is not last and isinstance(m, old), getattr(nn, kind))

    return _edited(f"{kind} activations", f"nn.{kind}()  # in place of hidden activations", edit)


def nonlinear() -> Remedy:
    """A ReLU between linear layers that follow each other, in sequential models."""
    return _edited(
        "ReLU between linear layers",
        "nn.ReLU()  # behind each linear layer but the last",
        lambda model: _in_sequences(model, _with_relus),
    )


def hidden_layer(width: int = 64) -> Remedy:
    """A hidden layer in a model that is one linear layer."""

    def edit(model: nn.Module) -> nn.Module | None:
        leaves = [m for m in _leaves(model) if any(True for _ in m.parameters())]
        if len(leaves) != 1 or not isinstance(leaves[0], nn.Linear):
            return None
        return _swapped(model, lambda m: m is leaves[0], lambda m: _two_layers(m, width))

    code = f"nn.Sequential(nn.Linear(inputs, {width}), nn.ReLU(), nn.Linear({width}, outputs))"
    return _edited(f"a hidden layer of {width} units", code, edit)


def wider(factor: int = 8) -> Remedy:
    """Hidden layers with so many times as many units or channels, in sequential models.

    A step of such a model takes longer, and counts as one."""
    return _edited(
        f"hidden layers {factor} times as wide",
        f"width = {factor} * width  # of all hidden layers",
        lambda model: _in_sequences(model, lambda sequence: _widened(sequence, factor)),
        grows=True,
    )


def dropout(p: float = 0.5) -> Remedy:
    """Dropout behind hidden activations, where there is none."""

    def edit(model: nn.Module) -> nn.Module | None:
        leaves, last = _leaves(model), _last(model)
        if any(isinstance(m, DROPOUTS) for m in leaves):
            return None
        return _swapped(
            model,
            lambda m: m is not last and isinstance(m, ACTIVATIONS),
            lambda m: nn.Sequential(m, nn.Dropout(p)),
        )

    return _edited(f"dropout {p:g}", f"nn.Dropout({p:g})  # behind each hidden activation", edit)


def no_dropout() -> Remedy:
    """Nothing dropped."""
    return _edited(
        "no dropout",
        "nn.Dropout(0.0)",
        lambda model: _swapped(
            model, lambda m: isinstance(m, DROPOUTS) and m.p > 0, lambda m: nn.Identity()
        ),
    )


def batch_norm() -> Remedy:
    """A batch norm behind every linear layer or convolution but the last, in sequential models."""

    def edit(model: nn.Module) -> nn.Module | None:
        if any(isinstance(m, NORMS) for m in model.modules()):
            return None
        return _in_sequences(model, _normalized)

    return _edited(
        "batch normalization", "nn.BatchNorm1d(width)  # behind each layer but the last", edit
    )


def no_ending() -> Remedy:
    """The model without the activation at its end."""

    def edit(model: nn.Module) -> nn.Module | None:
        last = _last(model)
        return _swapped(
            model, lambda m: m is last and isinstance(m, ENDINGS), lambda m: nn.Identity()
        )

    return _edited(
        "no activation at the output", "nn.Identity()  # in place of the last activation", edit
    )


def sigmoid_ending() -> Remedy:
    """A sigmoid for a softmax of one output, which is always 1."""

    def changes(patient: Patient) -> Sequence[Change]:
        found = outputs(patient)
        return remedy(patient) if found is not None and found[0].shape[-1] == 1 else []

    def edit(model: nn.Module) -> nn.Module | None:
        last = _last(model)
        ends = (nn.Softmax, nn.LogSoftmax)
        return _swapped(model, lambda m: m is last and isinstance(m, ends), lambda m: nn.Sigmoid())

    remedy = _edited("sigmoid at the output", "nn.Sigmoid()  # in place of nn.Softmax()", edit)
    return changes


def no_batch_norm() -> Remedy:
    """Group norms of one group, which need no batch, in place of batch norms."""

    def new(module: nn.Module) -> nn.Module:
        assert isinstance(module, NORMS)
        return nn.GroupNorm(1, module.num_features)

    return _edited(
        "group norm for batch norm",
        "nn.GroupNorm(1, channels)  # in place of nn.BatchNorm2d(channels)",
        lambda model: _swapped(model, lambda m: isinstance(m, NORMS), new),
    )


def usual_batch_norm() -> Remedy:
    """Batch norms with torch's momentum and epsilon."""
    usual = (0.1, 1e-5, True)

    def odd(module: nn.Module) -> bool:
        return isinstance(module, NORMS) and usual != (
            module.momentum, module.eps, module.track_running_stats
        )  # fmt: skip

    def new(module: nn.Module) -> nn.Module:
        assert isinstance(module, NORMS)
        return type(module)(module.num_features, affine=module.affine)

    return _edited(
        "batch norms of the usual momentum",
        "nn.BatchNorm1d(width, momentum=0.1)",
        lambda model: _swapped(model, odd, new),
    )


def unfrozen() -> Remedy:
    """All parameters trained."""

    def edit(model: nn.Module) -> nn.Module | None:
        frozen = any(not p.requires_grad for p in model.parameters())
        return model.requires_grad_(True) if frozen else None

    return _edited("all parameters trained", "model.requires_grad_(True)", edit)


def long_memory() -> Remedy:
    """LSTMs for plain recurrent layers."""

    def new(module: nn.Module) -> nn.Module:
        assert isinstance(module, nn.RNN)
        return nn.LSTM(
            module.input_size,
            module.hidden_size,
            module.num_layers,
            bias=module.bias,
            batch_first=module.batch_first,
            dropout=module.dropout,
            bidirectional=module.bidirectional,
        )

    def edit(model: nn.Module) -> nn.Module | None:
        return _swapped(model, lambda m: isinstance(m, nn.RNN), new)

    return _edited(
        "LSTM for RNN", "nn.LSTM(inputs, hidden)  # in place of nn.RNN(inputs, hidden)", edit
    )


def finite_softmax() -> Remedy:
    """Scores from -10⁴ on: a softmax of nothing but -∞, as of a row that a mask hides, is NaN."""
    return _edited(
        "scores of a softmax from -1e4 on",
        "softmax(scores.clamp(min=-1e4))",
        lambda model: _swapped(
            model,
            lambda m: isinstance(m, nn.Softmax),
            lambda m: nn.Sequential(nn.Hardtanh(-1e4, 1e4), m),
        ),
    )


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
        return _swapped(model, lambda m: any(m is g for g in gone), lambda m: nn.Identity())

    lines = [f"{_typed(path)} = nn.Identity()  # without {kind.__name__}" for path in paths]
    return _change(f"without {kind.__name__}", "\n".join(lines), edit)


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
    _run(patient, model)
    modules = dict(model.named_modules())
    return {path: modules[path] for path, same in shapes.items() if same == {True}}


def _shape(values: tuple[object, ...]) -> torch.Size | None:
    """The shape of the one tensor; None where there is another thing, or nothing."""
    return values[0].shape if values and isinstance(values[0], Tensor) else None


def _typed(path: str) -> str:
    """A module's path as it is typed: "blocks.0.norm" -> "model.blocks[0].norm"."""
    return "model" + "".join(f"[{p}]" if p.isdigit() else f".{p}" for p in path.split("."))


def outputs(patient: Patient) -> tuple[Tensor, Tensor] | None:
    """What an example of the model says to the first training examples, and their targets; None where
    it cannot be asked, or gives no tensor."""
    return _run(patient, built(patient))


def _run(patient: Patient, model: nn.Module) -> tuple[Tensor, Tensor] | None:
    few = load(patient.recipe).train.first(8)
    try:
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            output = model(few.inputs)
    except (RuntimeError, ValueError, IndexError):  # too few examples for a batch norm, or so
        return None
    return (output, few.targets) if isinstance(output, Tensor) and output.ndim > 0 else None


def _edited(name: str, code: str, edit: Edit, grows: bool = False) -> Remedy:
    def changes(patient: Patient) -> Sequence[Change]:
        with torch.random.fork_rng(devices=[]):  # layers that are made anew are drawn
            fits = edit(built(patient)) is not None
        return [_change(name, code, edit, grows)] if fits else []

    return changes


def _change(name: str, code: str, edit: Edit, grows: bool = False) -> Change:
    def apply(patient: Patient) -> Patient:
        build = patient.recipe.model

        def edited() -> nn.Module:
            model = build()
            return edit(model) or model

        return replace(patient, recipe=replace(patient.recipe, model=edited))

    return Change(name, code, 5, apply, grows=grows)


def _leaves(model: nn.Module) -> list[nn.Module]:
    return [module for module in model.modules() if not any(module.children())]


def _last(model: nn.Module) -> nn.Module | None:
    leaves = [module for module in _leaves(model) if not isinstance(module, nn.Identity)]
    return leaves[-1] if leaves else None


def _swapped(
    model: nn.Module, old: Callable[[nn.Module], bool], new: Callable[..., nn.Module]
) -> nn.Module | None:
    """The model with some of its modules without children replaced; `new` may take the old one."""
    if not any(old(leaf) for leaf in _leaves(model)):
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


def _in_sequences(
    model: nn.Module, edit: Callable[[nn.Sequential], nn.Sequential | None]
) -> nn.Module | None:
    """The model with its `nn.Sequential`s edited, from the inside out; None if none was."""
    changed = False
    for name, child in model.named_children():
        edited = _in_sequences(child, edit)
        if edited is not None:
            changed = True
            setattr(model, name, edited)
    new = edit(model) if isinstance(model, nn.Sequential) else None
    return new or (model if changed else None)


def _normalized(sequence: nn.Sequential) -> nn.Sequential | None:
    weighty = [m for m in sequence if isinstance(m, WEIGHTY)]
    if len(weighty) < 2:
        return None
    parts: list[nn.Module] = []
    for module in sequence:
        parts.append(module)
        if module is weighty[-1]:
            continue
        if isinstance(module, nn.Linear):
            parts.append(nn.BatchNorm1d(module.out_features))
        elif isinstance(module, nn.Conv2d):
            parts.append(nn.BatchNorm2d(module.out_channels))
    return nn.Sequential(*parts)


def _with_relus(sequence: nn.Sequential) -> nn.Sequential | None:
    parts: list[nn.Module] = []
    open_layer = changed = False
    for module in sequence:
        if isinstance(module, WEIGHTY):
            if open_layer:
                parts.append(nn.ReLU())
                changed = True
            open_layer = True
        elif not isinstance(module, nn.Identity | nn.Flatten | nn.Dropout):
            open_layer = False
        parts.append(module)
    return nn.Sequential(*parts) if changed else None


def _two_layers(layer: nn.Linear, width: int) -> nn.Module:
    return nn.Sequential(
        nn.Linear(layer.in_features, width), nn.ReLU(), nn.Linear(width, layer.out_features)
    )


def _widened(sequence: nn.Sequential, factor: int) -> nn.Sequential | None:
    places = [i for i, m in enumerate(sequence) if isinstance(m, WEIGHTY)]
    if len(places) < 2:
        return None
    parts = list(sequence)
    for i in range(places[0], places[-1] + 1):
        before, after = (factor if i > places[0] else 1), (factor if i < places[-1] else 1)
        wide = _wide(parts[i], before, after)
        if wide is None:
            return None
        parts[i] = wide
    return nn.Sequential(*parts)


def _wide(module: nn.Module, before: int, after: int) -> nn.Module | None:
    """A layer for so many times as many inputs and outputs; None: there is no telling how."""
    if isinstance(module, nn.Linear):
        size = (before * module.in_features, after * module.out_features)
        return nn.Linear(*size, bias=module.bias is not None)
    if isinstance(module, nn.Conv2d) and module.groups == 1:
        return nn.Conv2d(
            before * module.in_channels,
            after * module.out_channels,
            module.kernel_size,  # type: ignore[arg-type]
            module.stride,  # type: ignore[arg-type]
            module.padding,  # type: ignore[arg-type]
            module.dilation,  # type: ignore[arg-type]
            bias=module.bias is not None,
            padding_mode=module.padding_mode,
        )
    if isinstance(module, NORMS):
        return type(module)(before * module.num_features, module.eps, module.momentum)
    return None if any(True for _ in module.parameters()) else module
