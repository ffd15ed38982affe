"""Experiments that are often shown, made again: do their orderings hold?"""

from ravine.reproduce.claims import Claim, Judged, judge
from ravine.reproduce.studies import STUDIES, Study

__all__ = ["STUDIES", "Claim", "Judged", "Study", "judge"]
