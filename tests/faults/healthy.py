"""Healthy runs that are no case's twin: other optimizers, depths, tasks, noise, lengths."""

from __future__ import annotations

from functools import partial
from typing import Any

from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits

from ravine import chain, clip_norm, decoupled, l2, rules
from tests.faults import costs, data
from tests.faults.form import Setup, varied
from tests.faults.models import Recurrent, mlp, residual_mlp
from tests.faults.tasks import CNN, CURVE, LINEAR, MEMORY, MLP, ROWS, TAGS, TANH, WAVES


def run(name: str, setup: Setup, changes: dict[str, Any] | None = None, **fields: Any) -> Setup:
    """A named setup; `changes` are to the recipe, the rest to fields of Setup."""
    return varied(setup, changes, name=name, **fields)


DEEP_RELU = (64, *[48] * 5, 10)
PARITY = {
    "data": partial(data.digit_parity),
    "model": partial(mlp, sizes=(64, 48, 1)),
    "cost": binary_cross_entropy_with_logits,
    "metric": costs.sign_error,
}
RINGS = {
    **PARITY,
    "data": partial(data.rings),
    "model": partial(mlp, sizes=(2, 32, 32, 1), activation=nn.ELU),
}
AUTOENCODER = {
    "data": partial(data.images_alone),
    "model": partial(mlp, sizes=(64, 32, 64)),
    "cost": costs.squared,
    "metric": costs.squared,
}
SMALL_CURVE = {"data.examples": 60, "data.noise": 0.0, "steps": 600}

HEALTHY: tuple[Setup, ...] = (
    # optimizers
    run("softmax-regression", MLP, {"model.sizes": (64, 10)}),
    run("nesterov", MLP, optimizer="nesterov", lr=0.02),
    run("adagrad", MLP, optimizer="adagrad", lr=0.03),
    run("rmsprop", MLP, optimizer="rmsprop", lr=2e-3),
    run("adadelta", MLP, {"steps": 300}, optimizer="adadelta", lr=1.0),
    run("adamw", MLP, optimizer="adamw", lr=3e-3),
    run("nadam", CNN, optimizer="nadam", lr=3e-3),
    run("lion", MLP, optimizer="lion", lr=1e-3),
    run("muon", MLP, {"model.sizes": (64, 64, 64, 10)}, optimizer="muon", lr=1e-2),
    run("lamb", MLP, optimizer="lamb", lr=0.01),
    run("schedule-free", MLP, optimizer="schedule_free_sgd", lr=0.5),
    run("full-batch", MLP, {"batch_size": None, "steps": 150}, optimizer="momentum", lr=0.1),
    # depths, widths, activations
    run("deep-relu", MLP, {"model.sizes": DEEP_RELU}, init="he_normal", lr=0.1),
    run(
        "ten-layers-normed",
        MLP,
        {"model.sizes": (64, *[32] * 9, 10), "model.batch_norm": 0.1, "steps": 300},
        optimizer="momentum",
        lr=0.03,
    ),
    run(
        "residual", MLP, {"model": partial(residual_mlp, 64, 32, 4, 10)}, optimizer="adam", lr=2e-3
    ),
    run("wide", MLP, {"model.sizes": (64, 512, 10)}, lr=0.1),
    run("one-sigmoid-layer", MLP, {"model.activation": nn.Sigmoid}, optimizer="adam", lr=0.01),
    run(
        "silu",
        MLP,
        {"model.activation": nn.SiLU, "model.sizes": (64, 64, 64, 10)},
        optimizer="adam",
        lr=3e-3,
    ),
    run("leaky-relu", TANH, {"model.activation": nn.LeakyReLU}),
    run("five-tanh-layers", TANH, {"model.sizes": (64, *[64] * 5, 10)}, lr=0.1),
    # noise of labels and of gradients
    run("labels-10%-noise", MLP, {"data.noise": 0.1}, optimizer="adam", lr=2e-3),
    run("labels-20%-noise", CNN, {"data.noise": 0.2}, lr=2e-3),
    run("labels-30%-noise", MLP, {"data.noise": 0.3, "steps": 120}),
    run("batch-of-4", MLP, {"batch_size": 4, "steps": 600}, lr=0.02),
    run("batch-of-2", MLP, {"batch_size": 2, "steps": 600}, optimizer="adam", lr=1e-3),
    run("noisy-curve", CURVE, {"data.noise": 0.3}, lr=3e-3),
    # normalization and regularization
    run("batch-norm", MLP, {"model.batch_norm": 0.1}),
    run("cnn-batch-norm", CNN, {"model.batch_norm": 0.1}, optimizer="momentum", lr=0.03),
    run(
        "dropout",
        MLP,
        {"model.dropout": 0.3, "model.sizes": (64, 128, 10)},
        optimizer="adam",
        lr=3e-3,
    ),
    run("weight-decay", MLP, optimizer=chain(rules.adam(), decoupled(0.1)), lr=3e-3),
    run("l2", MLP, optimizer=chain(l2(1e-3), rules.momentum()), lr=0.03),
    # lengths and schedules
    run("long-and-slow", MLP, {"steps": 1200}, lr=0.03),
    run("cosine", MLP, lr=0.3, schedule="cosine"),
    run("one-cycle", CNN, optimizer="momentum", lr=0.05, schedule="one_cycle"),
    run("warmup-and-decay", ROWS, schedule="warmup+linear", lr=5e-3),
    run(
        "steps-down",
        TANH,
        schedule="step",
        lr=0.3,
    ),
    run("shuffled-once", MLP, optimizer="adam", lr=3e-3, batches="shuffled_once"),
    # tasks
    run("linear-regression", LINEAR),
    run("mild-condition", LINEAR, {"data.condition": 10.0, "steps": 300}),
    run("small-curve-by-heart", CURVE, SMALL_CURVE),
    run("curve-relu", CURVE, {"model.activation": nn.ReLU}, lr=5e-3),
    run("parity", MLP, PARITY, optimizer="adam", lr=5e-3),
    run("rings", MLP, RINGS, optimizer="adam", lr=0.01),
    run(
        "moons",
        MLP,
        {"data": partial(data.moons), "model": partial(mlp, sizes=(2, 32, 32, 2))},
        optimizer="adam",
        lr=0.01,
    ),
    run("autoencoder", MLP, {**AUTOENCODER, "steps": 300}, optimizer="adam", lr=5e-3),
    run("lstm-waves", WAVES, {"model.hidden": 32}, lr=5e-3),
    run("gru-clipped", MEMORY, {"data.length": 8}, optimizer=chain(clip_norm(1.0), rules.adam())),
    run(
        "elman-waves",
        WAVES,
        {"model": partial(Recurrent, cell=nn.RNN, inputs=1, hidden=24, outputs=1)},
        lr=5e-3,
    ),
    run("transformer-rows", ROWS, {"model.blocks": 1}, lr=3e-3),
    run("transformer-tags", TAGS, {"data.length": 6, "model.length": 6}, lr=3e-3),
)
