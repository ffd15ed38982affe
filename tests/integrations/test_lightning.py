"""Lightning's Trainer: closures, clipping, schedulers, checkpoints."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from tests.integrations.trials import EXACT, STEPS, Spec, batches, build, gap, network, weights

L = pytest.importorskip("lightning", reason="lightning is not installed: pip install lightning")
EPOCHS = 4
SGD: dict[str, Any] = {"lr": 0.02, "momentum": 0.9}

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers:UserWarning"),
    pytest.mark.filterwarnings("ignore:.*when using `ckpt_path`.*"),
    pytest.mark.filterwarnings("ignore:.*isinstance.treespec, LeafSpec.*"),
]


class Module(L.LightningModule):
    """The network under an optimizer whose rate a schedule halves in the middle."""

    def __init__(self, spec: Spec, milestones: list[int]) -> None:
        super().__init__()
        self.net = network()
        self.spec = spec
        self.milestones = milestones

    def training_step(self, batch: list[Tensor], index: int) -> Tensor:
        return loss_of(self.net, *batch)

    def configure_optimizers(self) -> Any:
        optimizer = build(self.spec, self.parameters())
        scheduler = torch.optim.lr_scheduler.MultiStepLR(optimizer, self.milestones, gamma=0.5)
        return [optimizer], [{"scheduler": scheduler, "interval": "step"}]


class Evaluating(Module):
    """Shows validation the weights to evaluate."""

    def __init__(self, spec: Spec, milestones: list[int]) -> None:
        super().__init__(spec, milestones)
        self.validation_losses: list[Tensor] = []

    def validation_step(self, batch: list[Tensor], index: int) -> None:
        self.validation_losses.append(loss_of(self.net, *batch))

    def on_validation_epoch_start(self) -> None:
        self.optimizers().optimizer.eval()

    def on_validation_epoch_end(self) -> None:
        self.optimizers().optimizer.train()


def loss_of(net: nn.Module, inputs: Tensor, targets: Tensor) -> Tensor:
    """Mean square error."""
    return nn.functional.mse_loss(net(inputs), targets)


def loader() -> DataLoader[Any]:
    """The batches, each as one item."""
    return DataLoader(batches(), batch_size=None, shuffle=False)  # type: ignore[arg-type]


def trainer(folder: Path, epochs: int, **options: Any) -> Any:
    """A Trainer on the CPU that says nothing."""
    quiet = dict.fromkeys(("logger", "enable_progress_bar", "enable_model_summary"), False)
    return L.Trainer(
        accelerator="cpu",
        devices=1,
        max_epochs=epochs,
        default_root_dir=folder,
        gradient_clip_val=0.1,
        **quiet,
        **options,
    )


def trained(spec: Spec, folder: Path, **options: Any) -> Module:
    """A module after all epochs, its rate halved in the middle."""
    module = Module(spec, [EPOCHS * STEPS // 2])
    trainer(folder, EPOCHS, enable_checkpointing=False, **options).fit(module, loader())
    return module


@pytest.mark.parametrize("options", [{}, {"accumulate_grad_batches": 2}], ids=str)
@pytest.mark.parametrize("engine", ["auto", "compiled", "eager"])
@pytest.mark.parametrize("name", ["Adam", "AdamW"])
def test_weights_are_torchs(
    name: str, engine: str, options: dict[str, Any], tmp_path: Path
) -> None:
    ours = trained(("ravine", name, {"lr": 0.02, "engine": engine}), tmp_path, **options)
    theirs = trained(("torch", name, {"lr": 0.02}), tmp_path, **options)
    assert gap(weights(ours), weights(theirs)) < EXACT


@pytest.mark.parametrize(
    "spec",
    [
        ("ravine", "AdamW", {"lr": 0.02}),
        ("ravine", "AdamW", {"lr": 0.02, "engine": "compiled"}),
        ("ravine", "Nesterov", SGD),
        ("ravine", "ScheduleFreeAdamW", {"lr": 0.02}),
    ],
    ids=lambda spec: spec[1],
)
def test_a_run_resumed_from_a_checkpoint_is_the_uninterrupted_one(
    spec: Spec, tmp_path: Path
) -> None:
    straight = trained(spec, tmp_path)
    keep = L.pytorch.callbacks.ModelCheckpoint(dirpath=tmp_path, save_last=True)
    trainer(tmp_path, EPOCHS // 2, callbacks=[keep]).fit(
        Module(spec, [EPOCHS * STEPS // 2]), loader()
    )
    resumed = Module(spec, [EPOCHS * STEPS // 2])
    trainer(tmp_path, EPOCHS, enable_checkpointing=False).fit(
        resumed, loader(), ckpt_path=tmp_path / "last.ckpt", weights_only=True
    )
    assert all(a.equal(b) for a, b in zip(weights(resumed), weights(straight), strict=True))


def test_a_checkpoint_of_torchs_class_goes_on_under_ours(tmp_path: Path) -> None:
    theirs: Spec = ("torch", "AdamW", {"lr": 0.02})
    straight = trained(theirs, tmp_path)
    keep = L.pytorch.callbacks.ModelCheckpoint(dirpath=tmp_path, save_last=True)
    trainer(tmp_path, EPOCHS // 2, callbacks=[keep]).fit(
        Module(theirs, [EPOCHS * STEPS // 2]), loader()
    )
    resumed = Module(("ravine", "AdamW", {"lr": 0.02}), [EPOCHS * STEPS // 2])
    trainer(tmp_path, EPOCHS, enable_checkpointing=False).fit(
        resumed, loader(), ckpt_path=tmp_path / "last.ckpt", weights_only=True
    )
    assert gap(weights(resumed), weights(straight)) < EXACT


def test_validation_sees_the_weights_to_evaluate(tmp_path: Path) -> None:
    """torch's SGD walks through the probes φ = θ + αv, and v = -ε b with its buffer b."""
    module = Evaluating(("ravine", "Nesterov", SGD), [10**6])
    trainer(tmp_path, EPOCHS, enable_checkpointing=False).fit(module, loader(), loader())
    theirs = Module(("torch", "SGD", {**SGD, "nesterov": True}), [10**6])
    fitting = trainer(tmp_path, EPOCHS, enable_checkpointing=False)
    fitting.fit(theirs, loader())
    assert gap(weights(module), weights(theirs)) < EXACT

    with torch.no_grad():
        for param in theirs.parameters():
            buffer = fitting.optimizers[0].state[param]["momentum_buffer"]
            param += SGD["momentum"] * SGD["lr"] * buffer
        expected = [loss_of(theirs.net, *batch) for batch in batches()]
    assert gap(module.validation_losses[-STEPS:], expected) < EXACT
