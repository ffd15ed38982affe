"""The report of a comparison: a study becomes one self-contained HTML page."""

from ravine.report.advice import answer
from ravine.report.page import render, write

__all__ = ["answer", "render", "write"]
