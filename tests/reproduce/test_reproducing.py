"""An experiment made again, on made data."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from ravine import api, rules
from ravine.cli import main
from ravine.errors import SettingError, UnknownNameError
from ravine.reproduce import STUDIES
from tests.sets import write_set


@pytest.fixture
def sets(tmp_path, monkeypatch):
    """A folder with a little MNIST: a class is where a square is bright."""
    rng = np.random.default_rng(0)
    monkeypatch.setenv("RAVINE_CACHE", str(tmp_path / "cache"))

    def digits(count):
        labels = np.arange(count) % 10
        pixels = rng.integers(0, 100, (count, 28, 28), dtype=np.uint8)
        for image, label in zip(pixels, labels, strict=True):
            image[:, 2 * label : 2 * label + 2] = 250
        return {"image": pixels, "label": labels}

    write_set(tmp_path / "sets", "mnist", train=digits(1200), test=digits(60))
    return tmp_path / "sets"


def test_studies_name_what_there_is():
    for name, study in STUDIES.items():
        assert study.name == name
        assert set(study.optimizers) <= set(rules.REGISTRY)
        assert {n for c in study.claims for n in (c.first, c.second)} <= set(study.optimizers)


def test_a_scale_takes_a_share_and_looks_at_the_training_cost(sets):
    study = STUDIES["adam-mnist-softmax"]
    recipe = study.at(0.5, sets)
    full = study.recipe(sets)
    assert len(recipe.train[0]) == 500  # of 1000: a sixth is held out
    assert torch.equal(recipe.train[0], full.train[0][:500])
    assert torch.equal(recipe.validation[0], recipe.train[0])
    assert recipe.metric is None
    assert recipe.test is None
    assert len(study.at(1e-6, sets).train[0]) == 128
    assert study.differences(0.5)[0].startswith("50% of the training examples were used")
    assert not any("were used" in said for said in study.differences(1))


def test_the_claims_are_judged_on_fresh_seeds(sets, tmp_path, capsys):
    out = tmp_path / "run"
    arguments = ["--scale", "0.3", "--data", str(sets), "--out", str(out)]
    assert main(["reproduce", "adam-mnist-softmax", *arguments]) == 0
    printed = capsys.readouterr().out
    stored = json.loads((out / "verdict.json").read_text())
    beats = {arm["name"]: arm["beats"] for arm in stored["arms"]}
    found = api.reproduce("adam-mnist-softmax", scale=0.3, data=sets, out=out)
    assert [j.claim for j in found.judged] == list(STUDIES["adam-mnist-softmax"].claims)
    for judged in found.judged:
        if judged.claim.relation == "ahead":
            assert judged.p == beats[judged.claim.first][judged.claim.second]
        titles = {arm.name: arm.title for arm in found.verdict.arms}
        assert f"{judged.claim.said(titles)}: {judged.verdict}, P = {judged.p:.2f}" in printed
    assert found.source in printed


def test_what_cannot_be_reproduced():
    with pytest.raises(UnknownNameError, match="unknown study 'adam-mnist'; did you mean"):
        api.reproduce("adam-mnist")
    with pytest.raises(SettingError, match="--scale 0; expected a share"):
        api.reproduce("adam-imdb", scale=0.0)
