"""A Ray cluster of this machine."""

from __future__ import annotations

import pytest

from ravine.distributed import LOCAL, connected


@pytest.fixture(scope="module")
def cluster():
    """Gone after the module: idle it takes a twentieth of a core from all tests that follow."""
    with connected(LOCAL) as found:
        yield found
