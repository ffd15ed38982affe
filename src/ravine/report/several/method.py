"""How several recipes were put together, in words for a reader new to it. Pure."""

from __future__ import annotations

from ravine.comparison.several.overall import Overall
from ravine.comparison.several.profiles import TAU_MAX
from ravine.comparison.statistics import DRAWS, STOP_LEVEL
from ravine.report import words
from ravine.report.several.advice import noun_of


def method(found: Overall) -> tuple[tuple[str, str], ...]:
    """How this was measured, as (question, answer) pairs for a reader new to it."""
    what = noun_of(found)
    tau = words.number(TAU_MAX)
    return (
        (
            "What does each recipe count?",
            f"One vote: its ranking of the {what}s. How far one is ahead does not count, only with "
            "what probability it is ahead on fresh seeds, so no recipe weighs more than another.",
        ),
        (
            "What is the mean rank?",
            f"The expected rank on a recipe is 1 plus the probabilities that each other {what} is "
            f"better there. Its mean over the recipes depends on which {what}s are compared.",
        ),
        (
            "What do P(best) and the interval say?",
            "Expected results are drawn from what the fresh seeds leave open, and the recipes with "
            f"replacement from those compared, {DRAWS:,} times. P(best) is the share of draws in "
            f"which {words.a(what)} has the lowest mean rank; [a, b] holds 95% of its mean ranks.",
        ),
        (
            "When is there a winner?",
            f"If P(best) is at least {STOP_LEVEL}, and the same {what} leads whichever recipe is left "
            "out. Else one recipe would decide for all, and it is called a tie.",
        ),
        (
            "What is a recipe's target?",
            "Its own, if it names one. Else what reference runs reach in three quarters of the "
            f"training: the median of the {what}s' levels on the selection seeds. Those runs are not "
            "timed, and no level alone sets the target. (A recipe's own page takes the final results "
            "on fresh seeds instead.)",
        ),
        (
            "What are times to target?",
            "The first evaluation at the target, the median over fresh seeds; a miss is infinite. "
            "Seconds are for training one model alone on this machine, evaluation not counted.",
        ),
        (
            "What is the score?",
            "AlgoPerf's: the area under the performance profile from once to "
            f"{tau} times as long as the fastest, as a share. 1: the fastest on every recipe; 0: "
            f"on no recipe within {tau} times the fastest.",
        ),
    )
