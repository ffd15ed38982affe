"""Members on the digits, trained once for all tests."""

from __future__ import annotations

from functools import partial

import pytest

from ravine.recipes.digits import mlp
from ravine.recipes.recipe import load
from ravine.strategies import Fitted, fit
from ravine.training.population import PopulationLane


@pytest.fixture(scope="session")
def members() -> list[Fitted]:
    """40 digits networks trained to the end with Adam, seeds 0 to 39."""
    lane = partial(PopulationLane, capacity=40, compiled=False)
    return fit(load(mlp()), "adam", 3e-3, range(40), lane)
