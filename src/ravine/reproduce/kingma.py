"""Kingma & Ba 2015, "Adam: a method for stochastic optimization", section 6."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from ravine.recipes import Recipe
from ravine.recipes.images import (
    Folder,
    cifar10_cnn,
    cifar10_network,
    mnist_mlp,
    mnist_mlp_l2,
    mnist_network,
    mnist_softmax,
)
from ravine.recipes.language import imdb_bow
from ravine.reproduce.claims import Claim, ahead
from ravine.reproduce.study import LOOKED_AT, Panel, Study, Tuned, share_of

SOURCE = "Kingma & Ba 2015, Adam: a method for stochastic optimization"

OWN_RATES = (
    "Each optimizer has its own best learning rate of nine or more, chosen on two seeds; what is "
    "shown comes from fresh seeds."
)

LOOKED = (
    f"that of {LOOKED_AT:,} training examples, or all if there are fewer, evaluated without dropout"
)

DIFFERS = (OWN_RATES, f"The cost is {LOOKED}.")

DECAY = "The learning rate falls as 1/√t, as in the paper, to a tenth at the end."

EXAMPLES = "of the training examples were used, for as many epochs"


def examples(scale: float) -> str:
    """What is smaller where only the data are."""
    return f"{100 * scale:.3g}% {EXAMPLES}."


def narrower(scale: float) -> str:
    """What is smaller where the network is, too."""
    return (
        f"{100 * scale:.3g}% {EXAMPLES}; the network has {math.sqrt(scale):.0%} of its width, so that "
        "its weights are as many for an example as they were."
    )


def narrow(width: int, scale: float) -> int:
    """Units such that weights between layers are a share of what they were."""
    return max(2, round(math.sqrt(scale) * width))


def plain(recipe: Callable[[Folder], Recipe]) -> Callable[[Folder, float], Recipe]:
    """A share of a recipe's examples."""
    return lambda data, scale: share_of(recipe(data), scale)


def narrow_mlp(
    recipe: Callable[[Folder], Recipe], dropout: float
) -> Callable[[Folder, float], Recipe]:
    """The multilayer network, its width by the scale."""

    def at(data: Folder, scale: float) -> Recipe:
        model = partial(mnist_network, dropout, narrow(1000, scale))
        return replace(share_of(recipe(data), scale), model=model)

    return at


PER_EPOCH = 8
"""Minibatches in an epoch of the convolutional experiment at least, be they smaller than 128."""


def narrow_cnn(data: Folder, scale: float) -> Recipe:
    """The convolutional network, its channels by the scale."""
    recipe = share_of(cifar10_cnn(data), scale)
    return replace(
        recipe,
        model=partial(cifar10_network, narrow(64, scale), narrow(1000, scale)),
        batch_size=min(128, max(1, len(recipe.train[0]) // PER_EPOCH)),
    )


RIVALS = ("adagrad", "rmsprop", "nesterov", "adadelta")

MNIST_SOFTMAX = Study(
    name="adam-mnist-softmax",
    source=SOURCE,
    panels=(
        Panel(
            name="mnist",
            title="MNIST, softmax regression",
            source="figure 1 (left)",
            expected="Adam and SGD with Nesterov momentum converge alike, both faster than AdaGrad.",
            training=Tuned(
                plain(mnist_softmax), ("adagrad", "nesterov", "adam"), schedule="inverse_sqrt"
            ),
            claims=(
                Claim("adam", "even", "nesterov"),
                *ahead("adam", "adagrad"),
                *ahead("nesterov", "adagrad"),
            ),
        ),
    ),
    scale=0.3,
    scaled=examples,
    differs=(*DIFFERS, DECAY),
)

IMDB = Study(
    name="adam-imdb",
    source=SOURCE,
    panels=(
        Panel(
            name="imdb",
            title="IMDB reviews, logistic regression on bags of words with dropout",
            source="figure 1 (right)",
            expected="Adam and AdaGrad converge alike, both far ahead of SGD with Nesterov momentum.",
            training=Tuned(
                plain(imdb_bow),
                ("adagrad", "rmsprop", "nesterov", "adam"),
                schedule="inverse_sqrt",
            ),
            claims=(
                Claim("adam", "even", "adagrad"),
                *ahead("adam", "nesterov"),
                *ahead("adagrad", "nesterov"),
            ),
        ),
    ),
    scale=0.5,
    scaled=examples,
    differs=(*DIFFERS, DECAY),
)

MNIST_MLP = Study(
    name="adam-mnist-mlp",
    source=SOURCE,
    panels=(
        Panel(
            name="dropout",
            title="MNIST, a multilayer network with dropout",
            source="figure 2 (a)",
            expected="Adam converges better than AdaGrad, RMSProp, SGD with Nesterov momentum and "
            "AdaDelta.",
            training=Tuned(narrow_mlp(mnist_mlp, 0.5), (*RIVALS, "adam")),
            claims=ahead("adam", *RIVALS),
            log=True,
        ),
        Panel(
            name="l2",
            title="MNIST, the multilayer network with a deterministic cost and L2",
            source="figure 2 (b)",
            expected="Adam converges faster than its rival, there the quasi-Newton method SFO.",
            training=Tuned(narrow_mlp(mnist_mlp_l2, 0.0), (*RIVALS, "adam")),
            claims=ahead("adam", *RIVALS),
            quantity="cost",
            log=True,
        ),
    ),
    scale=0.06,
    scaled=narrower,
    differs=(
        OWN_RATES,
        f"In figure 2 (a) the cost is {LOOKED}. In (b) learning rates are chosen by that cost, without "
        "the L2 penalty; what is drawn and judged is another one, the mean cost of the minibatches "
        "since the evaluation before, with the penalty.",
        "Figure 2 (b) has SFO in the place of the first-order methods, of which ravine has no SFO: "
        "Adam is compared with the rivals of (a). The paper gives no strength of L2; it is 1e-4 "
        "here.",
    ),
)

CIFAR10_CNN = Study(
    name="adam-cifar10-cnn",
    source=SOURCE,
    panels=(
        Panel(
            name="cifar10",
            title="CIFAR-10, c64-c64-c128-1000",
            source="figure 3",
            expected="In the first three of 45 epochs Adam and AdaGrad are ahead of SGD with Nesterov "
            "momentum; at the end Adam and Nesterov are alike, and far ahead of AdaGrad.",
            training=Tuned(narrow_cnn, ("adagrad", "nesterov", "adam")),
            claims=(
                *ahead("adam", "nesterov", share=3 / 45),
                *ahead("adagrad", "nesterov", share=3 / 45),
                Claim("adam", "even", "nesterov"),
                *ahead("adam", "adagrad"),
                *ahead("nesterov", "adagrad"),
            ),
            log=True,
        ),
    ),
    scale=0.02,
    scaled=lambda scale: (
        f"{narrower(scale)} Minibatches have 128 examples, or fewer where an epoch would have "
        f"less than {PER_EPOCH}."
    ),
    differs=(*DIFFERS, "The figure shows 45 epochs as the original's right half does."),
)
