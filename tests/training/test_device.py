"""Where a training is: every tensor that a step makes says so.

No GPU is needed to see it. Where torch's default device is "meta", a tensor that is made without a
device holds nothing, and whatever meets it raises.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import astuple, dataclass

import pytest
import torch
from torch import nn
from torch.utils.data import TensorDataset

from ravine import api, rules, schedules
from ravine.batches import Order
from ravine.errors import SettingError
from ravine.initializers import start
from ravine.recipes import build_model, load
from ravine.training.lane import Member, at_rest, pack, placed, unpack
from ravine.training.noise import keyed
from ravine.training.population import PopulationLane
from ravine.training.procedure import Procedure, feed_of
from ravine.training.records import Run, Trial
from ravine.training.serial import SerialLane
from tests.problems import (
    convolutional_with_noise,
    digits_problem,
    digits_recipe,
    mlp,
    noisy,
    recurrent,
    transformer,
)


@contextmanager
def nowhere() -> Iterator[None]:
    """New tensors that do not say where they are, are nowhere."""
    torch.set_default_device("meta")
    try:
        yield
    finally:
        torch.set_default_device(None)


def on_the_cpu(model):
    """A recipe's model is built wherever its own code says."""

    def built() -> nn.Module:
        with torch.device("cpu"):
            return model()

    return built


@dataclass(frozen=True)
class Turned(Order):
    """Orders are computed on the CPU, on purpose."""

    name = "turned"

    def epoch(self, seed, epoch, examples):
        return torch.arange(examples, device="cpu").roll(seed + epoch)


def population(problem, procedures):
    return PopulationLane(problem, procedures, 4, compiled=False)


def trained(lane, trials):
    members = [Member.new(trial) for trial in trials]
    for stop in (3, 9):
        chunks = lane.chunks(members)
        members = [m for chunk in chunks for m in lane.train(chunk, stop, lambda steps: None)]
    return {(m.run.trial.procedure, m.run.trial.seed): m for m in members}


@pytest.mark.parametrize("make", [SerialLane, population], ids=["serial", "population"])
@pytest.mark.parametrize(
    ("model", "names"),
    [
        (mlp, sorted(rules.REGISTRY)),
        (convolutional_with_noise, ["adam", "schedule_free_sgd"]),
        (recurrent, ["adam"]),
        (transformer, ["adam"]),
    ],
)
def test_no_tensor_of_a_training_is_made_without_a_device(make, model, names):
    problem = digits_problem(on_the_cpu(model), batches=Turned(), patience=20)
    procedures = {
        name: Procedure(
            name, name, rules.get(name), start("he_normal"), {"lr": schedules.cosine(27)}
        )
        for name in names
    }
    trials = [one.trial(0.01, seed) for one in procedures.values() for seed in (0, 1)]
    expected = trained(make(problem, procedures), trials)
    with nowhere():
        found = trained(make(problem, procedures), trials)
    assert found.keys() == expected.keys()
    for key, member in found.items():
        for ours, theirs in zip(member.run.curve, expected[key].run.curve, strict=True):
            # Attention takes another way through torch where a default device is set, and rounds so.
            assert astuple(ours) == pytest.approx(astuple(theirs), rel=1e-5)


def test_a_problem_is_where_it_is_put():
    """To "meta" everything can be brought; nothing can be computed there."""
    here = digits_recipe(noisy)
    problem = load(here, device="meta")
    assert problem.device.type == "meta"
    splits = (problem.train, problem.validation)
    assert {t.device.type for s in splits for t in (s.inputs, s.targets)} == {"meta"}
    model = keyed(build_model(problem, 0))
    assert {t.device.type for t in (*model.parameters(), *model.buffers())} == {"meta"}
    inputs, targets = feed_of(problem, [(0, Procedure.of(rules.sgd()))]).at(0)
    assert (inputs.device.type, targets.device.type, inputs.shape) == ("meta", "meta", (1, 32, 64))
    assert load(here).device.type == "cpu"


def test_data_that_are_read_while_training_come_to_the_device():
    digits = digits_problem()
    dataset = TensorDataset(digits.train.inputs, digits.train.targets)
    problem = load(digits_recipe(train=dataset, workers=0), device="meta")
    (inputs, _), first = feed_of(problem, [(0, Procedure.of(rules.sgd()))]).at(0), problem.at_hand
    assert (inputs.device.type, first.inputs.device.type) == ("meta", "meta")


def test_what_is_kept_lies_on_the_cpu():
    state = [{"m": torch.ones(2), "n": torch.zeros((), dtype=torch.int64)}]
    snapshot = {"weights": torch.ones(3), "state": state, "attributes": {"count": 3, "name": "x"}}
    away = placed(snapshot, torch.device("meta"))
    assert away["state"][0]["n"].device.type == away["weights"].device.type == "meta"
    assert away["attributes"] == {"count": 3, "name": "x"}
    assert (
        Member(Run(Trial("sgd", {"lr": 1.0}, 0)), snapshot)
        .start_or_resume(torch.device("meta"))["weights"]
        .device.type
        == "meta"
    )
    kept = at_rest(snapshot)
    assert kept["state"][0]["m"] is state[0]["m"]  # on the CPU nothing is copied
    back = unpack(pack(snapshot))
    assert torch.equal(back["weights"], snapshot["weights"])


@pytest.mark.parametrize("device", ["cuda:77", "gpu", ""])
def test_a_device_that_is_not_there_is_said(device):
    with pytest.raises(SettingError, match=f"--device {device} cannot be used .*expected one that"):
        load(digits_recipe(), device=device)


def test_a_cluster_has_processors(tmp_path):
    with pytest.raises(SettingError, match="--ray trains on processors, not on --device cuda"):
        api.compare(digits_recipe(), ["sgd", "adam"], tmp_path, device="cuda", ray="local")
