"""Whether the loss is a number."""

from __future__ import annotations

import pytest
from torch import nn

from ravine.diagnostics.instrument import Name
from ravine.diagnostics.instruments.loss import Loss
from tests.diagnostics.instruments.models import drawn
from tests.diagnostics.looking import look_at


@pytest.mark.parametrize(
    ("factor", "finite"), [(1.0, 1.0), (float("inf"), 0.0), (float("nan"), 0.0)]
)
def test_finite_or_not(factor: float, finite: float) -> None:
    x = drawn(3, 2)
    look = look_at(nn.Linear(2, 2).double(), x, x, lambda y, _: factor * y.square().sum())
    assert Loss().look(look) == {Name("loss_finite"): finite}
