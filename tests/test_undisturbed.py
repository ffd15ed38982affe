"""A model that is run for a look, and changes in every way that running can change it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ravine.undisturbed import forked_random, undisturbed


class Restless(nn.Module):
    """Writes buffers in place, in other objects, where there was none; draws; changes modes."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(3)
        self.drop = nn.Dropout(0.5)
        self.register_buffer("calls", torch.zeros(()))
        self.register_buffer("last", torch.ones(2))
        self.register_buffer("cache", None)
        self.register_buffer("fixed", torch.ones(1).expand(4))  # cannot be written in place

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        self.last = x.mean(dim=0)
        self.cache = x
        self.drop.train(not self.drop.training)
        return self.drop(self.norm(x)) * torch.rand(()) * self.fixed[0]


def state(model: nn.Module) -> dict[str, Any]:
    return {
        "buffers": {n: (id(b), b.tolist()) for n, b in model.named_buffers()},
        "names": [(n, b is None) for m in model.modules() for n, b in m._buffers.items()],
        "modes": [m.training for m in model.modules()],
        "random": torch.get_rng_state().tolist(),
    }


@pytest.mark.parametrize("training", [True, False])
def test_no_trace_is_left(training: bool) -> None:
    model = Restless().train(training)
    model.norm.eval()
    before = state(model)
    with undisturbed(model):
        model.train(not training)
        model(torch.randn(5, 3))
        assert all(now != before[kind] for kind, now in state(model).items())
    assert state(model) == before


def test_no_trace_is_left_by_an_error() -> None:
    model = Restless()
    before = state(model)

    def fail() -> None:
        with undisturbed(model):
            model.eval()
            model(torch.randn(5, 4))

    with pytest.raises(RuntimeError):
        fail()
    assert state(model) == before


def test_what_is_written_stays_where_random_numbers_alone_are_kept() -> None:
    model = Restless()
    before = state(model)
    with forked_random(model):
        model(torch.randn(5, 3))
    after = state(model)
    assert after["random"] == before["random"]
    assert model.calls == 1
