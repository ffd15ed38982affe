"""Hugging Face's Trainer: schedulers, clipping, evaluation, checkpoints."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.integrations.trials import EXACT, Spec, batches, build, gap, network, weights

transformers = pytest.importorskip(
    "transformers", reason="transformers is not installed: pip install transformers accelerate"
)
pytest.importorskip("accelerate", reason="accelerate is not installed: pip install accelerate")
pytestmark = pytest.mark.filterwarnings("ignore:.*pin_memory.*:UserWarning")
ROUNDS = 12
SGD: dict[str, Any] = {"lr": 0.02, "momentum": 0.9}


class Model(nn.Module):
    """The network with a loss, as the Trainer wants to have it."""

    def __init__(self) -> None:
        super().__init__()
        self.net = network()

    def forward(self, x: Tensor, labels: Tensor) -> dict[str, Tensor]:
        output = self.net(x)
        return {"loss": nn.functional.mse_loss(output, labels), "logits": output}


def rows() -> list[dict[str, Tensor]]:
    """All rows of all batches."""
    pairs = [pair for inputs, targets in batches() for pair in zip(inputs, targets, strict=True)]
    return [{"x": x, "labels": y} for x, y in pairs]


def trainer(spec: Spec, folder: Path, constant: bool = False, **options: Any) -> Any:
    """A Trainer on the CPU that says nothing, its rate falling unless it is constant."""
    model = Model()
    optimizer = build(spec, model.parameters())
    schedule = (lambda step: 1.0) if constant else (lambda step: 1 / (1 + 0.2 * step))
    settings = {
        "report_to": "none",
        "disable_tqdm": True,
        "use_cpu": True,
        "save_only_model": False,
    }
    return transformers.Trainer(
        model=model,
        args=transformers.TrainingArguments(
            output_dir=str(folder),
            max_steps=ROUNDS,
            per_device_train_batch_size=8,
            per_device_eval_batch_size=8,
            max_grad_norm=0.1,
            save_strategy="steps",
            save_steps=ROUNDS // 2,
            logging_strategy="no",
            seed=3,
            **settings,
            **options,
        ),
        train_dataset=rows(),
        eval_dataset=rows(),
        optimizers=(optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, schedule)),
    )


@pytest.mark.parametrize("options", [{}, {"gradient_accumulation_steps": 2}], ids=str)
@pytest.mark.parametrize("engine", ["auto", "compiled", "eager"])
def test_adamw_is_torchs(engine: str, options: dict[str, Any], tmp_path: Path) -> None:
    ours = trainer(("ravine", "AdamW", {"lr": 0.02, "engine": engine}), tmp_path / "a", **options)
    theirs = trainer(("torch", "AdamW", {"lr": 0.02}), tmp_path / "b", **options)
    for each in (ours, theirs):
        each.train()
    assert gap(weights(ours.model), weights(theirs.model)) < EXACT


@pytest.mark.parametrize(
    "spec",
    [
        ("ravine", "AdamW", {"lr": 0.02}),
        ("ravine", "Nesterov", SGD),
        ("ravine", "ScheduleFreeAdamW", {"lr": 0.02, "engine": "compiled"}),
    ],
    ids=lambda spec: spec[1],
)
def test_a_run_resumed_from_a_checkpoint_is_the_uninterrupted_one(
    spec: Spec, tmp_path: Path
) -> None:
    straight = trainer(spec, tmp_path)
    straight.train()
    resumed = trainer(spec, tmp_path)
    with torch.no_grad():
        for param in resumed.model.parameters():
            param.fill_(0.5)
    resumed.train(resume_from_checkpoint=str(tmp_path / f"checkpoint-{ROUNDS // 2}"))
    assert all(
        a.equal(b) for a, b in zip(weights(resumed.model), weights(straight.model), strict=True)
    )


def test_evaluation_sees_the_weights_to_evaluate_between_steps(tmp_path: Path) -> None:
    """The Trainer itself calls the optimizer's `eval` and `train`.

    torch's SGD walks through the probes φ = θ + αv, and v = -ε b with its buffer b.
    """
    evaluating = {"eval_strategy": "steps", "eval_steps": ROUNDS // 4}
    ours = trainer(("ravine", "Nesterov", SGD), tmp_path / "a", constant=True, **evaluating)
    theirs = trainer(("torch", "SGD", {**SGD, "nesterov": True}), tmp_path / "b", constant=True)
    for each in (ours, theirs):
        each.train()
    optimizer = ours.optimizer
    getattr(optimizer, "optimizer", optimizer).train()
    assert gap(weights(ours.model), weights(theirs.model)) < EXACT

    states = getattr(theirs.optimizer, "optimizer", theirs.optimizer).state
    with torch.no_grad():
        for param in theirs.model.parameters():
            param += SGD["momentum"] * SGD["lr"] * states[param]["momentum_buffer"]
        losses = [nn.functional.mse_loss(theirs.model.net(x), y) for x, y in batches()]
    history = [row["eval_loss"] for row in ours.state.log_history if "eval_loss" in row]
    assert len(history) == 4
    assert history[-1] == pytest.approx(float(torch.stack(losses).mean()), rel=1e-6)
