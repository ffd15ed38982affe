"""Imports point one way."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import ravine

ROOT = Path(ravine.__file__).parent
BELOW = {
    # what each room may import; itself always
    "errors": [],
    "seeds": [],
    "hashing": [],
    "environment": [],
    "metrics": [],
    "penalties": ["errors"],
    "hidden": [],
    "whole": [],
    "snippets": ["rules", "schedules", "initializers", "batches", "errors"],
    "undisturbed": ["hidden"],
    "rules": ["errors"],
    "batches": ["undisturbed", "seeds", "errors"],
    "schedules": ["errors"],
    "initializers": ["undisturbed", "seeds", "errors"],
    "stopping": ["errors"],
    "normalization": ["undisturbed", "errors"],
    "transforms": ["rules", "hashing", "errors"],
    "engines": ["transforms", "rules", "errors"],
    "optim": ["engines", "transforms", "schedules", "rules", "errors"],
    "testing": ["optim", "engines", "transforms", "rules", "errors"],
    "datasets": ["errors"],
    "recipes": ["datasets", "batches", "hidden", "metrics", "penalties", "seeds", "errors"],
    "training": [
        *("recipes", "engines", "transforms", "rules", "batches", "schedules", "initializers"),
        *("stopping", "normalization", "hashing", "hidden", "seeds", "errors"),
    ],
    "strategies": [
        *("training", "recipes", "engines", "transforms", "rules", "batches", "schedules"),
        *("initializers", "stopping", "normalization", "seeds", "errors"),
    ],
    "diagnostics": [
        *("training", "recipes", "normalization", "initializers", "schedules", "transforms"),
        *("rules", "snippets", "undisturbed", "penalties", "seeds", "errors"),
    ],
    "integrations": ["diagnostics", "training", "errors"],
    "comparison": [
        *("training", "recipes", "engines", "transforms", "rules", "batches", "schedules"),
        *("initializers", "diagnostics", "snippets", "whole", "errors"),
    ],
    "distributed": ["comparison", "training", "datasets", "recipes", "errors"],
    "report": ["reproduce", "comparison", "diagnostics", "training", "rules", "whole", "errors"],
    "reproduce": [
        *("comparison", "training", "recipes", "datasets", "schedules", "rules"),
        *("metrics", "penalties"),
    ],
    "api": [
        "reproduce",
        "distributed",
        "strategies",
        *("environment", "report", "comparison", "diagnostics", "training", "recipes", "rules"),
        "batches",
        *("schedules", "initializers", "whole", "errors"),
    ],
    "export": ["comparison", "training", "errors"],
    "listings": ["recipes", "batches", "schedules", "initializers"],
    "screen": ["api", "reproduce", "report", "comparison", "diagnostics", "training", "schedules"],
    "cli": [
        "screen",
        "export",
        "listings",
        "api",
        "report",
        "comparison",
        "recipes",
        "optim",
        "rules",
        "errors",
    ],
}
FRONTS = {"__init__", "__main__"}


def room(path: Path) -> str:
    return path.relative_to(ROOT).with_suffix("").parts[0]


def imported(path: Path) -> set[str]:
    """The rooms of this package that a file imports."""
    names = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module == "ravine":
            names += [f"ravine.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            names.append(node.module or "")
        elif isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
    return {name.split(".")[1] for name in names if name.startswith("ravine.")}


FILES = sorted(ROOT.rglob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_one_way(path):
    if room(path) in FRONTS:
        return
    allowed = {room(path), *BELOW[room(path)]}
    assert imported(path) <= allowed


def test_the_table_has_no_circle():
    for name, below in BELOW.items():
        for other in below:
            assert name not in BELOW[other], f"{name} and {other} import each other"


def test_rules_import_torch_and_nothing_else():
    standard = {"__future__", "collections", "dataclasses", "typing", "math", "functools"}
    for path in (ROOT / "rules").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom):
                assert (node.module or "").split(".")[0] in {"torch", "ravine", *standard}, path
            elif isinstance(node, ast.Import):
                assert {alias.name.split(".")[0] for alias in node.names} <= {"torch", *standard}


def test_public_names_exist_and_are_sorted():
    assert ravine.__all__ == sorted(ravine.__all__)
    for name in ravine.__all__:
        assert hasattr(ravine, name)
