"""The report of one training: what was measured and found becomes one self-contained HTML page."""

from ravine.report.run.page import render_run, write_run
from ravine.report.run.record import RunRecord

__all__ = ["RunRecord", "render_run", "write_run"]
