"""Data sets that recipes train on, prepared once and mapped from disk."""

from ravine.datasets.images import cifar10, cifar10_centered, fashion, mnist
from ravine.datasets.parts import Parts
from ravine.datasets.reviews import imdb
from ravine.datasets.text import topics

__all__ = ["Parts", "cifar10", "cifar10_centered", "fashion", "imdb", "mnist", "topics"]
