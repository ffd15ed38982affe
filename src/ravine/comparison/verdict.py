"""From what a run folder holds to a verdict; nothing else is needed, the recipe least of all."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ravine.comparison import statistics
from ravine.comparison.autopsy import failures
from ravine.comparison.effects import effects
from ravine.comparison.identity import spans_of
from ravine.comparison.pasting import code_of
from ravine.comparison.protocol import DEFAULT, final_scores, rung_steps, score
from ravine.comparison.records import (
    Arm,
    Explanation,
    Failure,
    Failures,
    Interval,
    RateScore,
    Settings,
    Study,
    Tuning,
    Verdict,
)
from ravine.comparison.search import RUNGS, WORST
from ravine.comparison.space import FEWEST, HALF_DECADE, Configuration
from ravine.comparison.store import Store
from ravine.comparison.tuning import begun_with, best_of, gains
from ravine.errors import FolderError
from ravine.training.ending import steps_taken
from ravine.training.records import Run, runs_of
from ravine.whole import write_whole

FILE = "verdict.json"

GOOD = 0.02
"""A learning rate is good if it comes within 2% of the way from the best score to the untrained one:
with ten classes, an error rate within 1.8 points of the best."""


def conclude(store: Store) -> Study:
    """The study a run folder holds.

    Raises:
        FolderError: its comparison has not come to its end.
    """
    outcome, facts = store.fact("outcome"), store.fact("problem")
    if outcome is None or facts is None:
        raise FolderError(
            f"{store.folder} holds no finished comparison; type its `ravine compare` command again"
        )
    stored = store.fact("settings")
    settings = Settings(
        tuple(stored["arms"]), stored["steps"], stored["seed"], stored.get("trials", FEWEST)
    )
    selection, final, defaults = (store.runs(s) for s in ("selection", "final", DEFAULT))
    held = _Held(settings, facts, tuple(selection), tuple(final), tuple(defaults))
    names, sign = settings.arms, held.sign
    scores = np.array(final_scores(final, names, facts["maximize"]))
    target = _target(held, scores)
    baseline = _baseline(final, target)
    arms = _arms(held, scores, target, baseline)
    verdict = Verdict(
        recipe=facts["name"],
        metric=facts["metric"],
        maximize=facts["maximize"],
        best=tuple(names[i] for i in statistics.credible_best([a.p_best for a in arms])),
        arms=tuple(sorted(arms, key=lambda arm: sign * arm.validation.mean)),
        selection_seeds=tuple(sorted({run.trial.seed for run in selection})),
        final_seeds=tuple(outcome["seeds"]),
        target=target,
        warnings=tuple(_warnings(outcome["unsettled"], arms, facts)),
        environment=store.fact("environment"),
        effects=effects(names, facts["parts"], scores, sign),
        failures=failures(store, selection, final),
    )
    return Study(
        settings, verdict, held.selection, held.final, baseline, held.defaults, spans_of(store)
    )


@dataclass(frozen=True)
class _Held:
    """What a run folder holds: what was asked for, facts of the problem, and the runs by stage."""

    settings: Settings
    facts: Mapping[str, Any]
    selection: tuple[Run, ...]
    final: tuple[Run, ...]
    defaults: tuple[Run, ...]

    @property
    def sign(self) -> int:
        """What makes a metric "lower is better"."""
        return -1 if self.facts["maximize"] else 1


def _target(held: _Held, scores: statistics.Array) -> float:
    """The recipe's own, or else the median of the arms' final means."""
    named: float | None = held.facts["target"]
    if named is not None:
        return named
    return held.sign * _median_of_healthy(scores.mean(axis=1), held.settings.arms, held.final)


def _baseline(final: Sequence[Run], target: float) -> float:
    """The mean metric of untrained models; the target where none has any."""
    starts = [run.curve[0].validation_metric for run in final]
    return float(np.mean([value for value in starts if math.isfinite(value)] or [target]))


def _arms(held: _Held, scores: statistics.Array, target: float, baseline: float) -> list[Arm]:
    """Every arm, in the order asked for."""
    settings, facts, sign = held.settings, held.facts, held.sign
    rivals = _rivals(settings.arms, scores)
    tuned = gains(settings.arms, held.final, held.defaults, settings, facts["maximize"])
    found = []
    for name, row in zip(settings.arms, scores, strict=True):
        selection, final = runs_of(name, held.selection), runs_of(name, held.final)
        batch_size, steps = facts.get("paces", {}).get(name, (None, None))
        found.append(
            Arm(
                name=name,
                title=facts["titles"][name],
                parts=facts["parts"][name],
                validation=statistics.signed(statistics.interval(row), sign),
                **rivals[name],
                **_selected(selection, final, settings, sign, baseline),
                gradient_steps=_steps(selection, facts),
                **_judged(final, facts["step_seconds"][name], sign, target),
                diverged=_diverged([*selection, *final]),
                tuning=tuned.get(name),
                code=code_of(facts, name, final[0].trial.hyper),
                batch_size=batch_size,
                steps=steps,
            )
        )
    return found


def _rivals(names: Sequence[str], scores: statistics.Array) -> dict[str, dict[str, Any]]:
    """What an arm is against the others: its `p_best`, `beats` and `rank`, by name."""
    draws = statistics.posterior_means(scores)
    p_best, beats = statistics.p_best(draws), statistics.p_beats(draws)
    ranks = statistics.mean_ranks(scores)
    return {
        name: {
            "p_best": float(p_best[i]),
            "beats": {other: float(beats[i, j]) for j, other in enumerate(names) if j != i},
            "rank": statistics.interval(ranks[i]),
        }
        for i, name in enumerate(names)
    }


def _selected(
    runs: Sequence[Run], final: Sequence[Run], settings: Settings, sign: int, baseline: float
) -> dict[str, Any]:
    """What an arm's selection runs say: `rates`, `lr_band` and `best_of`."""
    chosen = Configuration.of(final[0].trial.hyper)
    rates = _rates(runs, chosen, settings, sign)
    return {
        "rates": rates,
        "lr_band": _band(runs, rates, chosen.lr, sign, baseline),
        "best_of": best_of(rates, sign < 0, baseline),
    }


