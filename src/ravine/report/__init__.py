"""The report of a comparison: a study becomes one self-contained HTML page; so do several of them."""

from ravine.report.advice import answer
from ravine.report.page import render, write
from ravine.report.records import REPORT
from ravine.report.several.page import render_overall, write_overall

__all__ = ["REPORT", "answer", "render", "render_overall", "write", "write_overall"]
