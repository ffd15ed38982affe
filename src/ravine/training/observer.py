"""What may listen to a run in the serial lane."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import Tensor, nn

from ravine.training.records import Point

Rates = Callable[[], Mapping[str, float]]
"""-> the learning rate of each parameter now, by name."""


class Observer:
    """Hears of every part of a run's gradient steps, in this order; changes nothing of the run.

    This one is deaf; others override what they listen to.
    """

    def start(self) -> None:
        """The first step comes next."""

    def before_backward(self, loss: Tensor) -> None:
        """The forward pass is done; the loss, 0-D, has its graph."""

    def before_step(self) -> None:
        """The gradients are there, and the rule is about to step."""

    def after_step(self, gradients: Mapping[str, Tensor]) -> None:
        """It has stepped, given these gradients by parameter."""

    def evaluated(self, point: Point) -> None:
        """The run was evaluated."""

    def stop(self) -> None:
        """No more steps come."""


Observe = Callable[[nn.Module, Mapping[str, Tensor], Rates], Observer]
"""(model, trainable parameters by name, their rates) -> who listens."""
