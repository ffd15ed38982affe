"""Whole-graph compilation, and what happens without a compiler."""

from __future__ import annotations

import ast
import subprocess
import sys

import pytest
import torch

from ravine import rules
from ravine.engines.graphs.compiling import Compiled
from ravine.engines.population import PopulationEngine


def test_it_computes_what_the_function_computes_and_writes_in_place():
    def double(x, total):
        total.add_(x.sum())
        return 2 * x

    x = torch.arange(6.0).view(2, 3)
    total = torch.zeros(())
    compiled = Compiled(double, (x, total.clone()), dynamic=True)
    assert torch.equal(compiled(x, total), 2 * x)
    assert total.item() == 15
    larger = torch.ones(5, 7)
    assert torch.equal(compiled(larger, total), 2 * larger)
    assert total.item() == 15 + 35


def test_what_is_no_single_graph_is_refused():
    with pytest.raises(RuntimeError):
        Compiled(lambda x: x if x.sum().item() > 0 else -x, (torch.ones(2),), dynamic=True)


WITHOUT_COMPILER = """
import torch, warnings
from ravine.engines.graphs.compiling import Compiled
x = torch.arange(3.0)
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    assert torch.equal(Compiled(lambda x: x.sin() * 2 + 1, (x,), dynamic=False)(x), x.sin() * 2 + 1)
    assert torch.equal(Compiled(lambda x: x.cos() * 3, (x,), dynamic=True)(x), x.cos() * 3)
print([str(w.message) for w in caught if w.category is RuntimeWarning])
"""


def test_without_a_compiler_it_warns_once_and_runs_uncompiled(tmp_path):
    """In a process that finds no compiler: an empty PATH, and no cache of earlier work."""
    environment = {"PATH": str(tmp_path), "TORCHINDUCTOR_CACHE_DIR": str(tmp_path / "cache")}
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_COMPILER], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    (warning,) = ast.literal_eval(done.stdout.splitlines()[-1])
    assert warning.startswith("no C++ compiler found: training runs uncompiled")


def test_weights_of_a_rule_with_a_probe_lie_ahead_of_theta():
    """θ + αv after one step from rest: v = -εg."""
    weights = torch.zeros(2, 3, dtype=torch.float64)
    hyper = [{"lr": 0.1, "momentum": 0.5}, {"lr": 0.2, "momentum": 0.9}]
    engine = PopulationEngine(rules.nesterov(), hyper, weights, [torch.Size([3])])
    engine.step(torch.ones(2, 3, dtype=torch.float64))
    assert torch.allclose(engine.output()[:, 0], torch.tensor([-0.1, -0.2], dtype=torch.float64))
    ahead = torch.tensor([-0.1 - 0.05, -0.2 - 0.18], dtype=torch.float64)
    assert torch.allclose(weights[:, 0], ahead)
