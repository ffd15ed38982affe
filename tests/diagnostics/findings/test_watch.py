"""Findings of a plain PyTorch loop."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from ravine.diagnostics.facts import Facts
from ravine.diagnostics.watch.watching import Watch


@pytest.mark.parametrize(("end", "kinds"), [(nn.Identity, []), (nn.Softmax, ["wrong_output"])])
def test_a_loop_is_told_what_is_wrong_with_it(end, kinds):
    draws = torch.Generator().manual_seed(0)
    inputs = torch.randn(240, 4, generator=draws)
    targets = inputs[:, :2].argmax(dim=1)
    torch.manual_seed(0)
    last = end() if end is nn.Identity else end(dim=1)
    model = nn.Sequential(nn.Linear(4, 16), nn.Tanh(), nn.Linear(16, 2), last)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
    with Watch(model, optimizer, facts=Facts(batch_size=24)) as watch:
        for step in range(60):
            rows = slice(step % 10 * 24, step % 10 * 24 + 24)
            optimizer.zero_grad()
            F.cross_entropy(model(inputs[rows]), targets[rows]).backward()
            optimizer.step()
    assert [finding.kind for finding in watch.findings] == kinds
