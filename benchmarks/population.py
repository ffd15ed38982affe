"""Member-steps per second: ravine against a serial PyTorch loop, Ray Tune, Optuna and JAX.

All train members of the same problems on the same data, in turns on one machine, so that the
machine's moods fall on all alike; a ratio is of one turn's rates, its value the median over turns.
What is paid once (compiling, choosing a lane, starting Ray) is not counted; ravine's is printed
apart. Ray Tune runs once a problem, a trial for each core, and only its trials' steps are timed.
ravine is the lane that `--lane auto` takes. Last, what a verdict costs, in gradient steps, against
the full grid. Writes results/population.json.

    pip install 'ravine[bench]'
    python benchmarks/population.py [--members 64] [--turns 5] [--seconds 1]
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
import warnings
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from members.cases import CASES, Case
from members.contenders import Ravine, Serial, optuna_trials, ray_rate, start_ray
from members.verdict import cost_of_a_verdict
from ravine.environment import environment

PACKAGES = ("jax", "jaxlib", "optax", "ray", "optuna")
MEMBERS_OF_CNN = 16
"""A scan of 64 small CNNs takes JAX a minute."""

Rate = Callable[[float], float]
"""Seconds of a turn -> member-steps per second."""


def installed() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            warnings.warn(f"{name} is not installed; its rows are left out", stacklevel=2)
    return found


def clocked(take: Callable[[], int]) -> Rate:
    """The rate of what takes member-steps and says how many; the first call, here, warms it up."""
    take()

    def rate(seconds: float) -> float:
        taken, start = 0, time.perf_counter()
        while not taken or time.perf_counter() - start < seconds:
            taken += take()
        return taken / (time.perf_counter() - start)

    return rate


def contenders(case: Case, members: int, ours: Ravine, versions: dict[str, str]) -> dict[str, Rate]:
    problem = case.problem()
    loop = Serial(problem)
    found: dict[str, Rate] = {"serial": clocked(lambda: loop(20)), "ravine": ours.rate}
    if "optuna" in versions:
        trials = optuna_trials(problem)
        found["optuna"] = clocked(lambda: trials(100))
    if {"jax", "optax"} <= versions.keys():
        from members.jax_peer import Jax

        found["jax one by one"] = clocked(Jax(case, None))
        found["jax vmap"] = clocked(Jax(case, members))
    return found


def measure(
    case: Case, members: int, turns: int, seconds: float, versions: dict[str, str]
) -> dict[str, Any]:
    ours = Ravine(case.problem(), members)
    rates = contenders(case, members, ours, versions)
    taken = [{name: rate(seconds) for name, rate in rates.items()} for _ in range(turns)]
    if "ray" in versions:
        under_ray = ray_rate(case.problem)
        taken = [{**turn, "ray tune": under_ray} for turn in taken]
    return {
        "members": members,
        "lane": f"{ours.choice.lane.title}: {ours.choice.reason}",
        "seconds_to_choose": round(ours.seconds_to_choose, 1),
        "rows": {
            name: {
                "per_second": round(statistics.median(turn[name] for turn in taken)),
                **times([turn[name] / turn["serial"] for turn in taken], "times_serial"),
                **times([turn["ravine"] / turn[name] for turn in taken], "ravine_is"),
            }
            for name in taken[0]
        },
    }


def times(ratios: list[float], name: str) -> dict[str, Any]:
    return {
        name: round(statistics.median(ratios), 2),
        f"{name}_range": [round(min(ratios), 2), round(max(ratios), 2)],
    }


def show(name: str, found: dict[str, Any]) -> None:
    print(f"{name}, {found['members']} members; {found['lane']}")
    for contender, row in found["rows"].items():
        low, high = row["times_serial_range"]
        print(
            f"    {contender:16} {row['per_second']:>9,}/s {row['times_serial']:>7} x serial "
            f"[{low}, {high}]   ravine is {row['ravine_is']} times as fast",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--members", type=int, default=64)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0, help="of a contender's turn")
    parser.add_argument("--cases", default=",".join(key.split(",")[0] for key in CASES))
    parser.add_argument("--no-verdict", action="store_true", help="rates only; nothing is written")
    arguments = parser.parse_args()
    versions = installed()
    if "ray" in versions:
        start_ray()
    results = {}
    for name, case in CASES.items():
        if name.split(",")[0] not in arguments.cases.split(","):
            continue
        members = min(arguments.members, MEMBERS_OF_CNN) if case.convolutions else arguments.members
        found = measure(case, members, arguments.turns, arguments.seconds, versions)
        results[name] = found
        show(name, found)
    if arguments.no_verdict:
        return
    verdict = cost_of_a_verdict()
    print(
        f"a verdict on digits-mlp takes {verdict['share']} of the full grid's gradient steps, "
        f"its selection {verdict['share_of_selection']} of a grid of its seeds"
    )
    machine = {**environment(None), **versions}
    written = {"environment": machine, "results": results, "verdict": verdict}
    path = Path(__file__).parent / "results" / "population.json"
    path.write_text(json.dumps(written, indent=2) + "\n")
    print(f"wrote {path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path}")


if __name__ == "__main__":
    main()
