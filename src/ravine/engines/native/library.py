"""C++ source -> functions that can be called; compiled once a machine."""

from __future__ import annotations

import atexit
import ctypes
import hashlib
import os
import platform
import shlex
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

FLAGS = ("-std=c++17", "-O3", "-shared", "-fPIC", "-fno-math-errno", "-fno-trapping-math")
"""Exact arithmetic but for fused multiply-adds. The last two let roots and selections be vectorized:
nobody reads errno or the processor's exception flags."""

FAST = (("-march=native", "-fopenmp"), ("-march=native",), ())
"""Flags that some compilers do not have, the best first."""


class CompilerError(Exception):
    """There is no C++ compiler, or it refuses the source."""


@cache
def load(code: str) -> ctypes.CDLL:
    """The code compiled, from the cache of kernels if it has been before.

    Raises:
        CompilerError: there is no C++ compiler, or it refuses the code.
    """
    compiler = _compiler()
    key = hashlib.sha256(
        "\0".join([code, *compiler, *FLAGS, *map(str, FAST), _processor()]).encode()
    )
    path = _cache_folder() / f"{key.hexdigest()[:32]}.so"
    try:
        if not path.exists():
            _compile(code, compiler, path)
        return ctypes.CDLL(str(path))
    except OSError as error:  # a full disk, a folder that nothing may be run from
        path.unlink(missing_ok=True)
        raise CompilerError(f"a kernel could not be compiled or loaded: {error}") from error


def _compiler() -> list[str]:
    """The C++ compiler: CXX, which may have arguments, or what is found."""
    for command in (shlex.split(os.environ.get("CXX", "")), ["g++"], ["clang++"], ["c++"]):
        if command and shutil.which(command[0]):
            return command
    raise CompilerError("no C++ compiler found")


def _compile(code: str, compiler: list[str], path: Path) -> None:
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        source_file, built = Path(folder) / "kernel.cpp", Path(folder) / "kernel.so"
        source_file.write_text(code)
        for fast in FAST:
            command = [*compiler, *FLAGS, *fast, str(source_file), "-o", str(built)]
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode == 0:
                built.replace(path)  # at once: other processes may compile the same
                return
    raise CompilerError(f"{compiler[0]} refused the kernel: {done.stderr.strip()[:500]}")


@cache
def _cache_folder() -> Path:
    """Where kernels are kept; a folder of this process alone where home cannot be written to."""
    try:
        root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        folder = Path(root) / "ravine" / "kernels"
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
        return folder
    except (OSError, RuntimeError):
        folder = Path(tempfile.mkdtemp(prefix="ravine-"))
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        return folder


@cache
def _processor() -> str:
    """What -march=native depends on: a home folder may be shared by different machines."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line for line in lines if line.startswith(("flags", "Features")))
    except (OSError, StopIteration):
        return f"{platform.machine()} {platform.processor()}"
