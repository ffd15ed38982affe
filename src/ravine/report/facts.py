"""What a report says, before anything is drawn: a study becomes typed facts, words included.

Pure. `facts_of(study)` is the door. Every figure and table has one record with a `Caption`: the
takeaway that serves as its title, how to read it, and a description for those who cannot see it.
"""

from __future__ import annotations

from ravine.comparison.records import Arm, Study, Verdict
from ravine.report import words
from ravine.report.advice import answer
from ravine.report.arms import (
    band_words,
    keys,
    length,
    lost,
    mark,
    metric_of,
    nothing_trained,
    noun,
    p_best,
)
from ravine.report.curves import cost_curves, validation_curves
from ravine.report.effects import effects
from ravine.report.failures import why_failed
from ravine.report.method import method
from ravine.report.rates import sensitivity
from ravine.report.records import Caption, DivergedRow, Divergence, Facts, SummaryRow
from ravine.report.rivals import duels, ranking, speed
from ravine.report.tuning import budget, gains, isolation


def facts_of(study: Study) -> Facts:
    """Turn a study into all that its report says."""
    verdict = study.verdict
    return Facts(
        recipe=verdict.recipe,
        metric=metric_of(verdict).label,
        noun=noun(verdict),
        answer=answer(verdict),
        warnings=verdict.warnings,
        counts=_counts(study),
        summary=summary(study),
        code=(verdict.lead.title, "" if lost(verdict, verdict.lead) else verdict.lead.code),
        effects=effects(study),
        sensitivity=sensitivity(study),
        isolation=isolation(study),
        budget=budget(study),
        gains=gains(study),
        cost=cost_curves(study),
        validation=validation_curves(study),
        ranking=ranking(study),
        duels=duels(study),
        speed=speed(study),
        divergence=divergence(study),
        failures=why_failed(study),
        method=method(study, metric_of(verdict)),
        environment=tuple((k, v) for k, v in verdict.environment.items() if k != "command"),
        command=verdict.environment.get("command"),
    )


def _counts(study: Study) -> tuple[str, ...]:
    rates = sum(len(arm.rates) for arm in study.verdict.arms)
    return (
        words.plural(len(study.verdict.arms), noun(study.verdict)),
        words.plural(rates, "setting" if study.spans else "learning rate"),
        length(study),
        words.plural(len(study.verdict.final_seeds), "fresh seed"),
        words.plural(len((*study.selection, *study.final, *study.defaults)), "training"),
    )


def summary(study: Study) -> tuple[SummaryRow, ...]:
    """One row per arm, best first."""
    verdict, metric, key = study.verdict, metric_of(study.verdict), keys(study)
    nothing = nothing_trained(verdict)
    runs = [run.trial.procedure for run in (*study.selection, *study.final)]
    return tuple(
        SummaryRow(
            key=key[arm.name],
            badge=_badge(verdict, arm),
            lr=words.number(arm.lr),
            other=words.hyper({k: v for k, v in arm.hyper.items() if k != "lr"}),
            validation="" if lost(verdict, arm) else metric.value(arm.validation.mean),
            validation_interval="" if lost(verdict, arm) else metric.bounds(arm.validation),
            validation_note=mark(verdict, arm),
            test=metric.value(arm.test.mean) if arm.test else "",
            test_interval=metric.bounds(arm.test) if arm.test else "",
            p_best=p_best(verdict, arm),
            steps="–" if nothing else words.count(arm.steps_to_target),
            seconds="–" if nothing else words.duration(arm.seconds_to_target),
            band=band_words(arm),
            diverged=f"{arm.diverged} of {max(arm.diverged, runs.count(arm.name))}",
        )
        for arm in verdict.arms
    )


def _badge(verdict: Verdict, arm: Arm) -> str:
    if arm.name not in verdict.best or lost(verdict, arm):
        return ""
    return "best" if verdict.decision == "winner" else "maybe best"


def divergence(study: Study) -> Divergence:
    """Which trials diverged, grouped by setting."""
    key = keys(study)
    groups: dict[tuple[str, str, str], list[str]] = {}
    totals: dict[str, int] = {}
    for stage, runs in (("selection", study.selection), ("fresh seeds", study.final)):
        for run in runs:
            if run.diverged_at is not None:
                name = run.trial.procedure
                title = key[name].title if name in key else name
                totals[title] = totals.get(title, 0) + 1
                group = groups.setdefault((title, words.hyper(run.trial.hyper), stage), [])
                group.append(f"seed {run.trial.seed} at step {run.diverged_at:,}")
    rows = tuple(DivergedRow(*group, ", ".join(trials)) for group, trials in groups.items())
    title = _divergence_title(totals, len(study.selection) + len(study.final))
    reading = (
        "A trial diverged when its cost or metric became infinite or not a number; the step is the "
        "first evaluation that saw it. It counts as the worst outcome and is never left out."
    )
    return Divergence(Caption(title, reading, title), rows)


def _divergence_title(totals: dict[str, int], trials: int) -> str:
    if not totals:
        return f"None of {words.plural(trials, 'trial')} diverged."
    who = [f"{name} {n}" for name, n in sorted(totals.items(), key=lambda item: -item[1])]
    n = sum(totals.values())
    return f"{n} of {words.plural(trials, 'trial')} diverged: {words.listing(who, most=6)}."
