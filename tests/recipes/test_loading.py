"""Users' files: what they may do, and how they fail."""

from __future__ import annotations

import sys

import pytest

from ravine.errors import RecipeError, SettingError, UnknownNameError
from ravine.recipes import find


@pytest.fixture(autouse=True)
def _same_modules(monkeypatch):
    """Search path and modules as they were."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    known = set(sys.modules)
    yield
    for name in set(sys.modules) - known:
        if name.startswith(("ravine_recipe_", "beside_")):
            del sys.modules[name]


def written(folder, text, name="mine.py"):
    path = folder / name
    path.write_text(text)
    return path


def test_each_file_imports_its_own_of_two_modules_of_one_name(tmp_path):
    text = """
import beside_helpers
from ravine.recipes.digits import softmax
def recipe():
    import dataclasses
    return dataclasses.replace(softmax(), name=beside_helpers.name)
"""
    paths = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        written(tmp_path / name, f"name = {name!r}\n", "beside_helpers.py")
        paths.append(written(tmp_path / name, text))
    assert [find(path).name for path in paths] == ["one", "two"]
    assert find(paths[0]).name == "one"


def test_a_file_imports_what_lies_next_to_it(tmp_path, monkeypatch):
    written(tmp_path, "from ravine.recipes.digits import softmax\n", "beside_early.py")
    written(tmp_path, "name = 'late'\n", "beside_late.py")
    text = """
from beside_early import softmax
def recipe():
    import dataclasses, beside_late
    return dataclasses.replace(softmax(), name=beside_late.name)
"""
    path = written(tmp_path, text)
    assert find(path).name == "late"
    monkeypatch.chdir(tmp_path)
    sys.path.append(str(tmp_path))
    assert find("mine.py").name == "late"
    assert sys.path[0] == str(tmp_path.resolve())
    assert sys.path.count(sys.path[0]) == 1


def test_a_file_may_define_dataclasses(tmp_path):
    text = """
from __future__ import annotations
from dataclasses import KW_ONLY, dataclass
from ravine.recipes.digits import softmax

@dataclass
class Options:
    _: KW_ONLY
    width: int = 3

def recipe():
    return softmax()
"""
    assert find(written(tmp_path, text)).name == "digits-softmax"
    assert sys.modules["ravine_recipe_mine"].Options(width=4).width == 4


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("import sys; sys.exit(3)", r"mine.py cannot be run: SystemExit: 3; .*__name__ =="),
        ("def recipe(): exit()", "recipe.. in .*mine.py failed: SystemExit: None; expected"),
        ("raise ValueError('one\\ntwo')", "cannot be run: ValueError: one$"),
        ("def recipe(): raise ValueError('one\\ntwo')", "failed: ValueError: one$"),
        ("import beside_nothing", "ModuleNotFoundError: No module named 'beside_nothing'"),
        ("import ravine\ndef recipe(): return ravine.Recipe('r')", "failed: TypeError: .*missing"),
    ],
)
def test_a_file_that_fails_is_refused_in_one_line(tmp_path, text, message):
    with pytest.raises(RecipeError, match=message) as caught:
        find(written(tmp_path, text))
    assert "\n" not in str(caught.value)


def test_a_file_that_fails_is_no_module(tmp_path):
    with pytest.raises(RecipeError):
        find(written(tmp_path, "1/0"))
    assert "ravine_recipe_mine" not in sys.modules


def test_a_setting_refused_inside_recipe_is_told_as_it_is(tmp_path):
    text = "import ravine\ndef recipe(): return ravine.Recipe('r', int, min, 0, 0, epochs=0)"
    with pytest.raises(SettingError, match=r"^recipe 'r' has epochs=0"):
        find(written(tmp_path, text))


@pytest.mark.parametrize(
    "text", ["raise KeyboardInterrupt", "def recipe(): raise KeyboardInterrupt"]
)
def test_ctrl_c_passes(tmp_path, text):
    with pytest.raises(KeyboardInterrupt):
        find(written(tmp_path, text))


@pytest.mark.parametrize("name", ["", "x" * 5000, "a\0b"])
def test_odd_names_are_unknown(name):
    with pytest.raises(UnknownNameError, match="unknown recipe"):
        find(name)


def test_what_is_not_python_is_refused(tmp_path):
    with pytest.raises(RecipeError, match="is not a file; expected a Python file"):
        find(tmp_path)
    with pytest.raises(RecipeError, match="is not a Python file; expected one"):
        find(written(tmp_path, "x", "mine.txt"))
    with pytest.raises(RecipeError, match="is not a file"):
        find("x" * 5000 + ".py")
