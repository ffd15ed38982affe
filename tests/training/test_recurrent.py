"""Plain recurrent layers are torch's."""

from __future__ import annotations

import pytest
import torch
from torch import nn

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


@pytest.mark.parametrize("started", [False, True], ids=["from zeros", "from given states"])
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
@pytest.mark.parametrize(("kind", "more"), KINDS, ids=["tanh", "relu", "gru", "lstm"])
def test_outputs_states_and_gradients(kind, more, options, started):
    theirs, ours = pair(kind, **options, **more)
    lead = (N, TIME) if options.get("batch_first") else (TIME, N)
    x = torch.randn(*lead, FEATURES, dtype=torch.float64)
    directions = 1 + options.get("bidirectional", False)
    count = options.get("num_layers", 1) * directions
    start = [torch.randn(count, N, HIDDEN, dtype=torch.float64) for _ in range(ours.states)]
    given = () if not started else (tuple(start) if ours.states > 1 else start[0],)
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


@pytest.mark.parametrize("options", [{"dropout": 0.1, "num_layers": 2}, {"proj_size": 2}])
def test_what_it_does_not_know_stays(options):
    layer = nn.LSTM(FEATURES, HIDDEN, **options)
    assert plain_recurrent(layer) is layer
