"""Activations, norms, dropout, memory: layers swapped for others."""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn

from ravine.diagnostics.doctor.patient import Remedy
from ravine.diagnostics.remedies.models.editing import (
    edited,
    in_sequences,
    last_leaf,
    leaves_of,
    placed,
    swapped,
)
from ravine.diagnostics.remedies.models.kinds import (
    ACTIVATIONS,
    DROPOUTS,
    NORMS,
    RECTIFYING,
    SQUASHING,
    WEIGHTY,
)


def activation(kind: str) -> Remedy:
    """Other hidden activations: "ReLU" for those that saturate, "LeakyReLU" for those that die."""
    old = SQUASHING if kind == "ReLU" else RECTIFYING

    def edit(model: nn.Module) -> nn.Module | None:
        last = last_leaf(model)
        return swapped(model, lambda m: m is not last and isinstance(m, old), getattr(nn, kind))

    return edited(f"{kind} activations", f"nn.{kind}()  # in place of hidden activations", edit)


def dropout(p: float = 0.5) -> Remedy:
    """Dropout behind hidden activations, where there is none."""

    def edit(model: nn.Module) -> nn.Module | None:
        leaves, last = leaves_of(model), last_leaf(model)
        if any(isinstance(m, DROPOUTS) for m in leaves):
            return None
        return swapped(
            model,
            lambda m: m is not last and isinstance(m, ACTIVATIONS),
            lambda m: nn.Sequential(m, nn.Dropout(p)),
        )

    return edited(f"dropout {p:g}", f"nn.Dropout({p:g})  # behind each hidden activation", edit)


def no_dropout() -> Remedy:
    """Nothing dropped."""
    return edited(
        "no dropout",
        "nn.Dropout(0.0)",
        lambda model: swapped(
            model, lambda m: isinstance(m, DROPOUTS) and m.p > 0, lambda m: nn.Identity()
        ),
    )


def batch_norm() -> Remedy:
    """A batch norm behind every linear layer or convolution but the last, in sequential models."""

    def edit(model: nn.Module) -> nn.Module | None:
        if any(isinstance(m, NORMS) for m in model.modules()):
            return None
        return in_sequences(model, _normalized)

    return edited(
        "batch normalization", "nn.BatchNorm1d(width)  # behind each layer but the last", edit
    )


def no_batch_norm() -> Remedy:
    """Group norms of one group, which need no batch, in place of batch norms."""

    def new(module: nn.Module) -> nn.Module:
        assert isinstance(module, NORMS)
        return placed(nn.GroupNorm(1, module.num_features, affine=module.affine), module)

    return edited(
        "group norm for batch norm",
        "nn.GroupNorm(1, channels)  # in place of nn.BatchNorm2d(channels)",
        lambda model: swapped(model, lambda m: isinstance(m, NORMS), new),
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
        return placed(type(module)(module.num_features, affine=module.affine), module)

    return edited(
        "batch norms of the usual momentum",
        "nn.BatchNorm1d(width, momentum=0.1)",
        lambda model: swapped(model, odd, new),
    )


def long_memory() -> Remedy:
    """LSTMs for plain recurrent layers."""

    def new(module: nn.Module) -> nn.Module:
        assert isinstance(module, nn.RNN)
        lstm = nn.LSTM(
            module.input_size,
            module.hidden_size,
            module.num_layers,
            bias=module.bias,
            batch_first=module.batch_first,
            dropout=module.dropout,
            bidirectional=module.bidirectional,
        )
        return placed(lstm, module)

    def edit(model: nn.Module) -> nn.Module | None:
        return swapped(model, lambda m: type(m) is nn.RNN, new)

    return edited(
        "LSTM for RNN", "nn.LSTM(inputs, hidden)  # in place of nn.RNN(inputs, hidden)", edit
    )


def finite_softmax() -> Remedy:
    """Scores from -10⁴ on: a softmax of nothing but -∞, as of a row that a mask hides, is NaN."""
    return edited(
        "scores of a softmax from -1e4 on",
        "softmax(scores.clamp(min=-1e4))",
        lambda model: swapped(
            model,
            lambda m: isinstance(m, nn.Softmax),
            lambda m: nn.Sequential(nn.Hardtanh(-1e4, 1e4), m),
        ),
    )


def unfrozen() -> Remedy:
    """All parameters trained."""

    def edit(model: nn.Module) -> nn.Module | None:
        frozen = any(not p.requires_grad for p in model.parameters())
        return model.requires_grad_(True) if frozen else None

    return edited("all parameters trained", "model.requires_grad_(True)", edit)


def _normalized(parts: Mapping[str, nn.Module]) -> dict[str, nn.Module]:
    """The layers but the last, each with a batch norm behind it."""
    weighty = {name: m for name, m in parts.items() if isinstance(m, WEIGHTY)}
    return {name: _with_norm(weighty[name]) for name in list(weighty)[:-1]}


def _with_norm(layer: nn.Linear | nn.Conv2d) -> nn.Module:
    if isinstance(layer, nn.Linear):
        norm: nn.Module = nn.BatchNorm1d(layer.out_features)
    else:
        norm = nn.BatchNorm2d(layer.out_channels)
    return nn.Sequential(layer, placed(norm, layer))
