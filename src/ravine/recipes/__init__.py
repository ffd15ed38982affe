"""Recipes: data + cost + model + training length. Built-in ones, and a user's own file."""

from ravine.recipes.building import build_model
from ravine.recipes.check import check
from ravine.recipes.examples import Examples, Split, Stream
from ravine.recipes.loading import BUILT_IN, OF_SETS, find, find_again, find_all
from ravine.recipes.recipe import Measure, Problem, Recipe, insist_on_order, load

__all__ = [
    "BUILT_IN",
    "OF_SETS",
    "Examples",
    "Measure",
    "Problem",
    "Recipe",
    "Split",
    "Stream",
    "build_model",
    "check",
    "find",
    "find_again",
    "find_all",
    "insist_on_order",
    "load",
]
