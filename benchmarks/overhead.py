"""What watching costs: a training loop under `Watch` at its defaults, against the same loop alone.

Both train in one process, in short turns one after the other, so that the machine's moods fall on both
alike. A turn's pause is kept from the watch's clock, or it would count as time of the run that may be
spent on measuring. A block is the ratio of two sums over many turns, long enough to hold its share of
the dear measurements; of the blocks the median counts, with a bootstrap interval. The dense start is a
block of its own, the first one. Where cockpit-for-pytorch is installed, its configurations at their
default (everything at every step) are measured in the same run. Writes results/overhead.json.

    python benchmarks/overhead.py [--blocks 12] [--seconds 3]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ravine.diagnostics.watch.recorder import BUDGET
from ravine.diagnostics.watch.watching import Watch
from ravine.environment import environment
from ravine.seeds import generator

EXAMPLES = 4096
TURN_SECONDS = 0.04
DRAWS = 10_000
CONFIGURATIONS = ("economy", "business", "full")
BRIEF = (3, 1.0)
"""Blocks, and seconds of each, for cockpit, whose steps take up to seconds."""


def mlp() -> nn.Module:
    return nn.Sequential(nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10))


def cnn() -> nn.Module:
    return nn.Sequential(
        *(nn.Conv2d(1, 16, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(16, 32, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Linear(32 * 49, 10)),
    )


@dataclass(frozen=True)
class Case:
    """A network on MNIST's shapes; what the pixels show does not change the speed."""

    name: str
    model: Callable[[], nn.Module]
    shape: tuple[int, ...]
    batch_size: int

    def data(self) -> tuple[Tensor, Tensor]:
        inputs = torch.randn(EXAMPLES, *self.shape, generator=generator("pixels"))
        return inputs, torch.randint(10, (EXAMPLES,), generator=generator("labels"))


CASES = (
    Case("MLP 784-128-10, batch 128", mlp, (784,), 128),
    Case("CNN 16-32, 5x5, batch 64", cnn, (1, 28, 28), 64),
)


class Alone:
    """The loop that one writes by hand, with Adam."""

    def __init__(self, case: Case):
        torch.manual_seed(0)
        self.model = case.model()
        self.optimizer = torch.optim.Adam(self.model.parameters())
        inputs, targets = case.data()
        self._batches = list(
            zip(inputs.split(case.batch_size), targets.split(case.batch_size), strict=True)
        )
        self._taken = 0

    def steps(self, count: int) -> None:
        for _ in range(count):
            inputs, targets = self._batches[self._taken % len(self._batches)]
            self._step(self._taken, inputs, targets)
            self._taken += 1

    def _step(self, step: int, inputs: Tensor, targets: Tensor) -> None:
        self.optimizer.zero_grad()
        F.cross_entropy(self.model(inputs), targets).backward()
        self.optimizer.step()

    @contextmanager
    def running(self) -> Iterator[None]:
        """Around a whole measurement."""
        yield

    def resume(self, pause: float) -> None:
        """A turn comes, so many seconds after the last one."""

    def rest(self) -> None:
        """The turn is over."""


class Watched(Alone):
    def __init__(self, case: Case):
        super().__init__(case)
        self.watch = Watch(self.model, self.optimizer)

    @contextmanager
    def running(self) -> Iterator[None]:
        self._original = torch.Tensor.backward
        with self.watch:
            self._watching = torch.Tensor.backward
            self.rest()
            yield

    def resume(self, pause: float) -> None:
        torch.Tensor.backward = self._watching
        self.watch._watcher._since += pause

    def rest(self) -> None:
        torch.Tensor.backward = self._original


