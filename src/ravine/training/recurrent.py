"""Recurrent layers of plain operations, which vmap knows; torch's fused ones it does not.

The formulas are those of `torch.nn.RNN`, `GRU` and `LSTM`; parameters keep their names and shapes.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from ravine.training.replacing import replaced

State = tuple[Tensor, ...]
"""What a layer hands on in time: (h,), of an LSTM (h, c); [batch, hidden] each."""


class Plain(nn.RNNBase):
    """A recurrent network, one step in time after the other."""

    states = 1

    @classmethod
    def of(cls, layer: nn.RNNBase) -> Plain:
        """The same layer with the same parameters."""
        made = cls.__new__(cls)
        made.__dict__.update(layer.__dict__)
        return made

    def forward(self, input: Any, hx: Tensor | State | None = None) -> Any:
        """As torch's: input is [time, batch, features], or [batch, time, features] with batch_first,
        or without batch; the outputs of the last layer, and the last states of all layers.

        A packed sequence goes through torch's own forward pass.

        Raises:
            RuntimeError, ValueError: as torch's, what came has another shape.
            TypeError: hx is not one tensor, or of an LSTM not two of them.
        """
        if isinstance(input, PackedSequence):
            return super().forward(input, hx)
        if input.ndim not in (2, 3):
            raise ValueError(f"input is {input.ndim}-D; {self.mode} expects 2-D or 3-D")
        lone = input.ndim == 2
        x = input.unsqueeze(0 if self.batch_first else 1) if lone else input
        begin = self._begin(x, hx, lone)
        x = x.transpose(0, 1) if self.batch_first else x
        last: list[State] = []
        for layer in range(self.num_layers):
            parts = []
            for direction in range(1 + self.bidirectional):
                place = layer * (1 + self.bidirectional) + direction
                out, state = self._run(x, begin[place], layer, bool(direction))
                parts.append(out)
                last.append(state)
            x = torch.cat(parts, -1)
        found = tuple(torch.stack(each) for each in zip(*last, strict=True))
        if lone:
            return x.squeeze(1), self._handed([state.squeeze(1) for state in found])
        return x.transpose(0, 1) if self.batch_first else x, self._handed(found)

    def _begin(self, x: Tensor, hx: Tensor | State | None, lone: bool) -> list[State]:
        """The first states of each layer and direction; x has a batch."""
        if hx is None:
            size = self.get_expected_hidden_size(x, None)
            zeros = torch.zeros(size, dtype=x.dtype, device=x.device)
            given: State = (zeros,) * self.states
        else:
            given = self._given(hx)
            if any(state.ndim != 3 - lone for state in given):
                raise RuntimeError(
                    f"states are {', '.join(f'{state.ndim}-D' for state in given)}; "
                    f"{3 - lone}-D input expects {3 - lone}-D states"
                )
            given = tuple(state.unsqueeze(1) for state in given) if lone else given
        self.check_forward_args(x, self._handed(given), None)  # type: ignore[arg-type]
        return list(zip(*given, strict=True))

    def _given(self, hx: Tensor | State) -> State:
        given = (hx,) if isinstance(hx, Tensor) else tuple(hx)
        if isinstance(hx, Tensor) != (self.states == 1) or len(given) != self.states:
            expected = "one tensor" if self.states == 1 else "a pair of tensors (h, c)"
            raise TypeError(f"hx is {type(hx).__name__}; {self.mode} expects {expected}")
        return given

    def _handed(self, states: Sequence[Tensor]) -> Tensor | State:
        return states[0] if self.states == 1 else tuple(states)

    def _run(self, x: Tensor, state: State, layer: int, backwards: bool) -> tuple[Tensor, State]:
        """One layer in one direction: outputs [time, batch, hidden], and its last state."""
        ending = f"_l{layer}{'_reverse' if backwards else ''}"
        w_in, w_h = getattr(self, f"weight_ih{ending}"), getattr(self, f"weight_hh{ending}")
        b_in = getattr(self, f"bias_ih{ending}") if self.bias else None
        b_h = getattr(self, f"bias_hh{ending}") if self.bias else None
        outputs = []
        inputs = F.linear(x, w_in, b_in)
        for given in inputs.flip(0) if backwards else inputs:
            state = self.step(given, F.linear(state[0], w_h, b_h), state)
            outputs.append(state[0])
        return torch.stack(outputs[::-1] if backwards else outputs), state

    @abstractmethod
    def step(self, given: Tensor, remembered: Tensor, state: State) -> State:
        """The next state.

        Args:
            given: W_ih x + b_ih, [batch, gates · hidden]. remembered: W_hh h + b_hh, the same.
            state: the last one.
        """


class PlainRNN(Plain, nn.RNN):
    """h' = tanh(given + remembered), or relu."""

    def step(self, given: Tensor, remembered: Tensor, state: State) -> State:
        """See `Plain.step`."""
        total = given + remembered
        return (total.relu() if self.mode == "RNN_RELU" else total.tanh(),)


class PlainGRU(Plain, nn.GRU):
    """Cho et al. 2014, as torch has it: the reset gate weighs W_hn h + b_hn."""

    def step(self, given: Tensor, remembered: Tensor, state: State) -> State:
        """See `Plain.step`."""
        (h,) = state
        r_in, z_in, n_in = given.chunk(3, -1)
        r_h, z_h, n_h = remembered.chunk(3, -1)
        z = (z_in + z_h).sigmoid()
        new = (n_in + (r_in + r_h).sigmoid() * n_h).tanh()
        return ((1 - z) * new + z * h,)


class PlainLSTM(Plain, nn.LSTM):
    """Hochreiter & Schmidhuber 1997, with forget gates."""

    states = 2

    def step(self, given: Tensor, remembered: Tensor, state: State) -> State:
        """See `Plain.step`."""
        i, f, g, o = (given + remembered).chunk(4, -1)
        c = f.sigmoid() * state[1] + i.sigmoid() * g.tanh()
        return o.sigmoid() * c.tanh(), c


FORMS: dict[type[nn.Module], type[Plain]] = {
    nn.RNN: PlainRNN,
    nn.GRU: PlainGRU,
    nn.LSTM: PlainLSTM,
}


def plain_recurrent(model: nn.Module) -> nn.Module:
    """Replace recurrent layers inside a module (in place) by their plain forms; return it.

    Those with dropout between layers or with projections stay as they are.
    """
    return replaced(model, _form)


def _form(layer: nn.Module) -> nn.Module | None:
    if type(layer) not in FORMS or not isinstance(layer, nn.RNNBase):
        return None
    ordinary = layer.dropout == 0 and layer.proj_size == 0
    return FORMS[type(layer)].of(layer) if ordinary else None
