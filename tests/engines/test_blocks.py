"""How the fast engine lays parameters out, and that this shows nowhere."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor
from torch._dynamo.utils import counters

from ravine import rules
from ravine.engines import eager
from ravine.engines.block import engine as compiled
from ravine.engines.block.engine import BlockEngine
from ravine.engines.graphs.kernel import make_kernel
from ravine.engines.graphs.parts import take_apart
from ravine.rules import Rule

SMALL = [(4, 3), (5,), (4, 3), (2, 2), ()]


class Twins:
    """The same parameters stepped by the fast engine and by the reference."""

    def __init__(self, rule: Rule, params: Sequence[Tensor], compiled: bool = False) -> None:
        self.rule = rule
        self.params = list(params)
        self.reference = [param.detach().clone() for param in params]
        self.store: Any = defaultdict(dict)
        self.engine = BlockEngine(rule, self.store, compiled=compiled)
        self.states = eager.init_states(rule, self.reference)
        self.hyper = dict(eager.hyper_tensors(rule.defaults))
        self.generator = torch.Generator().manual_seed(0)

    def step(self, moving: Sequence[int] | None = None) -> None:
        moving = range(len(self.params)) if moving is None else moving
        grads = {i: self._draw(self.params[i]) for i in moving}
        self.engine.arrange([self.params[i] for i in moving])
        self.engine.step(list(grads.values()), self.hyper)
        parts = ([self.reference[i] for i in moving], list(grads.values()))
        eager.step(self.rule, *parts, [self.states[i] for i in moving], self.hyper)

    def _draw(self, param: Tensor) -> Tensor:
        return torch.randn(param.shape, generator=self.generator, dtype=param.dtype)

    def assert_same(self) -> None:
        for param, other, state in zip(self.params, self.reference, self.states, strict=True):
            torch.testing.assert_close(param.detach(), other, rtol=1e-12, atol=1e-12)
            for name, entry in state.items() if param in self.store else ():
                torch.testing.assert_close(self.store[param][name], entry, rtol=1e-12, atol=1e-12)

    def homes(self) -> list[str]:
        return sorted(type(block.home).__name__ for block in self.engine._blocks)


def parameters(*shapes: tuple[int, ...]) -> list[Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [
        torch.nn.Parameter(torch.randn(shape, generator=generator, dtype=torch.float64))
        for shape in shapes
    ]


def test_parameters_stay_where_they_are() -> None:
    """An alias taken before sees the steps."""
    params = parameters(*SMALL, (300, 300))
    aliases = [param.detach() for param in params]
    twins = Twins(rules.adam(), params)
    twins.step()
    twins.assert_same()
    assert twins.homes() == ["Gathered", "InPlace"]
    assert [p.data_ptr() for p in params] == [alias.data_ptr() for alias in aliases]


def test_a_converted_parameter_is_stepped_in_its_new_dtype() -> None:
    """The block of a large one is made anew; what it remembers keeps its dtype."""
    for shape in ((300, 300), (3,)):
        param = torch.nn.Parameter(torch.zeros(shape, dtype=torch.float32))
        engine = BlockEngine(
            rules.momentum(lr=1.0, momentum=0.5), defaultdict(dict), compiled=False
        )
        hyper = eager.hyper_tensors(engine.rule.defaults)
        for dtype in (torch.float32, torch.float64):
            param.data = param.data.to(dtype)
            engine.arrange([param, torch.nn.Parameter(torch.zeros(2))])
            engine.step([torch.full(shape, 1 / 3, dtype=dtype), torch.zeros(2)], hyper)
        assert param.dtype == torch.float64
        exact = -1 / 3 - (0.5 * float(torch.tensor(1 / 3)) + 1 / 3)
        assert abs(param.flatten()[0].item() - exact) < 1e-7
        assert param.flatten()[0].item() != torch.tensor(exact, dtype=torch.float32).item()


@pytest.mark.parametrize("reset", ["entries", "clear"])
def test_states_that_were_replaced_are_taken_up(reset: str) -> None:
    twins = Twins(rules.adam(), parameters(*SMALL))
    twins.step()
    for param, state in zip(twins.params, twins.states, strict=True):
        if reset == "entries":
            for name, entry in twins.store[param].items():
                twins.store[param][name] = torch.zeros_like(entry)
        else:
            twins.store[param].clear()
        for entry in state.values():
            entry.zero_()
    twins.step()
    twins.assert_same()


@pytest.mark.parametrize("granularity", ["elementwise", "tensor", "matrix"])
def test_parameters_that_rest_join_and_leave(granularity: str) -> None:
    rule = {"elementwise": rules.nadam(), "tensor": rules.lamb(), "matrix": rules.adafactor()}
    twins = Twins(rule[granularity], parameters((4, 3), (4, 3), (4, 3), (12,), (12,), (4, 3)))
    patterns = [[0, 1, 2], None, [1, 3], [0, 2, 4], None, [5], [0, 1, 3, 4, 5], None, []]
    for moving in patterns:
        if moving != []:
            twins.step(moving)
            twins.assert_same()


def test_blocks_that_alternate_settle() -> None:
    """Two halves in turn: after one cut nothing is laid out anew."""
    twins = Twins(rules.adam(), parameters(*[(3, 2)] * 6))
    twins.step()
    for moving in ([0, 1, 2], [3, 4, 5]):
        twins.step(moving)
    settled = list(twins.engine._blocks)
    for moving in ([0, 1, 2], [3, 4, 5], None):
        twins.step(moving)
    assert [id(block.home) for block in twins.engine._blocks] == [id(b.home) for b in settled]
    twins.assert_same()


def test_a_parameter_that_was_given_new_data_is_taken_up() -> None:
    twins = Twins(rules.adam(), parameters(*SMALL))
    twins.step()
    twins.params[1].data = torch.full((5,), 7.0, dtype=torch.float64)
    twins.reference[1].fill_(7.0)
    twins.step()
    twins.assert_same()


def test_memory_of_others_is_left_where_it_is() -> None:
    """A view of something larger, shared memory, another memory format: gathered and written back."""
    whole = torch.zeros(10, dtype=torch.float64)
    shared = torch.zeros(4, dtype=torch.float64).share_memory_()
    images = torch.zeros(2, 3, 4, 4, dtype=torch.float64).to(memory_format=torch.channels_last)
    params = [torch.nn.Parameter(t) for t in (whole[:4], whole[4:9], shared, images)]
    places = [param.data_ptr() for param in params]
    twins = Twins(rules.adam(), params)
    for _ in range(3):
        twins.step()
        twins.assert_same()
    assert [param.data_ptr() for param in params] == places
    assert whole[9] == 0
    assert whole[:9].abs().min() > 0
    assert images.is_contiguous(memory_format=torch.channels_last)


def test_parameters_at_one_place_are_stepped_one_after_the_other() -> None:
    """As torch does: both steps arrive."""
    data = torch.zeros(3, dtype=torch.float64)
    first, second = torch.nn.Parameter(data), torch.nn.Parameter(data)
    assert first.data_ptr() == second.data_ptr()
    engine = BlockEngine(rules.sgd(), defaultdict(dict), compiled=False)
    ones = torch.ones(3, dtype=torch.float64)
    engine.arrange([first, second])
    engine.step([ones, ones], eager.hyper_tensors({"lr": 0.5}))
    assert torch.equal(data, -ones)


def test_counts_shared_between_blocks_part_when_one_rests() -> None:
    twins = Twins(rules.adam(), parameters((3,), (300, 300), (301, 300)))
    twins.step()
    first, *others = (twins.store[param]["step"] for param in twins.params)
    assert all(other is first for other in others)
    twins.step([1])
    assert [float(twins.store[param]["step"]) for param in twins.params] == [1, 2, 1]
    twins.assert_same()


@pytest.mark.parametrize("make", [rules.adam, rules.nesterov_buffer])
def test_settings_that_move_make_no_new_kernel(make: Any) -> None:
    """A hundred values of every hyperparameter: nothing is traced or compiled again."""
    rule = make()
    twins = Twins(rule, parameters((4, 3), (4, 3), (300, 300)), compiled=True)
    twins.step()
    made = dict(compiled.KERNELS[rule.update])
    counters.clear()
    for step in range(100):
        for name, value in rule.defaults.items():
            twins.hyper[name] = torch.tensor(value * (1 - 0.001 * step), dtype=torch.float64)
        twins.step()
    twins.assert_same()
    assert compiled.KERNELS[rule.update] == made
    assert not counters["inductor"]
    assert not counters["stats"]


def test_sizes_that_change_make_no_new_kernel() -> None:
    rule = rules.adamax()
    Twins(rule, parameters((7,), (2, 9)), compiled=True).step()
    made = dict(compiled.KERNELS[rule.update])
    counters.clear()
    for shapes in ([(1,)], [(3, 3), (5,)], [(400, 400)], [(0,), (2,)]):
        twins = Twins(rule, parameters(*shapes), compiled=True)
        twins.step()
        twins.assert_same()
    assert compiled.KERNELS[rule.update] == made
    assert not counters["inductor"]


# Kernels


def test_scalars_are_computed_in_float64() -> None:
    """1 - ρ with ρ = 1 - 1e-7: in float32 it would be 1.2e-7."""

    def function(blocks: Any, counts: Any, hyper: Any) -> Any:
        return [(1 - hyper[0]) * blocks[0]], [], []

    block, rho = torch.ones(5), torch.tensor(1 - 1e-7, dtype=torch.float64)
    parts = take_apart(function, [torch.ones(7)], [], [rho], dynamic=True)
    kernel = make_kernel(parts, compiled=False)
    scalars = kernel.prologue(rho)
    kernel.body(block, *scalars)
    assert [scalar.dtype for scalar in scalars] == [torch.float32]
    assert block[0].item() == pytest.approx(1e-7, rel=1e-6)


@pytest.mark.parametrize("fast", [False, True], ids=["as it is", "compiled"])
def test_a_block_is_read_before_it_is_overwritten(fast: bool) -> None:
    """Two blocks change places, and a third one keeps what the second was."""

    def function(blocks: Any, counts: Any, hyper: Any) -> Any:
        return [blocks[1], blocks[0], blocks[1]], [counts[0] + 1], [blocks[0].sum()]

    examples = [torch.ones(7) for _ in range(3)]
    parts = take_apart(function, examples, [torch.zeros(())], [], dynamic=True)
    kernel = make_kernel(parts, compiled=fast)
    blocks, count = [torch.full((3,), float(i)) for i in (1, 2, 3)], torch.zeros(())
    (total,) = kernel.body(*blocks, *kernel.prologue(count))
    assert [int(block[0]) for block in blocks] == [2, 1, 2]
    assert (count, total) == (1, 3)


@pytest.mark.parametrize("shape", [(1100, 1000), (40, 30)], ids=["compiled", "as it is"])
def test_a_matrix_rule_is_compiled_on_large_parameters(shape: tuple[int, int]) -> None:
    """The same steps either way."""
    rule = rules.adafactor()
    compiled.KERNELS.pop(rule.update, None)
    twins = Twins(rule, parameters(shape), compiled=True)
    for _ in range(2):
        twins.step()
        twins.assert_same()
    (kernel,) = compiled.KERNELS[rule.update].values()
    assert isinstance(kernel.body, torch.fx.GraphModule) == (shape == (40, 30))
