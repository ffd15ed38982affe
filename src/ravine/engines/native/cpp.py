"""The C++ of a traced elementwise function: one loop over all parameters, wherever they lie."""

from __future__ import annotations

from typing import Any

import torch
from torch.fx import Node

from ravine.engines.graphs.parts import Parts

aten = torch.ops.aten

NAMES = {
    torch.float32: "float",
    torch.float64: "double",
    torch.bool: "bool",
    torch.int64: "int64_t",
}


class UnsupportedError(Exception):
    """An operator or dtype that is not written here; inductor knows it."""


def source(parts: Parts) -> str:
    """The C++ of a traced function."""
    writer = _Writer(parts)
    return _TEMPLATE.format(
        real=NAMES[parts.dtype],
        scalars="\n".join(writer.scalars()),
        parameters="".join(writer.parameters()),
        entering="".join(writer.entering()),
        loads="\n".join(writer.loads()),
        body="\n".join(writer.body()),
        stores="\n".join(writer.stores()),
        pointers="".join(writer.pointers()),
        passed="".join(writer.passed()),
        counted="\n".join(writer.counted()),
        term=writer.term(),
    )


_TEMPLATE = """
#include <cmath>
#include <cstdint>
#include <algorithm>
#include <vector>
#ifdef _OPENMP
#include <omp.h>
#endif
typedef {real} T;

static inline double part(int64_t begin, int64_t end{parameters}{entering}) {{
    double sum = 0;
    for (int64_t i = begin; i < end; i++) {{
{loads}
{body}
{stores}
        sum += {term};
    }}
    return sum;
}}

extern "C" double run(int64_t tensors, const int64_t* sizes, void* const* places,
                      void* const* counts, const double* hyper, int threads) {{
{scalars}
    int64_t elements = 0;
    for (int64_t t = 0; t < tensors; t++) elements += sizes[t];
    std::vector<double> totals(threads, 0.0);  // one a thread, and added up in order
    #pragma omp parallel num_threads(threads) if (elements > 16384)
    {{
        int64_t me = 0, all = 1;
#ifdef _OPENMP
        me = omp_get_thread_num(); all = omp_get_num_threads();
#endif
        const int64_t first = elements * me / all / 16 * 16;
        const int64_t last = me + 1 == all ? elements : elements * (me + 1) / all / 16 * 16;
        int64_t before = 0;
        for (int64_t t = 0; t < tensors && before < last; before += sizes[t++]) {{
            const int64_t begin = std::max(first - before, (int64_t)0);
            const int64_t end = std::min(last - before, sizes[t]);
            if (begin < end) totals[me] += part(begin, end{pointers}{passed});
        }}
    }}
{counted}
    double total = 0;
    for (double one : totals) total += one;
    return total;
}}
"""


