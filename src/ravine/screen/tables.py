"""Plain tables."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text


def print_optimizers(listed: Iterable[Mapping[str, Any]]) -> None:
    """The table of optimizers, and what its columns mean."""
    print_table(
        ("name", "lr", "granularity", "bytes", "class", "source"),
        [
            (
                row["name"],
                f"{row['defaults']['lr']:g}",
                row["granularity"],
                f"{row['memory']['bytes']:.2g}",
                row["class"].split("(")[0],
                row["source"],
            )
            for row in listed
        ],
    )
    console = wide_console()
    for line in (
        "",
        "bytes: of state, for each element of a float32 parameter of 1000x1000.",
        "class: in ravine.optim; ravine.Optimizer runs every rule, by its name.",
        "Every rule runs in three engines: eager, compiled, population. The last two make",
        "kernels of elementwise and tensor rules, and batched graphs of matrix rules.",
        "--json says more.",
    ):
        console.print(line, soft_wrap=True, markup=False)


def print_table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """A plain table, one line a row. Where the terminal is too narrow the last column is cut."""
    rows, console = list(rows), wide_console()
    *widths, last = (max(map(len, column)) for column in zip(headings, *rows, strict=True))
    room = console.width - sum(width + 2 for width in (*widths, 0))
    table = Table(box=None, padding=(0, 2, 0, 0))
    for heading, width in zip(headings, (*widths, min(last, max(room, 8))), strict=True):
        table.add_column(heading, no_wrap=True, width=width)
    for row in rows:
        table.add_row(*map(Text, row))
    console.print(table)


def wide_console() -> Console:
    """As wide as the terminal; 200 columns where there is none."""
    return Console(highlight=False, width=None if sys.stdout.isatty() else 200)
