"""The examples run, and do what they say."""

from __future__ import annotations

import json
import runpy
from pathlib import Path

from ravine.cli import main

EXAMPLES = Path(__file__).parent.parent / "examples"


def test_two_moons(tmp_path):
    command = f"compare {EXAMPLES / 'two_moons.py'} --optimizers sgd,rmsprop,adam --steps 54"
    assert main([*command.split(), "--lane", "serial", "--out", str(tmp_path / "run")]) == 0
    verdict = json.loads((tmp_path / "run" / "verdict.json").read_text())
    assert {arm["optimizer"] for arm in verdict["arms"]} == {"sgd", "rmsprop", "adam"}
    assert verdict["recipe"] == "two-moons"


def test_one_import():
    """A linear softmax has about 5% errors here; chance is 90%."""
    assert runpy.run_path(str(EXAMPLES / "one_import.py"))["main"]() < 0.08
