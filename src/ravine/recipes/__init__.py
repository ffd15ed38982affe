"""Recipes: data + cost + model + training length. Built-in ones, and a user's own file."""

from ravine.recipes.building import build_model
from ravine.recipes.check import check
from ravine.recipes.examples import Examples, Split
from ravine.recipes.loading import BUILT_IN, find
from ravine.recipes.recipe import Measure, Problem, Recipe, load

__all__ = [
    "BUILT_IN",
    "Examples",
    "Measure",
    "Problem",
    "Recipe",
    "Split",
    "build_model",
    "check",
    "find",
    "load",
]
