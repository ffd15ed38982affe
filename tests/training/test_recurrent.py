"""Plain recurrent layers are torch's."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_sequence

from ravine.training.recurrent import Plain, plain_recurrent

N, TIME, FEATURES, HIDDEN = 4, 6, 3, 5
KINDS = [(nn.RNN, {}), (nn.RNN, {"nonlinearity": "relu"}), (nn.GRU, {}), (nn.LSTM, {})]
OPTIONS = {
    "plain": {},
    "batch-first": {"batch_first": True},
    "two layers": {"num_layers": 2},
    "both ways": {"bidirectional": True, "num_layers": 2},
    "no bias": {"bias": False},
}


def pair(kind, **options):
    torch.manual_seed(0)
    layer = kind(FEATURES, HIDDEN, **options).double()
    other = kind(FEATURES, HIDDEN, **options).double()
    other.load_state_dict(layer.state_dict())
    made = plain_recurrent(nn.Sequential(other))[0]
    assert isinstance(made, Plain)
    assert [n for n, _ in made.named_parameters()] == [n for n, _ in layer.named_parameters()]
    return layer, made


def flat(found) -> list[torch.Tensor]:
    outputs, states = found
    return [outputs, *(states if isinstance(states, tuple) else (states,))]


def states(layer: Plain, *shape: int) -> torch.Tensor | tuple[torch.Tensor, ...]:
    """Random states of a shape, as the layer takes them."""
    each = tuple(torch.randn(shape, dtype=torch.float64) for _ in range(layer.states))
    return each if layer.states > 1 else each[0]


@pytest.mark.parametrize("started", [False, True], ids=["from zeros", "from given states"])
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
@pytest.mark.parametrize(("kind", "more"), KINDS, ids=["tanh", "relu", "gru", "lstm"])
def test_outputs_states_and_gradients(kind, more, options, started):
    theirs, ours = pair(kind, **options, **more)
    lead = (N, TIME) if options.get("batch_first") else (TIME, N)
    x = torch.randn(*lead, FEATURES, dtype=torch.float64)
    directions = 1 + options.get("bidirectional", False)
    count = options.get("num_layers", 1) * directions
    given = (states(ours, count, N, HIDDEN),) if started else ()
    found, expected = flat(ours(x, *given)), flat(theirs(x, *given))
    assert len(found) == len(expected)
    for a, b in zip(found, expected, strict=True):
        assert torch.allclose(a, b, rtol=1e-12, atol=1e-14)
    grads, true = (
        torch.autograd.grad(sum(y.square().sum() for y in out), list(layer.parameters()))
        for out, layer in ((found, ours), (expected, theirs))
    )
    for a, b in zip(grads, true, strict=True):
        assert (a - b).abs().max() <= 1e-12 * b.abs().max()


@pytest.mark.parametrize(("kind", "more"), KINDS, ids=["tanh", "relu", "gru", "lstm"])
def test_one_example_without_a_batch(kind, more):
    theirs, ours = pair(kind, **more)
    x = torch.randn(TIME, FEATURES, dtype=torch.float64)
    for a, b in zip(flat(ours(x)), flat(theirs(x)), strict=True):
        assert a.shape == b.shape
        assert torch.allclose(a, b, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("batch_first", [False, True], ids=["time first", "batch first"])
@pytest.mark.parametrize(("kind", "more"), KINDS, ids=["tanh", "relu", "gru", "lstm"])
def test_arguments_by_torchs_names_and_states_without_a_batch(kind, more, batch_first):
    theirs, ours = pair(kind, batch_first=batch_first, **more)
    x = torch.randn(TIME, FEATURES, dtype=torch.float64)
    hx = states(ours, 1, HIDDEN)
    for a, b in zip(flat(ours(input=x, hx=hx)), flat(theirs(input=x, hx=hx)), strict=True):
        assert a.shape == b.shape
        assert torch.allclose(a, b, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("started", [False, True], ids=["from zeros", "from given states"])
@pytest.mark.parametrize(("kind", "more"), KINDS, ids=["tanh", "relu", "gru", "lstm"])
def test_a_packed_sequence(kind, more, started):
    theirs, ours = pair(kind, **more)
    packed = pack_sequence(
        [torch.randn(n, FEATURES, dtype=torch.float64) for n in (2, 6, 4)], enforce_sorted=False
    )
    hx = states(ours, 1, 3, HIDDEN) if started else None
    found, expected = ours(packed, hx), theirs(packed, hx)
    assert torch.equal(found[0].batch_sizes, expected[0].batch_sizes)
    for a, b in zip(
        flat((found[0].data, found[1])), flat((expected[0].data, expected[1])), strict=True
    ):
        assert torch.equal(a, b)


WRONG = {
    "layers": ((N, TIME, FEATURES), (2, N, HIDDEN)),
    "batch": ((N, TIME, FEATURES), (1, 1, HIDDEN)),
    "hidden": ((N, TIME, FEATURES), (1, N, 1)),
    "no batch in the states": ((N, TIME, FEATURES), (1, HIDDEN)),
    "a batch in the states": ((TIME, FEATURES), (1, 1, HIDDEN)),
    "hidden, without a batch": ((TIME, FEATURES), (1, 1)),
    "features": ((N, TIME, 1), None),
    "one axis": ((FEATURES,), None),
    "four axes": ((1, N, TIME, FEATURES), None),
}


@pytest.mark.parametrize(("shape", "start"), WRONG.values(), ids=WRONG)
@pytest.mark.parametrize(("kind", "more"), KINDS, ids=["tanh", "relu", "gru", "lstm"])
def test_it_raises_where_torch_raises(kind, more, shape, start):
    theirs, ours = pair(kind, batch_first=True, **more)
    x, hx = torch.randn(shape, dtype=torch.float64), start and states(ours, *start)
    with pytest.raises((RuntimeError, ValueError)) as expected:
        theirs(x, hx)
    with pytest.raises(expected.type):
        ours(x, hx)


@pytest.mark.parametrize("kind", [nn.GRU, nn.LSTM])
def test_states_of_another_kind_of_layer_are_refused(kind):
    _, ours = pair(kind)
    one = torch.zeros(1, N, HIDDEN, dtype=torch.float64)
    for hx in ((one, one, one), one if kind is nn.LSTM else (one, one)):
        with pytest.raises(TypeError, match=f"{ours.mode} expects"):
            ours(torch.randn(TIME, N, FEATURES, dtype=torch.float64), hx)


@pytest.mark.parametrize("options", [{"dropout": 0.1, "num_layers": 2}, {"proj_size": 2}])
def test_what_it_does_not_know_stays(options):
    layer = nn.LSTM(FEATURES, HIDDEN, **options)
    assert plain_recurrent(layer) is layer
