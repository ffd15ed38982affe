"""Several who listen to one run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import final

from torch import Tensor

from ravine.training.observer import Observer
from ravine.training.records import Point


@final
class Observers(Observer):
    """Tells each observer of a run what it hears, in the order given.

    Args:
        observers: who else listens.
    """

    def __init__(self, *observers: Observer):
        self._observers = observers

    def start(self) -> None:
        """The first step comes next."""
        for observer in self._observers:
            observer.start()

    def before_backward(self, loss: Tensor) -> None:
        """The forward pass is done."""
        for observer in self._observers:
            observer.before_backward(loss)

    def before_step(self) -> None:
        """The gradients are there."""
        for observer in self._observers:
            observer.before_step()

    def after_step(self, gradients: Mapping[str, Tensor]) -> None:
        """The rule has stepped."""
        for observer in self._observers:
            observer.after_step(gradients)

    def evaluated(self, point: Point) -> None:
        """The run was evaluated."""
        for observer in self._observers:
            observer.evaluated(point)

    def stop(self) -> None:
        """No more steps come."""
        for observer in self._observers:
            observer.stop()