def _steps(runs: Sequence[Run], facts: Mapping[str, Any]) -> int:
    """Gradient steps that runs really took; some may have stopped early."""
    return sum(steps_taken(run.curve, facts["patience"], facts["maximize"]) for run in runs)


def _judged(runs: Sequence[Run], step_seconds: float, sign: int, target: float) -> dict[str, Any]:
    """What an arm's final runs say, its validation apart."""
    steps = to_target(runs, sign, target)
    return {
        "hyper": runs[0].trial.hyper,
        "test": _test(runs, sign),
        "steps_to_target": steps,
        "seconds_to_target": steps * step_seconds,
        "final_diverged": _diverged(runs),
    }


def _diverged(runs: Sequence[Run]) -> int:
    return sum(run.diverged_at is not None for run in runs)


def _median_of_healthy(
    means: statistics.Array, names: Sequence[str], final: Sequence[Run]
) -> float:
    """The median of the arms' means, without those of which some final run diverged."""
    healthy = [
        mean
        for name, mean in zip(names, means, strict=True)
        if all(run.diverged_at is None for run in runs_of(name, final))
    ]
    return float(np.median(healthy if healthy else means))


def _test(runs: Sequence[Run], sign: int) -> Interval | None:
    """The metric on the test data; None where it was not taken, or a run diverged."""
    values = [run.test_metric for run in runs if run.diverged_at is None]
    known = [sign * value for value in values if value is not None and math.isfinite(value)]
    return statistics.signed(statistics.interval(known), sign) if len(known) == len(runs) else None


def to_target(runs: Sequence[Run], sign: int, target: float) -> float:
    """Median over seeds of the first evaluated step at the target; infinite for a miss."""
    steps = statistics.steps_to_target(
        [run.curve.steps for run in runs],
        [sign * run.curve.validation_metrics for run in runs],
        sign * target,
    )
    return statistics.median(steps)


