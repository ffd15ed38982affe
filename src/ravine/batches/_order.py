"""The order of examples: the contract."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import final

import torch
from torch import Tensor

from ravine.errors import SettingError


class Order(ABC):
    """In what order the examples of each epoch are seen.

    Orders that compare equal are computed once for all runs of one seed.

    Attributes:
        name: one word, as typed on the command line.
        epochs: how many epochs there are; None where they never end.
    """

    name: str
    epochs: int | None = None

    @abstractmethod
    def epoch(self, seed: int, epoch: int, examples: int) -> Tensor:
        """The order of one epoch, a pure function of its arguments.

        Args:
            seed: the run's seed.
            epoch: from 0.
            examples: number of training examples.

        Returns:
            int64 [examples]: indices of examples, in the order in which they are seen.

        Raises:
            SettingError: the order was made for another number of examples, or has ended.
        """


@final
class Column:
    """One number per example, compared by content (a tensor's own == is elementwise)."""

    def __init__(self, numbers: Tensor):
        self.numbers = numbers

    def __len__(self) -> int:
        return len(self.numbers)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Column) and torch.equal(self.numbers, other.numbers)

    def __hash__(self) -> int:
        return hash(len(self))


def insist_on_length(column: Column, examples: int, name: str, what: str) -> None:
    """Raise unless the column has one number for each of the training examples."""
    if len(column) != examples:
        raise SettingError(
            f"the order {name!r} has {what} of {len(column)} examples, the training data have "
            f"{examples}; expected one for each example"
        )


def ended(examples: int) -> SettingError:
    """What says that there are no examples left."""
    return SettingError(
        f"the stream has ended after {examples} examples; "
        "expected more data, or fewer steps: --steps"
    )
