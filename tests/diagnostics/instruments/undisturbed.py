"""What a look must leave as it is, on four kinds of networks."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ravine.diagnostics.instrument import Instrument
from tests.diagnostics.looking import look_at


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(6, 4, num_layers=2, dropout=0.3, batch_first=True)
        self.head = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.lstm(x)[0][:, -1])


class Attention(nn.Module):
    """One head of causal attention by torch's fused function."""

    def __init__(self) -> None:
        super().__init__()
        self.project = nn.Linear(6, 24)
        self.head = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.project(x).unsqueeze(1).chunk(3, dim=-1)
        attended = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.head(attended[:, 0].mean(dim=1))


def mlp() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(30, 16), nn.Tanh(), nn.Dropout(), nn.Linear(16, 3))


def conv() -> nn.Module:
    return nn.Sequential(
        nn.Conv1d(5, 4, 3), nn.BatchNorm1d(4), nn.ReLU(), nn.Flatten(), nn.Linear(16, 3)
    )


def transformer() -> nn.Module:
    block = nn.TransformerEncoderLayer(6, 2, 12, batch_first=True)
    return nn.Sequential(block, nn.Flatten(), nn.Linear(30, 3))


MODELS: dict[str, Callable[[], nn.Module]] = {
    "mlp": mlp,
    "conv": conv,
    "lstm": Recurrent,
    "transformer": transformer,
}


def examples() -> tuple[Tensor, Tensor]:
    """Twelve sequences of 5 vectors of 6 numbers, in three classes."""
    generator = torch.Generator().manual_seed(1)
    inputs = torch.randn(12, 5, 6, generator=generator)
    return inputs, torch.randint(3, (12,), generator=generator)


def after_a_step(make: Callable[[], nn.Module], instrument: Instrument | None) -> dict[str, Tensor]:
    """All that a gradient step touches, after two backward passes into the same `.grad`."""
    torch.manual_seed(0)
    model = make()
    inputs, targets = examples()
    state: dict[str, Tensor] = {}
    for _ in range(2):
        look = look_at(model, inputs, targets, F.cross_entropy)
        if instrument is not None:
            assert instrument.look(look)
        look.loss.backward()
        state["loss"] = look.loss.detach()
    state |= {
        f"grad of {n}": p.grad.clone() for n, p in model.named_parameters() if p.grad is not None
    }
    state |= {n: t.clone() for n, t in model.state_dict().items()}
    state["random"] = torch.get_rng_state()
    state["training"] = torch.tensor([m.training for m in model.modules()])
    return state


def assert_undisturbed(make: Callable[[], nn.Module], instrument: Instrument) -> None:
    """The same bits with and without a look."""
    plain, watched = after_a_step(make, None), after_a_step(make, instrument)
    assert plain.keys() == watched.keys()
    for name, value in plain.items():
        assert torch.equal(value, watched[name]), name
