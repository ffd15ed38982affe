"""torch's own table of optimizers, inputs and errors (OptimizerInfo), run through our classes."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch

from tests.cases import TOLERANCE, difference
from tests.optim.trials import NAMES, Optimizer, ours

pytest.importorskip("expecttest", reason="torch's own test tables import the package expecttest")
from torch.testing._internal.common_optimizers import (
    OptimizerErrorEnum,
    optim_db,
)

INFOS = {info.optim_cls.__name__: info for info in optim_db}

ABSENT = {
    "LBFGS": "a line search over the whole loss, which is no update rule of one gradient",
    "SparseAdam": "for sparse gradients, which ravine's rules do not take",
}
ACCEPTED = {
    "lr as Tensor doesn't work with foreach & not capturable": "foreach changes nothing here",
    "betas must be either both floats or both Tensors": "every hyperparameter is a tensor here",
    r"betas\[0\] as a Tensor is not supported for capturable=False and foreach=True": (
        "foreach changes nothing here"
    ),
}
"""Inputs that torch refuses and ravine takes, and why."""

REFUSED_HARDER = {
    "a param group cannot have duplicate parameters": "torch warns that this will be an error",
}


def inputs(kind: str) -> list[Any]:
    """(name of the class, input) of all classes that ravine has."""
    found = []
    for name, info in INFOS.items():
        if name not in ABSENT:
            given = getattr(info, kind)(device="cpu", dtype=torch.float64)
            found += [pytest.param(name, i, id=f"{name}-{n}") for n, i in enumerate(given)]
    return found


def test_the_table_holds_our_twins_and_what_is_absent() -> None:
    assert set(INFOS) == {*NAMES, *ABSENT}


def walked(new: Any, options: dict[str, Any]) -> Any:
    """Two matrices after twenty steps."""
    generator = torch.Generator().manual_seed(0)
    params = [torch.randn(3, 2, generator=generator).requires_grad_() for _ in range(2)]
    optimizer: Optimizer = new(params, **copy.deepcopy(options))
    for _ in range(20):
        for param in params:
            noise = torch.randn(3, 2, generator=generator)
            param.grad = param.detach() - 0.5 + 0.3 * noise
        optimizer.step()
    return torch.stack([param.detach() for param in params]).numpy()


def widened(value: Any) -> Any:
    """Numbers in float32 tensors in float64, in which ravine reckons with them, and torch not."""
    if isinstance(value, tuple):
        return tuple(map(widened, value))
    return value.double() if isinstance(value, torch.Tensor) else value


@pytest.mark.parametrize(("name", "given"), inputs("optim_inputs_func"))
@pytest.mark.parametrize("engine", ["eager", "auto"])
def test_every_configuration_goes_torch_s_path(name: str, given: Any, engine: str) -> None:
    # A capturable torch optimizer wants a GPU; how it counts is no part of the path.
    options = {key: widened(v) for key, v in given.kwargs.items() if key != "capturable"}
    mine = walked(ours(name), {**options, "engine": "eager" if name == "Muon" else engine})
    assert difference(mine, walked(INFOS[name].optim_cls, options)) <= TOLERANCE


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("name", "error"), inputs("optim_error_inputs_func"))
def test_every_error_of_torch_is_one_here(name: str, error: Any) -> None:
    given = error.optimizer_error_input
    params = torch.nn.Parameter(torch.randn(2, 2)) if given.params is None else given.params
    params = [params] if given.params is None else params

    def construct_and_step() -> None:
        optimizer = ours(name)(params, **given.kwargs)
        if error.error_on is OptimizerErrorEnum.STEP_ERROR:
            optimizer.step()

    if given.desc in ACCEPTED:
        construct_and_step()
        return
    expected = ValueError if given.desc in REFUSED_HARDER else error.error_type
    with pytest.raises(expected) as raised:
        construct_and_step()
    assert type(raised.value).__module__ == "ravine.errors"


@pytest.mark.parametrize(("name", "error"), inputs("optim_error_inputs_func"))
def test_the_lists_are_of_errors_that_torch_has(name: str, error: Any) -> None:
    """What is said to be different from torch is so."""
    given = error.optimizer_error_input
    if given.desc in ACCEPTED:
        with pytest.raises(error.error_type):
            INFOS[name].optim_cls([torch.zeros(2, 2)], **given.kwargs)
