"""From what a user typed to a Recipe: a built-in name, or a Python file that defines `recipe()`."""

from __future__ import annotations

import copy
import importlib.util
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

from ravine.errors import InputError, RecipeError, SettingError, UnknownNameError, said
from ravine.recipes import digits, images, language, quadratic, quadratic_deep
from ravine.recipes.images import Folder
from ravine.recipes.origin import Origin, of_file, of_name
from ravine.recipes.recipe import Recipe

AT_HAND: dict[str, Callable[[], Recipe]] = {
    "digits-mlp": digits.mlp,
    "digits-softmax": digits.softmax,
    "quadratic": quadratic.quadratic,
    "quadratic-deep": quadratic_deep.quadratic_deep,
    "char-rnn": language.char_rnn,
}
"""Recipes whose data are on every machine."""

OF_SETS: dict[str, Callable[[Folder], Recipe]] = {
    "mnist-softmax": images.mnist_softmax,
    "mnist-mlp": images.mnist_mlp,
    "mnist-mlp-l2": images.mnist_mlp_l2,
    "fashion-cnn": images.fashion_cnn,
    "cifar10-mlp": images.cifar10_mlp,
    "cifar10-cnn": images.cifar10_cnn,
    "imdb-bow": language.imdb_bow,
}
"""Recipes whose data lie in a folder, or are downloaded."""

BUILT_IN: dict[str, Callable[..., Recipe]] = {**AT_HAND, **OF_SETS}

FOLDERS: set[Path] = set()
"""Where files of recipes that were loaded lie."""


def find(name: str | Path | Recipe | Callable[[], Recipe], data: Folder = None) -> Recipe:
    """A recipe from its built-in name, a file's path, or the function that builds it.

    Args:
        name: see above.
        data: where the data sets of built-in recipes lie; by default the folder that RAVINE_DATA
            names, else they are downloaded.

    Raises:
        UnknownNameError: no built-in recipe of that name.
        RecipeError: the file cannot be run, or defines no `recipe()` that returns a Recipe.
        SettingError: data came for a recipe that has its own.
    """
    if isinstance(name, str) and name in OF_SETS:
        return _from(of_name(name, data), OF_SETS[name](data))
    if data is not None:
        raise SettingError(
            f"--data {data} came with the recipe {getattr(name, 'name', name)}, which brings its own "
            f"data; it is for {', '.join(OF_SETS)}"
        )
    if isinstance(name, Recipe):
        return name
    if callable(name):
        return _from(Origin(name), _called(name, getattr(name, "__name__", "recipe")))
    if str(name) in AT_HAND:
        return _from(of_name(str(name), None), AT_HAND[str(name)]())
    if str(name).endswith(".py") or os.path.exists(name):
        return from_file(Path(name))
    raise UnknownNameError.of("recipe", str(name), BUILT_IN, "ravine recipes")


def find_all(names: Sequence[str], data: Folder = None) -> list[Recipe]:
    """Recipes as by `find`; `data` goes to those whose data sets lie in a folder.

    Raises:
        SettingError: data came, and there is no such recipe.
    """
    takes = [name in OF_SETS for name in names]
    return [
        find(name, data if of or not any(takes) else None)
        for name, of in zip(names, takes, strict=True)
    ]


def from_file(path: Path) -> Recipe:
    """Run a user's file and call its `recipe()`. It can import what lies next to it."""
    if not os.path.isfile(path):
        raise RecipeError(f"{path} is not a file; expected a Python file that defines recipe()")
    spec = importlib.util.spec_from_file_location(f"ravine_recipe_{path.stem}", path)
    if spec is None:
        raise RecipeError(f"{path} is not a Python file; expected one that defines recipe()")
    _put_first(path.resolve().parent)
    module = _run(spec, path)
    if not callable(getattr(module, "recipe", None)):
        raise RecipeError(
            f"{path} defines no recipe(); expected `def recipe() -> ravine.Recipe: ...`"
        )
    return _from(of_file(path), _called(module.recipe, str(path)))


def find_again(origin: Origin) -> Recipe:
    """The recipe of an origin, in another process than the one that found it.

    A file is looked for under its path, where what it imports and reads lies beside it, too; where
    there is none that says the same, its text alone is run.
    """
    if origin.text is None or not isinstance(origin.name, str):
        return find(origin.name, origin.data)
    path = Path(origin.name)
    if not path.is_file() or path.read_bytes() != origin.text:
        path = Path(tempfile.mkdtemp(prefix="ravine-recipe-")) / path.name
        path.write_bytes(origin.text)
    return from_file(path)


def _from(origin: Origin, recipe: Recipe) -> Recipe:
    """The recipe, with its origin."""
    found = copy.copy(recipe)
    object.__setattr__(found, "origin", origin)  # frozen for everybody else
    return found


def _put_first(folder: Path) -> None:
    """Where modules are searched first, as for a script that is run; it stays there.

    What another recipe's file has imported from beside it is imported anew where this folder has a
    file of that name: its `helpers` are not ours.
    """
    own = {path.stem for path in folder.glob("*.py")}
    for name in own.intersection(sys.modules):
        file = getattr(sys.modules[name], "__file__", None)
        if file is not None and Path(file).resolve().parent in FOLDERS - {folder}:
            del sys.modules[name]
    FOLDERS.add(folder)
    sys.path[:] = [str(folder), *(other for other in sys.path if other != str(folder))]


def _run(spec: ModuleSpec, path: Path) -> ModuleType:
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up while they are defined
    try:
        assert spec.loader is not None
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[spec.name]
        raise RecipeError(f"{path} cannot be run: {said(error)}{_exit_hint(error)}") from error
    return module


def _called(build: Callable[[], Recipe], where: str) -> Recipe:
    try:
        recipe = build()
    except InputError:
        raise
    except (Exception, SystemExit) as error:
        raise RecipeError(
            f"recipe() in {where} failed: {said(error)}{_exit_hint(error)}"
        ) from error
    if not isinstance(recipe, Recipe):
        raise RecipeError(
            f"recipe() in {where} returned {type(recipe).__name__}; expected a ravine.Recipe"
        )
    return recipe


def _exit_hint(error: BaseException) -> str:
    if not isinstance(error, SystemExit):
        return ""
    return "; expected a file that does not exit: move scripts under `if __name__ == '__main__':`"
