"""Failed trials trained again: the same runs, within their budget, stored and shown again."""

from __future__ import annotations

import json
import math
import shutil
import warnings
from dataclasses import asdict, dataclass, field, replace

import pytest

from ravine import api
from ravine.comparison import autopsy
from ravine.comparison.progress import Progress
from ravine.comparison.records import Explanation, Failure
from ravine.comparison.store import Store
from ravine.comparison.verdict import as_json
from ravine.diagnostics.finding import Finding
from ravine.training.population import PopulationLane
from ravine.training.records import Point, Run, Trial
from tests.comparison.conftest import run_small

HIGH = Finding("lr_too_high", 0.8, "It rose.", "Lower it.", 3)
LOW = Finding("lr_too_low", 0.7, "It stands.", "Raise it.", 0)
LOST = Finding("not_finite", 0.99, "NaN.", "Look for a log of 0.", 3, "0.weight")


@dataclass
class Heard(Progress):
    """What a comparison said."""

    stages: list[tuple[str, int]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    steps: int = 0

    def stage(self, title: str, steps: int) -> None:
        self.stages.append((title, steps))
        self.steps = 0

    def tick(self, steps: int) -> None:
        self.steps += steps

    def note(self, line: str) -> None:
        self.notes.append(line)


@pytest.fixture
def folder(tmp_path, finished):
    """A finished comparison of whose failed trials none was looked into."""
    shutil.copytree(finished, tmp_path / "run")
    forget(tmp_path / "run")
    return tmp_path / "run"


def forget(out) -> None:
    store = Store(out)
    with store._transaction():
        store._db.execute("DELETE FROM facts WHERE name = ?", (autopsy.FACT,))
    store.close()


def found_in(out):
    store = Store(out)
    found = autopsy.failures(store, store.runs("selection"), store.runs("final"))
    store.close()
    return found


def listening(monkeypatch, stop_at: int | None = None) -> list:
    """All replays, as they come; the one with this number is interrupted."""
    heard: list = []
    train = autopsy.train_watched

    def watched(lane, member, until, *args, **kwargs):
        if len(heard) == stop_at:
            raise KeyboardInterrupt
        heard.append(train(lane, member, until, *args, **kwargs))
        return heard[-1]

    monkeypatch.setattr(autopsy, "train_watched", watched)
    return heard


# --- what is trained again ------------------------------------------------------------------------


def failure(arm: str, lr: float, steps: int, diverged: int | None = None, **changes) -> Failure:
    points = tuple(
        Point(s, math.nan if diverged is not None and s >= diverged else 1.0, 1.0, 1.0)
        for s in range(0, steps + 1, 10)
    )
    base = Failure(
        arm, lr, 1.0, True, 2, diverged is not None, diverged is None, 0, diverged, "selection",
        Run(Trial(arm, {"lr": lr}, 0), points), 0.5,
    )  # fmt: skip
    return replace(base, **changes)


def planned(settings, budget, steps=270, least=30):
    return [
        (f.arm, f.lr, until)
        for f, until in autopsy.plan(settings, steps, budget, {f.arm: least for f in settings})
    ]


def test_one_of_each_way_of_failing_short_ones_first():
    settings = [
        failure("a", 1.0, 270, fresh=5),
        failure("a", 0.3, 90), failure("b", 0.3, 30), failure("a", 3.0, 30, diverged=10),
        failure("a", 0.1, 30), failure("b", 0.1, 30), failure("a", 10.0, 30, diverged=10),
    ]  # fmt: skip
    assert planned(settings, 1000) == [
        ("a", 1.0, 270), ("b", 0.3, 30), ("a", 3.0, 30), ("a", 0.3, 90),
    ]  # fmt: skip
    assert planned(settings, 270 + 30 + 30 + 89)[3:] == [("a", 0.1, 30)]
    assert planned(settings, 270 + 30 + 29) == [("a", 1.0, 270), ("b", 0.3, 30)]
    assert planned(settings, 0) == [("a", 1.0, 270)]
    assert planned([], 1000) == []


def test_never_more_than_twelve():
    settings = [failure(f"arm {i}", 0.1, 30) for i in range(20)]
    assert planned(settings, 1e9) == [(f"arm {i}", 0.1, 30) for i in range(12)]


@pytest.mark.parametrize(
    ("diverged", "trained", "until"),
    [(10, 270, 30), (20, 270, 40), (100, 270, 200), (200, 270, 270), (10, 20, 20), (20, 30, 30)],
)
def test_a_diverged_trial_is_trained_twice_as_far_as_it_took(diverged, trained, until):
    assert planned([failure("a", 3.0, trained, diverged)], 1000) == [("a", 3.0, until)]


def test_a_trial_of_few_steps_of_its_own_is_trained_long_enough():
    assert planned([failure("a", 3.0, 270, 10)], 1000, least=200) == [("a", 3.0, 200)]


def test_a_replayed_step_counts_for_what_it_costs(folder, monkeypatch):
    """A tenth of all gradient steps, each replayed one worth 2.5 of them in the serial lane."""
    budgets: list[float] = []
    plan = autopsy.plan
    monkeypatch.setattr(
        autopsy,
        "plan",
        lambda s, steps, budget, *rest: budgets.append(budget) or plan(s, steps, budget, *rest),
    )
    run_small(folder, "serial")
    store = Store(folder)
    taken = sum(r.curve[-1].step for stage in ("selection", "final") for r in store.runs(stage))
    store.close()
    assert budgets == [pytest.approx(taken / 25, rel=1e-12)]


# --- replays --------------------------------------------------------------------------------------


def test_a_replay_is_the_run_itself(folder, monkeypatch):
    heard, progress = listening(monkeypatch), Heard()
    run_small(folder, "serial", progress=progress)
    assert len(heard) >= 2
    for watched in heard:
        store = Store(folder)
        stored = store.run("selection", watched.member.run.trial)
        store.close()
        again = watched.member.run.curve
        assert repr(again) == repr(stored.curve[: len(again)])  # repr: NaN is not NaN
    assert progress.stages == [(f"explaining {len(heard)} failed trials", progress.steps)]
    assert progress.steps == sum(watched.member.step for watched in heard)
    explained = [f.explanation for f in found_in(folder).settings if f.explanation is not None]
    assert {e.outcome for e in explained} == {"stuck", "diverged"}
    assert len(explained) == len(heard)


class Uncompiled(PopulationLane):
    def __init__(self, problem, procedures, capacity, compiled=True):
        super().__init__(problem, procedures, capacity, compiled=False)


def test_a_replay_of_a_population_agrees_to_rounding(tmp_path, monkeypatch):
    monkeypatch.setattr("ravine.training.choose.PopulationLane", Uncompiled)
    heard = listening(monkeypatch)
    run_small(tmp_path / "run", "population", steps=27)
    assert heard
    for watched in heard:
        store = Store(tmp_path / "run")
        stored = store.run("selection", watched.member.run.trial)
        store.close()
        for point, same in zip(watched.member.run.curve, stored.curve, strict=False):
            if stored.diverged_at is None:
                assert point.cost == pytest.approx(same.cost, rel=1e-5)
                assert point.validation_cost == pytest.approx(same.validation_cost, rel=1e-5)
            assert point.step == same.step


def test_a_rate_at_which_gradient_descent_diverges_is_too_high(folder):
    verdict = run_small(folder, "serial")
    lost = [f for f in verdict.failures.settings if f.diverged and f.explanation is not None]
    assert [(f.arm, f.lr) for f in lost] == [("sgd", 10.0)]
    assert lost[0].trained_at == lost[0].chosen < 10
    assert lost[0].explanation.outcome == "diverged"
    assert lost[0].explanation.steps == 2 * lost[0].run.diverged_at
    assert lost[0].cause.kind == "lr_too_high"
    assert {f.kind for f in lost[0].explanation.findings} >= {"lr_too_high", "not_finite"}


# --- stored, and read again -----------------------------------------------------------------------


def test_explanations_are_stored_and_shown_again(folder, monkeypatch):
    verdict = run_small(folder, "serial")
    page = (folder / "report.html").read_text()
    assert "learning rate too high" in page
    monkeypatch.setattr(autopsy, "train_watched", lambda *_, **__: pytest.fail("trained again"))
    api.rewrite_report(folder)
    assert (folder / "report.html").read_text() == page
    progress = Heard()
    assert as_json(run_small(folder, "serial", progress=progress)) == as_json(verdict)
    assert progress.stages == []
    shown = json.loads((folder / "verdict.json").read_text())["failures"]
    first = verdict.failures.settings[0]
    assert (shown["trials"], shown["diverged"], shown["stuck"]) == (
        verdict.failures.trials, 2, sum(f.stuck for f in verdict.failures.settings)
    )  # fmt: skip
    assert (shown["settings"][0]["arm"], shown["settings"][0]["lr"]) == (first.arm, first.lr)
    assert shown["settings"][0]["cause"] == first.cause.kind
    findings = shown["settings"][0]["explanation"]["findings"]
    assert [f["evidence"] for f in findings] == [f.evidence for f in first.explanation.findings]


def test_an_explanation_comes_back_as_it_was():
    whole = Explanation(7, 30, "stuck", (HIGH, LOST), None)
    assert autopsy.explanation_from(json.loads(json.dumps(asdict(whole)))) == whole
    broken = Explanation(7, 30, "unknown", (), "ValueError: no")
    assert autopsy.explanation_from(json.loads(json.dumps(asdict(broken)))) == broken


def test_what_was_interrupted_goes_on(folder, monkeypatch):
    with monkeypatch.context() as patch:
        before = listening(patch, stop_at=1)
        with pytest.raises(KeyboardInterrupt):
            run_small(folder, "serial")
    after = listening(monkeypatch)
    run_small(folder, "serial")
    trials = [w.member.run.trial for w in (*before, *after)]
    assert len(before) == 1
    assert len(trials) >= 2
    assert all(trials.count(trial) == 1 for trial in trials)


def test_a_folder_without_explanations_still_reports(folder):
    assert not found_in(folder).looked_into
    api.rewrite_report(folder)
    page = (folder / "report.html").read_text()
    assert "Type the command again to have some of them looked into." in page
    assert all(f.explanation is None for f in found_in(folder).settings)


def test_where_nothing_failed_that_is_stored_too(folder, monkeypatch):
    monkeypatch.setattr(autopsy, "failed", lambda *_: ())
    run_small(folder, "serial")
    assert found_in(folder).looked_into
    assert "No trial diverged or got stuck." in (folder / "report.html").read_text()


# --- what can go wrong ----------------------------------------------------------------------------


def test_an_error_in_a_replay_costs_nothing_but_the_replay(folder, monkeypatch):
    def broken(*_, **__):
        raise ValueError("no\nsuch luck")

    monkeypatch.setattr(autopsy, "train_watched", broken)
    verdict = run_small(folder, "serial")
    explained = [f for f in verdict.failures.settings if f.explanation is not None]
    assert explained
    for one in explained:
        assert (one.explanation.outcome, one.explanation.failure) == ("unknown", "ValueError: no")
        assert one.cause is None


def test_instruments_that_fail_are_told_of_once(folder, monkeypatch):
    def broken(*_):
        raise ZeroDivisionError("flat")

    monkeypatch.setattr("ravine.diagnostics.instruments.curvature.Curvature.look", broken)
    progress = Heard()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run_small(folder, "serial", progress=progress)
    assert progress.notes == [
        "instruments that failed while watching, and rested: curvature (ZeroDivisionError: flat)"
    ]


# --- the cause ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lr", "trained", "outcome", "findings", "kind"),
    [
        (3.0, True, "diverged", (LOST, HIGH), "lr_too_high"),
        (3.0, False, "diverged", (LOST, HIGH), "not_finite"),
        (3.0, True, "diverged", (LOST, LOW), "not_finite"),
        (0.3, True, "stuck", (LOST, HIGH, LOW), "lr_too_low"),
        (1.0, False, "stuck", (LOST, LOW), "not_finite"),
        (3.0, True, "fine", (LOST, HIGH), None),
        (3.0, True, "stuck", (), None),
    ],
)
def test_the_rate_is_the_cause_where_another_rate_trained(lr, trained, outcome, findings, kind):
    explanation = Explanation(0, 30, outcome, findings)
    one = failure("a", lr, 30, chosen_trained=trained, explanation=explanation)
    assert (None if one.cause is None else one.cause.kind) == kind
