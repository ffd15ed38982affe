"""A Ray cluster of this machine."""

from __future__ import annotations

import pytest

from ravine.distributed import LOCAL, connected


@pytest.fixture(scope="session")
def cluster():
    with connected(LOCAL) as found:
        yield found
