"""Early stopping: training ends where the true metric no longer improves, not where the loss is least.

The metric is what is really cared about, measured on examples that are not trained on, such as the
0-1 loss on the validation set; the loss that is trained on is only its surrogate.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import astuple, dataclass
from functools import reduce
from typing import Any

from torch import Tensor, nn

from ravine.errors import SettingError


@dataclass(frozen=True)
class Stop:
    """Where training would have stopped.

    Attributes:
        stopped: index of the evaluation after which it stops; None: it goes on.
        best: index of the best evaluation up to there; None: none was finite.
    """

    stopped: int | None
    best: int | None


def stop(
    values: Sequence[float], patience: int, maximize: bool = False, margin: float = 0.0
) -> Stop:
    """Where training stops, by the values of the metric at successive evaluations.

    An evaluation is the new best one where it improves on the best before by more than the margin;
    a smaller difference counts as none, so the earlier weights stay the best. Training stops after
    the first evaluation that is the `patience`-th in a row without an improvement. Equal values are
    no improvement; NaN and infinite ones never are.

    Args:
        values: the metric, from the first evaluation on. What comes after the stop has no influence.
        patience: evaluations without an improvement, at least 1.
        maximize: larger is better (an accuracy); else smaller (the 0-1 loss).
        margin: in the metric's units, at least 0.

    Raises:
        SettingError: patience is not a whole number of at least 1, or the margin is negative.

    Source: Prechelt, "Early Stopping - But When?", 1998; margin and patience as in Keras's
        EarlyStopping (min_delta).
    """
    rule = _Rule(patience, maximize, margin)
    return reduce(rule.after, values, _START).stop


@dataclass(frozen=True)
class _Progress:
    """Where a training stands after some evaluations: what the rule needs to know of them."""

    stop: Stop
    seen: int
    least: float


_START = _Progress(Stop(None, None), 0, math.inf)


@dataclass(frozen=True)
class _Rule:
    """The settings of `stop`, and what they make of one evaluation more."""

    patience: int
    maximize: bool
    margin: float

    def __post_init__(self) -> None:
        _check(self.patience, self.margin)

    def after(self, progress: _Progress, value: float) -> _Progress:
        """One evaluation further; from the stop on nothing changes."""
        if progress.stop.stopped is not None:
            return progress
        index, best, least = progress.seen, progress.stop.best, progress.least
        cost = -value if self.maximize else value
        if math.isfinite(cost) and cost < least - self.margin:
            best, least = index, cost
        waited = index - (-1 if best is None else best)
        stopped = index if waited >= self.patience else None
        return _Progress(Stop(stopped, best), index + 1, least)


class EarlyStopping:
    """Says when to stop, and keeps the weights of the best evaluation, in any PyTorch loop.

        stopping = EarlyStopping(model, patience=5)
        for epoch in range(epochs):
            train_one_epoch()
            if stopping(error_rate_on_validation_data()):
                break
        stopping.restore()

    It keeps a copy of the model's state_dict, parameters and buffers, where they lie; `restore`
    writes the values back into the model's own tensors, so an optimizer goes on with them. An
    optimizer whose weights to evaluate are not the point it trains at (Schedule-Free, averages,
    Nesterov) must be in eval mode, `optimizer.eval()`, when the metric is measured, at the call and
    at `restore`: else the weights kept are not those that were evaluated.

    Args:
        model: what is trained.
        patience, maximize, margin: as for `stop`.

    Raises:
        SettingError: a setting outside of what is allowed.
    """

    def __init__(
        self, model: nn.Module, patience: int, maximize: bool = False, margin: float = 0.0
    ) -> None:
        self._rule = _Rule(patience, maximize, margin)
        self._model = model
        self._progress = _START
        self._values: list[float] = []
        self._weights: dict[str, Any] | None = None

    def __call__(self, metric: float | Tensor) -> bool:
        """Take in the metric of one evaluation.

        Args:
            metric: a number, or a tensor of one element.

        Returns:
            Whether to stop: True from the stop on.

        Raises:
            SettingError: the metric is not one number.
        """
        value = _number(metric)
        self._values.append(value)
        self._progress = self._rule.after(self._progress, value)
        if self.best == len(self._values) - 1:
            self._weights = deepcopy(self._model.state_dict())
        return self.stopped is not None

    @property
    def stopped(self) -> int | None:
        """Index of the evaluation after which training stops; None: it goes on."""
        return self._progress.stop.stopped

    @property
    def best(self) -> int | None:
        """Index of the best evaluation, from 0 on; None: none was finite yet."""
        return self._progress.stop.best

    @property
    def best_value(self) -> float | None:
        """The metric at the best evaluation; None: none was finite yet."""
        return None if self.best is None else self._values[self.best]

    def restore(self) -> None:
        """Put the weights and buffers of the best evaluation back into the model.

        Raises:
            SettingError: there was no evaluation with a finite metric.
        """
        if self._weights is None:
            raise SettingError(
                f"no weights to restore: none of {len(self._values)} evaluations had a finite "
                "metric; call stopping(metric) after each evaluation."
            )
        self._model.load_state_dict(self._weights)

    def state_dict(self) -> dict[str, Any]:
        """The metric so far, the best evaluation and its weights. The settings are not in it."""
        return {"values": list(self._values), "best": self.best, "weights": self._weights}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a `state_dict`.

        Raises:
            SettingError: under the settings of this object another evaluation would be the best one,
                whose weights are not there; nothing has been changed then.
        """
        progress = reduce(self._rule.after, state_dict["values"], _START)
        best = progress.stop.best
        if best != state_dict["best"]:
            raise SettingError(
                f"the checkpoint holds the weights of evaluation {state_dict['best']}, and under "
                f"(patience, maximize, margin) = {astuple(self._rule)} the best one is {best}: pass "
                "the settings that it was saved under."
            )
        self._progress = progress
        self._values = list(state_dict["values"])
        self._weights = deepcopy(state_dict["weights"])


def _number(metric: float | Tensor) -> float:
    try:
        return float(metric)
    except (TypeError, ValueError, RuntimeError) as error:
        raise SettingError(
            f"the metric is {type(metric).__name__} and cannot be read as one number ({error}): "
            "pass a float or a tensor of one element, such as losses.mean()."
        ) from error


def _check(patience: int, margin: float) -> None:
    if not isinstance(patience, int) or isinstance(patience, bool) or patience < 1:
        raise SettingError(
            f"patience={patience!r} is not a number of evaluations to wait: pass a whole number of "
            "at least 1, such as patience=5."
        )
    if not 0 <= margin < math.inf:
        raise SettingError(
            f"margin={margin!r} is not a difference of the metric: pass a finite number >= 0, "
            "such as margin=0.001."
        )
