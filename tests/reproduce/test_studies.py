"""What the experiments train, against the notes and papers that they come from."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from ravine import rules
from ravine.datasets import images
from ravine.recipes import build_model, check, load
from ravine.recipes.images import mnist_softmax
from ravine.reproduce import STUDIES, Given, Tuned, cs231n, goyal, kingma
from ravine.reproduce.study import share_of
from ravine.training.fit import fit
from ravine.training.serial import SerialLane
from tests.reproduce import made_sets

PANELS = [(study, panel) for study in STUDIES.values() for panel in study.panels]
TUNED = [(study, panel) for study, panel in PANELS if isinstance(panel.training, Tuned)]


def planes(train, test):
    return tuple(np.moveaxis(part, -1, 1).astype(np.float32) / 255 for part in (train, test))


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sets")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAVINE_CACHE", str(folder / "cache"))
        patch.setattr(images, "_whitened", planes)  # whitening takes 10 s
        yield made_sets.write(folder / "sets")


def test_the_seven_of_the_notes():
    assert set(STUDIES) == {
        *("adam-mnist-softmax", "adam-imdb", "adam-mnist-mlp", "adam-cifar10-cnn"),
        *("cs231n-optimizers", "cs231n-sweeps", "large-batch"),
    }
    assert all(name == study.name for name, study in STUDIES.items())
    for study in STUDIES.values():
        assert len({panel.name for panel in study.panels}) == len(study.panels)


def test_claims_name_lines_that_are_there(sets):
    for _, panel in PANELS:
        training = panel.training
        if isinstance(training, Tuned):
            lines = set(training.optimizers)
            assert lines <= set(rules.REGISTRY)
        else:
            groups = training.groups(sets, 0.03)
            lines = {setting.name for group in groups for setting in group.settings}
        assert {n for c in panel.claims for n in (c.first, c.second)} <= lines


@pytest.mark.parametrize(("study", "panel"), TUNED, ids=[panel.name for _, panel in TUNED])
def test_what_optimizers_are_compared_on_trains(sets, study, panel):
    recipe = replace(panel.training.recipe(sets, 0.005), epochs=None, steps=2)
    problem = load(recipe)
    check(problem)
    for fitted in fit(problem, list(panel.training.optimizers), lr=1e-3, lane=SerialLane):
        assert fitted.run.diverged_at is None
        assert fitted.run.curve[-1].validation_metric == fitted.run.curve[-1].validation_cost


def test_a_share_of_the_examples_is_evaluated_by_the_training_cost(sets):
    full = mnist_softmax(sets)
    recipe = share_of(full, 0.5)
    assert len(recipe.train[0]) == 500  # of 1000: a sixth is held out
    assert torch.equal(recipe.train[0], full.train[0][:500])
    assert torch.equal(recipe.validation[0], recipe.train[0])
    assert recipe.metric is None
    assert recipe.test is None
    assert len(share_of(full, 1e-6).train[0]) == 128


def weights(recipe):
    return sum(p.numel() for p in build_model(load(recipe), 0).parameters() if p.ndim > 1)


def test_networks_shrink_with_the_examples(sets):
    """Weights between hidden layers are the share that examples are; at 1 all is the paper's."""
    of_mlp = {panel.name: panel.training.recipe for panel in kingma.MNIST_MLP.panels}
    for name, at in of_mlp.items():
        assert weights(at(sets, 1.0)) == 784 * 1000 + 1000 * 1000 + 1000 * 10, name
        hidden = build_model(load(at(sets, 0.01)), 0)[3].weight
        assert tuple(hidden.shape) == (100, 100)
    cnn = kingma.narrow_cnn(sets, 1.0)
    assert weights(cnn) == 25 * (3 * 64 + 64 * 64 + 64 * 128) + 9 * 128 * 1000 + 1000 * 10
    assert cnn.batch_size == 200 // kingma.PER_EPOCH  # of 200 examples
    small = kingma.narrow_cnn(sets, 1 / 64)
    assert tuple(build_model(load(small), 0)[4].weight.shape) == (8, 8, 5, 5)
    mlp = " ".join(kingma.MNIST_MLP.differences(1))
    assert kingma.DIFFERS[1] not in mlp  # it holds for one of the two figures
    assert "In (b) learning rates are chosen by that cost, without the L2 penalty" in mlp
    said = kingma.MNIST_MLP.differences(0.01)[0]
    assert said.startswith("1% of the training examples were used")
    assert "10% of its width" in said
    assert not any("were used" in text for text in kingma.MNIST_MLP.differences(1))


def rates(panel, sets):
    (group,) = panel.training.groups(sets, 1.0)
    return [(setting.rule.name, setting.lr) for setting in group.settings]