class Cockpit(Alone):
    """As cockpit's own examples have it."""

    def __init__(self, case: Case, label: str):
        from backpack import extend
        from cockpit import Cockpit as Panel
        from cockpit.utils.configuration import configuration

        super().__init__(case)
        self.model = extend(self.model)
        self._mean = extend(nn.CrossEntropyLoss())
        self._each = nn.CrossEntropyLoss(reduction="none")
        self._panel = Panel(self.model.parameters(), quantities=configuration(label))

    def _step(self, step: int, inputs: Tensor, targets: Tensor) -> None:
        self.optimizer.zero_grad()
        output = self.model(inputs)
        loss = self._mean(output, targets)
        info = {
            "batch_size": len(inputs),
            "individual_losses": self._each(output, targets),
            "loss": loss,
            "optimizer": self.optimizer,
        }
        with self._panel(step, info=info):
            loss.backward(create_graph=self._panel.create_graph(step))
        self.optimizer.step()


def contenders() -> dict[str, Callable[[Case], Alone]]:
    found: dict[str, Callable[[Case], Alone]] = {"ravine watch": Watched}
    try:
        import cockpit  # noqa: F401
    except ImportError:
        print("cockpit-for-pytorch is not installed and is left out")
        return found
    for label in CONFIGURATIONS:
        found[f"cockpit {label}"] = lambda case, label=label: Cockpit(case, label)
    return found


def timed(run: Alone, steps: int) -> float:
    start = time.perf_counter()
    run.steps(steps)
    return time.perf_counter() - start


def block(alone: Alone, other: Alone, steps: int, seconds: float) -> tuple[float, float]:
    """-> (seconds of the other loop / seconds of the loop alone, seconds of a step alone)."""
    ours, theirs, taken = 0.0, 0.0, 0
    while ours + theirs < 2 * seconds:
        pause = timed(alone, steps)
        ours += pause
        other.resume(pause)
        theirs += timed(other, steps)
        other.rest()
        taken += steps
    return theirs / ours, ours / taken


def measure(
    case: Case, make: Callable[[Case], Alone], blocks: int, seconds: float
) -> dict[str, object]:
    alone, other = Alone(case), make(case)
    alone.steps(30)
    steps = max(1, round(TURN_SECONDS / (timed(alone, 20) / 20)))
    if isinstance(other, Cockpit):
        steps, (blocks, seconds) = 1, BRIEF
    with other.running():
        (start, _), *rest = [block(alone, other, steps, seconds) for _ in range(blocks + 1)]
    ratios = np.array([ratio for ratio, _ in rest])
    draws = np.random.default_rng(0).choice(ratios, (DRAWS, len(ratios)))
    low, high = np.quantile(np.median(draws, axis=1), [0.025, 0.975])
    row: dict[str, object] = {
        "ratio": round(float(np.median(ratios)), 3),
        "ratio_95": [round(float(low), 3), round(float(high), 3)],
        "ratio_at_the_start": round(start, 3),
        "ms_per_step_alone": round(1e3 * statistics.median(each for _, each in rest), 3),
        "steps": other._taken,
    }
    if isinstance(other, Watched):
        accounts = other.watch.accounts
        row["measurements"] = {name: account.measurements for name, account in accounts.items()}
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--blocks", type=int, default=12)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each loop, in a block")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore", module="cockpit|backpack")
    warnings.filterwarnings("ignore", message=".*(backward hook|create_graph=True).*")
    makers, results = contenders(), {}
    for threads in sorted({1, os.cpu_count() or 1}):
        torch.set_num_threads(threads)
        for case in CASES:
            for name, make in makers.items():
                key = f"{case.name}, threads: {threads}, {name}"
                row = measure(case, make, arguments.blocks, arguments.seconds)
                results[key] = row
                print(
                    f"{key:62} {row['ratio']:>7} {row['ratio_95']}   start "
                    f"{row['ratio_at_the_start']:>7}   {row['ms_per_step_alone']} ms a step",
                    flush=True,
                )
    written = {
        "environment": environment(None),
        "budget": BUDGET,
        "blocks": arguments.blocks,
        "seconds": arguments.seconds,
        "results": results,
    }
    path = Path(__file__).parent / "results" / "overhead.json"
    path.write_text(json.dumps(written, indent=2) + "\n")
    print(f"wrote {path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path}")


if __name__ == "__main__":
    main()
