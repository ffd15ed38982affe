"""Watching a run: any PyTorch loop, any optimizer, nothing of the run changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from types import TracebackType

import torch
from torch import Tensor, nn

from ravine.diagnostics.facts import Facts
from ravine.diagnostics.finding import Finding
from ravine.diagnostics.findings import diagnose
from ravine.diagnostics.history import History
from ravine.diagnostics.instrument import Instrument
from ravine.diagnostics.instruments import standard
from ravine.diagnostics.watch.backward import told_of_backward
from ravine.diagnostics.watch.recorder import BUDGET, Account
from ravine.diagnostics.watch.watcher import Watcher
from ravine.errors import SettingError


class Watch:
    """Watches the steps of a run while it is entered.

        with ravine.watch(model, optimizer) as watch:
            for inputs, targets in loader:
                optimizer.zero_grad()
                cost(model(inputs), targets).backward()
                optimizer.step()
        print(watch.findings)

    Between the forward and the backward pass of the steps that it picks, it takes derivatives of the
    loss through the graph that is there, and after the optimizer's step it compares parameters. It
    runs no forward pass, and changes neither `.grad`, buffers, random states, modes nor parameters:
    the run is the same to the last bit. An instrument that fails is reported once and rests.

    The loss is seen where `loss.backward()` is called on it (`torch.autograd.backward` is not
    intercepted; call `watch.before_backward(loss)` before it). Where two models take turns, as in a
    GAN, each one's backward pass may be heard by the other's watch: watch one of them at a time.

    Args:
        model: the module that is trained.
        optimizer: any `torch.optim.Optimizer` over its parameters.
        instruments: what to measure with; `ravine.diagnostics.instruments.standard()` by default.
        budget: share of the run's own time that measuring may take; the first steps borrow from it.
        facts: what is known of the run besides: `Facts(batch_size=32)`. With the batch size, small
            batches and the loss of a constant output are judged better.

    Raises:
        SettingError: the budget is no share, or none of the parameters is the optimizer's.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        *,
        instruments: Sequence[Instrument] | None = None,
        budget: float = BUDGET,
        facts: Facts | None = None,
    ):
        self._optimizer = optimizer
        self._facts = Facts() if facts is None else facts
        self._params = _stepped(model, optimizer)
        chosen = standard() if instruments is None else instruments
        self._watcher = Watcher(model, self._params, self._rates, chosen, budget)
        self._entered: ExitStack | None = None

    @property
    def facts(self) -> Facts:
        """What is known of the run besides."""
        return self._facts

    @property
    def history(self) -> History:
        """All readings so far."""
        return self._watcher.history

    @property
    def findings(self) -> list[Finding]:
        """What is wrong so far, the worst first; empty if nothing wrong was found.

        Record `validation_cost` (and `validation_metric`), before the first step and later, for what
        only other data can tell: `watch.record(validation_cost=...)`.
        """
        return diagnose(self.history, self._facts)

    @property
    def accounts(self) -> Mapping[str, Account]:
        """What each instrument has cost, and whether it rests."""
        return self._watcher.accounts

    def record(self, **metrics: float) -> None:
        """Write down numbers of your own, e.g. `watch.record(validation_error=0.1)`."""
        self._watcher.record(**metrics)

    def before_backward(self, loss: Tensor) -> None:
        """Hear of a loss that is about to be differentiated; `loss.backward()` calls it by itself."""
        self._watcher.before_backward(loss)

    def __enter__(self) -> Watch:
        if self._entered is not None:
            raise SettingError("this watch is entered already; expected one `with` for each watch")
        watcher = self._watcher
        with ExitStack() as stack:
            stack.enter_context(told_of_backward(watcher.before_backward))
            for handle in (
                self._optimizer.register_step_pre_hook(lambda *_: watcher.before_step()),
                self._optimizer.register_step_post_hook(lambda *_: self._after_step()),
            ):
                stack.callback(handle.remove)
            stack.callback(watcher.stop)
            watcher.start()
            self._entered = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        entered, self._entered = self._entered, None
        if entered is not None:
            entered.close()

    def _after_step(self) -> None:
        compares = self._watcher.compares
        self._watcher.after_step(self._given() if compares else {})

    def _given(self) -> dict[str, Tensor]:
        return {n: p.grad for n, p in self._params.items() if p.grad is not None}

    def _rates(self) -> dict[str, float]:
        by_id = {id(p): g["lr"] for g in self._optimizer.param_groups for p in g["params"]}
        return {name: float(by_id[id(param)]) for name, param in self._params.items()}


def _stepped(model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The trainable parameters that are both the model's and the optimizer's, by name."""
    stepped = {id(p) for group in optimizer.param_groups for p in group["params"]}
    found: dict[str, Tensor] = {
        name: param
        for name, param in model.named_parameters()
        if param.requires_grad and id(param) in stepped
    }
    if not found:
        raise SettingError(
            "the optimizer has none of the model's trainable parameters; expected one over "
            "model.parameters()"
        )
    return found
