"""What the README shows is what there is."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_the_recipe_in_the_readme_is_the_example():
    shown = re.search(r"```python\n(import torch\n.*?)```", (ROOT / "README.md").read_text(), re.S)
    assert shown.group(1).strip() in (ROOT / "examples" / "two_moons.py").read_text()


def test_the_commands_in_the_readme_exist():
    from ravine.cli import _parser

    text = (ROOT / "README.md").read_text()
    named = set(re.findall(r"`ravine (\w+)", text)) | set(
        re.findall(r"^    ravine (\w+)", text, re.M)
    )
    commands = _parser()._subparsers._group_actions[0].choices
    assert named == set(commands)
