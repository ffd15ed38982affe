"""The report of a comparison: a study becomes one self-contained HTML page."""

from ravine.report.facts import answer, facts
from ravine.report.page import render, write
from ravine.report.records import Facts

__all__ = ["Facts", "answer", "facts", "render", "write"]
