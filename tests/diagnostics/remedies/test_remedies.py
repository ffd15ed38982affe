"""Each change changes what it says, and nothing else."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from ravine import metrics
from ravine.diagnostics.finding import KINDS, Finding
from ravine.diagnostics.patient import Patient
from ravine.diagnostics.remedies import changes_for, data, models, settings
from ravine.diagnostics.remedies.catalogue import MOST, REMEDIES
from ravine.recipes import load
from tests.problems import digits_recipe, mlp, plain


def patient(model=mlp, rule: str = "momentum", **changes) -> Patient:
    return Patient(digits_recipe(model, steps=27, **changes), plain(rule)[rule], 0.1)


def kinds_of(model: nn.Module) -> list[str]:
    return [type(m).__name__ for m in model.modules() if not any(m.children())]


def built(change, model) -> nn.Module:
    torch.manual_seed(0)
    return change.apply(patient(model)).recipe.model()


def test_every_kind_has_its_list():
    assert set(REMEDIES) == set(KINDS)


def test_changes_are_taken_by_turns_and_once():
    findings = [Finding(kind, 0.9, "", "", 0) for kind in ("lr_too_high", "cliff", "not_finite")]
    names = [change.name for change in changes_for(findings)]
    assert names[:2] == ["learning rate / 3", "clip gradients to norm 1"]
    assert len(names) == len(set(names)) <= MOST


def test_a_rate_is_multiplied():
    assert settings.rate(1 / 3).apply(patient()).lr == pytest.approx(0.1 / 3)
    assert settings.rate(1 / 3).code == "lr = lr / 3"
    assert settings.rate(100).code == "lr = lr * 100"


def test_larger_batches_take_as_many_steps():
    changed = settings.batch(4).apply(patient())
    problem = load(changed.recipe)
    assert (problem.batch_size, problem.steps) == (128, 27)


def test_momentum_is_set_where_there_is_one():
    assert settings.momentum(0.5).apply(patient()).procedure.rule.defaults["momentum"] == 0.5
    adam = patient(rule="adam")
    assert settings.momentum(0.5).apply(adam) == adam


def test_another_optimizer_comes_with_its_own_rate():
    changed = settings.optimizer("adam").apply(patient())
    assert (changed.procedure.rule.name, changed.lr) == ("adam", 1e-3)


def test_clipping_and_decay_wrap_the_rule():
    assert "max_norm" in settings.clipping(2.0).apply(patient()).procedure.rule.defaults
    assert settings.decay(0.1).apply(patient()).procedure.rule.defaults["weight_decay"] == 0.1


def test_a_schedule_ends_with_the_training():
    rate = settings.schedule("cosine").apply(patient()).procedure.schedules["lr"]
    assert rate(27) == 0


def test_standardized_inputs_have_mean_0_and_deviation_1():
    recipe = digits_recipe(steps=27)
    shifted = tuple(
        (pair[0] * 300 + 7, pair[1]) for pair in (recipe.train, recipe.validation, recipe.test)
    )
    one = replace(recipe, train=shifted[0], validation=shifted[1], test=shifted[2])
    changed = load(data.standardized().apply(Patient(one, plain("sgd")["sgd"], 0.1)).recipe)
    x = changed.train.inputs
    varied = shifted[0][0].std(0) > 1
    assert torch.allclose(x.mean(0)[varied], torch.zeros(int(varied.sum())), atol=1e-4)
    assert torch.allclose(x.std(0)[varied], torch.ones(int(varied.sum())), atol=1e-4)
    assert changed.validation.inputs.abs().max() < 1e4
    assert torch.equal(changed.train.targets, shifted[0][1])


def test_activations_are_swapped_but_not_the_last():
    def squashing():
        return nn.Sequential(
            nn.Linear(64, 8), nn.Tanh(), nn.Linear(8, 8), nn.Sigmoid(), nn.Linear(8, 10), nn.Sigmoid()
        )  # fmt: skip

    kinds = kinds_of(built(models.activation("ReLU"), squashing))
    assert kinds == ["Linear", "ReLU", "Linear", "ReLU", "Linear", "Sigmoid"]
    assert kinds_of(built(models.activation("LeakyReLU"), mlp)) == ["Linear", "LeakyReLU", "Linear"]


def test_the_last_activation_is_taken_away():
    def softmaxed():
        return nn.Sequential(mlp(), nn.Softmax(-1))

    torch.manual_seed(0)
    plain_model = mlp()
    changed = built(models.no_ending(), softmaxed)
    x = torch.randn(5, 64)
    assert torch.equal(changed(x), plain_model(x))
    assert kinds_of(built(models.no_ending(), mlp)) == ["Linear", "ReLU", "Linear"]


def test_batch_norms_come_behind_all_layers_but_the_last():
    kinds = kinds_of(built(models.batch_norm(), mlp))
    assert kinds == ["Linear", "BatchNorm1d", "ReLU", "Linear"]


def test_batch_norms_are_mended_or_replaced():
    def odd():
        return nn.Sequential(nn.Linear(64, 8), nn.BatchNorm1d(8, momentum=1e-6), nn.Linear(8, 10))

    assert built(models.usual_batch_norm(), odd)[1].momentum == 0.1
    assert isinstance(built(models.no_batch_norm(), odd)[1], nn.GroupNorm)
    assert built(models.no_batch_norm(), odd)(torch.randn(1, 64)).shape == (1, 10)


def test_frozen_parameters_are_trained():
    def frozen():
        model = mlp()
        model[0].requires_grad_(False)
        return model

    assert all(p.requires_grad for p in built(models.unfrozen(), frozen).parameters())


def test_targets_are_shaped_as_the_output():
    output, target = torch.randn(6, 1), torch.randn(6)
    cost = models.fitting_targets().apply(patient(cost=F.mse_loss)).recipe.cost
    assert torch.equal(cost(output, target), F.mse_loss(output[:, 0], target))


def test_classes_get_their_likelihood():
    output, classes = torch.randn(6, 3), torch.tensor([0, 1, 2, 0, 1, 2])
    cost = models.cross_entropy().apply(patient(cost=F.mse_loss)).recipe.cost
    expected = F.cross_entropy(output, classes)
    for target in (classes, classes.float(), F.one_hot(classes, 3).float()):
        assert torch.equal(cost(output, target), expected)


def test_the_metric_and_the_data_stay():
    for change in (models.batch_norm(), settings.clipping(), models.cross_entropy()):
        changed = change.apply(patient())
        assert changed.recipe.metric is metrics.error_rate
        assert changed.recipe.train is patient().recipe.train or torch.equal(
            changed.recipe.train[0], patient().recipe.train[0]
        )
