"""Starting points by name: all that happens to a model between its constructor and the first step."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from typing import Any, final

import torch
from torch import Tensor, nn

from ravine.errors import SettingError, UnknownNameError
from ravine.initializers._apply import initialize, plan
from ravine.initializers._biases import LINKS, Link, open_gates, output_bias, output_layer
from ravine.initializers._data_driven import Cost, Scaling, nearest_to_equal, scale_to_activations
from ravine.initializers._initializer import Initializer
from ravine.initializers._names import LISTING, NAMES, get
from ravine.initializers._structured import orthogonal
from ravine.seeds import derive
from ravine.undisturbed import forked_random, undisturbed

Apply = Callable[[nn.Module, int, Tensor, Tensor, Cost], None]
"""(model, seed, inputs, targets, cost), changing the model in place."""

MINIBATCH = 128
"""Examples in the passes through the model that lsuv, gradient_scaled and output_bias take: enough to
measure a deviation over all units of a layer by, few enough for all its activations in memory."""


@final
@dataclass(frozen=True)
class Start:
    """A way to set a model's parameters before training.

    Those of `STARTS` leave frozen parameters (requires_grad=False) alone.

    Attributes:
        name: the name it goes by on the command line.
        apply: (model, seed, inputs, targets, cost) with some training examples; changes the model in
            place.
    """

    name: str
    apply: Apply

    def __call__(
        self, model: nn.Module, seed: int, inputs: Tensor, targets: Tensor, cost: Cost
    ) -> None:
        """Apply it. torch's random state is set by the seed meanwhile, and stays as it was.

        Args:
            model: changed in place. seed: of the run.
            inputs, targets: training examples, [examples, ...]. As many as can be had, a few thousand
                rather than one minibatch: "output_bias" takes the statistics of all these targets.
                No pass through the model takes more than 128 of them.
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
        SettingError: it is none of these, or a part of the name is empty.
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
    parts = [_named(part, name) for part in name.split("+")]
    if len(parts) == 1:
        return parts[0]

    def apply(model: nn.Module, seed: int, inputs: Tensor, targets: Tensor, cost: Cost) -> None:
        for part in parts:
            part.apply(model, seed, inputs, targets, cost)

    return Start(name, apply)


def _named(part: str, whole: str) -> Start:
    if part == "":
        raise SettingError(
            f"--init {whole!r} has an empty part; expected the name of a starting point, or several "
            f"joined by +, e.g. he_normal+output_bias. `{LISTING}` lists all"
        )
    if part not in STARTS:
        raise UnknownNameError.of("initializer", part, STARTS, LISTING)
    return STARTS[part]


def _typed(name: str, apply: Apply) -> Start:
    """The start of a name; its errors say what was typed."""

    @wraps(apply)
    def naming(model: nn.Module, seed: int, inputs: Tensor, targets: Tensor, cost: Cost) -> None:
        try:
            apply(model, seed, inputs, targets, cost)
        except SettingError as error:
            said = f"--init {name}: {error} (`{LISTING}` lists other starting points)"
            raise type(error)(said) from error

    return Start(name, naming)


def _weights_by(initializer: Initializer) -> Apply:
    def apply(model: nn.Module, seed: int, inputs: Tensor, targets: Tensor, cost: Cost) -> None:
        _draw(model, initializer, seed)

    return apply


def _draw(model: nn.Module, initializer: Initializer, seed: int) -> None:
    """All weights by one initializer.

    Raises:
        SettingError: there is none that it could draw.
    """
    chosen = plan(model, initializer)
    if not chosen.weights:
        left = chosen.left
        raise SettingError(
            f"{initializer!r} draws no weight of {type(model).__name__}. It knows those of Linear, "
            "Bilinear, convolutions, Embedding, MultiheadAttention, RNN, LSTM and GRU that are not "
            f"frozen; ravine.initializers.plan(model).left lists what is left: {_some(left)}. "
            "--init as_built keeps the model as it was built"
        )
    initialize(model, initializer, seed=seed)


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(names[:5]) + more or "none"


