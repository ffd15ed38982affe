"""A run of Lightning's Trainer, watched."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ravine.errors import SettingError
from tests.integrations.test_lightning import EPOCHS, Module, loader, loss_of, trainer
from tests.integrations.trials import STEPS, Spec, batches, network, weights

L = pytest.importorskip("lightning", reason="lightning is not installed: pip install lightning")
from ravine.integrations.lightning import WatchCallback  # noqa: E402

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers:UserWarning"),
    pytest.mark.filterwarnings("ignore:.*isinstance.treespec, LeafSpec.*"),
]
SPECS: list[Spec] = [
    ("torch", "Adam", {"lr": 0.02}),
    ("ravine", "Adam", {"lr": 0.02}),
    ("torch", "SGD", {"lr": 0.02, "momentum": 0.9}),
]


class Calling(Module):
    """Calls itself, as most do."""

    def forward(self, inputs: Tensor) -> Tensor:
        return self.net(inputs)

    def training_step(self, batch: list[Tensor], index: int) -> Tensor:
        return nn.functional.mse_loss(self(batch[0]), batch[1])


class Logging(Module):
    """Logs a number in validation."""

    def validation_step(self, batch: list[Tensor], index: int) -> None:
        self.log("validation_error", torch.tensor(0.25), batch_size=1)


class Two(Module):
    """Two parts with parameters, of which one is trained."""

    def __init__(self, spec: Spec, milestones: list[int]) -> None:
        super().__init__(spec, milestones)
        self.other = nn.Linear(2, 2)


class Failing(Module):
    def training_step(self, batch: list[Tensor], index: int) -> Tensor:
        if index == 2:
            raise KeyError("no such batch")
        return super().training_step(batch, index)


def fit(module: Any, folder: Path, *callbacks: Any, **options: Any) -> Any:
    fitting = trainer(
        folder, EPOCHS, enable_checkpointing=False, callbacks=list(callbacks), **options
    )
    fitting.fit(module, loader(), *([loader()] if isinstance(module, Logging) else []))
    return module


@pytest.mark.parametrize("options", [{}, {"accumulate_grad_batches": 2}], ids=str)
@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: "-".join(spec[:2]))
@pytest.mark.parametrize("kind", [Module, Calling])
def test_a_watched_run_is_the_run(
    kind: Any, spec: Spec, options: dict[str, Any], tmp_path: Path
) -> None:
    alone = fit(kind(spec, [9]), tmp_path, **options)
    callback = WatchCallback(budget=1.0)
    backward = torch.Tensor.backward
    watched = fit(kind(spec, [9]), tmp_path, callback, **options)
    assert torch.Tensor.backward is backward
    assert all(a.equal(b) for a, b in zip(weights(watched), weights(alone), strict=True))
    steps = EPOCHS * STEPS // options.get("accumulate_grad_batches", 1)
    assert callback.watch.history.series("loss").steps == list(range(steps))
    assert len(callback.watch.history.series("gradient_curvature")) >= 3
    assert len(callback.watch.history.series("step_length")) >= 5


def test_the_losses_are_those_of_the_steps(tmp_path: Path) -> None:
    callback = WatchCallback()
    fit(Module(SPECS[0], [10**6]), tmp_path, callback)
    first = loss_of(network(), *batches()[0]).item()
    assert callback.watch.history.series("loss").values[0] == first


def test_logged_metrics_are_written_down(tmp_path: Path) -> None:
    callback = WatchCallback(validation_cost="validation_error")
    fit(Logging(SPECS[0], [10**6]), tmp_path, callback)
    steps = [STEPS * (epoch + 1) for epoch in range(EPOCHS)]
    for name in ("validation_error", "validation_cost"):
        assert list(callback.watch.history.series(name)) == [(step, 0.25) for step in steps]


def test_what_to_watch_is_asked_for_where_it_cannot_be_told(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"2 parts with parameters; name the one"):
        fit(Two(SPECS[0], [9]), tmp_path, WatchCallback())
    with pytest.raises(SettingError, match=r"no part 'nets' in Two; there are: net, other"):
        fit(Two(SPECS[0], [9]), tmp_path, WatchCallback("nets"))
    with pytest.raises(SettingError, match=r"optimizer=1; expected one of the 1"):
        fit(Two(SPECS[0], [9]), tmp_path, WatchCallback("net", optimizer=1))
    callback = WatchCallback("net")
    fit(Two(SPECS[0], [9]), tmp_path, callback)
    assert len(callback.watch.history.series("loss")) == EPOCHS * STEPS


def test_a_part_that_takes_no_part_is_reported(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="no loss of the watched model was seen"):
        fit(Two(SPECS[0], [9]), tmp_path, WatchCallback("other"))


def test_an_exception_leaves_nothing_behind(tmp_path: Path) -> None:
    backward, module = torch.Tensor.backward, Failing(SPECS[0], [9])
    with pytest.raises(KeyError):
        fit(module, tmp_path, WatchCallback())
    assert torch.Tensor.backward is backward
    assert all(not part._forward_hooks for part in module.modules())
