"""What to measure with, one topic a file."""

from __future__ import annotations

from ravine.diagnostics.instrument import Instrument
from ravine.diagnostics.instruments.activations import Activations
from ravine.diagnostics.instruments.backpropagated import Backpropagated
from ravine.diagnostics.instruments.clock import Clock
from ravine.diagnostics.instruments.cost import Cost
from ravine.diagnostics.instruments.curvature import Curvature
from ravine.diagnostics.instruments.finite import Finite
from ravine.diagnostics.instruments.gradient import Gradient
from ravine.diagnostics.instruments.inputs import Inputs
from ravine.diagnostics.instruments.loss import Loss
from ravine.diagnostics.instruments.noise import Noise
from ravine.diagnostics.instruments.normalization import Normalization
from ravine.diagnostics.instruments.outputs import Outputs
from ravine.diagnostics.instruments.parameters import Parameters
from ravine.diagnostics.instruments.recurrence import Recurrence
from ravine.diagnostics.instruments.relation import Relation
from ravine.diagnostics.instruments.spectrum import Spectrum
from ravine.diagnostics.instruments.symmetry import Symmetry
from ravine.diagnostics.instruments.updates import Updates


def standard() -> list[Instrument]:
    """The instruments that a watch has by default: all of them."""
    return [
        *(Loss(), Clock(), Finite(), Inputs(), Outputs(), Cost(), Relation(), Parameters()),
        *(Symmetry(), Activations(), Recurrence(), Backpropagated(), Normalization(), Updates()),
        *(Gradient(), Curvature(), Noise(), Spectrum()),
    ]
