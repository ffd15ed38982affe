"""One optimizer step: ravine, torch.optim and other libraries, as multiples of what memory allows.

For every rule a floor is measured beside them: a compiled kernel that reads and writes the same
words once, in one flat piece of memory. All contenders take turns in one process, floor first, so
that the machine's moods fall on all alike; a ratio is of one turn's times, its value the median over
turns. Gradients arrive as separate tensors, as autograd leaves them, and are gathered within the
step. Warm-up is not counted. First steps are timed apart, on the small set, in processes of their
own (compiling depends on the rule, hardly on the parameters). Writes results/step-cpu.json.

    python benchmarks/step.py [--set small] [--rules adam,lion] [--turns 7] [--threads 2]

The large set takes 12 GiB of memory. Other libraries are measured where they are installed:

    pip install pytorch_optimizer heavyball torch-optimi
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import time
import warnings
from pathlib import Path
from typing import Any

os.environ.setdefault("KINETO_LOG_LEVEL", "6")  # no lines about profiling; read by torch

import torch

from ravine.environment import environment
from steps.contenders import CASES, contenders, packages
from steps.first import first_steps
from steps.floor import Floor
from steps.measure import Runner, Warm, finite, warm_up
from steps.sets import SETS, Shape, gradients

MIB = 2**20
COLUMNS = {
    "ravine": "ravine",
    "ravine eager": "eager",
    "torch": "torch",
    "torch foreach": "foreach",
    "torch fused": "fused",
    "torch compiled": "compiled",
    "pytorch_optimizer": "p._opt.",
    "heavyball": "heavyb.",
    "optimi": "optimi",
}


def measure(
    name: str, set_name: str, turns: int, device: str, compile_step: bool
) -> dict[str, Any]:
    """All contenders of one rule on one set of parameters."""
    torch.compiler.reset()  # the floor is compiled for every size; dynamo would give up after 8
    case = CASES[name]
    shapes = case.shapes(SETS[set_name]())
    floor = Floor(shapes, case.states, device)
    grads = gradients(shapes, device)
    for _ in range(3):
        floor.step()
    warm, left_out = _warm_ups(name, set_name, shapes, grads, device, compile_step)
    base = Runner(floor.step, lambda: None, device, patience=math.inf)
    runners = {who: each.runner(grads, device) for who, each in warm.items()}
    kept = [grad.clone() for grad in grads]
    for _ in range(turns):
        base.take_turn()
        for who, runner in runners.items():
            runner.take_turn()
            warm[who].restored(kept)
    for who, each in warm.items():
        if not finite(each.params):  # torch's foreach Nesterov adds to the gradients themselves
            left_out[who] = "its parameters diverged: it writes to the gradients it is given"
    runners = {who: runner for who, runner in runners.items() if who not in left_out}
    assert "ravine" in runners, f"{name}: {left_out['ravine']}"
    rows = {who: _row(runners[who], base, warm[who]) for who in runners}
    others = {who: row["ratio"] for who, row in rows.items() if not who.startswith("ravine")}
    return {
        "floor_us": round(1e6 * statistics.median(base.turns), 1),
        "floor_words": 3 + 2 * case.states,
        "contenders": rows,
        "best_alternative": min(others, key=others.__getitem__, default=None),
        "left_out": left_out,
    }


def _warm_ups(
    name: str,
    set_name: str,
    shapes: list[Shape],
    grads: list[torch.Tensor],
    device: str,
    compile_step: bool,
) -> tuple[dict[str, Warm], dict[str, str]]:
    """Those that can be measured, and why the others cannot."""
    warm, left_out = {}, {}
    for who, make in contenders(name, set_name, compile_step).items():
        if isinstance(make, str):
            left_out[who] = make
            continue
        try:
            warm[who] = warm_up(make, shapes, grads, device)
        except Exception as error:  # another library's failure is a result like any other
            left_out[who] = f"failed: {type(error).__name__}: {str(error).splitlines()[0]}"
    return warm, left_out


def _row(runner: Runner, base: Runner, warm: Warm) -> dict[str, Any]:
    # a contender that ran out of patience has fewer turns than the floor
    ratios = [mine / floor for mine, floor in zip(runner.turns, base.turns, strict=False)]
    return {
        "ratio": round(statistics.median(ratios), 2),
        "ratio_lowest": round(min(ratios), 2),
        "ratio_highest": round(max(ratios), 2),
        "turns": len(ratios),
        "step_us": round(1e6 * statistics.median(runner.turns), 1),
        "warm_up_seconds": round(warm.first_step, 2),
        "state_mib": round(warm.contender.state_bytes() / MIB, 2),
        "extra_mib": round(warm.extra_bytes / MIB, 2),
    }


def _heading(set_name: str) -> str:
    columns = "".join(f"{title:>9}" for title in COLUMNS.values())
    return (
        f"{set_name}: times the floor\n{'':20}{'floor us':>9}{columns}  "
        f"{'best alternative':18}{'cold s':>7}{'cached s':>9}{'extra MiB':>10}"
    )


def _line(name: str, row: dict[str, Any]) -> str:
    rows = row["contenders"]
    ratios = "".join(f"{rows[who]['ratio'] if who in rows else '':>9}" for who in COLUMNS)
    first = row.get("first_step", {})
    extra = rows["ravine"]["extra_mib"] if "ravine" in rows else ""
    return (
        f"{name:20}{row['floor_us']:>9.0f}{ratios}  {row['best_alternative'] or '':18}"
        f"{first.get('cold_seconds', ''):>7}{first.get('cached_seconds', ''):>9}{extra:>10}"
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--set", choices=list(SETS), help="default: all")
    parser.add_argument("--rules", help="names with commas; default: all")
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument(
        "--compile-step", action="store_true", help="those that compile for minutes, too"
    )
    parser.add_argument("--no-first-steps", action="store_true", help="no new processes")
    parser.add_argument(
        "--out", type=Path, help="default: results/step-DEVICE.json, if all is measured"
    )
    arguments = parser.parse_args()
    arguments.names = arguments.rules.split(",") if arguments.rules else list(CASES)
    if unknown := [name for name in arguments.names if name not in CASES]:
        parser.error(f"--rules came with {', '.join(unknown)}; there are: {', '.join(CASES)}")
    return arguments


def main() -> None:
    arguments = _arguments()
    warnings.simplefilter("ignore")  # of other libraries; they would break the table
    torch.set_num_threads(arguments.threads)
    start = time.perf_counter()
    print(", ".join(f"{package}: {version}" for package, version in packages().items()))
    results: dict[str, dict[str, Any]] = {}
    for set_name in [arguments.set] if arguments.set else SETS:
        results[set_name] = {}
        print(_heading(set_name), flush=True)
        for name in (n for n in arguments.names if set_name in CASES[n].sets):
            row = measure(name, set_name, arguments.turns, arguments.device, arguments.compile_step)
            if set_name == "small" and not arguments.no_first_steps:
                row["first_step"] = first_steps(name, set_name, arguments.device, arguments.threads)
            results[set_name][name] = row
            print(_line(name, row), flush=True)
            for who, reason in row["left_out"].items():
                if reason.startswith("failed"):
                    print(f"    {who}: {reason}", flush=True)
        print(f"{(time.perf_counter() - start) / 60:.1f} minutes\n", flush=True)
    _write(arguments, results)


def _write(arguments: argparse.Namespace, results: dict[str, Any]) -> None:
    whole = arguments.set is None and arguments.rules is None
    path = arguments.out
    if path is None and whole:
        path = Path(__file__).parent / "results" / f"step-{arguments.device}.json"
    if path is None:
        print("only a part was measured, and --out is not given: nothing written")
        return
    about = {
        "environment": {**environment(None), "device": _device(arguments.device)},
        "packages": packages(),
        "turns": arguments.turns,
        "results": results,
    }
    path.write_text(json.dumps(about, indent=2) + "\n")
    print(f"wrote {path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path}")


def _device(device: str) -> str:
    return torch.cuda.get_device_name() if device == "cuda" else "cpu"


if __name__ == "__main__":
    main()
