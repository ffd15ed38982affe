"""Watching a run of Lightning's Trainer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, final

from torch import nn

from ravine.diagnostics.instrument import Instrument
from ravine.diagnostics.watch.recorder import BUDGET
from ravine.diagnostics.watch.watching import Watch
from ravine.errors import InputError, SettingError
from ravine.integrations._holding import Holding

try:
    from lightning.pytorch import LightningModule, Trainer
    from lightning.pytorch.callbacks import Callback
except ImportError as error:
    raise InputError(
        "ravine.integrations.lightning needs Lightning, which is not installed; "
        "type: pip install lightning"
    ) from error


@final
class WatchCallback(Callback):
    """Watches the training steps of `fit`; the run is the same to the last bit.

        callback = WatchCallback()
        Trainer(callbacks=[callback]).fit(module, loader)
        callback.watch.history

    What is watched is the module that `training_step` calls. A LightningModule with a `forward` is
    taken itself, as `training_step` calls `self(x)`; of one without, its only child that has
    parameters. What is logged is written into the history after each validation, at the present step.

    Args:
        part: the name of the module to watch, as `named_modules()` has it, if it is another one.
        optimizer: which one to watch, where there are several.
        validation_cost: under which name the cost on validation data is logged; it is written down as
            "validation_cost" too, which is where findings such as overfitting look for it.
        instruments: makes what to measure with, for each run; `instruments.standard` by default.
        budget: share of the run's own time that measuring may take.

    Raises:
        SettingError: when `fit` begins: it cannot be told what to watch, or there is no such part or
            optimizer.

    Attributes:
        watch: of the present run, or of the last one; None before the first.
    """

    def __init__(
        self,
        part: str | None = None,
        *,
        optimizer: int = 0,
        validation_cost: str = "val_loss",
        instruments: Callable[[], Sequence[Instrument]] | None = None,
        budget: float = BUDGET,
    ) -> None:
        self._part = part
        self._optimizer = optimizer
        self._validation_cost = validation_cost
        self._holding = Holding(instruments, budget)

    @property
    def watch(self) -> Watch | None:
        """Of the present run, or of the last one."""
        return self._holding.watch

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Enter the watch."""
        optimizers = trainer.optimizers
        if self._optimizer >= len(optimizers):
            raise SettingError(
                f"optimizer={self._optimizer}; expected one of the {len(optimizers)} that "
                "configure_optimizers() returned, counted from 0"
            )
        self._holding.enter(_watched(pl_module, self._part), optimizers[self._optimizer])

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write down what was logged; the check before training is not part of the run."""
        if self.watch is None or trainer.sanity_checking:
            return
        logged = {name: float(value) for name, value in trainer.callback_metrics.items()}
        if self._validation_cost in logged:
            logged["validation_cost"] = logged[self._validation_cost]
        self.watch.record(**logged)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Leave the watch."""
        self._holding.leave()
        self._holding.warn_if_blind(
            "training_step calls another module: name it, e.g. WatchCallback('net')"
        )

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: Any) -> None:
        """Leave the watch."""
        self._holding.leave()


def _watched(module: LightningModule, part: str | None) -> nn.Module:
    """The module whose forward pass leads to the loss."""
    if part is not None:
        found: nn.Module | None = dict(module.named_modules()).get(part)
        if found is None:
            raise SettingError(
                f"no part {part!r} in {type(module).__name__}; there are: "
                f"{', '.join(name for name, _ in module.named_children())}"
            )
        return found
    if type(module).forward is not LightningModule.forward:
        return module
    children = [name for name, child in module.named_children() if list(child.parameters())]
    if len(children) != 1:
        raise SettingError(
            f"{type(module).__name__} has no forward(), and {len(children)} parts with parameters; "
            "name the one that training_step calls, e.g. WatchCallback('net')"
        )
    only: nn.Module = module.get_submodule(children[0])
    return only
