"""The best setting's members are kept, and what they gain together is what NumPy says."""

from __future__ import annotations

import errno
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import stats

import ravine
from ravine import api, cli
from ravine.comparison import members, statistics
from ravine.comparison.store import Store
from ravine.errors import FolderError
from ravine.recipes import load
from tests.comparison.conftest import OPTIMIZERS, run_small, small_recipe


def split(problem, which):
    part = getattr(problem, which)
    return part.inputs, part.targets.numpy()


def test_members_are_those_that_the_same_seeds_train(finished, study):
    lead = study.verdict.lead
    found = ravine.members(finished, small_recipe())
    assert list(found) == list(study.verdict.final_seeds)
    again = ravine.fit(small_recipe(), lead.name, lead.lr, list(found), lane="serial")
    for model, fitted in zip(found.values(), again, strict=True):
        pairs = zip(model.state_dict().values(), fitted.model.state_dict().values(), strict=True)
        assert all(torch.equal(one, other) for one, other in pairs)


def test_only_these_are_kept_and_nothing_of_optimizers(finished):
    store = Store(finished)
    left = [store.member("final", run.trial).snapshot for run in store.runs("final")]
    store.close()
    assert left == [None] * len(left)
    weights = sum(p.numel() for p in small_recipe().model().parameters())
    count = len(ravine.members(finished, small_recipe()))
    assert (finished / members.FILE).stat().st_size < count * (4 * weights + 3000) + 3000


def test_gains_by_hand(finished):
    found = ravine.ensemble(finished, small_recipe())
    problem = load(small_recipe())
    probabilities, wrong = {}, {}
    for which in ("validation", "test"):
        inputs, targets = split(problem, which)
        with torch.no_grad():
            scores = [model(inputs).double().numpy() for model in found.members.values()]
        each = [np.exp(z - z.max(1, keepdims=True)) for z in scores]
        probabilities[which] = np.stack([p / p.sum(1, keepdims=True) for p in each])
        wrong[which] = probabilities[which].argmax(2) != targets
    together = probabilities["test"].mean(0).argmax(1) != split(problem, "test")[1]
    best = int(wrong["validation"].mean(1).argmin())
    assert found.best == list(found.members)[best]
    assert found.data == "test"
    assert found.single == pytest.approx(wrong["test"][best].mean(), rel=1e-6)
    assert found.mean == pytest.approx(wrong["test"].mean(), rel=1e-6)
    assert found.together == pytest.approx(together.mean(), rel=1e-6)
    gain = wrong["test"][best].astype(float) - together
    assert found.over_single.mean == pytest.approx(gain.mean(), abs=1e-9)
    assert found.over_mean.mean == pytest.approx(found.mean - found.together, abs=1e-6)
    low, high = gain.mean() + np.array([-1.96, 1.96]) * gain.std() / np.sqrt(len(gain))
    assert found.over_single.lo == pytest.approx(low, abs=0.3 * gain.std() / np.sqrt(len(gain)))
    assert found.over_single.hi == pytest.approx(high, abs=0.3 * gain.std() / np.sqrt(len(gain)))


def test_the_interval_over_examples_is_the_binomials():
    """Resampled sums of zeros and ones are binomial."""
    values = np.repeat([1.0, 0.0], [90, 910])
    found = statistics.over_examples(values)
    expected = stats.binom(1000, 0.09).ppf([0.025, 0.975]) / 1000
    assert [found.lo, found.hi] == pytest.approx(list(expected), abs=1.01e-3)
    assert found.mean == pytest.approx(0.09)


def test_what_was_stopped_before_the_members_were_written_goes_on(tmp_path, finished, monkeypatch):
    out = tmp_path / "run"

    real = Path.write_bytes

    def stopped(*_):
        raise KeyboardInterrupt

    def full(path, data):
        if members.FILE not in path.name:
            return real(path, data)
        real(path, data[:100])
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(members, "make_lane", stopped)
        with pytest.raises(KeyboardInterrupt):
            run_small(out, "serial")
    with pytest.raises(FolderError, match=r"members\.pt"):
        ravine.members(out, small_recipe())
    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        with pytest.raises(FolderError, match="No space left on device"):
            run_small(out, "serial")
    assert not [path.name for path in out.iterdir() if members.FILE in path.name]
    run_small(out, "serial")
    pairs = [ravine.members(folder, small_recipe()) for folder in (out, finished)]
    for one, other in zip(*(models.values() for models in pairs), strict=True):
        assert all(map(torch.equal, one.parameters(), other.parameters()))


def test_another_recipe_is_refused(finished):
    with pytest.raises(FolderError, match="patience differ"):
        ravine.members(finished, replace(small_recipe(), patience=5))


def test_a_damaged_file_is_said(tmp_path, finished):
    shutil.copytree(finished, tmp_path / "run")
    (tmp_path / "run" / members.FILE).write_bytes(b"PK")
    with pytest.raises(FolderError, match="is damaged"):
        ravine.members(tmp_path / "run", small_recipe())


def test_the_command(finished, tmp_path, capsys):
    path = tmp_path / "mine.py"
    path.write_text("from tests.comparison.conftest import small_recipe as recipe\n")
    assert cli.main(["ensemble", str(finished), str(path)]) == 0
    printed = capsys.readouterr().out
    found = api.ensemble(finished, small_recipe())
    assert f"together                       {found.together:.4g}" in printed
    assert f"gains {found.over_single.mean:.4g} [" in printed
    assert cli.main(["ensemble", str(finished)]) == 2
    assert "digits-test" in capsys.readouterr().err


def test_the_setting_is_in_the_verdict_as_code(study):
    for arm in study.verdict.arms:
        assert arm.name in OPTIMIZERS
        kind = {"sgd": "SGD", "adam": "Adam"}[arm.name]
        expected = f"optimizer = torch.optim.{kind}(model.parameters(), lr="
        assert arm.code.startswith(expected)
        assert float(arm.code.removeprefix(expected).removesuffix(")")) == arm.lr