class _Writer:
    """The pieces of a kernel's source."""

    def __init__(self, parts: Parts):
        self._parts = parts
        self._entered = {key: f"e{index}" for index, key in enumerate(parts.entering)}
        pairs = list(zip(parts.blocks, parts.new_blocks, strict=True))
        self._written = [(b, n) for b, n in pairs if n is not None and n is not b]
        for node in parts.blocks:
            if node.meta["val"].dtype != parts.dtype:
                raise UnsupportedError(f"a block of {node.meta['val'].dtype}")

    def scalars(self) -> list[str]:
        """Statements that compute what is computed once a step."""
        lines = []
        for index, node in enumerate(self._parts.scalars):
            place = f"hyper[{index - len(self._parts.counts)}]"
            if index < len(self._parts.counts):
                place = f"*(const {_type(node)}*)counts[{index}]"
            lines.append(f"    const {_type(node)} {_name(node)} = {place};")
        for node in self._parts.nodes:
            if node in self._parts.scalar and node not in self._parts.scalars:
                lines.append(f"    const {_type(node)} {_name(node)} = {self._expression(node)};")
        for (node, inverse), name in self._entered.items():
            value = f"1 / (double){_name(node)}" if inverse else _name(node)
            lines.append(f"    const {self._entering_type(node)} {name} = {value};")
        return lines

    def parameters(self) -> list[str]:
        """Parameters of the loop: addresses."""
        written = {block for block, _ in self._written}
        return [
            f", {'' if block in written else 'const '}T* __restrict x{index}"
            for index, block in enumerate(self._parts.blocks)
        ]

    def entering(self) -> list[str]:
        """Parameters of the loop: scalars."""
        return [f", {self._entering_type(key[0])} {name}" for key, name in self._entered.items()]

    def loads(self) -> list[str]:
        """Statements that read one element of every block."""
        blocks = enumerate(self._parts.blocks)
        return [f"        const T {_name(block)} = x{index}[i];" for index, block in blocks]

    def body(self) -> list[str]:
        """Statements that compute on one element."""
        lines = []
        for node in self._parts.nodes:
            skipped = node.op in ("placeholder", "output") or isinstance(
                node.meta["val"], torch.SymInt
            )
            if not skipped and node not in self._parts.scalar:
                value = self._expression(node)
                lines.append(f"        const {_type(node)} {_name(node)} = {value};")
        return lines

    def stores(self) -> list[str]:
        """Statements that write one element of every new block."""
        places = {block: index for index, block in enumerate(self._parts.blocks)}
        return [f"        x{places[block]}[i] = {_name(new)};" for block, new in self._written]

    def pointers(self) -> list[str]:
        """Arguments of the loop: addresses."""
        written = {block for block, _ in self._written}
        return [
            f", ({'' if block in written else 'const '}T*)places[{index} * tensors + t]"
            for index, block in enumerate(self._parts.blocks)
        ]

    def passed(self) -> list[str]:
        """Arguments of the loop: scalars."""
        return [f", {name}" for name in self._entered.values()]

    def counted(self) -> list[str]:
        """Statements that write the new counts."""
        pairs = zip(self._parts.counts, self._parts.new_counts, strict=True)
        return [
            f"    *({_type(old)}*)counts[{index}] = {_name(new)};"
            for index, (old, new) in enumerate(pairs)
            if new is not old
        ]

    def term(self) -> str:
        """What one element adds to the result."""
        return _name(self._parts.others[0]) if self._parts.others else "0"

    def _entering_type(self, node: Node) -> str:
        return "T" if node.meta["val"].is_floating_point() else _type(node)

    def _expression(self, node: Node) -> str:
        if node in self._parts.divided:
            block, divisor = node.args
            assert isinstance(divisor, Node)
            return f"{self._value(block, node)} * {self._entered[divisor, True]}"
        if node.target is aten.clamp.default:
            return self._clamp(node)
        operator = OPERATORS.get(str(node.target))
        if operator is None or node.kwargs.keys() - {"dtype", "device", "layout", "pin_memory"}:
            raise UnsupportedError(f"{node.target} with {list(node.kwargs)}")
        result = _type(node)
        if "bitwise" in str(node.target) and result != "bool":
            raise UnsupportedError(f"{node.target} of numbers")
        operands = {_type(given) for given in node.all_input_nodes}
        whole = result in ("float", "double") and operands & {"bool", "int64_t"}
        if whole and node.target not in (aten.where.self, aten._to_copy.default):
            raise UnsupportedError(f"{node.target} of whole numbers")  # C++ would divide as such
        values = [f"({self._value(argument, node)})" for argument in node.args]
        return f"({result})({operator.format(*values, R=result)})"

    def _clamp(self, node: Node) -> str:
        """Comparisons with NaN are false: it is handed on, as torch does."""
        x, *bounds = [None if a is None else f"({self._value(a, node)})" for a in node.args]
        assert x is not None
        names = dict(zip(("min", "max"), bounds, strict=False))
        names.update({k: f"({self._value(v, node)})" for k, v in node.kwargs.items()})
        if names.get("min"):
            x = f"({x} < {names['min']} ? {names['min']} : {x})"
        return f"({x} > {names['max']} ? {names['max']} : {x})" if names.get("max") else x

    def _value(self, argument: Any, user: Node) -> str:
        """An argument; scalars go by the name under which they entered the loop."""
        if isinstance(argument, Node):
            inside = user not in self._parts.scalar and argument in self._parts.scalar
            return self._entered[argument, False] if inside else _name(argument)
        if isinstance(argument, bool | int | float):
            return _literal(argument, _operand_type(user))
        raise UnsupportedError(f"{user.target} of {argument!r}")


