"""Several recipes at once, from the command to the table: run once, and everything that is refused."""

from __future__ import annotations

import dataclasses
import json
import math
import re
import shutil
import sqlite3
import sys

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import ravine
from ravine.cli import main
from ravine.comparison.progress import Progress
from ravine.errors import FolderError, SettingError
from ravine.recipes import OF_SETS, find, find_all

TINY = """
import torch
import torch.nn.functional as F
from torch import nn
import ravine

def recipe():
    x, y = torch.randn(64, 4, generator=torch.Generator().manual_seed(0)), torch.arange(64) % 3
    return ravine.Recipe(
        name="tiny", model=lambda: nn.Linear(4, 3), cost=F.cross_entropy, target=1.12,
        train=(x, y), validation=(x, y), test=(x, y), batch_size=8, steps=27,
    )
"""

OPTIMIZERS = ("sgd", "adam")
BOTH = ["--optimizers", ",".join(OPTIMIZERS), "--lane", "serial", "--steps", "27"]


def tiny(name="tiny", **changes) -> ravine.Recipe:
    x, y = torch.randn(64, 4, generator=torch.Generator().manual_seed(0)), torch.arange(64) % 3
    base = ravine.Recipe(
        name=name,
        model=lambda: nn.Linear(4, 3),
        cost=F.cross_entropy,
        train=(x, y),
        validation=(x, y),
        test=(x, y),
        batch_size=8,
        steps=27,
    )
    return dataclasses.replace(base, **changes)


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    """The folder of two recipes, compared by the command; its copies may be written to."""
    folder = tmp_path_factory.mktemp("several")
    (folder / "tiny.py").write_text(TINY)
    out = folder / "out"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", list(sys.path))
        arguments = ["compare", "quadratic", str(folder / "tiny.py"), *BOTH, "--out", str(out)]
        assert main(arguments) == 0
    return out


@pytest.fixture
def copied(compared, tmp_path):
    return shutil.copytree(compared, tmp_path / "copy")


def verdicts(folder):
    return {
        name: json.loads((folder / name / "verdict.json").read_text())
        for name in ("quadratic", "tiny")
    }


def test_the_table_follows_from_the_verdicts(compared) -> None:
    """Ranks, best sets, times, ratios and scores again from verdict.json and the stored curves."""
    found = json.loads((compared / "overall.json").read_text())
    of = verdicts(compared)
    assert [recipe["name"] for recipe in found["recipes"]] == list(of)
    arms = {arm["name"]: arm for arm in found["arms"]}
    assert set(arms) == set(OPTIMIZERS)
    ranks = {
        name: {
            recipe: 1 + sum(arm["beats"][name] for arm in verdict["arms"] if arm["name"] != name)
            for recipe, verdict in of.items()
        }
        for name in OPTIMIZERS
    }
    for name in OPTIMIZERS:
        assert arms[name]["rank"] == pytest.approx(ranks[name], abs=1e-12)
        mean = np.mean(list(ranks[name].values()))
        assert arms[name]["mean_rank"]["mean"] == pytest.approx(mean, abs=1e-12)
        assert arms[name]["maybe_best"] == sum(name in verdict["best"] for verdict in of.values())
    order = sorted(OPTIMIZERS, key=lambda name: sum(ranks[name].values()))
    assert [arm["name"] for arm in found["arms"]] == order
    for left, other in (("quadratic", "tiny"), ("tiny", "quadratic")):
        lowest = min(ranks[name][other] for name in OPTIMIZERS)
        assert found["without"][left]["leaders"] == [
            name for name in OPTIMIZERS if ranks[name][other] == pytest.approx(lowest, abs=1e-9)
        ]
    steps = {recipe: times(compared / recipe, found, recipe) for recipe in of}
    own = {arm["name"]: arm["steps_to_target"] for arm in of["tiny"]["arms"]}
    assert steps["tiny"] == {name: math.inf if s is None else s for name, s in own.items()}
    for name in OPTIMIZERS:
        left = [max(0, 4 - ratio(of_all, name)) / 3 for of_all in steps.values()]
        assert arms[name]["score"]["steps"] == pytest.approx(np.mean(left), abs=1e-12)
        assert arms[name]["reached"] == sum(
            math.isfinite(of_all[name]) for of_all in steps.values()
        )


