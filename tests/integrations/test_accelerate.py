"""Hugging Face's accelerate: prepared objects, accumulation, saved states, bfloat16."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.integrations.trials import EXACT, STEPS, Spec, batches, build, gap, network, weights

accelerate = pytest.importorskip(
    "accelerate", reason="accelerate is not installed: pip install accelerate"
)
HALF = STEPS // 2
ADAMW: Spec = ("torch", "AdamW", {"lr": 0.02})


@pytest.fixture(autouse=True)
def _anew() -> Iterator[None]:
    """accelerate keeps its settings for the whole process."""
    states = accelerate.state.AcceleratorState, accelerate.state.GradientState
    for state in states:
        state._reset_state()
    yield
    for state in states:
        state._reset_state()
    accelerate.state.PartialState._reset_state()


class Run:
    """The network, its optimizer and its schedule, prepared."""

    def __init__(
        self,
        spec: Spec,
        dtype: torch.dtype = torch.float64,
        gamma: float = 0.5,
        **options: Any,
    ) -> None:
        self.tool = accelerate.Accelerator(cpu=True, **options)
        model = network(dtype)
        optimizer = build(spec, model.parameters())
        schedule = torch.optim.lr_scheduler.StepLR(optimizer, 2, gamma=gamma)
        self.model, self.optimizer, self.schedule = self.tool.prepare(model, optimizer, schedule)

    def learn(self, data: list[tuple[Tensor, Tensor]]) -> None:
        """A round for each batch."""
        for inputs, targets in data:
            with self.tool.accumulate(self.model):
                loss = nn.functional.mse_loss(self.model(inputs), targets)
                self.tool.backward(loss)
                if self.tool.sync_gradients:
                    self.tool.clip_grad_norm_(self.model.parameters(), 0.1)
                self.optimizer.step()
                self.schedule.step()
                self.optimizer.zero_grad()


@pytest.mark.parametrize("accumulated", [1, 2])
@pytest.mark.parametrize("engine", ["auto", "compiled", "eager"])
def test_adamw_is_torchs(engine: str, accumulated: int) -> None:
    runs = []
    for spec in (("ravine", "AdamW", {"lr": 0.02, "engine": engine}), ADAMW):
        run = Run(spec, gradient_accumulation_steps=accumulated)
        run.learn(batches() * 2)
        runs.append(weights(run.model))
    assert gap(*runs) < EXACT


@pytest.mark.parametrize("engine", ["auto", "compiled"])
def test_adamw_is_torchs_under_bfloat16_autocast(engine: str) -> None:
    runs = []
    data = batches(torch.float32)
    for spec in (("ravine", "AdamW", {"lr": 0.02, "engine": engine}), ADAMW):
        run = Run(spec, torch.float32, mixed_precision="bf16")
        # One step: at the next one a difference of 1e-7 may round a weight to another bfloat16.
        run.learn(data[:1])
        runs.append(weights(run.model))
    assert gap(*runs) < 1e-6


@pytest.mark.parametrize(
    "spec",
    [
        ("ravine", "AdamW", {"lr": 0.02}),
        ("ravine", "AdamW", {"lr": 0.02, "engine": "compiled"}),
        ("ravine", "LAMB", {"lr": 0.02}),
        ("ravine", "ScheduleFreeAdamW", {"lr": 0.02}),
    ],
    ids=lambda spec: spec[1],
)
@pytest.mark.parametrize("safe", [True, False], ids=["safetensors", "pickle"])
def test_a_saved_state_goes_on(spec: Spec, safe: bool, tmp_path: Path) -> None:
    straight = Run(spec)
    straight.learn(batches())
    saved = Run(spec)
    saved.learn(batches()[:HALF])
    saved.tool.save_state(str(tmp_path), safe_serialization=safe)
    resumed = Run(spec)
    resumed.tool.load_state(str(tmp_path))
    resumed.learn(batches()[HALF:])
    assert all(
        a.equal(b) for a, b in zip(weights(resumed.model), weights(straight.model), strict=True)
    )


def test_the_model_is_saved(tmp_path: Path) -> None:
    run = Run(("ravine", "AdamW", {"lr": 0.02}))
    run.learn(batches())
    run.tool.save_model(run.model, str(tmp_path))
    loaded = network()
    accelerate.load_checkpoint_in_model(loaded, str(tmp_path))
    assert all(a.equal(b) for a, b in zip(weights(loaded), weights(run.model), strict=True))


def test_train_and_eval_reach_the_optimizer() -> None:
    """torch's SGD walks through the probes φ = θ + αv, and v = -ε b with its buffer b."""
    sgd: dict[str, Any] = {"lr": 0.02, "momentum": 0.9}
    # φ is torch's point only while ε is constant.
    ours = Run(("ravine", "Nesterov", sgd), gamma=1.0)
    theirs = Run(("torch", "SGD", {**sgd, "nesterov": True}), gamma=1.0)
    for run in (ours, theirs):
        run.learn(batches())
    probes = weights(theirs.model)
    states = theirs.optimizer.optimizer.state
    buffers = [states[param]["momentum_buffer"] for param in theirs.model.parameters()]
    outputs = [phi + 0.9 * 0.02 * b for phi, b in zip(probes, buffers, strict=True)]
    ours.optimizer.eval()
    assert gap(weights(ours.model), outputs) < EXACT
    ours.optimizer.train()
    assert gap(weights(ours.model), probes) < EXACT
