"""The reference engine writes one step into the tensors it is given."""

from __future__ import annotations

import pytest
import torch

from ravine import rules
from ravine.engines import eager


def test_writes_in_place_and_equals_the_rule() -> None:
    rule = rules.adam()
    params = [torch.randn(3, 2, requires_grad=True), torch.randn(4, requires_grad=True)]
    grads = [torch.randn(3, 2), torch.randn(4)]
    hyper = eager.hyper_tensors(rule.defaults)
    states = eager.init_states(rule, params)
    with torch.no_grad():
        expected = [
            rule.update(p.clone(), g, s, hyper)
            for p, g, s in zip(params, grads, states, strict=True)
        ]
    places = [entry.data_ptr() for state in states for entry in state.values()]
    eager.step(rule, params, grads, states, hyper)
    assert places == [entry.data_ptr() for state in states for entry in state.values()]
    for param, state, (new_param, new_state) in zip(params, states, expected, strict=True):
        assert torch.equal(param, new_param)
        assert all(torch.equal(state[name], new_state[name]) for name in new_state)


@pytest.mark.parametrize("name", rules.REGISTRY)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_keeps_the_dtype_of_a_scalar_parameter(name: str, dtype: torch.dtype) -> None:
    """Between two 0-D tensors torch widens to float64; the engine stores what the parameter is."""
    rule = rules.get(name)
    param = torch.tensor(1.0, dtype=dtype)
    states = eager.init_states(rule, [param])
    before = {key: entry.dtype for key, entry in states[0].items()}
    for _ in range(2):  # SOAP's first step only looks
        eager.step(
            rule, [param], [torch.ones_like(param)], states, eager.hyper_tensors(rule.defaults)
        )
    assert param.dtype == dtype
    assert {key: entry.dtype for key, entry in states[0].items()} == before
    assert param != 1 or dtype == torch.bfloat16


def test_hyper_tensors_are_float64_scalars() -> None:
    hyper = eager.hyper_tensors({"lr": torch.tensor([0.1]), "momentum": 0.9})
    assert all(h.dtype == torch.float64 and h.shape == () for h in hyper.values())
    assert hyper["momentum"].item() == 0.9
