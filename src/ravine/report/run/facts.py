"""What the report of one training says, before anything is drawn. Pure; `facts_of` is the door."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ravine.diagnostics.finding import Finding
from ravine.report import words
from ravine.report.run import method
from ravine.report.run.costs import costs
from ravine.report.run.curvature import gradient_charts, spectrum_charts
from ravine.report.run.layers import layer_maps
from ravine.report.run.loss import loss_charts, metric_of
from ravine.report.run.noise import noise_charts
from ravine.report.run.record import RunRecord
from ravine.report.run.records import FindingRow, RunFacts
from ravine.report.run.treatment import sentence, treatment
from ravine.report.run.view import view_of

FOREMOST = 2
"""Findings that are named on top beside the worst one."""


def facts_of(record: RunRecord) -> RunFacts:
    """Turn a run's record into all that its report says."""
    found, drawn = record.prescription, record.worth_drawing()
    loss, curvature = loss_charts(drawn), gradient_charts(drawn)
    spectrum, layers, noise = spectrum_charts(drawn), layer_maps(drawn), noise_charts(drawn)
    view = None if record.slice is None else view_of(record.slice)
    parts = (
        (loss, "the loss", None),
        (curvature, "curvature along the gradient", method.CURVATURE),
        (spectrum, "the spectrum", method.SPECTRUM),
        (layers, "layers", method.LAYERS),
        (noise, "gradient noise", method.NOISE),
        (view, "the slice of the landscape", method.SLICE),
    )
    general = (method.MEASURED, method.WHEN, method.FINDINGS)
    return RunFacts(
        title=record.title,
        answer=answer(record.findings),
        advice=advice(record),
        counts=_counts(record),
        findings=tuple(map(_row, record.findings)),
        treatment=None if found is None else treatment(found),
        loss=loss,
        curvature=curvature,
        spectrum=spectrum,
        layers=layers,
        noise=noise,
        view=view,
        costs=costs(record.accounts),
        missing=_missing([name for part, name, _ in parts if part is None]),
        method=(*general, *(text for part, _, text in parts if part is not None and text)),
        environment=tuple((k, v) for k, v in record.environment.items() if k != "command"),
        command=record.environment.get("command"),
    )


def answer(findings: Sequence[Finding]) -> str:
    """What is wrong, the worst first: "Learning rate too high. Also: cliff."."""
    if not findings:
        return "Nothing wrong found."
    first, *others = (finding.title for finding in findings)
    also = f" Also: {words.listing(others, most=FOREMOST)}." if others else ""
    return f"{_capital(first)}.{also}"


def advice(record: RunRecord) -> str:
    """What to change: as the doctor found, or as the worst finding says."""
    if record.prescription is not None and record.prescription.findings:
        return sentence(record.prescription)
    return record.findings[0].remedy if record.findings else ""


def _counts(record: RunRecord) -> tuple[str, ...]:
    run, metric = record.run, metric_of(record)
    heard = record.history.series("loss").steps[-1:]  # the loss of step 0 is that of the first step
    counts = [words.plural(max([record.steps, *(step + 1 for step in heard)]), "gradient step")]
    if record.facts.batch_size is not None:
        counts.append(f"minibatches of {record.facts.batch_size:,}")
    if run is None:
        return tuple(counts)
    counts += [words.hyper(run.trial.hyper), f"seed {run.trial.seed}"]
    if run.diverged_at is not None:
        counts.append(f"diverged by step {run.diverged_at:,}")
    elif run.curve and math.isfinite(run.curve[-1].validation_metric):
        counts.append(f"validation {metric.label} {metric.value(run.curve[-1].validation_metric)}")
    return tuple(counts)


def _row(finding: Finding) -> FindingRow:
    place = f"in “{finding.place}”, " if finding.place else ""
    where = f"{place}first seen at step {finding.step:,}"
    return FindingRow(_capital(finding.title), where, finding.evidence, finding.remedy)


def _missing(names: Sequence[str]) -> str:
    if not names:
        return ""
    lacking = words.listing(names)
    return f"Not drawn, for lack of readings: {lacking}. A larger budget measures more often."


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