def _rates(
    runs: Sequence[Run], chosen: Configuration, settings: Settings, sign: int
) -> tuple[RateScore, ...]:
    """Every configuration of an arm, by learning rate."""
    first_rung = rung_steps(settings.steps, RUNGS[0])
    groups, begun = _by_configuration(runs), begun_with(runs, settings.trials)
    varying = _varying(groups)
    scores = []
    for one, group in groups.items():
        last, early = (score(group, sign < 0, until)[0] for until in (None, first_rung))
        steps = group[0].curve[-1].step
        status = "survived" if steps == settings.steps else "dropped"
        if last == WORST[0]:
            status = "diverged"
        elif one == chosen:
            status = "chosen"
        other = {name: value for name, value in one.other if name in varying}
        values = _finite(sign * last), _finite(sign * early)
        scores.append(RateScore(one.lr, *values, steps, status, other, one not in begun))
    return tuple(scores)


def _by_configuration(runs: Sequence[Run]) -> dict[Configuration, list[Run]]:
    """Runs by configuration, by learning rate."""
    groups: dict[Configuration, list[Run]] = {}
    for run in runs:
        groups.setdefault(Configuration.of(run.trial.hyper), []).append(run)
    return dict(sorted(groups.items(), key=lambda item: (item[0].lr, item[0].other)))


def _varying(configurations: Iterable[Configuration]) -> set[str]:
    """The hyperparameters besides the learning rate that take more than one value."""
    values = Counter(name for name, _ in {pair for one in configurations for pair in one.other})
    return {name for name, count in values.items() if count > 1}


def _band(
    runs: Sequence[Run], rates: Sequence[RateScore], chosen: float, sign: int, baseline: float
) -> tuple[float, float]:
    """The good learning rates around the chosen one.

    Each is compared with the best one after as many steps as it was given itself: a rate that was
    dropped after T/9 is not held against what others reached at T. Where more than the rate was
    searched, a half-decade is as good as the best configuration in it.
    """
    groups = zip(rates, _by_configuration(runs).values(), strict=True)
    healthy = [(rate.steps, group) for rate, group in groups if rate.validation is not None]

    def best_after(steps: int) -> float:
        as_far = [group for reached, group in healthy if reached >= steps]
        return min(score(group, sign < 0, steps)[0] for group in as_far)

    lowest = {steps: best_after(steps) for steps in {reached for reached, _ in healthy}}

    def behind(rate: RateScore) -> float | None:
        return None if rate.validation is None else sign * rate.validation - lowest[rate.steps]

    best = min((sign * rate.validation for rate in rates if rate.validation is not None), default=0)
    gaps = [(rate.lr, behind(rate)) for rate in rates]
    if any(rate.other for rate in rates):
        gaps = _profile(gaps, chosen)
    lrs, behinds = [lr for lr, _ in gaps], [gap for _, gap in gaps]
    return statistics.good_band(lrs, behinds, chosen, sign * baseline - best, GOOD)


Gap = tuple[float, float | None]
"""A learning rate, and how far behind the best it is; None where it diverged."""


def _profile(gaps: Sequence[Gap], chosen: float) -> list[Gap]:
    """Of each half-decade around the chosen rate the least gap; of its own the chosen one's."""
    cells: dict[int, list[Gap]] = {}
    for lr, gap in gaps:
        cells.setdefault(round(math.log(lr / chosen) / math.log(HALF_DECADE)), []).append((lr, gap))
    return [
        min(cell, key=lambda gap: (gap[0] != chosen, math.inf if gap[1] is None else gap[1]))
        for _, cell in sorted(cells.items())
    ]


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _warnings(unsettled: Sequence[str], arms: Sequence[Arm], facts: Mapping[str, Any]) -> list[str]:
    lines = [f"{line}: a better one may lie beyond what was tried." for line in unsettled]
    lines += [
        f"{arm.title} diverged on {arm.final_diverged} of its fresh seeds, which count as the worst "
        "value there is."
        for arm in arms
        if arm.final_diverged
    ]
    lengths = {arm.batch_size: arm.steps for arm in arms}
    if len(set(lengths.values())) > 1:
        first, *others = [f"{steps:,} of {size}" for size, steps in lengths.items()]
        lines.append(
            f"Steps are counted in minibatches of {next(iter(lengths))} examples: a full training takes "
            f"{first}, or {', or '.join(others)}."
        )
    elif len(lengths) > 1:
        lines.append(
            "All take as many gradient steps, so larger minibatches see more examples: compare seconds."
        )
    if not facts["tested"]:
        lines.append("The recipe has no test data: the figures are on the validation data alone.")
    return lines


