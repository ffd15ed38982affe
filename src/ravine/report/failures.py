"""Which trials failed and why, in facts and words. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from ravine.comparison.records import Arm, Failure, Study, Verdict
from ravine.diagnostics.finding import TITLES
from ravine.report import words
from ravine.report.arms import keys, metric_of, searched
from ravine.report.records import Caption, FailureRow, WhyFailed

AGAIN = {"diverged": "diverged", "stuck": "got stuck", "fine": "did not fail"}


def why_failed(study: Study) -> WhyFailed:
    """The settings that were looked into, one a row, and what was not."""
    verdict, key = study.verdict, keys(study)
    shown = [failure for failure in verdict.failures.settings if failure.explanation is not None]
    rows = tuple(
        FailureRow(
            key=key[failure.arm],
            lr=words.number(failure.lr),
            note=_note(verdict, failure),
            happened=_tally(failure),
            numbers=_numbers(verdict, failure),
            why=_why(failure),
            evidence=_evidence(failure),
            change=_change(verdict, failure),
        )
        for failure in shown
    )
    reading = (
        "A trial is stuck if it came less than a tenth of the way from untrained to the best trial "
        "after as many steps. For each row one trial was trained again from its seed, alone and "
        "watched; what was seen there is the reason given."
    )
    title = what_failed(verdict)
    return WhyFailed(Caption(title, reading, title), rows, _rest(verdict))


def what_failed(verdict: Verdict) -> str:
    """How many trials failed, and of what, in a line."""
    found = verdict.failures
    ends = ((found.diverged, "diverged"), (found.stuck, "got stuck"))
    (first, *others) = [(n, word) for n, word in ends if n] or [(0, "")]
    if not first[0]:
        return "No trial diverged or got stuck."
    start = f"{first[0]} of {words.plural(found.trials, 'trial')} {first[1]}"
    counts = words.listing([start, *(f"{n} {word}" for n, word in others)])
    causes: dict[str, list[str]] = {}
    for failure in found.settings:
        if failure.cause is not None:
            causes.setdefault(_cause(failure), []).append(_arm(verdict, failure).title)
    named = [
        f"{cause} for {words.listing(list(dict.fromkeys(titles)), most=3)}"
        for cause, titles in sorted(causes.items(), key=lambda item: -len(item[1]))
    ]
    return f"{counts}: {'; '.join(named[:3])}." if named else f"{counts}."


def _cause(failure: Failure) -> str:
    """In print; where the arm trained at another rate it is the rate, whatever else was found."""
    if failure.trained_at is None:
        return failure.cause.title if failure.cause else ""
    return TITLES["lr_too_high" if failure.trained_at < failure.lr else "lr_too_low"]


def _arm(verdict: Verdict, failure: Failure) -> Arm:
    return next(arm for arm in verdict.arms if arm.name == failure.arm)


def _tally(failure: Failure) -> str:
    """Print "2 of 2 trials diverged by step 10"."""
    of = f"of {words.plural(failure.trials, 'trial')}"
    diverged = f"diverged by step {failure.by:,}" if failure.by is not None else "got stuck"
    said = f"{failure.diverged or failure.stuck} {of} {diverged}"
    if failure.diverged and failure.stuck:
        said += f", {failure.stuck} got stuck"
    return f"{said}; {failure.fresh} of them on fresh seeds" if failure.fresh else said


def _numbers(verdict: Verdict, failure: Failure) -> str:
    """How far a trial that got stuck had come, beside the best one."""
    run, metric = failure.run, metric_of(verdict)
    if run.diverged_at is not None or failure.best is None:
        return ""
    start, end = (metric.value(run.curve[i].validation_metric) for i in (0, -1))
    after = words.plural(run.curve[-1].step, "step")
    best = metric.value(failure.best)
    return f"{metric.label} {start} untrained, {end} after {after}; best trial {best}"


def _note(verdict: Verdict, failure: Failure) -> str:
    """Whether the rate is the chosen one, and which others failed in the same way."""
    alike = _alike(verdict, failure)
    if not failure.alike:
        hyper = failure.run.trial.hyper
        others = searched(_arm(verdict, failure))
        return words.hyper({name: hyper[name] for name in others if name in hyper})
    if failure.lr == failure.chosen:
        return "the chosen one"
    return f"likewise {_rates(alike)}" if alike else ""


def _alike(verdict: Verdict, failure: Failure) -> list[Failure]:
    return [f for f in verdict.failures.settings if f.way == failure.way and f is not failure]


def _rates(failures: Sequence[Failure]) -> str:
    """Print "0.0001 to 0.001 (6 trials)"."""
    rates = sorted({failure.lr for failure in failures})
    trials = words.plural(sum(f.diverged + f.stuck for f in failures), "trial")
    ends = [words.number(rate) for rate in (rates[0], rates[-1])]
    return f"{' to '.join(dict.fromkeys(ends))} ({trials})"


def _why(failure: Failure) -> str:
    """The cause in print, or why there is none."""
    explanation, cause = failure.explanation, failure.cause
    if explanation is None:
        return "not looked into"
    if explanation.failure is not None:
        return "could not be trained again"
    if explanation.outcome == "fine":
        return "trained again alone it did not fail"
    return "nothing known was found wrong" if cause is None else cause.title


def _evidence(failure: Failure) -> str:
    """What was measured."""
    explanation, cause = failure.explanation, failure.cause
    if explanation is None:
        return ""
    if explanation.failure is not None:
        return f"{explanation.failure}."
    if cause is None:
        lone = failure.trained_at is not None and explanation.outcome != "fine"
        return "The rate is all that differs from the chosen one, which trained." if lone else ""
    place = f"In {cause.place}: " if cause.place else ""
    # where the rate is at fault, other findings are its consequences
    others = [f.title for f in explanation.findings if f is not cause and not failure.trained_at]
    also = f" Also: {words.listing(others, most=3)}." if others else ""
    was = "stuck" if failure.run.diverged_at is None else "diverged"
    if explanation.outcome == was:
        return f"{place}{cause.evidence}{also}"
    return f"Trained again alone it {AGAIN[explanation.outcome]}. {place}{cause.evidence}{also}"


def _change(verdict: Verdict, failure: Failure) -> str:
    """What to change: to the rate at which the arm trained, and what the finding asks for."""
    cause, trained = failure.cause, failure.trained_at
    remedy = "" if cause is None else cause.remedy
    if trained is None:
        return remedy
    verb, word = ("Lower", "lower") if trained < failure.lr else ("Raise", "higher")
    ratio = words.number(max(failure.lr / trained, trained / failure.lr), 2)
    rate = (
        f"{verb} the learning rate: at {words.number(trained)} ({ratio} times {word}) it trained."
    )
    about_rate = cause is None or cause.kind in ("lr_too_high", "lr_too_low")
    return rate if about_rate else f"{rate} {remedy}"


def _rest(verdict: Verdict) -> str:
    """What failed in ways that were not looked into."""
    found = verdict.failures
    known = {failure.way for failure in found.settings if failure.explanation is not None}
    ways: dict[tuple[str, int, bool], list[Failure]] = {}
    for failure in found.settings:
        if failure.way not in known:
            ways.setdefault(failure.way, []).append(failure)
    if not ways:
        return ""
    titles = {arm.name: arm.title for arm in verdict.arms}
    said = [f"{titles[arm]} at {_rates(group)}" for (arm, *_), group in ways.items()]
    how = (
        "ravine doctor looks into any of them."
        if found.looked_into
        else "Type the command again to have some of them looked into."
    )
    return f"Not looked into: {words.listing(said, most=8)}. {how}"
