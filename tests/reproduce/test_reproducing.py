"""An experiment made again, on made data."""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import replace

import numpy as np
import pytest

from ravine import api
from ravine.api import reproducing
from ravine.cli import main
from ravine.comparison import protocol
from ravine.comparison.store import Store
from ravine.errors import FolderError, SettingError, UnknownNameError
from ravine.reproduce import STUDIES, cs231n, goyal, judged
from ravine.reproduce.made import Line, shown
from ravine.training.records import Point, Run, Trial
from tests.reproduce import made_sets


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sets")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAVINE_CACHE", str(folder / "cache"))
        yield made_sets.write(folder / "sets")


def test_tuned_claims_are_judged_on_the_comparisons_fresh_seeds(sets, tmp_path, capsys):
    out, name = tmp_path / "run", "adam-mnist-softmax"
    arguments = ["--scale", "0.3", "--data", str(sets), "--out", str(out)]
    assert main(["reproduce", name, *arguments]) == 0
    printed = capsys.readouterr().out
    stored = json.loads((out / "mnist" / "verdict.json").read_text())
    beats = {arm["name"]: arm["beats"] for arm in stored["arms"]}
    found = api.reproduce(name, scale=0.3, data=sets, out=out)
    (made,) = found.made
    assert [j.claim for j in made.judged] == list(STUDIES[name].panels[0].claims)
    for one in made.judged:
        if one.claim.relation == "ahead":
            assert one.p == beats[one.claim.first][one.claim.second]
        assert f"{one.claim.said(made.titles)}: {one.verdict}, P" in printed
    assert found.study.source in printed
    numbers = json.loads((out / "reproduction.json").read_text())
    assert [c["p"] for c in numbers["figures"][0]["claims"]] == [
        round(one.p, 4) for one in made.judged
    ]
    seeds = {tuple(line["seeds"]) for line in numbers["figures"][0]["lines"]}
    assert seeds == {tuple(stored["seeds"]["final"])}
    page = (out / "figure.html").read_text()
    assert 'href="mnist/report.html"' in page
    for said in (STUDIES[name].panels[0].expected, *STUDIES[name].differences(0.3)):
        assert said in page


@pytest.fixture
def few(monkeypatch):
    """The last figure of an experiment on two seeds; of minibatches two sizes."""

    def reduced(name):
        study = STUDIES[name]
        panel = study.panels[-1]
        known = ("small", "scaled-1024", "same-1024", *(f"{n}-0.001" for n in cs231n.SAME_RATE))
        claims = tuple(c for c in panel.claims if c.first in known and c.second in known)
        panel = replace(panel, training=replace(panel.training, seeds=2), claims=claims)
        monkeypatch.setitem(STUDIES, name, replace(study, panels=(panel,)))
        return panel

    monkeypatch.setattr(goyal, "BATCHES", (256, 1024))
    return reduced


@pytest.mark.parametrize("name", ["cs231n-optimizers", "large-batch"])
def test_given_settings_train_as_they_stand_on_fresh_seeds(sets, tmp_path, name, few):
    panel = few(name)
    found = api.reproduce(name, scale=0.03, data=sets, out=tmp_path / "run")
    (made,) = found.made
    settings = [s for group in panel.training.groups(sets, 0.03) for s in group.settings]
    assert [(line.name, line.lr) for line in made.lines] == [(s.name, s.lr) for s in settings]
    for line in made.lines:
        assert [run.trial.seed for run in line.runs] == [2, 3]  # 0 and 1 are for choosing
        assert {run.trial.lr for run in line.runs} == {line.lr}
    ends = {line.runs[0].curve[-1].step / line.epoch for line in made.lines}
    assert len(ends) == 1  # equal epochs
    assert [j.claim for j in made.judged] == list(panel.claims)


