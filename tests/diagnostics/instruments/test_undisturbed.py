"""No instrument changes anything of the run it looks at."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ravine.diagnostics.instrument import Instrument
from ravine.diagnostics.instruments.activations import Activations
from ravine.diagnostics.instruments.backpropagated import Backpropagated
from ravine.diagnostics.instruments.clock import Clock
from ravine.diagnostics.instruments.cost import Cost
from ravine.diagnostics.instruments.finite import Finite
from ravine.diagnostics.instruments.inputs import Inputs
from ravine.diagnostics.instruments.loss import Loss
from ravine.diagnostics.instruments.normalization import Normalization
from ravine.diagnostics.instruments.outputs import Outputs
from ravine.diagnostics.instruments.parameters import Parameters
from ravine.diagnostics.instruments.recurrence import Recurrence
from ravine.diagnostics.instruments.relation import Relation
from ravine.diagnostics.instruments.symmetry import Symmetry
from ravine.diagnostics.instruments.updates import Updates
from ravine.diagnostics.look import Stride
from tests.diagnostics.instruments.models import MAKERS, case
from tests.diagnostics.looking import look_at

INSTRUMENTS: dict[str, type[Instrument]] = {
    "activations": Activations,
    "backpropagated": Backpropagated,
    "clock": Clock,
    "cost": Cost,
    "finite": Finite,
    "inputs": Inputs,
    "loss": Loss,
    "normalization": Normalization,
    "outputs": Outputs,
    "parameters": Parameters,
    "recurrence": Recurrence,
    "relation": Relation,
    "symmetry": Symmetry,
    "updates": Updates,
}


def trail(kind: str, instrument: Instrument | None) -> list[Any]:
    """All that three steps leave behind, and what is in between."""
    run = case(kind)
    model = run.model
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    seen: list[Any] = []
    for step in range(3):
        look = run.look()
        before = {name: p.detach().clone() for name, p in look.params.items()}
        if instrument is not None:
            readings = instrument.look(look)
            assert all(type(value) is float for value in readings.values())
            assert {name.quantity for name in readings} <= instrument.quantities.keys()
        seen += [None if p.grad is None else p.grad.clone() for p in model.parameters()]
        seen += [module.training for module in model.modules()]
        seen += [p.requires_grad for p in model.parameters()]
        seen += [torch.get_rng_state(), torch.is_grad_enabled()]
        optimizer.zero_grad()
        look.loss.backward()
        optimizer.step()
        after = {name: p.detach() for name, p in look.params.items()}
        gradients = {name: p.grad for name, p in look.params.items() if p.grad is not None}
        if instrument is not None:
            stride = Stride(step + 1, before, after, gradients, look.lr)
            readings = instrument.stride(stride)
            assert all(type(value) is float for value in readings.values())
            assert {name.quantity for name in readings} <= instrument.quantities.keys()
        seen += [copy(before), copy(model.state_dict()), copy(gradients), torch.get_rng_state()]
    return seen


def copy(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in tensors.items()}


def same(a: Any, b: Any) -> bool:
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[name], b[name]) for name in a)
    return torch.equal(a, b) if isinstance(a, Tensor) else bool(a == b)


@pytest.mark.parametrize("kind", MAKERS)
@pytest.mark.parametrize("name", INSTRUMENTS)
def test_a_run_is_the_same_to_the_last_bit(name: str, kind: str) -> None:
    untouched, looked_at = trail(kind, None), trail(kind, INSTRUMENTS[name]())
    assert len(untouched) == len(looked_at)
    assert all(same(a, b) for a, b in zip(untouched, looked_at, strict=True))


@pytest.mark.parametrize("name", INSTRUMENTS)
def test_a_model_without_layers_or_tensors_is_no_failure(name: str) -> None:
    class Bare(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.theta = nn.Parameter(torch.ones(()))

        def forward(self, x: Tensor) -> Tensor:
            return self.theta * x.sum()

    instrument = INSTRUMENTS[name]()
    x = torch.ones(3, dtype=torch.int64)
    readings = instrument.look(look_at(Bare(), x, x, lambda y, _: y))
    assert {n.quantity for n in readings} <= instrument.quantities.keys()


@pytest.mark.parametrize("name", INSTRUMENTS)
def test_every_instrument_says_what_it_is(name: str) -> None:
    instrument = INSTRUMENTS[name]()
    assert instrument.name == name
    assert instrument.cost
    assert instrument.passes >= 0
    assert all(q == q.lower() and " " not in q for q in instrument.quantities)


def test_no_two_instruments_share_a_quantity() -> None:
    every = [q for kind in INSTRUMENTS.values() for q in kind().quantities]
    assert len(every) == len(set(every))
