"""What a training run is asked to do, and what it reports: plain typed records."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import overload

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Trial:
    """One training to run: a procedure, its hyperparameters, a seed.

    The seed fixes initialization, order of examples and noise, whatever the procedure: trials of one
    seed are paired.

    Attributes:
        procedure: name of the `Procedure`; a plain optimizer's procedure is named like its rule.
        hyper: hyperparameters by name, the learning rate "lr" among them.
        seed: see above.
    """

    procedure: str
    hyper: Mapping[str, float]
    seed: int

    @property
    def lr(self) -> float:
        """The learning rate."""
        return self.hyper["lr"]


@dataclass(frozen=True)
class Point:
    """One evaluation of a run.

    Attributes:
        step: where the run stands, in its problem's gradient steps (see `training.pace`).
        cost: mean training cost of the minibatches since the last point (at step 0: of the
            first minibatch). NaN or infinite where the run diverged.
        validation_cost: the recipe's cost on the validation data.
        validation_metric: the recipe's metric on the validation data.
    """

    step: int
    cost: float
    validation_cost: float
    validation_metric: float

    @property
    def finite(self) -> bool:
        """Whether the run was still healthy here."""
        return all(map(math.isfinite, (self.cost, self.validation_cost, self.validation_metric)))


class Curve(Sequence[Point]):
    """The evaluations of a run, in order of steps: a sequence of points that is held as numbers.

    A thousand points take 32 kB so, and 250 as objects.

    Args:
        rows: step, cost, validation cost and validation metric of each point, float64 [points, 4].
    """

    __hash__ = None  # type: ignore[assignment]

    def __init__(self, rows: NDArray[np.float64]):
        self._rows = rows

    @classmethod
    def of(cls, points: Iterable[Point]) -> Curve:
        """Points as a curve."""
        if isinstance(points, Curve):
            return points
        rows = [(p.step, p.cost, p.validation_cost, p.validation_metric) for p in points]
        return cls(np.array(rows, dtype=np.float64).reshape(-1, 4))

    @classmethod
    def unpack(cls, data: bytes) -> Curve:
        """The curve of `pack`'s bytes."""
        return cls(np.frombuffer(data, dtype="<f8").reshape(-1, 4))

    def pack(self) -> bytes:
        """Its numbers, row by row, as little-endian float64."""
        return self._rows.astype("<f8", copy=False).tobytes()

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, at: int) -> Point: ...

    @overload
    def __getitem__(self, at: slice) -> Curve: ...

    def __getitem__(self, at: int | slice) -> Point | Curve:
        if isinstance(at, slice):
            return Curve(self._rows[at])
        step, *values = self._rows[at].tolist()
        return Point(int(step), *values)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence):
            return NotImplemented
        return np.array_equal(self._rows, Curve.of(other)._rows, equal_nan=True)

    def __repr__(self) -> str:
        return repr(tuple(self))

    @property
    def steps(self) -> NDArray[np.float64]:
        """Gradient steps, ascending, [points]."""
        return self._rows[:, 0]

    @property
    def costs(self) -> NDArray[np.float64]:
        """Training costs, [points]."""
        return self._rows[:, 1]

    @property
    def validation_costs(self) -> NDArray[np.float64]:
        """Costs on the validation data, [points]."""
        return self._rows[:, 2]

    @property
    def validation_metrics(self) -> NDArray[np.float64]:
        """Metrics on the validation data, [points]."""
        return self._rows[:, 3]

    def until(self, step: float) -> Curve:
        """The points up to a step."""
        return Curve(self._rows[: int(np.searchsorted(self.steps, step, side="right"))])

    @property
    def healthy(self) -> int:
        """How many points come before the first that is not finite."""
        broken = np.flatnonzero(~np.isfinite(self._rows).all(axis=1))
        return int(broken[0]) if len(broken) else len(self)


@dataclass(frozen=True)
class Run:
    """What came of a trial so far.

    Attributes:
        trial: what was asked for.
        curve: evaluations in order of steps, the first at step 0; any points, held as a `Curve`.
        test_metric: the metric on the test data; None until it is asked for, once, at the end.
    """

    trial: Trial
    curve: Curve = field(default=())  # type: ignore[assignment]
    test_metric: float | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "curve", Curve.of(self.curve))

    @property
    def diverged_at(self) -> int | None:
        """The first evaluated step at which a number was NaN or infinite; None for a healthy run."""
        at = self.curve.healthy
        return None if at == len(self.curve) else self.curve[at].step


def runs_of(name: str, runs: Iterable[Run]) -> list[Run]:
    """The runs of one procedure, in their order."""
    return [run for run in runs if run.trial.procedure == name]
