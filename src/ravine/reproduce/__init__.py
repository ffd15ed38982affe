"""Experiments that are often shown, made again: do their orderings hold?"""

from ravine.reproduce import cs231n, goyal, kingma
from ravine.reproduce.claims import Claim, Judged, judge
from ravine.reproduce.made import Made, Reproduction, judged
from ravine.reproduce.study import Given, Group, Panel, Setting, Study, Tuned

STUDIES = {
    study.name: study
    for study in (
        kingma.MNIST_SOFTMAX,
        kingma.IMDB,
        kingma.MNIST_MLP,
        kingma.CIFAR10_CNN,
        cs231n.OPTIMIZERS,
        cs231n.SWEPT,
        goyal.LARGE_BATCH,
    )
}

__all__ = [
    "STUDIES",
    "Claim",
    "Given",
    "Group",
    "Judged",
    "Made",
    "Panel",
    "Reproduction",
    "Setting",
    "Study",
    "Tuned",
    "judge",
    "judged",
]
