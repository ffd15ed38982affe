"""Starting points of training: how weights and biases are drawn, set or scaled before the first step.

    zeros, ones, constant, random_normal, random_uniform, truncated_normal      a fixed scale
    variance_scaling, lecun_..., glorot_..., he_..., uniform_fan_in             a scale by the fans
    orthogonal, identity, sparse                                                a whole matrix
    get, NAMES                        by name
    initialize, plan                  a whole model; layers by pattern, gains of activations
    fans_of, Fans                     fan_in and fan_out of a layer's parameter
    BeforeReLU, output_bias, open_gates                       biases
    scale_to_activations, scale_to_gradients                  measured on one minibatch
    from_pretrained                   from another model, by name
    start, STARTS, Start              all of these as `ravine compare --init` takes them

The names of initializers are Keras's, in snake case.
"""

from ravine.initializers._apply import Assignment, BeforeReLU, Plan, initialize, plan
from ravine.initializers._biases import open_gates, output_bias
from ravine.initializers._data_driven import (
    Scaled,
    Scaling,
    scale_to_activations,
    scale_to_gradients,
    standard_deviation,
    value_range,
)
from ravine.initializers._distributions import (
    constant,
    ones,
    random_normal,
    random_uniform,
    truncated_normal,
    zeros,
)
from ravine.initializers._fans import Arrangement, Fans, fans_of, fans_of_shape
from ravine.initializers._initializer import Initializer
from ravine.initializers._names import NAMES, get
from ravine.initializers._pretrained import Match, from_pretrained
from ravine.initializers._scaling import (
    glorot_normal,
    glorot_uniform,
    he_normal,
    he_uniform,
    lecun_normal,
    lecun_uniform,
    uniform_fan_in,
    variance_scaling,
)
from ravine.initializers._starts import STARTS, Start, start
from ravine.initializers._structured import identity, orthogonal, sparse

__all__ = [
    "NAMES",
    "STARTS",
    "Arrangement",
    "Assignment",
    "BeforeReLU",
    "Fans",
    "Initializer",
    "Match",
    "Plan",
    "Scaled",
    "Scaling",
    "Start",
    "constant",
    "fans_of",
    "fans_of_shape",
    "from_pretrained",
    "get",
    "glorot_normal",
    "glorot_uniform",
    "he_normal",
    "he_uniform",
    "identity",
    "initialize",
    "lecun_normal",
    "lecun_uniform",
    "ones",
    "open_gates",
    "orthogonal",
    "output_bias",
    "plan",
    "random_normal",
    "random_uniform",
    "scale_to_activations",
    "scale_to_gradients",
    "sparse",
    "standard_deviation",
    "start",
    "truncated_normal",
    "uniform_fan_in",
    "value_range",
    "variance_scaling",
    "zeros",
]
