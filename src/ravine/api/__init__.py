"""The library's jobs, each from what a user says to the files they are left with."""

from ravine.api.comparing import OPTIMIZERS, compare, folder_of, rewrite_report
from ravine.api.pages import write_page
from ravine.api.training import Training, doctor, range_test, train

__all__ = [
    "OPTIMIZERS",
    "Training",
    "compare",
    "doctor",
    "folder_of",
    "range_test",
    "rewrite_report",
    "train",
    "write_page",
]