def times(folder, found, recipe):
    """Median steps to the target from the stored curves; the target of `quadratic` from them, too."""
    said = next(each for each in found["recipes"] if each["name"] == recipe)
    chosen = {arm["name"]: arm["lr"] for arm in verdicts(folder.parent)[recipe]["arms"]}
    database = sqlite3.connect(folder / "run.sqlite")
    rows = database.execute(
        "SELECT stage, procedure, json_extract(hyper, '$.lr'), seed, curve "
        "FROM points JOIN trials ON trial = id ORDER BY first"
    ).fetchall()
    database.close()
    curves: dict[tuple, list[tuple[int, float]]] = {}
    for stage, name, lr, seed, data in rows:
        points = np.frombuffer(data, dtype="<f8").reshape(-1, 4)
        curves.setdefault((stage, name, lr, seed), []).extend(points[:, [0, 3]].tolist())
    levels = [
        np.mean(
            [
                [value for step, value in curve if step <= 0.75 * 27][-1]
                for (stage, arm, lr, _), curve in curves.items()
                if (stage, arm, lr) == ("selection", name, chosen[name])
            ]
        )
        for name in OPTIMIZERS
    ]
    target = 1.12 if recipe == "tiny" else np.median(levels)
    assert said["target"] == pytest.approx(target, rel=1e-12)
    assert said["target_named"] == (recipe == "tiny")
    return {
        name: float(
            np.median(
                [
                    next((step for step, value in curve if value <= target), math.inf)
                    for (stage, arm, _, _), curve in curves.items()
                    if (stage, arm) == ("final", name)
                ]
            )
        )
        for name in OPTIMIZERS
    }


def ratio(steps, name):
    return math.inf if math.isinf(steps[name]) else steps[name] / min(steps.values())


def test_the_same_command_repeats_nothing_and_says_the_same(compared, copied, capsys) -> None:
    before = (copied / "overall.json").read_text()
    (copied / "overall.json").unlink()
    recipe = copied.parent / "tiny.py"
    recipe.write_text(TINY)
    assert main(["compare", str(recipe), "quadratic", *BOTH, "--out", str(copied)]) == 0
    printed = capsys.readouterr()
    assert "gradient steps" not in printed.err
    assert (copied / "overall.json").read_text() == before
    found = json.loads(before)
    for arm in found["arms"]:
        low, high = arm["mean_rank"]["ci"]
        row = f"{arm['name']} {arm['mean_rank']['mean']:.2f} [{low:.2f}, {high:.2f}]"
        assert row in re.sub(" +", " ", printed.out)
    assert "Note: 2 recipes say little about others" in printed.out
    assert f"report: {copied / 'report.html'}" in printed.out


def test_report_rewrites_all_pages(copied, capsys) -> None:
    pages = [copied / "report.html", *(copied / name / "report.html" for name in verdicts(copied))]
    kept = (copied / "overall.json").read_text()
    for page in pages:
        page.unlink()
    (copied / "overall.json").write_text("{}")
    assert main(["report", str(copied)]) == 0
    assert capsys.readouterr().out == f"{pages[0]}\n"
    assert all(page.stat().st_size > 1e6 for page in pages)
    assert (copied / "overall.json").read_text() == kept
    own = re.sub(r"<script.*?</script>", "", pages[0].read_text(), flags=re.S)
    for name in verdicts(copied):
        assert f'href="{name}/report.html"' in own


@pytest.mark.parametrize("command", [["export", "--to", "csv"], ["report"]])
def test_one_folder_for_what_takes_one_recipe(copied, capsys, command) -> None:
    (copied / "overall.json").unlink()
    assert main([command[0], str(copied), *command[1:]]) == 2
    assert capsys.readouterr().err == (
        f"ravine: error: {copied} holds no run.sqlite but comparisons of quadratic, tiny; name the "
        f"folder of one, e.g. {copied / 'quadratic'}\n"
    )


def test_one_recipe_does_not_go_into_the_folder_of_several(copied) -> None:
    with pytest.raises(FolderError, match=r"but no run.sqlite; expected a new or empty folder"):
        ravine.compare(tiny(), OPTIMIZERS, copied)


class Interrupted(Progress):
    """Presses Ctrl-C when the second recipe begins; keeps what it heard."""

    def __init__(self, at="tiny (2 of 2)"):
        self.stages: list[str] = []
        self.at = at

    def stage(self, title, steps):
        if steps:
            self.stages.append(title)
        if title.startswith(self.at):
            raise KeyboardInterrupt


