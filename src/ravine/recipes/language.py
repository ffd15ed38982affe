"""Language: film reviews as bags of words, and characters that follow each other."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ravine import datasets, metrics
from ravine.datasets.reviews import NONE, VOCABULARY
from ravine.datasets.text import encoded
from ravine.recipes.images import Folder
from ravine.recipes.recipe import Recipe


class BagOfWords(nn.Module):
    """A linear layer of a sparse binary row, given as the numbers of its ones.

    Dropout leaves each word out by itself, and scales the others up.

    Args:
        words: inputs of the linear layer, numbered from 1 on.
        classes: its outputs.
        dropout: share of words left out in training.
    """

    def __init__(self, words: int, classes: int, dropout: float):
        super().__init__()
        self.linear = nn.Linear(words, classes)
        self.dropout = nn.Dropout(dropout)

    def forward(self, numbers: Tensor) -> Tensor:
        """Scores [n, classes] of words [n, longest], filled up with 0: for each class the sum of the
        weights that they name, and the bias.

        Class by class, since gradients of gathered numbers add up four times as fast as those of
        gathered rows (on a CPU).
        """
        there = self.dropout((numbers != NONE).to(self.linear.weight.dtype))
        places = (numbers.long() - 1).clamp(min=0)
        sums = [(there * weights[places]).sum(1) for weights in self.linear.weight]
        scores: Tensor = torch.stack(sums, dim=1) + self.linear.bias
        return scores


def imdb_bow(data: Folder = None) -> Recipe:
    """IMDB reviews, logistic regression on 10,000 words with 50% dropout on the features: convex."""
    parts = datasets.imdb(data)
    return Recipe(
        name="imdb-bow",
        model=lambda: BagOfWords(VOCABULARY, 2, 0.5),
        cost=F.cross_entropy,
        metric=metrics.error_rate,
        train=parts.train,
        validation=parts.validation,
        test=parts.test,
        batch_size=128,
        epochs=10,
    )


class NextCharacter(nn.Module):
    """Embedding, one GRU layer, and scores of the character that follows.

    Args:
        characters: how many there are.
        width: of the embedding and of the state.
    """

    def __init__(self, characters: int, width: int):
        super().__init__()
        self.embedding = nn.Embedding(characters, width)
        self.memory = nn.GRU(width, width, batch_first=True)
        self.scores = nn.Linear(width, characters)

    def forward(self, text: Tensor) -> Tensor:
        """Scores [n, characters, length] of text, int64 [n, length]."""
        states, _ = self.memory(self.embedding(text))
        scores: Tensor = self.scores(states).transpose(1, 2)
        return scores


def char_rnn() -> Recipe:
    """Python's help texts, a GRU of 64 units that reads characters; the cost is in nats a character."""
    parts = datasets.topics()
    _, known = encoded()
    return Recipe(
        name="char-rnn",
        model=lambda: NextCharacter(len(known) + 1, 64),
        cost=F.cross_entropy,
        train=parts.train,
        validation=parts.validation,
        test=parts.test,
        batch_size=32,
        epochs=10,
    )
