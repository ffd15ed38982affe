"""Experiments that are often shown, and the orderings that their figures show."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from ravine.recipes import Recipe, load
from ravine.recipes.images import Folder, cifar10_cnn, mnist_mlp, mnist_softmax
from ravine.recipes.language import imdb_bow
from ravine.reproduce.claims import Claim

KINGMA = "Kingma & Ba 2015, Adam: a method for stochastic optimization"

DECAY = "The learning rate falls as 1/√t, as in the paper, to a tenth at the end."

LOOKED_AT = 2000
"""Training examples that the cost is evaluated on."""


@dataclass(frozen=True)
class Study:
    """An experiment.

    Attributes:
        name: what to type.
        source: paper and figure.
        recipe: data and model, from the folder of data sets.
        optimizers: names.
        claims: what the figure shows.
        scale: share of the training examples that fits a laptop's CPU.
        schedule: of the learning rate, for all of them.
        differs: how ravine's experiment differs from the original at any scale.
    """

    name: str
    source: str
    recipe: Callable[[Folder], Recipe]
    optimizers: tuple[str, ...]
    claims: tuple[Claim, ...]
    scale: float
    schedule: str = "constant"
    differs: str = ""

    def at(self, scale: float, data: Folder) -> Recipe:
        """The recipe with a share of its training examples; evaluated by the training cost, as the
        figures are.

        Args:
            scale: share of the training examples, of which there are at least a minibatch.
            data: where data sets lie.
        """
        recipe = self.recipe(data)
        train = load(recipe).at_hand
        count = max(recipe.batch_size or 1, round(scale * len(train)))
        inputs, targets = train.inputs[:count], train.targets[:count]
        return replace(
            recipe,
            name=self.name,
            metric=None,
            train=(inputs, targets),
            validation=(inputs[:LOOKED_AT], targets[:LOOKED_AT]),
            test=None,
        )

    def differences(self, scale: float) -> list[str]:
        """How it differs from the original, in sentences."""
        said = [
            "Each optimizer has its own best learning rate of nine or more, chosen on two seeds, and "
            "what is shown comes from fresh seeds.",
            f"The cost is that of {LOOKED_AT:,} training examples, evaluated without dropout.",
            self.differs,
        ]
        if scale < 1:
            said.insert(0, f"{scale:.0%} of the training examples were used, for as many epochs.")
        return [sentence for sentence in said if sentence]


STUDIES = {
    study.name: study
    for study in (
        Study(
            name="adam-mnist-softmax",
            source=f"{KINGMA}, figure 1 (left)",
            recipe=mnist_softmax,
            optimizers=("adagrad", "nesterov", "adam"),
            claims=(
                Claim("adam", "even", "nesterov"),
                Claim("adam", "ahead", "adagrad"),
                Claim("nesterov", "ahead", "adagrad"),
            ),
            scale=0.1,
            schedule="inverse_sqrt",
            differs=DECAY,
        ),
        Study(
            name="adam-imdb",
            source=f"{KINGMA}, figure 1 (right)",
            recipe=imdb_bow,
            optimizers=("adagrad", "rmsprop", "nesterov", "adam"),
            claims=(
                Claim("adam", "even", "adagrad"),
                Claim("adam", "ahead", "nesterov"),
                Claim("adagrad", "ahead", "nesterov"),
            ),
            scale=0.1,
            schedule="inverse_sqrt",
            differs=DECAY,
        ),
        Study(
            name="adam-mnist-mlp",
            source=f"{KINGMA}, figure 2 (a)",
            recipe=mnist_mlp,
            optimizers=("adagrad", "rmsprop", "nesterov", "adadelta", "adam"),
            claims=tuple(
                Claim("adam", "ahead", other)
                for other in ("adagrad", "rmsprop", "nesterov", "adadelta")
            ),
            scale=0.02,
        ),
        Study(
            name="adam-cifar10-cnn",
            source=f"{KINGMA}, figure 3",
            recipe=cifar10_cnn,
            optimizers=("adagrad", "nesterov", "adam"),
            claims=(
                Claim("adam", "ahead", "nesterov", share=3 / 45),
                Claim("adagrad", "ahead", "nesterov", share=3 / 45),
                Claim("adam", "even", "nesterov"),
                Claim("adam", "ahead", "adagrad"),
                Claim("nesterov", "ahead", "adagrad"),
            ),
            scale=0.01,
        ),
    )
}
