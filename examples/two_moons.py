"""A recipe of your own: two moons, a small network, every part in plain sight.

ravine compare examples/two_moons.py --optimizers sgd,rmsprop,adam
"""

import torch
import torch.nn.functional as F
from sklearn.datasets import make_moons
from torch import nn

import ravine


def moons(examples: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    points, labels = make_moons(examples, noise=0.25, random_state=seed)
    return torch.tensor(points, dtype=torch.float32), torch.tensor(labels)


def recipe() -> ravine.Recipe:
    return ravine.Recipe(
        name="two-moons",
        model=lambda: nn.Sequential(nn.Linear(2, 32), nn.Tanh(), nn.Linear(32, 2)),
        cost=F.cross_entropy,  # what is minimized
        metric=ravine.metrics.error_rate,  # what you care about
        train=moons(500, seed=0),
        validation=moons(1000, seed=1),
        test=moons(1000, seed=2),
        batch_size=20,
        epochs=20,
    )
