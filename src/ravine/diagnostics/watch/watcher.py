"""The watching of one run, told of each part of a step by whoever runs it."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import torch
from torch import Tensor, nn

from ravine.diagnostics.history import History
from ravine.diagnostics.instrument import Instrument, Name, Readings
from ravine.diagnostics.look import Stride
from ravine.diagnostics.watch.recorder import Account, Recorder
from ravine.diagnostics.watch.scene import Scene
from ravine.errors import SettingError
from ravine.training.observer import Observer, Rates
from ravine.training.records import Point

LOSS = Name("loss")


class Watcher(Observer):
    """Measures the steps of a run that calls it, in this order, at every step:

        forward pass, before_backward(loss), backward pass, before_step(), step, after_step()

    Args:
        model: the module that is trained.
        params: its parameters that are stepped, by name.
        rates: the learning rate of each.
        instruments: what to measure with.
        budget: share of the run's own time that measuring may take.

    Raises:
        SettingError: the budget is no share.
    """

    def __init__(
        self,
        model: nn.Module,
        params: Mapping[str, Tensor],
        rates: Rates,
        instruments: Sequence[Instrument],
        budget: float,
    ):
        check_budget(budget)
        self._model = model
        self._params = params
        self._rates = rates
        self._instruments = list(instruments)
        self._recorder = Recorder(instruments, budget, time.perf_counter)
        self._lookers = {i.name for i in instruments if type(i).look is not Instrument.look}
        self._striders = {i.name for i in instruments if type(i).stride is not Instrument.stride}
        self._looking: list[Instrument] = []
        self._striding: list[Instrument] = []
        self._scene: Scene | None = None
        self._before: dict[str, Tensor] | None = None
        self._warned: set[str] = set()
        self._heard_at = -1
        self._late: Tensor | None = None
        self._losses: list[tuple[int, float]] = []
        self._usual = -math.inf
        self._ran = False
        self._asked = self._wake = 0
        self._since = 0.0
        self._looked = 0.0
        self.step = 0

    @property
    def history(self) -> History:
        """All readings so far."""
        self._write_losses()
        return self._recorder.history

    @property
    def accounts(self) -> Mapping[str, Account]:
        """What each instrument has cost, and whether it rests."""
        return self._recorder.accounts

    @property
    def compares(self) -> bool:
        """Whether the step that comes is compared with the one before: `after_step` then needs its
        gradients, and none otherwise."""
        return bool(self._striding)

    def record(self, **metrics: float) -> None:
        """Write down numbers of the caller's, at the present step."""
        self.history.add(self.step, {Name(name): float(v) for name, v in metrics.items()})

    def start(self) -> None:
        """The first step comes next."""
        self._handle = self._model.register_forward_hook(self._after_forward)
        self._since = time.perf_counter()
        self._get_ready()

    def stop(self) -> None:
        """No more steps are watched; no hook is left behind."""
        self._handle.remove()
        if self._late is not None:
            self._keep(self._heard_at, self._late.item())
            self._late = None
        self._write_losses()
        self._leave_scene()

    def before_backward(self, loss: Tensor) -> None:
        """Hear of the loss, and look at the step if it is to be measured."""
        if loss.grad_fn is None or loss.numel() != 1 or not self._ran:
            return
        start = time.perf_counter()
        loss = loss.reshape(()) if loss.ndim else loss
        self._hear(loss)
        if self._scene is not None:
            self._look(self._scene, loss)  # all that it makes is freed before the clock is read
        self._looked += time.perf_counter() - start

    def before_step(self) -> None:
        """The optimizer is about to step."""
        if self._striding:
            start = time.perf_counter()
            self._before = {name: p.detach().clone() for name, p in self._params.items()}
            self._looked += time.perf_counter() - start

    def after_step(self, gradients: Mapping[str, Tensor]) -> None:
        """The optimizer has stepped, given these gradients."""
        self.step += 1
        self._ran = False
        if self.step < self._wake:
            return
        start = time.perf_counter()
        self._write_losses()
        if self._before is not None:
            self._compare(gradients)
        now = time.perf_counter()
        self._looked += now - start
        passed = self.step - self._asked
        self._recorder.passed(now - self._since - self._looked, self._looked, passed)
        self._since = now
        self._get_ready()
        self._looked = time.perf_counter() - now  # hanging hooks is for the step to come

    def evaluated(self, point: Point) -> None:
        """Write down an evaluation: training cost, validation cost, validation metric."""
        self.record(
            training_cost=point.cost,
            validation_cost=point.validation_cost,
            validation_metric=point.validation_metric,
        )

    def _after_forward(self, *_: object) -> None:
        """The model took part in this step: a loss that comes now may be of this run; without it, it is
        of another one beside it."""
        self._ran = self._ran or torch.is_grad_enabled()

    def _hear(self, loss: Tensor) -> None:
        """Keep the loss, to be written down with others; one of a GPU until the next step, when it is
        there without waiting. Of several backward passes in a step the first one counts."""
        if self._heard_at == self.step:
            return
        if self._late is not None:
            self._keep(self._heard_at, self._late.item())
            self._late = None
        if loss.is_cpu:
            self._keep(self.step, loss.item())
        else:
            self._late = loss.detach()
        self._heard_at = self.step

    def _keep(self, step: int, loss: float) -> None:
        self._losses.append((step, loss))
        if not loss <= self._usual:  # or NaN: it may be an anomaly
            self._write_losses()

    def _write_losses(self) -> None:
        for step, loss in self._losses:
            self._recorder.history.add(step, {LOSS: loss})
            if self._recorder.saw(loss):
                self._wake = self.step
        self._losses.clear()
        self._usual = self._recorder.usual

    def _look(self, scene: Scene, loss: Tensor) -> None:
        look = scene.look(self.step, loss, self._params, self._rates())
        if any(instrument.differentiates for instrument in self._looking):
            self._spare(scene.obstacle(loss))
        self._leave_scene()
        with torch.enable_grad():
            for instrument in self._looking:
                self._measure(instrument, partial(instrument.look, look))

    def _spare(self, obstacle: str) -> None:
        """Take no derivatives of a graph that would call others: they rest, which is said once."""
        if not obstacle:
            return
        spared = [i for i in self._instruments if i.differentiates]
        for instrument in spared:
            self._recorder.retire(instrument, obstacle)
        self._looking = [i for i in self._looking if not i.differentiates]
        warnings.warn(
            f"{obstacle}: taking derivatives would run them once more, so these instruments rest: "
            f"{', '.join(i.name for i in spared)}",
            RuntimeWarning,
            stacklevel=2,
        )

    def _compare(self, gradients: Mapping[str, Tensor]) -> None:
        assert self._before is not None
        after = {name: param.detach() for name, param in self._params.items()}
        stride = Stride(self.step, self._before, after, gradients, self._rates())
        self._before = None
        for instrument in self._striding:
            self._measure(instrument, partial(instrument.stride, stride))

    def _measure(self, instrument: Instrument, take: Callable[[], Readings]) -> None:
        self._recorder.measure(instrument, self.step, take)
        failure = self.accounts[instrument.name].failure
        if failure is not None and instrument.name not in self._warned:
            self._warned.add(instrument.name)
            warnings.warn(
                f"the instrument {instrument.name!r} failed at step {self.step} and rests: {failure}",
                RuntimeWarning,
                stacklevel=2,
            )

    def _get_ready(self) -> None:
        """Choose what measures the coming step, and hang the hooks for it."""
        self._leave_scene()
        due = self._recorder.due()
        self._looking = [i for i in due if i.name in self._lookers]
        self._striding = [i for i in due if i.name in self._striders]
        self._asked = self.step
        self._wake = self.step + (1 if due else self._recorder.rest())
        if self._looking:
            self._scene = Scene(self._model)

    def _leave_scene(self) -> None:
        if self._scene is not None:
            self._scene.close()
            self._scene = None


def check_budget(budget: float) -> None:
    """Raise SettingError unless it is a share."""
    if not 0 < budget <= 1:
        raise SettingError(f"budget={budget}; expected a share of the run's time, e.g. 0.05")
