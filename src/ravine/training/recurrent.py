"""Recurrent layers of plain operations, which vmap knows; torch's fused ones it does not.

The formulas are those of `torch.nn.RNN`, `GRU` and `LSTM`; parameters keep their names and shapes.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

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

    def forward(
        self, x: Tensor, start: Tensor | State | None = None
    ) -> tuple[Tensor, Tensor | State]:
        """As torch's: x is [time, batch, features], or [batch, time, features] with batch_first, or
        without batch; the outputs of the last layer, and the last states of all layers."""
        lone = x.ndim == 2
        begin = self._split(start, lone)
        x = x.unsqueeze(1) if lone else x.transpose(0, 1) if self.batch_first else x
        last: list[State] = []
        for layer in range(self.num_layers):
            parts = []
            for direction in range(1 + self.bidirectional):
                place = layer * (1 + self.bidirectional) + direction
                out, state = self._run(x, begin[place] if begin else None, layer, bool(direction))
                parts.append(out)
                last.append(state)
            x = torch.cat(parts, -1)
        found = tuple(torch.stack(each) for each in zip(*last, strict=True))
        if lone:
            return x.squeeze(1), self._handed([state.squeeze(1) for state in found])
        return x.transpose(0, 1) if self.batch_first else x, self._handed(found)

    def _split(self, start: Tensor | State | None, lone: bool) -> list[State] | None:
        """The first states of each layer and direction."""
        if start is None:
            return None
        given = (start,) if isinstance(start, Tensor) else start
        if lone:
            given = tuple(state.unsqueeze(1) for state in given)
        return list(zip(*given, strict=True))

    def _handed(self, states: Sequence[Tensor]) -> Tensor | State:
        return states[0] if self.states == 1 else tuple(states)

    def _run(
        self, x: Tensor, start: State | None, layer: int, backwards: bool
    ) -> tuple[Tensor, State]:
        """One layer in one direction: outputs [time, batch, hidden], and its last state."""
        ending = f"_l{layer}{'_reverse' if backwards else ''}"
        w_in, w_h = getattr(self, f"weight_ih{ending}"), getattr(self, f"weight_hh{ending}")
        b_in = getattr(self, f"bias_ih{ending}") if self.bias else None
        b_h = getattr(self, f"bias_hh{ending}") if self.bias else None
        zeros = torch.zeros(x.shape[1], self.hidden_size, dtype=x.dtype, device=x.device)
        state = (zeros,) * self.states if start is None else start
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


class PlainRNN(Plain):
    """h' = tanh(given + remembered), or relu."""

    def step(self, given: Tensor, remembered: Tensor, state: State) -> State:
        """See `Plain.step`."""
        total = given + remembered
        return (total.relu() if self.mode == "RNN_RELU" else total.tanh(),)


class PlainGRU(Plain):
    """Cho et al. 2014, as torch has it: the reset gate weighs W_hn h + b_hn."""

    def step(self, given: Tensor, remembered: Tensor, state: State) -> State:
        """See `Plain.step`."""
        (h,) = state
        r_in, z_in, n_in = given.chunk(3, -1)
        r_h, z_h, n_h = remembered.chunk(3, -1)
        z = (z_in + z_h).sigmoid()
        new = (n_in + (r_in + r_h).sigmoid() * n_h).tanh()
        return ((1 - z) * new + z * h,)


class PlainLSTM(Plain):
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
    if type(model) in FORMS and isinstance(model, nn.RNNBase):
        ordinary = model.dropout == 0 and model.proj_size == 0
        return FORMS[type(model)].of(model) if ordinary else model
    for name, child in model.named_children():
        setattr(model, name, plain_recurrent(child))
    return model