OPERATORS = {
    "aten.add.Tensor": "{0} + {1}",
    "aten.sub.Tensor": "{0} - {1}",
    "aten.rsub.Scalar": "{1} - {0}",
    "aten.mul.Tensor": "{0} * {1}",
    "aten.div.Tensor": "{0} / {1}",
    "aten.neg.default": "-{0}",
    "aten.abs.default": "std::abs({0})",
    "aten.sign.default": "({0} > 0) - ({0} < 0)",
    "aten.sqrt.default": "std::sqrt({0})",
    "aten.rsqrt.default": "1 / std::sqrt({0})",
    "aten.reciprocal.default": "1 / {0}",
    "aten.exp.default": "std::exp({0})",
    "aten.expm1.default": "std::expm1({0})",
    "aten.log.default": "std::log({0})",
    "aten.log1p.default": "std::log1p({0})",
    "aten.pow.Tensor_Tensor": "std::pow({0}, {1})",
    "aten.pow.Tensor_Scalar": "std::pow({0}, {1})",
    "aten.pow.Scalar": "std::pow({0}, {1})",
    # Comparisons with NaN are false: NaN is handed on, as torch does. In this form g++ 12 vectorizes
    # Rprop's loop; with || or | it does not, and the loop takes 3.7 times the floor.
    "aten.maximum.default": "{1} != {1} ? {1} : ({0} < {1} ? {1} : {0})",
    "aten.minimum.default": "{1} != {1} ? {1} : ({1} < {0} ? {1} : {0})",
    "aten.lt.Scalar": "{0} < {1}",
    "aten.lt.Tensor": "{0} < {1}",
    "aten.le.Scalar": "{0} <= {1}",
    "aten.le.Tensor": "{0} <= {1}",
    "aten.gt.Scalar": "{0} > {1}",
    "aten.gt.Tensor": "{0} > {1}",
    "aten.ge.Scalar": "{0} >= {1}",
    "aten.ge.Tensor": "{0} >= {1}",
    "aten.eq.Scalar": "{0} == {1}",
    "aten.eq.Tensor": "{0} == {1}",
    "aten.ne.Scalar": "{0} != {1}",
    "aten.ne.Tensor": "{0} != {1}",
    "aten.logical_and.default": "{0} && {1}",
    "aten.logical_or.default": "{0} || {1}",
    "aten.logical_not.default": "!{0}",
    "aten.bitwise_and.Tensor": "{0} && {1}",
    "aten.bitwise_or.Tensor": "{0} || {1}",
    "aten.bitwise_not.default": "!{0}",
    "aten.where.self": "{0} ? ({R}){1} : ({R}){2}",
    "aten.zeros_like.default": "0",
    "aten.ones_like.default": "1",
    "aten.scalar_tensor.default": "{0}",
    "aten.lift_fresh_copy.default": "{0}",
    "aten.detach.default": "{0}",
    "aten.clone.default": "{0}",
    "aten._to_copy.default": "{0}",
}
"""Operators in C++, by overload; {R} is the type of the result."""


def _name(node: Node) -> str:
    return f"n_{node.name}"


def _type(node: Node) -> str:
    dtype = node.meta["val"].dtype
    if dtype not in NAMES:
        raise UnsupportedError(f"a tensor of {dtype}")
    return NAMES[dtype]


def _operand_type(node: Node) -> str:
    """The type in which an operator takes plain numbers: that of its first tensor."""
    tensors = node.all_input_nodes
    return _type(tensors[0]) if tensors else _type(node)


def _literal(number: bool | int | float, kind: str) -> str:
    if number != number or abs(number) == float("inf"):
        raise UnsupportedError(f"the number {number}")
    return f"({kind}){float(number)!r}" if kind in ("float", "double") else str(int(number))
