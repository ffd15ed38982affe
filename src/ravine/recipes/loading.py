"""From what a user typed to a Recipe: a built-in name, or a Python file that defines `recipe()`."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path

from ravine.errors import RecipeError, UnknownNameError
from ravine.recipes import digits, quadratic
from ravine.recipes.recipe import Recipe

BUILT_IN: dict[str, Callable[[], Recipe]] = {
    "digits-mlp": digits.mlp,
    "digits-softmax": digits.softmax,
    "quadratic": quadratic.quadratic,
}


def find(name: str | Path | Recipe | Callable[[], Recipe]) -> Recipe:
    """A recipe from its built-in name, a file's path, or the function that builds it.

    Raises:
        UnknownNameError: no built-in recipe of that name.
        RecipeError: the file cannot be run, or defines no `recipe()` that returns a Recipe.
    """
    if isinstance(name, Recipe):
        return name
    if callable(name):
        return _called(name, getattr(name, "__name__", "recipe"))
    if str(name) in BUILT_IN:
        return BUILT_IN[str(name)]()
    if str(name).endswith(".py") or Path(name).exists():
        return from_file(Path(name))
    raise UnknownNameError.of("recipe", str(name), BUILT_IN, "ravine recipes")


def from_file(path: Path) -> Recipe:
    """Run a user's file and call its `recipe()`."""
    if not path.is_file():
        raise RecipeError(f"{path} is not a file; expected a Python file that defines recipe()")
    spec = importlib.util.spec_from_file_location(f"ravine_recipe_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise RecipeError(f"{path} is not a Python file; expected one that defines recipe()")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise RecipeError(f"{path} cannot be run: {type(error).__name__}: {error}") from error
    if not callable(getattr(module, "recipe", None)):
        raise RecipeError(
            f"{path} defines no recipe(); expected `def recipe() -> ravine.Recipe: ...`"
        )
    return _called(module.recipe, str(path))


def _called(build: Callable[[], Recipe], where: str) -> Recipe:
    try:
        recipe = build()
    except RecipeError:
        raise
    except Exception as error:
        raise RecipeError(f"recipe() in {where} failed: {type(error).__name__}: {error}") from error
    if not isinstance(recipe, Recipe):
        raise RecipeError(
            f"recipe() in {where} returned {type(recipe).__name__}; expected a ravine.Recipe"
        )
    return recipe
