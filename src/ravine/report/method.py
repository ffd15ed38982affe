"""How a comparison was measured, in words for a reader new to it. Pure."""

from __future__ import annotations

from ravine.comparison.records import Study, Verdict
from ravine.comparison.statistics import STOP_LEVEL
from ravine.comparison.verdict import GOOD
from ravine.report import words
from ravine.report.arms import length, noun, unit
from ravine.report.words import Metric, a


def method(study: Study, metric: Metric) -> tuple[tuple[str, str], ...]:
    """How this was measured, as (question, answer) pairs for a reader new to it."""
    return (*_procedure(study), *_terms(study.verdict, metric))


def _procedure(study: Study) -> tuple[tuple[str, str], ...]:
    select = words.plural(len(study.verdict.selection_seeds), "seed")
    final = words.plural(len(study.verdict.final_seeds), "fresh seed")
    what = noun(study.verdict)
    return (
        (
            "What is a seed?",
            "A number that fixes the luck of a training: the initial weights, the order of the "
            f"examples, all noise. With one seed, all {what}s get the same luck, so they are "
            "compared in pairs.",
        ),
        ("Did everyone get the same effort?", _effort(study)),
        _selection(study, select),
        (
            "Why fresh seeds?",
            "The setting that wins a selection was partly lucky. So each chosen setting was "
            f"trained again on {final} that had no part in choosing. All results above come from "
            "these, except those of single learning rates.",
        ),
    )


def _selection(study: Study, select: str) -> tuple[str, str]:
    rungs = "All got a ninth of the steps; the better ones went on to a third, then to all."
    if not study.spans:
        return (
            "How were the learning rates chosen?",
            f"Each rate was tried on {select}. {rungs} The rate with the best mean on the validation "
            "data was chosen.",
        )
    trained = sum(arm.tuning.gradient_steps for arm in study.verdict.arms if arm.tuning)
    return (
        "How were the settings chosen?",
        f"Each {noun(study.verdict)} began with {study.settings.trials} settings: the default, and "
        "points spread evenly by chance (scrambled Halton points) over four decades of learning rates "
        "and the usual ranges of the other hyperparameters; where there are no others, learning rates "
        f"on a grid. Each was tried on {select}. {rungs} The one with the best mean on the "
        "validation data was chosen. To say what that gained, the defaults were trained on the fresh "
        f"seeds, too: another {trained:,} gradient steps, which had no part in any choice.",
    )


def _terms(verdict: Verdict, metric: Metric) -> tuple[tuple[str, str], ...]:
    better = "more" if verdict.maximize else "less"
    target = f"{metric.tick(verdict.target)} or {better}"
    what = noun(verdict)
    return (
        (
            "What do the brackets mean?",
            "[a, b] is a 95% interval for the mean over all seeds there could be, computed by "
            "resampling those that were used (bootstrap, BCa). With few seeds it is too narrow: "
            "with 5 it holds the mean in 84% of cases, with 20 in 93%.",
        ),
        (
            "What does P mean?",
            f"P(best) is the probability that {a(what)}'s expected validation metric is the "
            f"best of all, given the seeds seen. A winner needs P of at least {STOP_LEVEL}; "
            f"otherwise the {what}s that hold the best one with this P are marked as maybe best.",
        ),
        (
            "What is the band of good learning rates?",
            f"The rates around the chosen one that did nearly as well: within {GOOD:.0%} of the "
            "way from the best result to the untrained model, each compared after as many steps as "
            "it was given. A wide band means that a rough guess is good enough on a similar task.",
        ),
        (
            "What is the target?",
            f"A validation {metric.label} of {target}. Steps and seconds count until a "
            "training first gets there; time spent on evaluation does not count. Where the recipe "
            f"names no target, it is the median of the {what}s' final results.",
        ),
        (
            "What about the test data?",
            "They had no part in any choice and were used once, at the very end.",
        ),
    )


def _effort(study: Study) -> str:
    granted = sorted({arm.gradient_steps for arm in study.verdict.arms})
    full = f"A full training is {length(study)}"
    if len(granted) == 1:
        return f"Yes: {granted[0]:,} {unit(study)} each to choose the learning rate. {full}."
    return (
        f"{full}. Choosing the learning rate took between {granted[0]:,} and {granted[-1]:,} steps "
        f"per {noun(study.verdict)}."
    )
