"""Watching a run of Hugging Face's Trainer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, final

from ravine.diagnostics.instrument import Instrument
from ravine.diagnostics.watch.recorder import BUDGET
from ravine.diagnostics.watch.watching import Watch
from ravine.errors import InputError
from ravine.integrations._holding import Holding

try:
    from transformers import TrainerCallback
except ImportError as error:
    raise InputError(
        "ravine.integrations.huggingface needs transformers, which is not installed; "
        "type: pip install transformers accelerate"
    ) from error


@final
class WatchCallback(TrainerCallback):
    """Watches the training steps of `Trainer.train`; the run is the same to the last bit.

        callback = WatchCallback()
        Trainer(model, args, callbacks=[callback], ...).train()
        callback.watch.history

    The numbers of an evaluation are written into the history at the present step; "eval_loss" as
    "validation_cost" too, which is where findings such as overfitting look for it.
    With gradient accumulation the first minibatch of a step is looked at, and its loss is divided by
    the number of minibatches, as the Trainer has it. The Trainer does not tell callbacks of an
    exception: call `close()` after one, or train again.

    Args:
        instruments: makes what to measure with, for each run; `instruments.standard` by default.
        budget: share of the run's own time that measuring may take.

    Attributes:
        watch: of the present run, or of the last one; None before the first.
    """

    def __init__(
        self,
        *,
        instruments: Callable[[], Sequence[Instrument]] | None = None,
        budget: float = BUDGET,
    ) -> None:
        self._holding = Holding(instruments, budget)

    @property
    def watch(self) -> Watch | None:
        """Of the present run, or of the last one."""
        return self._holding.watch

    def close(self) -> None:
        """Leave the watch, if training ended in an exception."""
        self._holding.leave()

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Enter the watch. Accelerate wraps optimizers; hooks are for what is inside."""
        optimizer = kwargs["optimizer"]
        self._holding.enter(kwargs["model"], getattr(optimizer, "optimizer", optimizer))

    def on_evaluate(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Write down what was evaluated."""
        if self.watch is not None:
            metrics = kwargs["metrics"].items()
            numbers = {k: float(v) for k, v in metrics if isinstance(v, int | float)}
            if "eval_loss" in numbers:
                numbers["validation_cost"] = numbers["eval_loss"]
            self.watch.record(**numbers)

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Leave the watch."""
        self._holding.leave()
        self._holding.warn_if_blind("the Trainer's compute_loss calls another model")
