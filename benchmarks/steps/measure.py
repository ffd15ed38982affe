"""How long a step takes, and what memory."""

from __future__ import annotations

import gc
import math
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.nn import Parameter
from torch.profiler import ProfilerActivity, profile, record_function

from steps.contenders import Contender, Make
from steps.sets import Shape, attach, parameters

TURN_SECONDS = 0.03
MOST_STEPS = 200  # a turn
PATIENCE = 2.0
"""Seconds a contender is measured for; then it takes no further turn. Slow ones take two turns, and
the whole of the large set is done in minutes."""

LEAST_TURNS = 2
_MARK = "second step"


@dataclass
class Runner:
    """What takes turns: a step, and the seconds it took in each turn.

    Attributes:
        step: to be timed.
        ready: called before every step, not timed.
        device: where it runs.
        patience: seconds after which it takes no further turn.
        turns: the median of each turn, in seconds.
    """

    step: Callable[[], None]
    ready: Callable[[], None]
    device: str
    patience: float = PATIENCE
    turns: list[float] = field(default_factory=list)
    spent: float = 0.0

    def take_turn(self) -> None:
        """Measure for `TURN_SECONDS`, one step at least; once patience is gone, do nothing."""
        if self.spent > self.patience and len(self.turns) >= LEAST_TURNS:
            return
        start = time.perf_counter()
        seconds = (_cuda_turn if self.device == "cuda" else _cpu_turn)(self.step, self.ready)
        self.turns.append(statistics.median(seconds))
        self.spent += time.perf_counter() - start


def _cpu_turn(step: Callable[[], None], ready: Callable[[], None]) -> list[float]:
    end, seconds = time.perf_counter() + TURN_SECONDS, []
    while not seconds or (time.perf_counter() < end and len(seconds) < MOST_STEPS):
        ready()
        start = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - start)
    return seconds


def _cuda_turn(step: Callable[[], None], ready: Callable[[], None]) -> list[float]:
    """Steps follow each other without waiting, as in training.

    Between two events lies the work of the GPU, or, where that is less, the launching of it.
    """
    steps = _steps_in_a_cuda_turn(step, ready)
    pairs = [[torch.cuda.Event(enable_timing=True) for _ in range(2)] for _ in range(steps)]
    for start, stop in pairs:
        ready()
        start.record()
        step()
        stop.record()
    torch.cuda.synchronize()
    return [start.elapsed_time(stop) / 1000 for start, stop in pairs]


def _steps_in_a_cuda_turn(step: Callable[[], None], ready: Callable[[], None]) -> int:
    torch.cuda.synchronize()
    start = time.perf_counter()
    ready()
    step()
    torch.cuda.synchronize()
    return max(1, min(MOST_STEPS, int(TURN_SECONDS / (time.perf_counter() - start))))


@dataclass(frozen=True)
class Warm:
    """A contender that has taken its first steps.

    Attributes:
        contender: it.
        params: its parameters.
        clears: whether its step takes the gradients away.
        first_step: seconds of construction and first step in this process.
        extra_bytes: see `warm_up`.
    """

    contender: Contender
    params: list[Parameter]
    clears: bool
    first_step: float
    extra_bytes: int

    def runner(self, grads: list[Tensor], device: str) -> Runner:
        """It, ready to take turns."""
        ready = (lambda: attach(self.params, grads)) if self.clears else (lambda: None)
        return Runner(self.contender.step, ready, device)

    def restored(self, grads: list[Tensor]) -> None:
        """Undo what its step did to the gradients: torch's foreach Nesterov adds to them."""
        for param, grad in zip(self.params, grads, strict=True):
            if param.grad is not None:
                param.grad.copy_(grad)


def warm_up(make: Make, shapes: list[Shape], grads: list[Tensor], device: str) -> Warm:
    """Make a contender and let it take two steps.

    The extra memory is exact, not sampled: what torch's allocator has handed out at most during the
    second step, less what it had handed out before the optimizer was made (parameters and
    gradients), less the state's tensors. So buffers that stay, buffers of a step, and parameters
    that are moved without being freed all count; code, and what compiling takes, do not.
    """
    gc.collect()
    memory = _CudaMemory() if device == "cuda" else _CpuMemory()
    with memory:
        params = parameters(shapes, device)
        attach(params, grads)
        memory.made()
        start = time.perf_counter()
        contender = make(params)
        contender.step()
        if device == "cuda":
            torch.cuda.synchronize()
        first_step = time.perf_counter() - start
        clears = params[0].grad is None
        attach(params, grads)
        gc.collect()  # examples that a kernel was compiled with
        memory.stepped()
        contender.step()
    return Warm(contender, params, clears, first_step, memory.peak() - contender.state_bytes())


class _CpuMemory:
    """Live bytes, from the allocations that torch's profiler reports."""

    def __init__(self) -> None:
        self._profile = profile(activities=[ProfilerActivity.CPU], profile_memory=True)

    def __enter__(self) -> None:
        self._profile.__enter__()

    def __exit__(self, *error: Any) -> None:
        self._profile.__exit__(*error)

    def made(self) -> None:
        with record_function("made"):
            pass

    def stepped(self) -> None:
        with record_function(_MARK):
            pass

    def peak(self) -> int:
        results = self._profile.profiler.kineto_results  # type: ignore[union-attr]
        events = sorted(results.events(), key=lambda event: event.start_ns())
        live, before, highest = 0, 0, None
        for event in events:
            if event.name() == "[memory]":
                live += event.nbytes()
            elif event.name() == "made":
                before = live
            elif event.name() == _MARK:
                highest = live
            if highest is not None:
                highest = max(highest, live)
        assert highest is not None
        return highest - before


class _CudaMemory:
    """Live bytes, from the counters of torch's CUDA allocator."""

    def __enter__(self) -> None:
        torch.cuda.synchronize()

    def __exit__(self, *error: Any) -> None:
        torch.cuda.synchronize()

    def made(self) -> None:
        self._before = torch.cuda.memory_allocated()

    def stepped(self) -> None:
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()

    def peak(self) -> int:
        return torch.cuda.max_memory_allocated() - self._before


def finite(params: list[Parameter]) -> bool:
    """Whether all numbers are finite: steps over others would be worth nothing.

    Sums show it, and read 124M numbers in a tenth of the time of `isfinite`.
    """
    return all(math.isfinite(param.sum()) for param in params)