def _minibatch(examples: Tensor) -> Tensor:
    """At most `MINIBATCH` of the examples, evenly spaced, since they may lie class by class."""
    return examples[:: -(-len(examples) // MINIBATCH) or 1]


def _as_built(model: nn.Module, seed: int, inputs: Tensor, targets: Tensor, cost: Cost) -> None:
    """The model as its constructor made it."""


def _lsuv(model: nn.Module, seed: int, inputs: Tensor, targets: Tensor, cost: Cost) -> None:
    """Orthogonal, then every layer's outputs scaled to deviation 1 on one minibatch (LSUV)."""
    _draw(model, orthogonal(), seed)
    _insist_on_scaled(scale_to_activations(model, _minibatch(inputs)))


def _gradient_scaled(
    model: nn.Module, seed: int, inputs: Tensor, targets: Tensor, cost: Cost
) -> None:
    """Orthogonal, then scaled until gradients deviate alike at all layers, on one minibatch."""
    # Residual connections add gradients up whatever the weights: there the best pass is taken.
    _draw(model, orthogonal(), seed)
    _insist_on_scaled(nearest_to_equal(model, _minibatch(inputs), _minibatch(targets), cost))


def _insist_on_scaled(scaling: Scaling) -> None:
    if not scaling.layers:
        reasons = ", ".join(f"{name}: {why}" for name, why in scaling.left.items())
        raise SettingError(
            f"no layer can be scaled ({reasons or 'there is no Linear and no convolution'}); "
            "--init orthogonal draws the same weights and leaves their scale"
        )


def _output_bias(model: nn.Module, seed: int, inputs: Tensor, targets: Tensor, cost: Cost) -> None:
    """The output bias from the marginal statistics of the targets; behind others, with a +."""
    # The link is the one that gives constant outputs the lowest cost.
    _, layer = output_layer(model)
    bias = layer.bias
    assert isinstance(bias, Tensor)
    kept = bias.detach().clone()
    try:
        output_bias(model, targets, link=_best_link(model, inputs, targets, cost))
    except Exception:
        with torch.no_grad():
            bias.copy_(kept)
        raise


def _best_link(model: nn.Module, inputs: Tensor, targets: Tensor, cost: Cost) -> Link:
    """The link whose bias has the lowest cost."""
    costs = {link: _cost_of(link, model, inputs, targets, cost) for link in LINKS}
    best = min(costs, key=costs.__getitem__)
    if math.isfinite(costs[best]):
        return best
    output_bias(model, targets)  # where it is the bias that cannot be had, this says why
    raise SettingError(
        f"no bias gives a finite cost for targets {list(targets.shape)}; expected classes, 0 and 1, or "
        "numbers, one for each output"
    )


def _cost_of(link: Link, model: nn.Module, inputs: Tensor, targets: Tensor, cost: Cost) -> float:
    try:
        output_bias(model, targets, link=link)
    except SettingError:  # these targets cannot be looked at in that way
        return math.inf
    with undisturbed(model), torch.no_grad(), _bias_alone(output_layer(model)[1]):
        value = float(cost(model(_minibatch(inputs)), _minibatch(targets)))
    return value if math.isfinite(value) else math.inf


@contextmanager
def _bias_alone(layer: nn.Module) -> Iterator[None]:
    """Within it the layer's inputs are zeros, so that it puts out its bias."""

    def zeros(layer: nn.Module, args: Any, kwargs: Any) -> Any:
        if args:
            return (torch.zeros_like(args[0]), *args[1:]), kwargs
        return args, {**kwargs, "input": torch.zeros_like(kwargs["input"])}

    handle = layer.register_forward_pre_hook(zeros, with_kwargs=True)
    try:
        yield
    finally:
        handle.remove()


def _open_gates(model: nn.Module, seed: int, inputs: Tensor, targets: Tensor, cost: Cost) -> None:
    """The forget gates of LSTMs open, bias 1; behind others, with a +."""
    open_gates(model)


_APPLIES: dict[str, Apply] = {
    "as_built": _as_built,
    **{name: _weights_by(get(name)) for name in NAMES},
    "lsuv": _lsuv,
    "gradient_scaled": _gradient_scaled,
    "output_bias": _output_bias,
    "open_gates": _open_gates,
}

STARTS: dict[str, Start] = {name: _typed(name, apply) for name, apply in _APPLIES.items()}
"""Starting points by the names of the command line. The last two change biases alone, behind others:
"he_normal+output_bias"."""
