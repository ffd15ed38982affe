"""Addresses of clusters, and what is said of those that are none."""

from __future__ import annotations

import importlib.util
import socket

import pytest

from ravine.cli import main
from ravine.distributed import check_address
from ravine.errors import ClusterError

needs_ray = pytest.mark.skipif(
    importlib.util.find_spec("ray") is None,
    reason="Ray is not installed: pip install 'ravine[ray]'",
)


@needs_ray
def test_where_nobody_answers():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    with pytest.raises(ClusterError, match=f"127.0.0.1:{port}: nobody answers there"):
        check_address(f"127.0.0.1:{port}")


@needs_ray
@pytest.mark.parametrize("address", ["digits-mlp", "host:", ":6379", "host:port", "ray://host"])
def test_what_is_no_address(address):
    with pytest.raises(ClusterError, match="expected HOST:PORT of a running cluster"):
        check_address(address)


def test_without_ray_the_line_says_what_to_install(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert main(["compare", "digits-softmax", "--out", str(tmp_path / "run"), "--ray"]) == 2
    assert "pip install 'ravine[ray]'" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
