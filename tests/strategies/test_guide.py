"""What the guide shows is what there is."""

from __future__ import annotations

import re
from pathlib import Path

from ravine import strategies

GUIDE = (Path(__file__).parents[2] / "docs" / "strategies.md").read_text()


def test_the_guide_runs():
    """All its code, in order; what it asserts holds."""
    names: dict[str, object] = {}
    for block in re.findall(r"```python\n(.*?)```", GUIDE, re.S):
        exec(block, names)
    assert names["student"].run.curve[-1].validation_metric < 0.1


def test_the_names_that_the_guide_mentions_exist():
    for name in re.findall(r"`(\w+)\(", GUIDE):
        assert hasattr(strategies, name) or name == "sigma", name


def test_public_names_are_sorted():
    assert strategies.__all__ == sorted(strategies.__all__)
