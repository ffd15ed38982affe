"""A small comparison, run once."""

from __future__ import annotations

from pathlib import Path

import pytest

from ravine import api, rules
from ravine.comparison.records import Settings, Study
from ravine.comparison.store import Store
from ravine.comparison.verdict import conclude
from tests.problems import digits_recipe

OPTIMIZERS = ("sgd", "adam")


def small_recipe():
    return digits_recipe(steps=54)


def run_small(out: Path, lane: str = "population", **changes):
    return api.compare(small_recipe(), OPTIMIZERS, out, lane=lane, command="test", **changes)


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> Path:
    """The folder of a finished comparison; not to be written to."""
    out = tmp_path_factory.mktemp("finished") / "run"
    run_small(out, "serial")
    return out


@pytest.fixture(scope="session")
def study(finished) -> Study:
    store = Store(finished)
    found = conclude(store)
    store.close()
    return found


__all__ = ["OPTIMIZERS", "Settings", "rules"]
