"""Two processes, for all tests that need them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integrations.processes import Group


@pytest.fixture(scope="session")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Group]:
    """Two processes of one group."""
    group = Group(2, tmp_path_factory.mktemp("pair"))
    yield group
    group.end()
