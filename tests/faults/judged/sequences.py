"""Judging faults on sequences: signals, series, symbols, letters, words of film reviews."""

from __future__ import annotations

from functools import partial

from torch import nn

from ravine import chain, clip_norm, initializers, rules
from tests.faults.costs import squared
from tests.faults.form import Case, Setup, case, varied
from tests.faults.judged import costs, data
from tests.faults.judged.models import Bag, Counter, Reader, Scored, WordFilters, Writer, filters
from tests.faults.models import Detached
from tests.faults.starts import recurrent, scaled
from tests.faults.tasks import task

GESTURES = Setup(
    partial(
        task,
        name="gestures",
        data=partial(data.gestures),
        model=partial(Reader, cell=nn.LSTM, inputs=2, hidden=20, outputs=4),
        steps=200,
        batch_size=32,
    ),
    optimizer="adamw",
    lr=1e-2,
)
SIGNALS = varied(
    GESTURES,
    {"data.channels_first": True, "model": partial(filters)},
    optimizer="momentum",
    lr=0.05,
)
PRICES = Setup(
    partial(
        task,
        name="prices",
        data=partial(data.prices),
        model=partial(Reader, cell=nn.GRU, inputs=1, hidden=16, outputs=1),
        steps=200,
        cost=squared,
        metric=squared,
        batch_size=32,
    ),
    optimizer="adam",
    lr=1e-2,
)
ORDER = Setup(
    partial(
        task,
        name="order",
        data=partial(data.order),
        model=partial(Reader, cell=nn.RNN, inputs=6, hidden=24, outputs=4),
        steps=250,
        batch_size=32,
    ),
    optimizer="adam",
    lr=3e-3,
    init=partial(recurrent, radius=1.0),
)
LETTERS = Setup(
    partial(
        task,
        name="letters",
        data=partial(data.letters),
        model=partial(Writer),
        steps=200,
        cost=costs.by_letter,
        metric=costs.by_letter,
        batch_size=32,
    ),
    optimizer="adamw",
    lr=1.2e-2,
)
COUNTED = Setup(
    partial(
        task,
        name="majority",
        data=partial(data.majority),
        model=partial(Counter),
        steps=200,
        batch_size=32,
    ),
    optimizer="nadam",
    lr=5e-3,
)
REVIEWS = Setup(
    partial(
        task,
        name="reviews",
        data=partial(data.reviews),
        model=partial(Bag),
        steps=200,
        batch_size=32,
    ),
    optimizer="adam",
    lr=1e-2,
)
FILTERED = varied(REVIEWS, {"model": partial(WordFilters), "data.words": 60}, lr=1e-2)

