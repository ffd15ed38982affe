"""Each change changes what it says, and nothing else, and is not offered where there is nothing to."""

from __future__ import annotations

import ast
import math
from collections import OrderedDict
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import ravine
from ravine import chain, metrics, rules
from ravine.diagnostics.doctor.patient import Change, Patient, both
from ravine.diagnostics.finding import KINDS, Finding
from ravine.diagnostics.remedies import changes_for, costs, data, models, settings
from ravine.diagnostics.remedies.catalogue import REMEDIES, USUAL
from ravine.recipes import load
from tests.problems import digits_recipe, mlp, plain

Linear, ReLU = nn.Linear, nn.ReLU


def patient(model=mlp, rule: str = "momentum", **changes) -> Patient:
    return Patient(digits_recipe(model, steps=27, **changes), plain(rule)[rule], 0.1)


def one(remedy, of: Patient | None = None) -> Change:
    """The only change that a remedy offers."""
    (change,) = remedy(of or patient())
    return change


def applied(remedy, of: Patient | None = None) -> Patient:
    of = of or patient()
    return one(remedy, of).apply(of)


def kinds_of(model: nn.Module) -> list[str]:
    return [type(m).__name__ for m in model.modules() if not any(m.children())]


def built(remedy, model) -> nn.Module:
    torch.manual_seed(0)
    return applied(remedy, patient(model)).recipe.model()


def recurrent(kind: type[nn.RNNBase]):
    class Reader(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cell = kind(8, 6, batch_first=True)
            self.head = nn.Linear(6, 10)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.cell(x.view(-1, 8, 8))[0][:, -1])

    return Reader


