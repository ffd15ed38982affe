"""Classes of torch's names walk torch's paths, in every engine."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.cases import TOLERANCE, difference, walk_optimizer
from tests.optim.trials import NAMES, Optimizer, ours, problem_for, theirs, twins

KEYWORD_ONLY = inspect.Parameter.KEYWORD_ONLY

COMPILED: dict[str, list[dict[str, Any]]] = {
    # settings of one rule: one kernel
    "SGD": [{"lr": 0.02, "momentum": 0.8}, {"lr": 0.01, "momentum": 0.5, "dampening": 0.4}],
    "ASGD": [{}, {"lr": 0.05, "lambd": 0.1, "alpha": 0.6, "t0": 20}],
    "Rprop": [{}, {"lr": 0.1, "etas": (0.4, 1.3), "step_sizes": (0.01, 0.3)}],
    "Adagrad": [{}, {"lr": 0.1, "lr_decay": 0.1}],
    "RMSprop": [{}, {"lr": 0.03, "alpha": 0.9, "eps": 1e-2}],
    "Adadelta": [{}, {"lr": 0.5, "rho": 0.95, "eps": 1e-4}],
    "Adafactor": [{}, {"lr": 0.3, "beta2_decay": -0.5, "d": 1.5, "weight_decay": 0.1}],
    "Adam": [{}, {"lr": 0.02, "betas": (0.8, 0.9), "eps": 1e-3}],
    "AdamW": [{}, {"lr": 0.02, "betas": (0.8, 0.9), "weight_decay": 0.3}],
    "NAdam": [{}, {"lr": 0.02, "betas": (0.8, 0.9), "momentum_decay": 0.1}],
    "Adamax": [{}, {"lr": 0.02, "betas": (0.8, 0.9), "eps": 1e-3}],
    "RAdam": [{}, {"lr": 0.02, "betas": (0.8, 0.9), "eps": 1e-3}],
}

COMPLEX = [name for name in NAMES if name not in ("Adafactor", "Muon")]


@twins
@pytest.mark.parametrize("maximize", [False, True])
@pytest.mark.parametrize("engine", ["eager", "auto"])
def test_same_path_as_torch(
    name: str, options: dict[str, Any], maximize: bool, engine: str
) -> None:
    if name == "Muon":  # torch's has no maximize; stacked matrices round otherwise
        if maximize or engine == "auto":
            return
        climbing = {}
    else:
        climbing = {"maximize": maximize}
    problem = problem_for(name)
    mine = walk_optimizer(lambda p: ours(name)(p, **options, **climbing, engine=engine), problem)
    torch_own = walk_optimizer(lambda p: theirs(name)(p, **options, **climbing), problem)
    assert difference(mine, torch_own) <= TOLERANCE


@pytest.mark.parametrize("name", COMPILED)
def test_compiled_path_as_torch(name: str) -> None:
    for options in COMPILED[name]:
        mine = walk_optimizer(
            lambda p, o=options: ours(name)(p, **o, engine="compiled"), problem_for(name)
        )
        torch_own = walk_optimizer(lambda p, o=options: theirs(name)(p, **o), problem_for(name))
        assert difference(mine, torch_own) <= TOLERANCE


def walk_narrow(make: Any, name: str, dtype: torch.dtype) -> Any:
    """The last parameters of an optimizer on the problem, rounded to `dtype`."""
    problem = problem_for(name)
    param = torch.from_numpy(problem.start.copy()).to(dtype).requires_grad_()
    optimizer = make([param])
    for k in range(len(problem.noise)):
        param.grad = problem.gradient_at(param.double(), k).to(dtype)
        optimizer.step()
    return param.detach().double().numpy()


@pytest.mark.parametrize("name", COMPILED)
def test_float32_is_the_same_compiled(name: str) -> None:
    options = COMPILED[name][-1]
    paths = [
        walk_narrow(lambda p, e=e: ours(name)(p, **options, engine=e), name, torch.float32)
        for e in ("compiled", "eager")
    ]
    assert difference(*paths) <= 1e-5


@pytest.mark.parametrize("name", NAMES)
def test_same_signature_as_torch(name: str) -> None:
    import ravine.optim

    mine = dict(inspect.signature(getattr(ravine.optim, name).__init__).parameters)
    assert mine.pop("rounding").kind is mine.pop("engine").kind is KEYWORD_ONLY
    torch_own = inspect.signature(theirs(name).__init__).parameters
    assert [(p.name, p.default, p.kind) for p in mine.values()] == [
        (p.name, p.default, p.kind) for p in torch_own.values()
    ]


def walk_complex(make: Any, dtype: torch.dtype) -> list[Tensor]:
    """Complex parameters, one of them 0-D, after every step on a quadratic with noise."""
    generator = torch.Generator().manual_seed(0)
    shapes = ((3, 2), (), (4,))
    params = [torch.randn(s, generator=generator, dtype=dtype).requires_grad_() for s in shapes]
    optimizer: Optimizer = make(params)
    path = []
    for _ in range(50):
        for param in params:
            noise = torch.randn(param.shape, generator=generator, dtype=dtype)
            param.grad = param.detach() * (1 + 2j) + 0.1 * noise
        optimizer.step()
        path.append(torch.cat([param.detach().reshape(-1) for param in params]).clone())
    return path


@pytest.mark.parametrize("name", COMPLEX)
@pytest.mark.parametrize("engine", ["eager", "auto"])
@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.complex128, TOLERANCE), (torch.complex64, 2e-5)]
)
def test_complex_parameters_as_torch(
    name: str, engine: str, dtype: torch.dtype, tolerance: float
) -> None:
    options = {} if name in ("Rprop", "Adafactor") else {"weight_decay": 0.1}
    mine = walk_complex(lambda p: ours(name)(p, **options, engine=engine), dtype)
    torch_own = walk_complex(lambda p: theirs(name)(p, **options), dtype)
    apart = (torch.stack(mine) - torch.stack(torch_own)).abs().max()
    assert apart / torch.stack(torch_own).abs().max() <= tolerance


@pytest.mark.parametrize("name", [name for name in NAMES if name != "Muon"])
def test_a_scalar_parameter_as_torch(name: str) -> None:
    paths = []
    for new in (ours(name), theirs(name)):
        param = torch.tensor(0.7).requires_grad_()
        optimizer = new([param])
        path = []
        for k in range(10):
            param.grad = torch.tensor(0.3 * k) - 0.5 * param.detach()
            optimizer.step()
            path.append(param.item())
        paths.append(path)
    assert paths[0] == pytest.approx(paths[1], rel=TOLERANCE)


def test_the_tables_name_every_twin() -> None:
    assert set(COMPILED) == set(NAMES) - {"Muon"}
