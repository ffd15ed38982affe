"""The library's jobs, each from what a user says to the files they are left with."""

from ravine.api.comparing import OPTIMIZERS, compare, folder_of
from ravine.api.ensembling import Ensembled, ensemble, members
from ravine.api.pages import write_page
from ravine.api.reproducing import reproduce
from ravine.api.several import compare_several, folder_of_all, rewrite_report
from ravine.api.training import Training, doctor, range_test, train

__all__ = [
    "OPTIMIZERS",
    "Ensembled",
    "Training",
    "compare",
    "compare_several",
    "doctor",
    "ensemble",
    "folder_of",
    "folder_of_all",
    "members",
    "range_test",
    "reproduce",
    "rewrite_report",
    "train",
    "write_page",
]
