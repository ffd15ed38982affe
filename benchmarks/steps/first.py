"""Seconds until ravine's first step is done, in a process of its own; prints them as JSON.

python -m steps.first RULE SET DEVICE THREADS
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any


def first_steps(name: str, set_name: str, device: str, threads: int) -> dict[str, Any]:
    """Measure in two new processes: with no compiled kernel on the disk, and with those of the first.

    Returns:
        Seconds; construction, compiling and the step, without the imports of torch and ravine.
    """
    with tempfile.TemporaryDirectory() as cache:
        cold, cached = (_in_new_process(name, set_name, device, threads, cache) for _ in range(2))
    return {
        "cold_seconds": round(cold["step"], 2),
        "cached_seconds": round(cached["step"], 2),
        "import_ravine_seconds": round(cached["import"], 2),
    }


def _in_new_process(
    name: str, set_name: str, device: str, threads: int, cache: str
) -> dict[str, float]:
    here = Path(__file__).parent.parent
    paths = os.pathsep.join([str(here), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-m", "steps.first", name, set_name, device, str(threads)],
        env={**os.environ, "TORCHINDUCTOR_CACHE_DIR": cache, "PYTHONPATH": paths},
        stdout=subprocess.PIPE,
        text=True,
        check=True,  # what went wrong is on its stderr
    )
    seconds: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return seconds


def main() -> None:
    import torch

    from steps.contenders import CASES, ours
    from steps.sets import SETS, attach, gradients, parameters

    name, set_name, device, threads = sys.argv[1:]
    torch.set_num_threads(int(threads))
    case = CASES[name]
    shapes = case.shapes(SETS[set_name]())
    params = parameters(shapes, device)
    attach(params, gradients(shapes, device))
    start = time.perf_counter()
    import ravine.optim  # noqa: F401

    imported = time.perf_counter()
    ours(case, "compiled")(params).step()
    if device == "cuda":
        torch.cuda.synchronize()
    print(json.dumps({"import": imported - start, "step": time.perf_counter() - imported}))


if __name__ == "__main__":
    main()
