"""The answer of a comparison in a few sentences: which optimizer to use, and how sure that is."""

from __future__ import annotations

from collections.abc import Sequence

from ravine.comparison.records import Arm, Verdict
from ravine.report import words
from ravine.report.arms import NAMES, lost, mark, metric_of, named, noun, setting

USUAL = {"init": ("as_built",), "schedule": ("constant",), "batches": ("shuffled", "streamed")}
"""What goes without saying."""

LEADS = 0.7
"""P(best) from which one of several possible winners is called the probable one."""

MOST = {"optimizer": 6, "candidate": 3}
"""Arms that one sentence names; any more are counted. Names of candidates are long."""


def answer(verdict: Verdict) -> str:
    """Say which optimizer to use, and what else that takes; none of those that always diverged."""
    return f"{_choice(verdict)}{_common(verdict)}"


def _common(verdict: Verdict) -> str:
    """What all arms had in common and a reader would not take for granted."""
    parts = verdict.arms[0].parts
    said = [
        f"{NAMES[kind]} {parts[kind]}"
        for kind, usual in USUAL.items()
        if parts[kind] not in usual and all(a.parts[kind] == parts[kind] for a in verdict.arms)
    ]
    return f" All of them with {words.listing(said)}." if said else ""


def _choice(verdict: Verdict) -> str:
    best = [arm for arm in verdict.arms if arm.name in verdict.best]
    trained = [arm for arm in best if not lost(verdict, arm)]
    if not trained:
        return _nothing(verdict)
    if verdict.decision == "winner":
        return _winner(verdict, trained[0])
    lead = max(trained, key=lambda arm: arm.p_best)
    if lead.p_best >= LEADS or len(trained) == 1:
        others = [arm for arm in best if arm is not lead]
        return f"{_leader(verdict, lead, others)}{_rest(verdict, best)}"
    return f"{_tie(verdict, trained)}{_rest(verdict, trained)}"


def _nothing(verdict: Verdict) -> str:
    tried = (rate for arm in verdict.arms for rate in arm.rates)
    if all(rate.status == "diverged" for rate in tried):
        what = "runs diverged even at the lowest learning rates tried"
    else:
        what = "every run on fresh seeds diverged"
    return (
        f"No {noun(verdict)} trained this recipe: {what}. Check the data, the cost and the "
        "initialization."
    )


def _winner(verdict: Verdict, arm: Arm) -> str:
    metric = metric_of(verdict)
    result = f"{metric.label} on fresh seeds is {metric.interval(arm.validation)}"
    use = f"{arm.title} with {setting(arm, arm.hyper)}: its {result}"
    if len(verdict.arms) == 1:
        text = f"{use}; no other {noun(verdict)} was compared with it."
    else:
        rivals = f"the best of {len(verdict.arms)} {noun(verdict)}s with {words.p_is(arm.p_best)}"
        text = f"Use {use}, and it is {rivals}."
    if not arm.final_diverged:
        return text
    n = f"{arm.final_diverged} of its {words.plural(len(verdict.final_seeds), 'run')}"
    return f"{text} But {n} diverged and count as the worst value there is."


def _leader(verdict: Verdict, lead: Arm, others: Sequence[Arm]) -> str:
    """One of several possible winners is well ahead, or the only one that trained."""
    first, *rest = _settings(verdict, [lead, *others])
    rivals = words.listing(rest, most=MOST[noun(verdict)])
    is_best = "is probably best" if lead.p_best >= LEADS else "did best"
    return (
        f"No certain winner: {first} {is_best}, {words.p_is(lead.p_best)}, but "
        f"{rivals} {be(rest)} not ruled out after {_seeds(verdict)}."
    )


def _tie(verdict: Verdict, best: Sequence[Arm]) -> str:
    """Several possible winners, none well ahead."""
    names = words.listing(_settings(verdict, best), most=MOST[noun(verdict)])
    two = len(best) == 2
    if len(best) == len(verdict.arms):
        names = f"{'both' if two else f'all {len(best)}'} {noun(verdict)}s, {names},"
    text = f"No single winner: {names} cannot be told apart after {_seeds(verdict)}"
    if any(arm.final_diverged for arm in best):
        return f"{text}."
    return f"{text}; {'either' if two else 'any of them'} is a good choice."


def _rest(verdict: Verdict, said: Sequence[Arm]) -> str:
    """The optimizers that were not named yet: behind, or diverged on every seed."""
    rest = [arm for arm in verdict.arms if arm not in said]
    behind = [named(verdict, arm) for arm in rest if not lost(verdict, arm)]
    diverged = [arm.title for arm in rest if lost(verdict, arm)]
    text = (
        f" {words.listing(behind, most=MOST[noun(verdict)])} {be(behind)} behind." if behind else ""
    )
    if diverged:
        text += f" {words.listing(diverged, most=MOST[noun(verdict)])} diverged."
    return text


def _settings(verdict: Verdict, arms: Sequence[Arm]) -> list[str]:
    """Print "Adam (learning rate 0.001)", then "SGD (0.3)" or "SGD (0.3; 3 of 20 diverged)"."""
    texts: list[str] = []
    for arm in arms:
        lr = f"{'' if texts else 'learning rate '}{words.number(arm.lr)}"
        note = mark(verdict, arm)
        texts.append(f"{arm.title} ({lr}; {note})" if note else f"{arm.title} ({lr})")
    return texts


def _seeds(verdict: Verdict) -> str:
    return words.plural(len(verdict.final_seeds), "fresh seed")


def be(names: Sequence[str]) -> str:
    """Print "is" or "are"."""
    return "is" if len(names) == 1 else "are"
