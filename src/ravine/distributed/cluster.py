"""The Ray cluster that a comparison trains on: found or started, silent, and left as it was."""

from __future__ import annotations

import importlib.util
import logging
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from ravine.errors import ClusterError, said

LOCAL = "local"
"""In place of an address: a cluster of this machine's cores, for as long as it is needed."""

AUTO = "auto"
"""In place of an address: the cluster that runs on this machine."""

ANSWER = 5.0
"""Seconds that an address has to answer in."""

HEALTH = 20.0
"""Seconds in which it has to say that it is Ray. Ray's own `init` asks a stranger for ever."""

EXPECTED = (
    f"expected HOST:PORT of a running cluster (`ray start --head` prints it), ray://HOST:10001 from "
    f"outside of it, {AUTO}, or {LOCAL}"
)


@dataclass(frozen=True)
class Cluster:
    """A cluster that answers.

    Attributes:
        ray: the module `ray`, connected.
    """

    ray: Any

    @property
    def cores(self) -> int:
        """CPU cores there are, now: nodes come and go."""
        return int(self.ray.cluster_resources().get("CPU", 0))

    @property
    def title(self) -> str:
        """What it is, in a few words, for the record."""
        nodes = sum(bool(node["Alive"]) for node in self.ray.nodes())
        return f"Ray {self.ray.__version__}, cores: {self.cores}, machines: {nodes}"


def check_address(address: str) -> None:
    """Say what is wrong with an address, before anything is loaded or trained.

    Raises:
        ClusterError: Ray is not installed, this is no address, or nobody answers there.
    """
    if importlib.util.find_spec("ray") is None:
        raise ClusterError(
            "--ray needs Ray, which is not installed; type: pip install 'ravine[ray]'"
        )
    if not isinstance(address, str):
        raise ClusterError(f"ray={address!r}; {EXPECTED}")
    if address in (LOCAL, AUTO):
        return
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdigit():
        raise ClusterError(f"--ray {address}; {EXPECTED}")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=ANSWER).close()
    except (OSError, OverflowError) as error:
        raise ClusterError(
            f"--ray {address}: nobody answers there ({error}); {EXPECTED}"
        ) from error


@contextmanager
def connected(address: str) -> Iterator[Cluster]:
    """A cluster, silent: the screen belongs to the comparison.

    A program that is connected already keeps its connection.

    Args:
        address: HOST:PORT, ray://HOST:PORT, `AUTO` or `LOCAL`.

    Raises:
        ClusterError: see `check_address`; or Ray cannot connect.
    """
    check_address(address)
    _check_health(address)
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # else Ray asks, and reports
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # else it warns of a change
    import ray

    if ray.is_initialized():
        yield Cluster(ray)
        return
    # What Ray prints of a worker that died goes to standard output, `log_to_driver` or not.
    ray._private.worker._worker_logs_enabled = False
    try:
        ray.init(
            address=address,
            log_to_driver=False,
            logging_level=logging.CRITICAL,
            include_dashboard=False if address == LOCAL else None,
        )
    except Exception as error:  # of many kinds, from ConnectionError to what gRPC raises
        raise _refused(address, said(error)) from error
    try:
        yield Cluster(ray)
    finally:
        ray.shutdown()
        ray._private.worker._worker_logs_enabled = True


def _check_health(address: str) -> None:
    """Raise ClusterError unless Ray answers at HOST:PORT; other addresses Ray checks itself."""
    if address in (LOCAL, AUTO) or address.startswith("ray://"):
        return
    ask = [sys.executable, "-m", "ray.scripts.scripts", "health-check", "--address", address]
    try:
        told = subprocess.run(ask, capture_output=True, text=True, timeout=HEALTH, check=False)
    except subprocess.TimeoutExpired as error:
        raise _refused(address, f"what answers there is no Ray, after {HEALTH:g} s") from error
    if told.returncode:
        raise _refused(address, (told.stderr.strip().splitlines() or ["it is not healthy"])[-1])


def _refused(address: str, why: str) -> ClusterError:
    return ClusterError(
        f"--ray {address}: {why}; {EXPECTED}. A cluster with tokens also wants RAY_AUTH_MODE=token"
    )
