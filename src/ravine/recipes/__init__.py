"""Recipes: data + cost + model + training length. Built-in ones, and a user's own file."""

from ravine.recipes.check import build_model, check
from ravine.recipes.loading import BUILT_IN, find
from ravine.recipes.recipe import Measure, Problem, Recipe, Split, load

__all__ = [
    "BUILT_IN",
    "Measure",
    "Problem",
    "Recipe",
    "Split",
    "build_model",
    "check",
    "find",
    "load",
]
