"""What happens inside recurrent layers: gates that are stuck, derivatives on their way through time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, final

import torch
from torch import Tensor, nn

from ravine.diagnostics.instrument import Instrument, Name, Readings
from ravine.diagnostics.instruments._numbers import below, floats, measurable, wide
from ravine.diagnostics.instruments.activations import SATURATED
from ravine.diagnostics.look import Layer, Look
from ravine.seeds import generator

EXAMPLES = 16
"""The first ones of the minibatch, that are looked at."""

CELLS: dict[str, Callable[..., Any]] = {
    "RNN_TANH": torch.rnn_tanh_cell,
    "RNN_RELU": torch.rnn_relu_cell,
    "GRU": torch.gru_cell,
    "LSTM": torch.lstm_cell,
}

QUANTITIES = {
    "saturated_gates": (
        f"share of a recurrent layer's gates and tanhs whose derivative is below {SATURATED} of its "
        "largest value, over all time steps"
    ),
    "through_time": (
        "length of the derivative of the last output, as the loss weighs it, by the state after the "
        "first time step, over that by the last output itself"
    ),
    "time_steps": "time steps between these two",
}


@final
class Recurrence(Instrument):
    r"""Gates of `nn.RNN`, `nn.GRU`, `nn.LSTM`, and how far derivatives come in them.

    With v = dJ/d(output) at the last time step T (a draw from a normal distribution where J reads the
    states another way), and the states s, (h, c) in an LSTM:

        through time = ‖d(vᵀh_T)/ds₁‖ / ‖v‖

    The layer's cell is run over its input, example by example as the model had it, from states of 0;
    the model itself is not run. Of stacks the first layer is looked at, with v drawn; of both
    directions the one forward in time. Sequences that are packed are left out.
    """

    name = "recurrence"
    quantities = QUANTITIES
    cost = "a forward and a backward pass of recurrent layers on 16 examples; nothing without them"
    passes = 1.0
    differentiates = True

    def look(self, look: Look) -> Readings:
        """Two or three numbers a layer."""
        found: dict[Name, Tensor] = {}
        steps: Readings = {}
        for layer in look.layers:
            if isinstance(layer.module, nn.RNNBase) and _sequences(layer):
                states, gates = _unrolled(layer)
                found[Name("saturated_gates", layer.name)] = torch.cat(gates).mean()
                if len(states) > 1:
                    slope = _last_slope(look, layer)
                    found[Name("through_time", layer.name)] = _gain(states, slope)
                    steps[Name("time_steps", layer.name)] = float(len(states) - 1)
        return dict(zip(found, floats(found.values()), strict=True)) | steps


def _sequences(layer: Layer) -> bool:
    x = layer.input
    return measurable(x) and x.ndim == 3 and getattr(layer.module, "proj_size", 0) == 0


def _by_time(layer: Layer, x: Tensor) -> Tensor:
    """[time, examples, features], the first examples, without the graph."""
    x = wide(x)
    return (x.transpose(0, 1) if layer.module.batch_first else x)[:, :EXAMPLES]


def _unrolled(layer: Layer) -> tuple[list[tuple[Tensor, ...]], list[Tensor]]:
    """The states after each time step, with their graph from the first one on, and where gates are
    saturated, as 1 and 0."""
    module: Any = layer.module
    x = _by_time(layer, layer.input)  # type: ignore[arg-type]
    names = ["weight_ih_l0", "weight_hh_l0", *["bias_ih_l0", "bias_hh_l0"] * module.bias]
    weights = [wide(getattr(module, name)) for name in names]
    h = x.new_zeros(x.shape[1], module.hidden_size)
    state: tuple[Tensor, ...] = (h, torch.zeros_like(h)) if module.mode == "LSTM" else (h,)
    states: list[tuple[Tensor, ...]] = []
    gates: list[Tensor] = []
    for now in x:
        gates.append(_saturated(module, now, state[0], weights))
        made = CELLS[module.mode](now, state if len(state) == 2 else state[0], *weights)
        state = made if isinstance(made, tuple) else (made,)
        if not states:  # h and c by themselves, not what h owes to c
            state = tuple(part.detach().requires_grad_() for part in state)
        states.append(state)
    return states, gates


@torch.no_grad()
def _saturated(module: Any, x: Tensor, h: Tensor, weights: list[Tensor]) -> Tensor:
    """Of a time step's gates, flat."""
    biases = weights[2:] or [None, None]  # type: ignore[list-item]
    of_x = nn.functional.linear(x, weights[0], biases[0])
    of_h = nn.functional.linear(h, weights[1], biases[1])
    if module.mode == "RNN_RELU":
        return below(of_x + of_h, 0).flatten()[:0]
    if module.mode == "RNN_TANH":
        return _flat_tanh(of_x + of_h)
    if module.mode == "LSTM":
        i, f, g, o = (of_x + of_h).chunk(4, dim=1)
        return torch.cat([*map(_flat_sigmoid, (i, f, o)), _flat_tanh(g)])
    (r, z, n), (hr, hz, hn) = of_x.chunk(3, dim=1), of_h.chunk(3, dim=1)
    reset = r + hr
    return torch.cat(
        [_flat_sigmoid(reset), _flat_sigmoid(z + hz), _flat_tanh(n + reset.sigmoid() * hn)]
    )


def _flat_sigmoid(x: Tensor) -> Tensor:
    y = x.sigmoid()
    return below(4 * y * (1 - y), SATURATED).flatten()


def _flat_tanh(x: Tensor) -> Tensor:
    return below(1 - x.tanh().square(), SATURATED).flatten()


def _last_slope(look: Look, layer: Layer) -> Tensor | None:
    """dJ/d(output) at the last time step, of the direction forward in time; None if it is 0, or of
    another layer of the stack."""
    module: Any = layer.module
    if module.num_layers > 1 or not layer.output.requires_grad:
        return None
    (slope,) = torch.autograd.grad(look.loss, layer.output, retain_graph=True, allow_unused=True)
    if slope is None:
        return None
    last = _by_time(layer, slope)[-1, :, : module.hidden_size]
    return last if bool(last.any()) else None


def _gain(states: list[tuple[Tensor, ...]], slope: Tensor | None) -> Tensor:
    h = states[-1][0]
    if slope is None:
        draws = torch.randn(h.shape, generator=generator("recurrence", "slope"))
        slope = draws.to(h)
    v = slope / slope.abs().max()
    grads = torch.autograd.grad((h * v).sum(), states[0], allow_unused=True)
    lengths = [torch.linalg.vector_norm(g) for g in grads if g is not None]
    gain: Tensor = torch.linalg.vector_norm(torch.stack(lengths)) / torch.linalg.vector_norm(v)
    return gain