def test_the_rates_are_the_notes(sets):
    own, same = (dict(rates(panel, sets)) for panel in cs231n.OPTIMIZERS.panels)
    assert own == {"sgd": 5e-3, "momentum": 5e-3, "rmsprop": 1e-4, "adam": 1e-3}
    assert same == {"sgd": 1e-3, "momentum": 1e-3, "rmsprop": 1e-3, "adam": 1e-3}
    assert {panel.name: rates(panel, sets) for panel in cs231n.SWEPT.panels} == {
        "sgd": [("sgd", lr) for lr in (1e-4, 5e-3, 3e-3, 1e-3, 1e-2)],
        "momentum": [("momentum", lr) for lr in (1e-4, 5e-3, 3e-3, 1e-3, 1e-2)],
        "rmsprop": [("rmsprop", lr) for lr in (1e-4, 5e-4, 5e-3, 1e-3, 1e-2)],
        "rmsprop-smaller": [("rmsprop", lr) for lr in (1e-5, 5e-5, 5e-4, 1e-4)],
        "adam": [("adam", lr) for lr in (1e-4, 5e-4, 5e-3, 1e-3, 1e-2)],
    }


def test_cs231n_trains_on_bytes_less_their_mean(sets):
    recipe = cs231n.recipe(sets, 1.0)
    inputs, _ = recipe.train
    assert tuple(inputs.shape) == (200, 3072)  # all there are
    assert 60 < float(inputs.std()) < 90  # uniform bytes: 255 / sqrt(12) = 73.6
    assert abs(float(inputs.mean())) < 1
    model = build_model(load(recipe), 0)
    assert [tuple(p.shape) for p in model.parameters() if p.ndim > 1] == [
        *[(100, 3072), (100, 100), (100, 100), (100, 100), (100, 100), (10, 100)]
    ]
    first = model[0]
    assert first.weight.std().item() == pytest.approx(0.05, rel=0.01)
    assert not first.bias.any()


def test_linear_scaling_and_warmup_are_those_of_the_paper(sets):
    """Section 2: kη after five of 90 epochs, from η by constant amounts; a tenth at 30, 60 and 80."""
    epochs, per_epoch = 90, 6
    steps, k = epochs * per_epoch, 8192 / 256
    rate = [goyal.LR * k * goyal.warmed(k, steps)(t) for t in range(steps)]
    assert goyal.LR * k == pytest.approx(3.2)
    ramp = 5 * per_epoch
    for t in range(steps):
        epoch = t / per_epoch
        falls = sum(epoch >= at for at in (30, 60, 80))
        warm = min(1.0, 1 / k + (1 - 1 / k) * t / ramp)
        assert rate[t] == pytest.approx(0.1 * k * warm * 0.1**falls, rel=1e-12), t
    assert rate[0] == pytest.approx(0.1)
    assert rate[ramp] == pytest.approx(3.2)
    assert [goyal.falls(steps)(t * per_epoch) for t in (0, 29, 30, 60, 80, 89)] == [
        *[1.0, 1.0, 0.1, 0.01, 0.001, 0.001]
    ]


def test_each_minibatch_has_its_rate(sets):
    by_name = {s.name: s for g in goyal.groups(sets, 0.03) for s in g.settings}
    assert by_name["small"].lr == 0.1
    assert {n: s.lr for n, s in by_name.items() if n.startswith("scaled")} == pytest.approx(
        {"scaled-1024": 0.4, "scaled-4096": 1.6, "scaled-8192": 3.2}
    )
    assert {s.lr for n, s in by_name.items() if n.startswith("same")} == {0.1}
    groups = {g.recipe.batch_size: g.recipe for g in goyal.groups(sets, 1.0)}
    assert list(groups) == [256, 1024, 4096, 8192]
    assert {recipe.epochs for recipe in groups.values()} == {90}
    problem = replace(load(groups[1024]), batch_size=1024, steps=900)
    shown = {
        name: by_name[name].procedure(problem).scheduled({"lr": by_name[name].lr}, 0)["lr"]
        for name in ("scaled-1024", "same-1024")
    }
    assert shown == pytest.approx({"scaled-1024": 0.1, "same-1024": 0.1})


def test_weights_alone_are_decayed(sets):
    model = goyal.network()
    recipe = goyal.recipe(sets, 1.0, 256)
    squares = sum(float((p.detach() ** 2).sum()) for p in model.parameters() if p.ndim == 2)
    found = recipe.penalty(dict(model.named_parameters())).item()
    assert math.isclose(found, 0.5e-4 * squares, rel_tol=1e-6)


def test_given_settings_of_one_rule_share_it(sets):
    """The population lane trains them by one engine then."""
    for _, panel in PANELS:
        if isinstance(panel.training, Given):
            for group in panel.training.groups(sets, 0.03):
                named = {}
                for setting in group.settings:
                    assert named.setdefault(setting.rule.name, setting.rule) is setting.rule