def _interval_as_json(value: Interval | None) -> dict[str, Any] | None:
    return None if value is None else {"mean": value.mean, "ci": [value.lo, value.hi]}


def _arm_as_json(arm: Arm) -> dict[str, Any]:
    return {
        "name": arm.name,
        **arm.parts,
        "batch_size": arm.batch_size,
        "steps": arm.steps,
        "lr": arm.lr,
        "other": {name: value for name, value in arm.hyper.items() if name != "lr"},
        "p_best": arm.p_best,
        "beats": dict(arm.beats),
        "validation": _interval_as_json(arm.validation),
        "test": _interval_as_json(arm.test),
        "rank": _interval_as_json(arm.rank),
        "steps_to_target": _finite(arm.steps_to_target),
        "seconds_to_target": _finite(arm.seconds_to_target),
        "lr_band": list(arm.lr_band),
        "lrs": [
            {
                "lr": rate.lr,
                "other": dict(rate.other),
                "validation": rate.validation,
                "steps": rate.steps,
                "status": rate.status,
            }
            for rate in arm.rates
        ],
        "diverged": arm.diverged,
        "final_diverged": arm.final_diverged,
        "gradient_steps": arm.gradient_steps,
        "best_of_k": list(arm.best_of),
        "tuning": None if arm.tuning is None else _tuning_as_json(arm.tuning),
        "code": arm.code,
    }


def _tuning_as_json(tuning: Tuning) -> dict[str, Any]:
    return {
        "default": dict(tuning.default),
        "validation": _interval_as_json(tuning.validation),
        "gain": _interval_as_json(tuning.gain),
        "diverged": tuning.diverged,
        "gradient_steps": tuning.gradient_steps,
    }


def _failures_as_json(found: Failures) -> dict[str, Any]:
    return {
        "trials": found.trials,
        "diverged": found.diverged,
        "stuck": found.stuck,
        "looked_into": found.looked_into,
        "settings": [_failure_as_json(failure) for failure in found.settings],
    }


def _failure_as_json(failure: Failure) -> dict[str, Any]:
    explanation, cause = failure.explanation, failure.cause
    return {
        "arm": failure.arm,
        "lr": failure.lr,
        "chosen": failure.chosen,
        "trials": failure.trials,
        "diverged": failure.diverged,
        "stuck": failure.stuck,
        "on_fresh_seeds": failure.fresh,
        "diverged_by": failure.by,
        "trained_at": failure.trained_at,
        "cause": None if cause is None else cause.kind,
        "explanation": None if explanation is None else _explanation_as_json(explanation),
    }


def _explanation_as_json(explanation: Explanation) -> dict[str, Any]:
    findings = [
        {**asdict(finding), "severity": _finite(finding.severity)}
        for finding in explanation.findings
    ]
    return {**asdict(explanation), "findings": findings}


def as_json(verdict: Verdict) -> dict[str, Any]:
    """The verdict as `verdict.json` holds it; a missed target is null, JSON has no infinity."""
    return {
        "recipe": verdict.recipe,
        "decision": verdict.decision,
        "best": list(verdict.best),
        "metric": {"name": verdict.metric, "goal": "maximize" if verdict.maximize else "minimize"},
        "arms": [_arm_as_json(arm) for arm in verdict.arms],
        "effects": {
            effect.dimension: [
                {
                    "name": level.name,
                    "validation": _interval_as_json(level.validation),
                    "behind": _interval_as_json(level.behind),
                    "p_best": level.p_best,
                }
                for level in effect.levels
            ]
            for effect in verdict.effects
        },
        "failures": _failures_as_json(verdict.failures),
        "seeds": {
            "selection": list(verdict.selection_seeds),
            "final": list(verdict.final_seeds),
        },
        "target": verdict.target,
        "warnings": list(verdict.warnings),
        "environment": dict(verdict.environment),
    }


def write(verdict: Verdict, folder: Path) -> Path:
    """Write `verdict.json`, whole or not at all."""
    return write_json(as_json(verdict), folder / FILE)


def write_json(data: Mapping[str, Any], path: Path) -> Path:
    """Write a JSON file, whole or not at all."""
    return write_whole(path, (json.dumps(data, indent=2, allow_nan=False) + "\n").encode())
