"""A Ray cluster of this machine, and recipes that travel to it."""

from __future__ import annotations

import pytest

pytest.importorskip("ray", reason="Ray is not installed: pip install 'ravine[ray]'")

from ravine.distributed import LOCAL, connected


@pytest.fixture(scope="session")
def cluster():
    with connected(LOCAL) as found:
        yield found
