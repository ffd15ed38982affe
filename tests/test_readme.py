"""What the README and the guide show is what there is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

import ravine

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def blocks(text: str) -> list[str]:
    """The Python code in a text."""
    return re.findall(r"```python\n(.*?)```", text, re.S)


def test_the_recipe_in_the_readme_is_the_example():
    shown = re.search(r"```python\n(import torch\n.*?)```", README, re.S)
    assert shown.group(1).strip() in (ROOT / "examples" / "two_moons.py").read_text()


def test_the_commands_in_the_readme_exist():
    from ravine.cli import _parser

    named = set(re.findall(r"`ravine ([a-z-]+)", README)) | set(
        re.findall(r"^    ravine ([a-z-]+)", README, re.M)
    )
    commands = _parser()._subparsers._group_actions[0].choices
    assert named == set(commands)


@pytest.mark.parametrize(
    "place", [block for block in blocks(README) if "model.parameters()" in block]
)
def test_the_optimizers_in_the_readme_step(place):
    model = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.Linear(2, 2))
    before = [param.detach().clone() for param in model.parameters()]
    names = {"model": model, "ravine": ravine}
    exec(place, names)
    model(torch.randn(8, 3)).square().mean().backward()
    names["optimizer"].step()
    assert all(not torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))


def test_the_names_that_the_readme_and_the_guide_mention_exist():
    text = README + "".join(p.read_text() for p in (ROOT / "docs").glob("*.md"))
    for name in set(re.findall(r"`ravine\.([\w.]+)", text)):
        found = ravine
        for part in name.split("."):
            found = getattr(found, part)


def test_the_guide_runs():
    """All its code, in order, and its test."""
    names: dict[str, object] = {}
    for block in blocks((ROOT / "docs" / "rules.md").read_text()):
        exec(block, names)
    names["test_forgetful"]()
    choose = names["every_tenth"]("renewing", "keeping")
    assert [choose({"step": torch.tensor(float(t))}) for t in (0, 9, 10)] == [
        "renewing",
        "keeping",
        "renewing",
    ]


def test_the_code_on_procedures_runs(capsys):
    """All its code, in order, and what it is said to do."""
    names: dict[str, object] = {}
    for block in blocks((ROOT / "docs" / "procedures.md").read_text()):
        exec(block, names)
    model, inputs = names["model"], names["inputs"]
    assert model[0](inputs).std().item() == pytest.approx(1, abs=1e-2)
    seen = [index for batch in list(names["loader"])[:8] for index in batch[1].tolist()]
    assert len(seen) == 256
    assert names["stop"].best == 1
    network = names["network"]
    assert torch.allclose(names["folded"](inputs), network(inputs), atol=1e-5)
    assert "he_normal" in capsys.readouterr().out
