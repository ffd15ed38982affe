"""What the terminal shows: live progress while training, tables when done."""

from ravine.screen.live import shown
from ravine.screen.overall import print_overall
from ravine.screen.tables import print_optimizers, print_table
from ravine.screen.trainings import print_page, print_prescription, print_suggestion, print_training
from ravine.screen.verdicts import print_ensemble, print_reproduction, print_verdict

__all__ = [
    "print_ensemble",
    "print_optimizers",
    "print_overall",
    "print_page",
    "print_prescription",
    "print_reproduction",
    "print_suggestion",
    "print_table",
    "print_training",
    "print_verdict",
    "shown",
]
