"""Layers inside a module replaced by other forms of themselves."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn


def replaced(model: nn.Module, form: Callable[[nn.Module], nn.Module | None]) -> nn.Module:
    """Replace modules inside a module (in place); return it, or what replaces it.

    A module that is used in several places stays one module: `form` is asked once for it, and its
    answer stands in all of them.

    Args:
        model: where to look.
        form: module -> what replaces it; None: it stays, and its children are looked at.
    """
    seen: dict[nn.Module, nn.Module] = {}

    def visit(module: nn.Module) -> nn.Module:
        if module in seen:
            return seen[module]
        made = form(module)
        seen[module] = module if made is None else made
        if made is None:
            children = module._modules  # named_children() shows the first use of each alone
            children |= {n: visit(child) for n, child in children.items() if child is not None}
        return seen[module]

    return visit(model)
