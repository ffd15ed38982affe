"""What the guide to watching shows is what there is."""

from __future__ import annotations

import re
from pathlib import Path

from ravine.diagnostics.history import CAPACITY
from ravine.diagnostics.instruments import standard
from ravine.diagnostics.watch.recorder import BUDGET, DENSE

GUIDE = (Path(__file__).parents[2] / "docs" / "watching.md").read_text()


def test_the_guide_runs(capsys):
    """All its code, in order, and what it is said to do."""
    names: dict[str, object] = {}
    for block in re.findall(r"```python\n(.*?)```", GUIDE, re.S):
        exec(block, names)
    history, said = names["watch"].history, capsys.readouterr().out
    assert history.series("loss").steps == list(range(200))
    assert history.places("update_ratio") == ["0.weight", "0.bias", "2.weight", "2.bias"]
    assert history.series("validation_cost").steps == [200]
    for instrument in standard():
        assert f"{instrument.name} - {instrument.cost}" in said
        assert (
            f"\n{instrument.name} {names['watch'].accounts[instrument.name].measurements} " in said
        )
    assert f"199 loss {history.series('loss').values[-1]}" in said


def test_its_numbers_are_the_defaults():
    assert f"keeps {CAPACITY} points" in GUIDE
    assert f"`budget={BUDGET}`" in GUIDE
    assert f"the first {DENSE} steps" in GUIDE
