"""The page of an experiment made again."""

from ravine.report.again.page import PAGE, numbers, render_reproduction, write_reproduction

__all__ = ["PAGE", "numbers", "render_reproduction", "write_reproduction"]
