"""Transforms wrap any rule and give a rule. Each is made by a call with its settings.

    chain                               a rule and the transforms around it, in one line
    l2, decoupled                       weight decay, inside the gradient or beside it
    clip_norm, clip_norm_each,          gradient clipping: by the norm of all parameters, of each,
    clip_value, clip_adaptive             by value, by the ratio to the weights (AGC)
    accumulate                          one step per several gradients
    polyak, stochastic_weight_average,  averages of the iterates, to evaluate
      exponential_average
    in_float32                          bfloat16 and float16 parameters, stepped in float32
    maximize                            climb instead of descend
    at_probe                            the parameter moves to where the gradient is taken

A transform of your own that changes the gradient: `on_gradient`; any other one: `wrap`.
"""

from ravine.transforms._transform import Transform, chain, on_gradient, wrap
from ravine.transforms.accumulation import accumulate
from ravine.transforms.at_probe import at_probe
from ravine.transforms.averaging import (
    exponential_average,
    polyak,
    stochastic_weight_average,
)
from ravine.transforms.clipping import clip_adaptive, clip_norm, clip_norm_each, clip_value
from ravine.transforms.decay import decoupled, l2
from ravine.transforms.maximize import maximize
from ravine.transforms.precision import in_float32

__all__ = [
    "Transform",
    "accumulate",
    "at_probe",
    "chain",
    "clip_adaptive",
    "clip_norm",
    "clip_norm_each",
    "clip_value",
    "decoupled",
    "exponential_average",
    "in_float32",
    "l2",
    "maximize",
    "on_gradient",
    "polyak",
    "stochastic_weight_average",
    "wrap",
]
