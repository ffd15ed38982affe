"""A run of Hugging Face's Trainer, watched."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.integrations.test_huggingface import ROUNDS, trainer
from tests.integrations.trials import Spec, weights

pytest.importorskip(
    "transformers", reason="transformers is not installed: pip install transformers accelerate"
)
pytest.importorskip("accelerate", reason="accelerate is not installed: pip install accelerate")
from ravine.integrations.huggingface import WatchCallback

pytestmark = pytest.mark.filterwarnings("ignore:.*pin_memory.*:UserWarning")
SPECS: list[Spec] = [("torch", "AdamW", {"lr": 0.02}), ("ravine", "AdamW", {"lr": 0.02})]


def trained(spec: Spec, folder: Path, *callbacks: Any, **options: Any) -> Any:
    training = trainer(spec, folder, **options)
    for callback in callbacks:
        training.add_callback(callback)
    training.train()
    return training.model


@pytest.mark.parametrize("accumulated", [1, 2])
@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec[0])
def test_a_watched_run_is_the_run(spec: Spec, accumulated: int, tmp_path: Path) -> None:
    options = {"gradient_accumulation_steps": accumulated}
    alone = trained(spec, tmp_path / "a", **options)
    callback, backward = WatchCallback(budget=1.0), torch.Tensor.backward
    watched = trained(spec, tmp_path / "b", callback, **options)
    assert torch.Tensor.backward is backward
    assert all(a.equal(b) for a, b in zip(weights(watched), weights(alone), strict=True))
    history = callback.watch.history
    assert history.series("loss").steps == list(range(ROUNDS))
    assert len(history.series("gradient_curvature")) >= 3
    assert len(history.series("step_length")) >= 5


def test_evaluations_are_written_down(tmp_path: Path) -> None:
    callback = WatchCallback()
    training = trainer(SPECS[0], tmp_path, eval_strategy="steps", eval_steps=ROUNDS // 4)
    training.add_callback(callback)
    training.train()
    rows = [row for row in training.state.log_history if "eval_loss" in row]
    assert len(rows) == 4
    for name in ("eval_loss", "validation_cost"):
        found = list(callback.watch.history.series(name))
        assert found == [(row["step"], row["eval_loss"]) for row in rows]


def test_after_an_exception_the_watch_can_be_closed(tmp_path: Path) -> None:
    callback, backward = WatchCallback(), torch.Tensor.backward
    training = trainer(SPECS[0], tmp_path)
    training.add_callback(callback)
    training.model.net[0].register_forward_hook(lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        training.train()
    assert torch.Tensor.backward is not backward
    callback.close()
    assert torch.Tensor.backward is backward


def test_a_second_run_is_watched_afresh(tmp_path: Path) -> None:
    callback = WatchCallback()
    trained(SPECS[0], tmp_path / "a", callback)
    first = callback.watch
    trained(SPECS[0], tmp_path / "b", callback)
    assert callback.watch is not first
    ours, theirs = callback.watch.history.series("loss"), first.history.series("loss")
    assert list(ours) == list(theirs)
