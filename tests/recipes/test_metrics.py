"""Metrics: their values, and shapes they refuse rather than broadcast."""

from __future__ import annotations

import pytest
import torch
from torch.fx.experimental.proxy_tensor import make_fx

from ravine import metrics

SCORES = torch.tensor([[1.0, 2.0, 0.0], [3.0, 0.0, 1.0], [0.0, 1.0, 5.0], [0.0, 1.0, 5.0]])
LABELS = torch.tensor([1, 0, 2, 0])


def test_values():
    assert metrics.error_rate(SCORES, LABELS).item() == 0.25
    assert metrics.accuracy(SCORES, LABELS).item() == 0.75
    assert metrics.mean_squared_error(SCORES, SCORES + 2).item() == 4


@pytest.mark.parametrize(
    ("output", "target"),
    [([4, 1], [4]), ([4], [4]), ([4, 3], [4, 1]), ([4, 3], [1]), ([4, 3], []), ([4, 3, 2], [4, 3])],
)
@pytest.mark.parametrize("name", ["error_rate", "accuracy"])
def test_classes_of_other_shapes_are_refused(name, output, target):
    with pytest.raises(ValueError, match=f"{name} takes scores") as caught:
        getattr(metrics, name)(torch.zeros(output), torch.zeros(target))
    assert str(caught.value).endswith(f"not {output} and {target}")


@pytest.mark.parametrize(("output", "target"), [([4, 1], [4]), ([4], [4, 1]), ([4, 2], [4, 1])])
def test_a_squared_error_is_never_broadcast(output, target):
    with pytest.raises(ValueError, match="same shape"):
        metrics.mean_squared_error(torch.zeros(output), torch.zeros(target))


@pytest.mark.parametrize("name", ["error_rate", "accuracy", "mean_squared_error"])
def test_metrics_can_be_vmapped_and_traced(name):
    metric = getattr(metrics, name)
    target = SCORES.roll(1) if name == "mean_squared_error" else LABELS
    members = torch.stack([SCORES, SCORES.flip(0)])
    expected = torch.stack([metric(member, target) for member in members])
    several = torch.vmap(metric, in_dims=(0, None))
    assert torch.equal(several(members, target), expected)
    for mode in ("real", "symbolic"):
        traced = make_fx(several, tracing_mode=mode)(members, target)
        assert torch.equal(traced(members, target), expected)