CASES: tuple[Case, ...] = (
    # through time
    case(
        "order-forgotten",
        "vanishing_gradients",
        varied(ORDER, {"data.gap": 16}, lr=5e-4),
        "init",
        partial(recurrent, radius=0.05),
    ),
    case(
        "order-radius-4",
        "exploding_gradients saturated_units bad_scale_at_start",
        ORDER,
        "init",
        partial(recurrent, radius=4.0),
    ),
    case(
        "prices-spikes-unclipped",
        "cliff",
        varied(
            PRICES,
            {"data.spikes": 0.01},
            optimizer=chain(clip_norm(0.5), rules.momentum()),
            lr=0.05,
        ),
        "optimizer",
        "momentum",
    ),
    case(
        "gestures-weights-x12",
        "saturated_units bad_scale_at_start",
        GESTURES,
        "init",
        partial(scaled, factor=12.0),
    ),
    case(
        "gestures-constant-start", "symmetric_start", GESTURES, "init", initializers.constant(0.1)
    ),
    case(
        "signals-constant-start",
        "symmetric_start",
        varied(SIGNALS, {"model.activation": nn.Tanh}),
        "init",
        initializers.constant(0.05),
    ),
    case(
        "signals-deep-sigmoids",
        "vanishing_gradients",
        varied(SIGNALS, {"model.channels": (2, 16, 16, 16, 16)}, optimizer="adam", lr=5e-3),
        "model.activation",
        nn.Sigmoid,
    ),
    # rates
    case("gestures-rate-x100", "lr_too_high", GESTURES, "lr", 1.0),
    case("letters-rate-x50", "lr_too_high", LETTERS, "lr", 0.6),
    case("reviews-rate-x300", "lr_too_high", REVIEWS, "lr", 3.0),
    case("prices-rate-/1000", "lr_too_low", PRICES, "lr", 1e-5),
    case("reviews-rate-/500", "lr_too_low", REVIEWS, "lr", 2e-5),
    case("letters-rate-/300", "lr_too_low", LETTERS, "lr", 4e-5),
    case(
        "signals-momentum-0.999",
        "oscillating_loss lr_too_high",
        SIGNALS,
        "optimizer",
        rules.momentum(momentum=0.999),
    ),
    case(
        "reviews-batch-of-one",
        "noisy_gradient lr_too_high",
        varied(REVIEWS, {"batch_size": 50}),
        "batch_size",
        1,
    ),
    case("signals-batch-of-one", "noisy_gradient lr_too_high", SIGNALS, "batch_size", 1),
    # fit
    case(
        "reviews-by-heart",
        "overfitting",
        varied(REVIEWS, {"metric": None, "steps": 200}, lr=4e-3),
        "data.examples",
        60,
    ),
    case("letters-width-4", "underfitting", LETTERS, "model.width", 4),
    case(
        "gestures-one-unit",
        "underfitting",
        varied(GESTURES, {"model.cell": nn.GRU}),
        "model.hidden",
        1,
    ),
    # data
    case("prices-in-dollars", "unscaled_inputs saturated_units", PRICES, "data.level", 400.0),
    case("gestures-x1000", "unscaled_inputs saturated_units", GESTURES, "data.scale", 1000.0),
    case("reviews-permuted", "shuffled_labels", REVIEWS, "data.shuffled", True),
    case("prices-permuted", "shuffled_labels", PRICES, "data.shuffled", True),
    case("letters-of-others", "shuffled_labels", LETTERS, "data.shuffled", True),
    # outputs and costs
    case(
        "letters-softmax-twice", "wrong_output", LETTERS, "model.output", partial(nn.Softmax, dim=2)
    ),
    case("prices-relu-output", "wrong_output", PRICES, "model.output", nn.ReLU),
    case(
        "reviews-nll-of-scores",
        "cost_target_mismatch wrong_output",
        REVIEWS,
        "cost",
        costs.likelihood,
    ),
    case(
        "order-first-state",
        "constant_output",
        varied(ORDER, {"model.cell": nn.GRU}, init="as_built", lr=1e-2),
        "model.at",
        0,
    ),
    case("reviews-one-word", "constant_output", REVIEWS, "model.modulus", 1),
    # parts that do not learn
    case("reviews-vectors-frozen", "frozen_parameters", REVIEWS, "model.frozen", True),
    case("gestures-detached", "frozen_parameters", GESTURES, "model.middle", Detached),
    # normalization
    case(
        "signals-norms-stale",
        "batch_norm_misuse",
        varied(
            SIGNALS,
            {
                "model.norm": partial(nn.BatchNorm1d, momentum=0.1),
                "model.channels": (2, 16, 16, 16),
                "data.offset": 1.0,
            },
        ),
        "model.norm.momentum",
        1e-4,
    ),
    case(
        "gestures-norms-of-two",
        "batch_norm_misuse noisy_gradient",
        varied(GESTURES, {"model.norm": nn.BatchNorm1d}),
        "batch_size",
        2,
    ),
    # numbers that are none
    case("letters-see-nothing", "not_finite", LETTERS, "model.mask", 0),
    case(
        "reviews-empty-normalized",
        "not_finite",
        varied(REVIEWS, {"data.empty": 4, "model.norm": partial(Scored, eps=1e-5)}),
        "model.norm.eps",
        0.0,
    ),
)