def test_what_was_finished_before_an_interruption_is_kept(compared, tmp_path) -> None:
    shutil.copytree(compared / "quadratic", tmp_path / "out" / "quadratic")
    listener = Interrupted()
    arguments = (["quadratic", tiny(target=1.12)], OPTIMIZERS, tmp_path / "out")
    with pytest.raises(KeyboardInterrupt):
        ravine.compare_several(*arguments, steps=27, lane="serial", progress=listener)
    assert listener.stages == ["tiny (2 of 2): learning rates, 1/9 of the training"]
    assert not (tmp_path / "out" / "overall.json").exists()
    (tmp_path / "out" / "overall.json").write_text("{}")
    with pytest.raises(FolderError, match="tiny holds no finished comparison"):
        ravine.api.rewrite_report(tmp_path / "out")


@pytest.fixture
def untrained(monkeypatch):
    """Fails the test where anything is trained or a folder is bound."""
    for name in ("bind", "run"):
        monkeypatch.setattr(f"ravine.api.several.{name}", lambda *_: pytest.fail("went too far"))


@pytest.mark.parametrize(
    ("recipes", "choices", "error", "said"),
    [
        ([tiny()], {}, SettingError, "got 1 recipes; expected at least two"),
        ("quadratic", {}, SettingError, "recipes='quadratic'; expected a list"),
        ([tiny(), tiny()], {}, SettingError, "2 recipes are called 'tiny'; expected different"),
        ([tiny(), tiny("report.html")], {}, SettingError, "is called 'report.html', as a file of"),
        ([tiny(), tiny("b")], {"optimizers": ["sgd"]}, SettingError, "recipe 'tiny': --optimizers"),
        ([tiny(), tiny("b")], {"seed": -1}, SettingError, "recipe 'tiny': --seed -1; expected"),
    ],
)
def test_what_is_refused_before_anything_is_trained(
    tmp_path, untrained, recipes, choices, error, said
) -> None:
    with pytest.raises(error, match=re.escape(said)):
        ravine.compare_several(recipes, **{"optimizers": OPTIMIZERS, **choices}, out=tmp_path / "x")
    assert not (tmp_path / "x").exists()


def test_a_recipe_that_cannot_be_trained_is_named_before_the_others_are(
    tmp_path, untrained
) -> None:
    flat = tiny("flat", validation=(torch.randn(8, 5), torch.zeros(8, dtype=torch.long)))
    with pytest.raises(ravine.RavineError, match="flat"):
        ravine.compare_several([tiny(), flat], OPTIMIZERS, tmp_path / "x")
    assert not (tmp_path / "x").exists()


def test_folders_of_something_else_are_refused(compared, copied, tmp_path, untrained) -> None:
    def refused(folder, *recipes):
        with pytest.raises(FolderError) as error:
            ravine.compare_several(recipes, OPTIMIZERS, folder)
        return str(error.value)

    one = compared / "quadratic"
    assert "holds a comparison of one recipe; for several" in refused(one, tiny(), tiny("b"))
    said = refused(copied, tiny(), tiny("b"))
    assert "also holds a comparison of quadratic; name all of its recipes, or" in said
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("keep me")
    assert "holds 'thesis.txt'; expected a new" in refused(tmp_path / "mine", tiny(), tiny("b"))
    said = refused(tmp_path / "mine" / "thesis.txt", tiny(), tiny("b"))
    assert "choose another --out" in said


def test_another_setting_is_refused_before_the_first_recipe_goes_on(copied, monkeypatch) -> None:
    monkeypatch.setattr("ravine.api.several.run", lambda *_: pytest.fail("trained"))
    same = dataclasses.replace(find("quadratic"), steps=27)
    longer = tiny(steps=54, target=1.12)
    with pytest.raises(FolderError, match=r"tiny holds a comparison with steps 27, this command"):
        ravine.compare_several([same, longer], OPTIMIZERS, copied, lane="serial")


def test_data_go_to_the_recipes_that_read_sets(monkeypatch) -> None:
    asked = []
    monkeypatch.setitem(OF_SETS, "mnist-mlp", lambda data: asked.append(data) or tiny("mnist-mlp"))
    found = find_all(["quadratic", "mnist-mlp"], "somewhere")
    assert [recipe.name for recipe in found] == ["quadratic", "mnist-mlp"]
    assert asked == ["somewhere"]
    with pytest.raises(SettingError, match="--data somewhere came with the recipe quadratic"):
        find_all(["quadratic", "digits-mlp"], "somewhere")
