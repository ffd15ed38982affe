"""What a training takes its examples from: the contract, and tensors in memory."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import final

from torch import Tensor

from ravine.batches._minibatches import Batches
from ravine.errors import SettingError

Tensors = tuple[Tensor, ...]


class Feed(ABC):
    """Examples of several runs side by side, minibatch by minibatch.

    A feed may hold processes: `close` it when done, or use it in a `with`.
    """

    @abstractmethod
    def at(self, step: int) -> tuple[Tensor, Tensor]:
        """The minibatches of all runs at a gradient step (from 0).

        Returns:
            inputs [runs, batch_size, ...] and targets [runs, batch_size, ...].

        Raises:
            SettingError: there are no examples left.
        """

    @property
    def held(self) -> Tensors:
        """What the minibatches of all steps are made from."""
        return ()

    def raw(self, step: int) -> Tensors:
        """What the minibatches of one step are made from, besides what is held."""
        return self.at(step)

    @staticmethod
    def made(held: Tensors, raw: Tensors) -> tuple[Tensor, Tensor]:
        """What `at` returns, of `held` and `raw(step)`: operators on tensors alone, to be a part of a
        graph."""
        inputs, targets = raw
        return inputs, targets

    @abstractmethod
    def close(self) -> None:
        """End processes and let the examples go. `at` opens them again."""

    def __enter__(self) -> Feed:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


@final
class InMemory(Feed):
    """Examples held as tensors.

    Args:
        inputs: [examples, ...]. targets: [examples, ...].
        batches: which examples each run sees when; on the device of the tensors.

    Raises:
        SettingError: the lengths differ.
    """

    def __init__(self, inputs: Tensor, targets: Tensor, batches: Batches):
        if not len(inputs) == len(targets) == batches.examples:
            raise SettingError(
                f"{len(inputs)} inputs, {len(targets)} targets and batches of {batches.examples} "
                "examples; expected the same number of each"
            )
        self._inputs = inputs
        self._targets = targets
        self._batches = batches

    def at(self, step: int) -> tuple[Tensor, Tensor]:
        """The minibatches of all runs at a gradient step."""
        return self.made(self.held, self.raw(step))

    @property
    def held(self) -> Tensors:
        """All inputs and targets."""
        return self._inputs, self._targets

    def raw(self, step: int) -> Tensors:
        """Indices of examples, [runs, batch_size]."""
        return (self._batches.at(step),)

    @staticmethod
    def made(held: Tensors, raw: Tensors) -> tuple[Tensor, Tensor]:
        """The examples of the indices."""
        (inputs, targets), (batch,) = held, raw
        return inputs[batch], targets[batch]

    def close(self) -> None:
        """Nothing to end."""