def test_what_was_interrupted_goes_on(sets, tmp_path, monkeypatch, few):
    few("large-batch")
    monkeypatch.setattr(protocol, "SAVE_EVERY", 0.0)
    save, saved, chosen = Store.save, [], []
    choose = reproducing.choose

    def noted(problem, *args):
        chosen.append(problem.batch_size)
        return choose(problem, *args)

    monkeypatch.setattr(reproducing, "choose", noted)

    def failing(store, stage, members):
        if len(saved) == 1:
            raise KeyboardInterrupt
        saved.append(members)
        save(store, stage, members)

    with monkeypatch.context() as patch:
        patch.setattr(Store, "save", failing)
        with pytest.raises(KeyboardInterrupt):
            api.reproduce("large-batch", scale=0.03, data=sets, out=tmp_path)
    with closing(Store(tmp_path / "mnist" / "batch-256")) as store:
        before = store.runs("final")
    assert len(before) == len(saved[0])
    assert {run.curve[-1].step for run in before} == {saved[0][0].run.curve[1].step}  # on the way
    again = api.reproduce("large-batch", scale=0.03, data=sets, out=tmp_path)
    for run, begun in zip(again.made[0].lines[0].runs, before, strict=False):
        assert run.curve[: len(begun.curve)] == begun.curve  # not trained again
        assert len(run.curve) > len(begun.curve)
    assert len(chosen) == len(set(chosen))  # snapshots are those of the lane that was begun with
    with closing(Store(tmp_path / "mnist" / "batch-256")) as store:
        held = [store.member("final", run.trial).snapshot for run in store.runs("final")]
    assert held == [None] * 2
    assert all(len(line.runs) == 2 for line in again.made[0].lines)
    with pytest.raises(FolderError, match="holds a comparison"):
        api.reproduce("large-batch", scale=0.06, data=sets, out=tmp_path)


def run_of(name: str, seed: int, values) -> Run:
    curve = [Point(10 * i, 2 * v, v, v) for i, v in enumerate(values)]
    return Run(Trial(name, {"lr": 0.1}, seed), tuple(curve))


def line_of(name: str, of) -> Line:
    return Line(name, name, 0.1, 10, [run_of(name, seed, of(seed)) for seed in range(6)])


def test_claims_early_in_the_training_and_in_logarithms():
    """Late, adagrad is far behind; on a linear axis adam and nesterov would look alike."""
    noise = np.random.default_rng(0).normal(0, 0.01, 6)
    ends = {"adagrad": (0.1, 0.9), "nesterov": (0.8, 0.05), "adam": (0.2, 0.01)}
    lines = [
        line_of(name, lambda seed, a=early, b=late: [2.3, *[a] * 2, *[b * (1 + noise[seed])] * 25])
        for name, (early, late) in ends.items()
    ]
    panel = STUDIES["adam-cifar10-cnn"].panels[0]
    verdicts = [one.verdict for one in judged(panel, lines)]
    assert verdicts == ["holds", "holds", "does not hold", "holds", "holds"]
    linear = [one.verdict for one in judged(replace(panel, log=False), lines)]
    assert linear == ["holds", "holds", "holds", "holds", "holds"]


def test_a_figure_shows_its_quantity():
    run = run_of("adam", 0, [2.0, 1.0])
    assert [p.validation_metric for p in shown(run, "validation_metric").curve] == [2.0, 1.0]
    assert [p.validation_metric for p in shown(run, "cost").curve] == [4.0, 2.0]
    panels = {panel.name: panel.quantity for panel in STUDIES["adam-mnist-mlp"].panels}
    assert panels == {"dropout": "validation_metric", "l2": "cost"}  # with the penalty


def test_what_cannot_be_reproduced():
    with pytest.raises(UnknownNameError, match="unknown study 'adam-mnist'; did you mean"):
        api.reproduce("adam-mnist")
    with pytest.raises(SettingError, match="--scale 0; expected a share"):
        api.reproduce("adam-imdb", scale=0.0)