class Detached(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.detach()


def test_every_kind_has_its_list():
    assert set(REMEDIES) == set(KINDS)


def names(*kinds: str, of: Patient | None = None) -> list[str]:
    findings = [Finding(kind, 0.9, "", "", step) for step, kind in enumerate(kinds)]
    return [change.name for change, _ in changes_for(findings, of or patient())]


def test_changes_are_taken_by_turns_and_once():
    found = names("lr_too_high", "cliff", "not_finite")
    assert found[:3] == ["learning rate / 10", "clip gradients to norm 1", "standardized inputs"]
    assert len(found) == len(set(found))


def test_each_change_knows_the_step_of_its_trouble():
    findings = [Finding("lr_too_high", 0.9, "", "", 40), Finding("cliff", 0.9, "", "", 12)]
    steps = {change.name: step for change, step in changes_for(findings, patient())}
    assert steps["learning rate / 10"] == 40
    assert steps["clip gradients to norm 1"] == 12
    assert steps["learning rate x 10"] == 40  # a usual one


def test_labels_that_are_shuffled_leave_nothing_to_try():
    assert names("shuffled_labels") == []


@pytest.mark.parametrize("model", [mlp, recurrent(nn.RNN), recurrent(nn.LSTM)])
def test_every_line_of_code_is_one(model):
    """All that is offered for a few patients parses as Python."""
    of = patient(lambda: nn.Sequential(model(), Detached(), nn.Softmax(1)))
    remedies = [remedy for of_kind in (*REMEDIES.values(), USUAL) for remedy in of_kind]
    lines = {change.code for remedy in remedies for change in remedy(of)}
    assert len(lines) > 25
    for line in lines:
        ast.parse(line)


def test_two_changes_at_once_are_one_after_the_other():
    first, second = one(settings.rate(10)), one(settings.decay(0.1))
    changed = both(first, second).apply(patient())
    assert (changed.lr, changed.procedure.rule.defaults["weight_decay"]) == (1.0, 0.1)
    assert both(first, second).forks
    assert not both(first, one(settings.begin("he_normal"))).forks
    line = "weight_decay=0.1  # or ravine.chain(ravine.l2(0.1), rule)"
    assert both(first, second).code == f"lr=1\n{line}"


def test_a_rate_is_multiplied_and_typed_as_it_is_trained():
    change = one(settings.rate(1 / 3))
    assert change.apply(patient()).lr == 0.03333
    assert change.code == "lr=0.03333"


@pytest.mark.parametrize(
    ("kind", "lr", "offered"),
    [
        ("lr_too_high", 300.0, True),
        ("lr_too_high", 0.11, True),
        ("lr_too_high", 0.09, False),  # between the factors that are tried
        ("lr_too_high", 1e-9, False),  # the default is higher
        ("lr_too_low", 0.9e-6, True),
        ("lr_too_low", 1.1e-6, False),
        ("lr_too_low", 300.0, False),
    ],
)
def test_a_rate_far_off_is_offered_the_rules_default(kind, lr, offered):
    """SGD's is 0.001; / 3 ... / 100 and x 10 ... x 1000 are tried anyway."""
    of = replace(patient(rule="sgd"), lr=lr)
    made = {change.name: change for change, _ in changes_for([Finding(kind, 0.9, "", "", 0)], of)}
    default = made.get("learning rate 0.001, the default")
    assert (default is not None) == offered
    if default is not None:
        assert default is next(iter(made.values()))
        assert (default.apply(of).lr, default.code) == (0.001, "lr=0.001")


def test_larger_batches_take_as_many_steps():
    problem = load(applied(settings.batch(4)).recipe)
    assert (problem.batch_size, problem.steps) == (128, 27)


def test_no_batch_is_larger_than_the_data():
    examples = len(digits_recipe().train[0])
    assert one(settings.batch(10**6)).code == f"batch_size={examples}"
    assert not settings.batch(2)(patient(batch_size=None))


def test_momentum_is_set_where_there_is_another():
    assert applied(settings.momentum(0.5)).procedure.rule.defaults["momentum"] == 0.5
    assert not settings.momentum(0.5)(patient(rule="adam"))
    assert not settings.momentum(patient().procedure.rule.defaults["momentum"])(patient())


def test_another_optimizer_comes_with_its_own_rate():
    changed = applied(settings.optimizer("adam", 10))
    assert (changed.procedure.rule.name, changed.lr) == ("adam", 0.01)
    assert not settings.optimizer("adam")(patient(rule="adam"))


def test_the_line_for_an_optimizer_makes_it():
    model = mlp()
    made = eval(one(settings.optimizer("adam", 10)).code, {"ravine": ravine, "model": model})
    assert (made.param_groups[0]["lr"], made.param_groups[0]["rule"]) == (0.01, "adam")


def test_the_rule_alone_has_nothing_around_it():
    rule = chain(ravine.clip_norm(1e-9), rules.momentum(momentum=0.5), ravine.decoupled(10.0))
    of = replace(patient(), procedure=replace(patient().procedure, rule=rule))
    assert applied(settings.plain_rule(), of).procedure.rule.defaults == rules.momentum().defaults
    assert not settings.plain_rule()(patient())


def test_clipping_and_decay_wrap_the_rule_once():
    assert "max_norm" in applied(settings.clipping(2.0)).procedure.rule.defaults
    assert not settings.clipping()(applied(settings.clipping(2.0)))
    assert applied(settings.decay(0.1)).procedure.rule.defaults["weight_decay"] == 0.1
    assert not settings.decay(0.1)(applied(settings.decay(0.01)))
    assert not settings.decay(0.1)(patient(penalty=ravine.penalties.l2(1e-4)))


def test_a_schedule_ends_with_the_training():
    rate = applied(settings.schedule("cosine")).procedure.schedules["lr"]
    assert rate(27) == 0
    assert not settings.schedule("constant")(patient())


def torchs(model: nn.Module, **options: float) -> torch.optim.Optimizer:
    return torch.optim.SGD(model.parameters(), **{"lr": 0.1, "momentum": 0.9, **options})


def ravines(model: nn.Module, **options: float) -> torch.optim.Optimizer:
    return ravine.Optimizer(model.parameters(), "momentum", **{"lr": 0.1, **options})


def after_loop(line: str, optimizer_of) -> Tensor:
    """Weights after a plain loop with a line of code in its place: keywords go to the optimizer,
    statements before each of its steps or, if they make something, before the loop."""
    recipe = digits_recipe(dtype=torch.float64)
    x, y = recipe.train[0][:64], recipe.train[1][:64]
    torch.manual_seed(0)
    model = recipe.model()
    known = {"torch": torch, "ravine": ravine, "model": model, "seed": 0}
    known |= {"inputs": x, "targets": y, "cost": F.cross_entropy}
    options = {}
    if line.startswith(("lr=", "momentum=", "weight_decay=")):
        options = eval(f"dict({line}\n)")
    known["optimizer"] = optimizer_of(model, **options)
    each = line.startswith("torch.nn.utils")
    if not options and not each:
        exec(line, known)
    for _ in range(5):
        known["optimizer"].zero_grad()
        F.cross_entropy(model(x), y).backward()
        if each:
            exec(line, known)
        known["optimizer"].step()
    return torch.cat([p.detach().flatten() for p in model.parameters()])


@pytest.mark.parametrize(
    "remedy",
    [
        settings.rate(1 / 10), settings.own_rate(1 / 10), settings.momentum(0.5),
        settings.clipping(0.1), settings.stopping(),
        settings.begin("he_normal"), settings.begin("lsuv"),
    ],
)  # fmt: skip
def test_a_line_works_with_torchs_optimizer_and_with_ravines(remedy):
    """The same way, which is another one than without it, where it is for training."""
    line = one(remedy).code
    ways = [after_loop(line, optimizer_of) for optimizer_of in (torchs, ravines)]
    assert torch.allclose(*ways, rtol=1e-12, atol=1e-14)
    leaves_it = line.startswith(("stopping", "#"))
    assert torch.allclose(ways[0], after_loop("", torchs), rtol=1e-6) == leaves_it


@pytest.mark.parametrize("clip", [False, True])
def test_the_line_for_a_decay_has_a_form_for_each(clip):
    clipping = one(settings.clipping(0.1))
    of = clipping.apply(patient()) if clip else patient()
    keyword, chained = one(settings.decay(0.1), of).code.split("  # or ")

    def of_ravine(model):
        rule = eval(chained, {"ravine": ravine, "rule": rules.momentum()})
        return ravine.Optimizer(model.parameters(), rule, lr=0.1)

    options = eval(f"dict({keyword})")
    before_each = clipping.code if clip else ""
    expected = after_loop(before_each, lambda model: torchs(model, **options))
    assert torch.allclose(after_loop("", of_ravine), expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("optimizer_of", [torchs, ravines])
@pytest.mark.parametrize("name", ["cosine", "linear", "warmup+constant"])
def test_the_line_for_a_schedule_makes_the_rates_that_were_trained(optimizer_of, name):
    change = one(settings.schedule(name))
    optimizer = optimizer_of(mlp())
    known = {"torch": torch, "ravine": ravine, "optimizer": optimizer}
    exec(change.code, known)
    trained = change.apply(patient()).procedure
    for step in range(27):
        rate = trained.scheduled({"lr": 0.1}, step)["lr"]
        assert optimizer.param_groups[0]["lr"] == pytest.approx(rate, rel=1e-12)
        optimizer.step()
        known["scheduler"].step()


def test_a_constant_rate_is_offered_where_it_is_none():
    of = applied(settings.schedule("linear"))
    assert applied(settings.schedule("constant"), of).procedure.schedules["lr"](26) == 1
    assert one(settings.schedule("constant"), of).code == "lr=0.1"


def test_a_start_is_offered_where_it_is_another():
    changed = applied(settings.begin("he_normal"))
    assert changed.procedure.start.name == "he_normal"
    assert not settings.begin("he_normal")(changed)


@pytest.mark.parametrize(
    ("model", "name"),
    [(recurrent(nn.RNN), "orthogonal"), (recurrent(nn.LSTM), "orthogonal+open_gates")],
)
def test_recurrent_layers_start_remembering(model, name):
    assert one(settings.remembering(), patient(model)).name == f"start {name}"
    assert not settings.remembering()(patient())


def shifted(factor: Tensor) -> Patient:
    recipe = digits_recipe(steps=27)
    parts = ("train", "validation", "test")
    pairs = {
        part: (getattr(recipe, part)[0] * factor + 7, getattr(recipe, part)[1]) for part in parts
    }
    return Patient(replace(recipe, **pairs), plain("sgd")["sgd"], 0.1)


@pytest.mark.parametrize("scale", [300.0, 1e-3])
def test_standardized_inputs_have_mean_0_and_deviation_1(scale):
    """A feature 10⁴ times as wide as the others leaves these alone; a constant one stays 0."""
    factor = torch.full((64,), scale)
    factor[20] *= 1e4
    of = shifted(factor)
    changed = load(applied(data.standardized(), of).recipe)
    x, before = changed.train.inputs, of.recipe.train[0]
    varied = digits_recipe().train[0].std(0) > 0.1
    assert varied[20]
    assert torch.allclose(x.mean(0)[varied], torch.zeros(int(varied.sum())), atol=5e-3)
    assert torch.allclose(x.std(0)[varied], torch.ones(int(varied.sum())), rtol=1e-3)
    assert torch.equal(x[:, before.std(0) == 0], torch.zeros_like(x[:, before.std(0) == 0]))
    assert torch.equal(changed.train.targets, of.recipe.train[1])


def test_whitened_inputs_have_no_correlation():
    """Against the definition: covariance 1 in the directions that the inputs vary in."""
    torch.manual_seed(0)
    x = torch.randn(500, 6, dtype=torch.float64) @ torch.randn(6, 6, dtype=torch.float64) + 3
    of = patient(
        train=(x, torch.zeros(500).long()), validation=(x[:9], torch.zeros(9).long()), test=None
    )
    changed = load(applied(data.whitened(), of).recipe)
    made = changed.train.inputs
    assert torch.allclose(torch.cov(made.T), torch.eye(6, dtype=torch.float64), atol=1e-9)
    assert torch.allclose(changed.validation.inputs, made[:9], rtol=1e-12)
    line = one(data.whitened(), of).code
    typed = {"torch": torch, "train_inputs": x, "inputs": x, "mean": x.mean(0)}
    exec(line, typed)
    assert torch.allclose(typed["inputs"], made, rtol=1e-9, atol=1e-9)


def test_inputs_that_are_no_numbers_are_left_alone():
    words = (torch.zeros(9, 4).long(), torch.zeros(9).long())
    for remedy in (data.standardized(), data.whitened()):
        assert not remedy(patient(train=words, validation=words, test=None))


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
    assert not models.no_ending()(patient(mlp))


def test_batch_norms_come_behind_all_layers_but_the_last():
    kinds = kinds_of(built(models.batch_norm(), mlp))
    assert kinds == ["Linear", "BatchNorm1d", "ReLU", "Linear"]


def test_batch_norms_are_mended_or_replaced():
    def odd():
        return nn.Sequential(nn.Linear(64, 8), nn.BatchNorm1d(8, momentum=1e-6), nn.Linear(8, 10))

    assert built(models.usual_batch_norm(), odd)[1].momentum == 0.1
    assert not models.usual_batch_norm()(applied_to(odd, models.usual_batch_norm()))
    assert isinstance(built(models.no_batch_norm(), odd)[1], nn.GroupNorm)
    assert built(models.no_batch_norm(), odd)(torch.randn(1, 64)).shape == (1, 10)


def test_frozen_parameters_are_trained():
    def frozen():
        model = mlp()
        model[0].requires_grad_(False)
        return model

    assert all(p.requires_grad for p in built(models.unfrozen(), frozen).parameters())


def applied_to(model, remedy) -> Patient:
    return applied(remedy, patient(model))


def test_a_softmax_of_one_output_becomes_a_sigmoid():
    def one_output():
        return nn.Sequential(nn.Linear(64, 1), nn.Softmax(1))

    assert kinds_of(built(models.sigmoid_ending(), one_output)) == ["Linear", "Sigmoid"]
    ten = patient(lambda: nn.Sequential(nn.Linear(64, 10), nn.Softmax(1)))
    assert not models.sigmoid_ending()(ten)


def test_linear_layers_in_a_row_get_an_activation_between():
    def row():
        return nn.Sequential(nn.Linear(64, 8), nn.Identity(), nn.Linear(8, 10))

    kinds = kinds_of(built(models.nonlinear(), row))
    assert kinds == ["Linear", "Identity", "ReLU", "Linear"]
    assert not models.nonlinear()(patient(mlp))


@pytest.mark.parametrize("model", [lambda: Linear(64, 10), lambda: nn.Sequential(Linear(64, 10))])
def test_one_linear_layer_gets_a_hidden_one(model):
    assert kinds_of(built(models.hidden_layer(5), model)) == ["Linear", "ReLU", "Linear"]
    assert built(models.hidden_layer(5), model)(torch.randn(3, 64)).shape == (3, 10)
    assert not models.hidden_layer()(patient(mlp))


def test_hidden_layers_are_widened():
    def small():
        return nn.Sequential(
            nn.Unflatten(1, (1, 8, 8)), nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU(),
            nn.Flatten(), nn.Linear(72, 4), nn.ReLU(), nn.Linear(4, 10),
        )  # fmt: skip

    model = built(models.wider(3), small)
    shapes = [tuple(p.shape) for p in model.parameters() if p.ndim > 1]
    assert shapes == [(6, 1, 3, 3), (12, 216), (10, 12)]
    assert model(torch.randn(2, 64)).shape == (2, 10)
    assert not models.wider()(patient(lambda: nn.Linear(64, 10)))


class Residual(nn.Sequential):
    """A sequence with a way of its own through its parts."""

    def forward(self, x: Tensor) -> Tensor:
        x = self[0](x)
        return self[2](x + self[1](x).relu())


def residual() -> nn.Module:
    return Residual(nn.Linear(64, 8), nn.Linear(8, 8), nn.Linear(8, 10))


SEQUENTIAL = [models.batch_norm(), models.wider(2), models.nonlinear()]


@pytest.mark.parametrize("remedy", SEQUENTIAL)
def test_a_sequence_with_a_forward_of_its_own_is_left_alone(remedy):
    """Its parts need not follow each other. A plain one beside it is edited, and it stays what it is."""
    assert not remedy(patient(residual))

    def beside():
        return nn.Sequential(nn.Linear(64, 64), nn.Linear(64, 64), residual())

    before, after = beside(), built(remedy, beside)
    assert type(after[2]) is Residual
    assert [p.shape for p in after[2].parameters()] == [p.shape for p in before[2].parameters()]


class ByName(nn.Module):
    """Uses the parts of a sequence one by one."""

    def __init__(self) -> None:
        super().__init__()
        layers = {"fc1": nn.Linear(64, 8), "fc2": nn.Linear(8, 8), "fc3": nn.Linear(8, 10)}
        self.body = nn.Sequential(OrderedDict(layers))

    def forward(self, x: Tensor) -> Tensor:
        return self.body.fc3(self.body[1](self.body.fc1(x)))


@pytest.mark.parametrize("remedy", SEQUENTIAL)
def test_parts_of_a_sequence_keep_their_names_and_places(remedy):
    """What uses them one by one is the model that the sequence is."""
    model = built(remedy, ByName)
    assert list(dict(model.body.named_children())) == ["fc1", "fc2", "fc3"]
    x = torch.randn(5, 64)
    assert torch.equal(model.eval()(x), model.body(x))


def test_what_is_used_twice_is_changed_at_both_places():
    def shared():
        act = nn.ReLU()
        return nn.Sequential(nn.Linear(64, 8), act, nn.Linear(8, 8), act, nn.Linear(8, 10))

    model = built(models.activation("LeakyReLU"), shared)
    assert isinstance(model[1], nn.LeakyReLU)
    assert model[1] is model[3]


def deep() -> nn.Module:
    return nn.Sequential(
        nn.Unflatten(1, (1, 8, 8)), nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2, momentum=0.01),
        nn.Flatten(), nn.Linear(72, 8), nn.BatchNorm1d(8), nn.Sigmoid(), nn.Linear(8, 10),
    )  # fmt: skip


def in_a_row() -> nn.Module:
    return nn.Sequential(nn.Linear(64, 8), nn.Linear(8, 10))


@pytest.mark.parametrize(
    ("remedy", "model"),
    [
        (models.batch_norm(), in_a_row),
        (models.nonlinear(), in_a_row),
        (models.usual_batch_norm(), deep),
        (models.no_batch_norm(), deep),
        (models.wider(2), deep),
        (models.hidden_layer(), lambda: nn.Sequential(nn.Linear(64, 10, bias=False))),
        (models.long_memory(), recurrent(nn.RNN)),
    ],
)
def test_new_layers_have_the_models_own_format(remedy, model):
    edited = applied(remedy, patient(model, dtype=torch.float64)).recipe.model()
    formats = {t.dtype for t in (*edited.parameters(), *edited.buffers()) if t.is_floating_point()}
    assert formats == {torch.float64}
    assert edited(torch.randn(4, 64, dtype=torch.float64)).shape == (4, 10)


def test_wider_batch_norms_keep_their_settings():
    def bare():
        norm = nn.BatchNorm1d(8, 1e-3, 0.3, affine=False, track_running_stats=False)
        return nn.Sequential(nn.Linear(64, 8), norm, nn.Linear(8, 10))

    norm = built(models.wider(2), bare)[1]
    assert (norm.num_features, norm.eps, norm.momentum) == (16, 1e-3, 0.3)
    assert (norm.affine, norm.track_running_stats) == (False, False)


def test_layers_of_ones_own_are_not_exchanged_for_torchs():
    class Own(nn.Linear):
        pass

    class OwnMemory(nn.RNN):
        pass

    three = patient(lambda: nn.Sequential(nn.Linear(64, 8), Own(8, 8), nn.Linear(8, 10)))
    assert not models.wider()(three)
    assert not models.hidden_layer()(patient(lambda: Own(64, 10)))
    assert not models.long_memory()(patient(recurrent(OwnMemory)))


def test_a_layer_that_is_used_twice_is_not_widened():
    def tied():
        layer = nn.Linear(8, 8)
        return nn.Sequential(nn.Linear(64, 8), layer, nn.ReLU(), layer, nn.Linear(8, 10))

    assert not models.wider()(patient(tied))


def test_dropout_comes_behind_hidden_activations_once():
    assert kinds_of(built(models.dropout(0.5), mlp)) == ["Linear", "ReLU", "Dropout", "Linear"]
    dropped = applied_to(mlp, models.dropout(0.5))
    assert not models.dropout(0.5)(dropped)
    assert kinds_of(applied(models.no_dropout(), dropped).recipe.model())[2] == "Identity"
    assert not models.no_dropout()(patient(mlp))


def test_plain_recurrent_layers_become_lstms():
    model = built(models.long_memory(), recurrent(nn.RNN))
    assert isinstance(model.cell, nn.LSTM)
    assert model(torch.randn(3, 64)).shape == (3, 10)
    assert not models.long_memory()(patient(recurrent(nn.GRU)))


def test_a_softmax_of_nothing_is_no_longer_nan():
    model = built(models.finite_softmax(), lambda: nn.Sequential(Linear(64, 10), nn.Softmax(1)))
    hidden = torch.full((2, 4), -math.inf)
    assert torch.equal(model[1](hidden), torch.full((2, 4), 0.25))


def test_modules_of_ones_own_without_parameters_are_taken_out():
    """Detached, which keeps the shape; Flat changes it, and Scaled has a parameter."""

    class Flat(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.flatten(1)

    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.factor = nn.Parameter(torch.ones(1))

        def forward(self, x: Tensor) -> Tensor:
            return self.factor * x

    def own():
        inner = nn.Sequential(nn.Linear(64, 8), Detached(), Scaled())
        image = nn.Sequential(nn.Unflatten(1, (1, 8, 8)), Flat())
        return nn.Sequential(image, inner, nn.Linear(8, 10))

    change = one(models.taken_out(), patient(own))
    assert change.name == "without Detached"
    torch.manual_seed(0)
    model = change.apply(patient(own)).recipe.model()
    assert kinds_of(model) == ["Unflatten", "Flat", "Linear", "Identity", "Scaled", "Linear"]
    typed = own()
    exec(change.code, {"model": typed, "nn": nn})
    assert kinds_of(typed) == kinds_of(model)


def test_what_drops_all_is_taken_out():
    def dropping(p: float) -> Patient:
        return patient(lambda: nn.Sequential(nn.Linear(64, 10), nn.Dropout(p)))

    assert one(models.taken_out(), dropping(1.0)).name == "without Dropout"
    assert not models.taken_out()(dropping(0.5))


def test_frozen_ones_are_offered_to_be_trained_only_where_there_are_some():
    assert not models.unfrozen()(patient(mlp))


def test_targets_are_shaped_as_the_output():
    def regression() -> nn.Module:
        return nn.Linear(64, 1)

    x = torch.randn(32, 64)
    of = patient(
        regression, cost=F.mse_loss, train=(x, x[:, 0]), validation=(x, x[:, 0]), test=None
    )
    output, target = torch.randn(6, 1), torch.randn(6)
    cost = applied(costs.fitting_targets(), of).recipe.cost
    assert torch.equal(cost(output, target), F.mse_loss(output[:, 0], target))
    assert not costs.fitting_targets()(patient())


def test_classes_get_their_likelihood():
    def numbers(output: Tensor, target: Tensor) -> Tensor:
        return (output - target[:, None]).square().mean()

    output, classes = torch.randn(6, 3), torch.tensor([0, 1, 2, 0, 1, 2])
    cost = applied(costs.cross_entropy(), patient(cost=numbers)).recipe.cost
    expected = F.cross_entropy(output, classes)
    for target in (classes, classes.float(), F.one_hot(classes, 3).float()):
        assert torch.equal(cost(output, target), expected)
    assert not costs.cross_entropy()(patient())  # it is the cost


def test_classes_at_every_place_lie_along_the_last_axis():
    def by_place() -> nn.Module:
        return nn.Sequential(nn.Linear(64, 30), nn.Unflatten(1, (5, 6)))

    x, y = torch.randn(32, 64), torch.randint(5, (32, 5))
    pairs = {"train": (x, y), "validation": (x, y), "test": None}

    def swapped(output: Tensor, target: Tensor) -> Tensor:
        return F.cross_entropy(output[:, :, :5], target)

    of = patient(by_place, cost=swapped, metric=None, **pairs)
    cost = applied(costs.cross_entropy_by_place(), of).recipe.cost
    output, target = torch.randn(4, 5, 6), torch.randint(6, (4, 5))
    expected = torch.stack([F.cross_entropy(output[:, i], target[:, i]) for i in range(5)]).mean()
    assert torch.allclose(cost(output, target), expected, rtol=1e-6)


def test_the_metric_and_the_data_stay():
    for remedy in (models.batch_norm(), settings.clipping(), models.wider()):
        changed = applied(remedy)
        assert changed.recipe.metric is metrics.error_rate
        assert torch.equal(changed.recipe.train[0], patient().recipe.train[0])
