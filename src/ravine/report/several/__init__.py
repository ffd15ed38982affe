"""The report of several recipes at once: what is best over all becomes one self-contained HTML page."""

from ravine.report.several.advice import answer, speed_answer
from ravine.report.several.page import render_overall, write_overall

__all__ = ["answer", "render_overall", "speed_answer", "write_overall"]
