"""Starting points by name: all that happens to a model between its constructor and the first step."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor, nn

from ravine.errors import SettingError, UnknownNameError
from ravine.initializers._apply import initialize
from ravine.initializers._biases import LINKS, Link, open_gates, output_bias, output_layer
from ravine.initializers._data_driven import Cost, scale_to_activations, scale_to_gradients
from ravine.initializers._initializer import Initializer
from ravine.initializers._names import LISTING, NAMES, get
from ravine.initializers._undisturbed import forked_random, undisturbed
from ravine.seeds import derive

Apply = Callable[[nn.Module, int, Tensor, Tensor, Cost], None]
"""(model, seed, inputs, targets, cost), changing the model in place."""


@final
@dataclass(frozen=True)
class Start:
    """A way to set a model's parameters before training.

    Attributes:
        name: the name it goes by on the command line.
        apply: (model, seed, inputs, targets, cost) with one minibatch; changes the model in place.
    """

    name: str
    apply: Apply

    def __call__(
        self, model: nn.Module, seed: int, inputs: Tensor, targets: Tensor, cost: Cost
    ) -> None:
        """Apply it. torch's random state is set by the seed meanwhile, and stays as it was.

        Args:
            model: changed in place. seed: of the run. inputs, targets: one minibatch.
            cost: (output, target) -> 0-D mean over the examples.
        """
        with forked_random(model):
            torch.manual_seed(derive(seed, "start"))
            self.apply(model, seed, inputs, targets, cost)


def start(what: str | Initializer | Start | Callable[[nn.Module, int], None]) -> Start:
    """A starting point from whatever says it.

    Args:
        what: a name of `STARTS`; several, joined by "+", done one after the other
            ("he_normal+output_bias"); an initializer (weights by it, biases 0); a function
            (model, seed) that changes the model in place; or a Start.

    Raises:
        UnknownNameError: no starting point goes by that name.
        SettingError: it is none of these.
    """
    if isinstance(what, Start):
        return what
    if isinstance(what, str):
        return _in_a_row(what)
    if isinstance(what, Initializer):
        return Start(repr(what), _weights_by(what))
    if not callable(what) or isinstance(what, nn.Module):
        raise SettingError(
            f"a starting point is {what!r}; expected a name, an initializer or a function "
            '(model, seed), e.g. "he_normal"'
        )
    function = what

    def apply(model: nn.Module, seed: int, inputs: Tensor, targets: Tensor, cost: Cost) -> None:
        function(model, seed)

    return Start(getattr(what, "__name__", type(what).__name__), apply)


def _in_a_row(name: str) -> Start:
    parts = []
    for part in name.split("+"):
        if part not in STARTS:
            raise UnknownNameError.of("initializer", part, STARTS, LISTING)
        parts.append(STARTS[part])
    if len(parts) == 1:
        return parts[0]

    def apply(model: nn.Module, seed: int, inputs: Tensor, targets: Tensor, cost: Cost) -> None:
        for part in parts:
            part.apply(model, seed, inputs, targets, cost)

    return Start(name, apply)


def _weights_by(initializer: Initializer) -> Apply:
    def apply(model: nn.Module, seed: int, inputs: Tensor, targets: Tensor, cost: Cost) -> None:
        initialize(model, initializer, seed=seed)

    return apply


def _as_built(model: nn.Module, seed: int, inputs: Tensor, targets: Tensor, cost: Cost) -> None:
    """The model as its constructor made it."""


def _lsuv(model: nn.Module, seed: int, inputs: Tensor, targets: Tensor, cost: Cost) -> None:
    """Orthogonal, then every layer's outputs scaled to deviation 1 on one minibatch (LSUV)."""
    initialize(model, "orthogonal", seed=seed)
    scale_to_activations(model, inputs)


def _gradient_scaled(
    model: nn.Module, seed: int, inputs: Tensor, targets: Tensor, cost: Cost
) -> None:
    """Orthogonal, then scaled until gradients deviate alike at all layers, on one minibatch."""
    initialize(model, "orthogonal", seed=seed)
    scale_to_gradients(model, inputs, targets, cost)


def _output_bias(model: nn.Module, seed: int, inputs: Tensor, targets: Tensor, cost: Cost) -> None:
    """The output bias from the marginal statistics of one minibatch; behind others, with a +."""
    # The link is the one that gives constant outputs the lowest cost.
    _, layer = output_layer(model)
    weight = layer.weight
    assert isinstance(weight, Tensor)
    with torch.no_grad():
        kept = weight.clone()
        weight.zero_()
        costs = {link: _cost_of(link, model, inputs, targets, cost) for link in LINKS}
        weight.copy_(kept)
    best = min(costs, key=costs.__getitem__)
    if not math.isfinite(costs[best]):
        raise SettingError(
            f"the targets {list(targets.shape)} give no bias for the output layer; expected classes, "
            "0 and 1, or numbers, one for each output"
        )
    output_bias(model, targets, link=best)


def _cost_of(link: Link, model: nn.Module, inputs: Tensor, targets: Tensor, cost: Cost) -> float:
    try:
        output_bias(model, targets, link=link)
    except SettingError:  # these targets cannot be looked at in that way
        return math.inf
    with undisturbed(model), torch.no_grad():
        value = float(cost(model(inputs), targets))
    return value if math.isfinite(value) else math.inf


def _open_gates(model: nn.Module, seed: int, inputs: Tensor, targets: Tensor, cost: Cost) -> None:
    """The forget gates of LSTMs open, bias 1; behind others, with a +."""
    open_gates(model)


STARTS: dict[str, Start] = {
    "as_built": Start("as_built", _as_built),
    **{name: Start(name, _weights_by(get(name))) for name in NAMES},
    "lsuv": Start("lsuv", _lsuv),
    "gradient_scaled": Start("gradient_scaled", _gradient_scaled),
    "output_bias": Start("output_bias", _output_bias),
    "open_gates": Start("open_gates", _open_gates),
}
"""Starting points by the names of the command line. The last two change biases alone, behind others:
"he_normal+output_bias"."""
