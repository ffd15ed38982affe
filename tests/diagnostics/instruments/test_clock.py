"""Time per step, by a clock of the test's own."""

from __future__ import annotations

from ravine.diagnostics.instrument import Name
from ravine.diagnostics.instruments.clock import Clock
from tests.diagnostics.instruments.models import stride_of


def test_time_over_the_steps_between() -> None:
    moments = iter([10.0, 10.5, 14.5, 20.0, 21.0])
    clock = Clock(lambda: next(moments))
    steps = (1, 2, 10, 3, 5)  # the fourth one starts anew
    found = [clock.stride(stride_of({}, {}, step=step)) for step in steps]
    name = Name("seconds_per_step")
    assert found == [{}, {name: 0.5}, {name: 0.5}, {}, {name: 0.5}]
