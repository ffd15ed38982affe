"""Examples read while training, and streams: both lanes, against examples held in memory."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch.utils.data import Dataset, IterableDataset, TensorDataset

from ravine import batches, recipes
from ravine.errors import RecipeError, SettingError
from ravine.training.choose import choose
from ravine.training.lane import Lane, Member
from ravine.training.population import PopulationLane
from ravine.training.records import Trial
from ravine.training.serial import SerialLane
from tests.problems import digits_recipe, plain

TRIALS = [Trial("momentum", {"lr": 0.05, "momentum": 0.9}, seed) for seed in (0, 1)]


class Counting(Dataset):
    """Pairs that are counted as they are read."""

    def __init__(self, inputs, targets):
        self.pairs, self.read = (inputs, targets), 0

    def __len__(self) -> int:
        return len(self.pairs[0])

    def __getitem__(self, index):
        self.read += 1
        return self.pairs[0][index], self.pairs[1][index]


class Flowing(IterableDataset):
    """The pairs over and over."""

    def __init__(self, inputs, targets, rounds=100):
        self.pairs, self.rounds = (inputs, targets), rounds

    def __iter__(self):
        for _ in range(self.rounds):
            yield from zip(*self.pairs, strict=True)


def lanes(problem) -> list[Lane]:
    arms = plain("momentum")
    return [SerialLane(problem, arms), PopulationLane(problem, arms, 2, compiled=False)]


def curves(lane: Lane, stops=(54,)) -> list:
    members = [Member.new(trial) for trial in TRIALS]
    for until in stops:
        members = [
            m
            for chunk in lane.chunks(members)
            for m in lane.train(chunk, until, lambda steps: None)
        ]
    return [member.run.curve for member in members]


@pytest.mark.parametrize("workers", [0, 2])
def test_a_dataset_read_while_training_gives_what_memory_gives(workers):
    """Two epochs of 33 steps; interrupted once."""
    recipe = digits_recipe(steps=54)
    lazy = replace(recipe, train=TensorDataset(*recipe.train), workers=workers)
    for held, read in zip(lanes(recipes.load(recipe)), lanes(recipes.load(lazy)), strict=True):
        assert curves(read, (18, 54)) == curves(held)


def test_only_what_is_needed_is_read():
    recipe = digits_recipe(steps=27)
    data = Counting(*recipe.train)
    problem = recipes.load(replace(recipe, train=data, workers=0))
    assert data.read == 0
    serial, _ = lanes(problem)
    serial.train([Member.new(TRIALS[0])], 27, lambda steps: None)
    assert data.read <= 32 * 29  # 27 steps, the first of them twice, one batch ahead


def test_a_stream_gives_its_examples_in_their_order_to_every_run():
    recipe = digits_recipe(steps=27, batches=batches.stored())
    stream = replace(recipe, train=Flowing(*recipe.train), batches=None)
    for held, read in zip(lanes(recipes.load(recipe)), lanes(recipes.load(stream)), strict=True):
        assert curves(read, (27,)) == curves(held, (27,))


def test_a_stream_has_no_epochs_no_full_batch_and_an_end():
    recipe = digits_recipe(steps=None, epochs=2)
    flowing = Flowing(*recipe.train, rounds=1)
    with pytest.raises(SettingError, match="steps=1000"):
        recipes.load(replace(recipe, train=flowing))
    with pytest.raises(SettingError, match="batch_size=32"):
        recipes.load(replace(recipe, train=flowing, batch_size=None), steps=5)
    problem = recipes.load(replace(recipe, train=flowing), steps=54)
    for lane in lanes(problem):
        with pytest.raises(SettingError, match="the stream has ended"):
            curves(lane)


def test_workers_need_a_dataset():
    with pytest.raises(RecipeError, match="expected a torch Dataset"):
        recipes.load(digits_recipe(workers=2))


def test_a_check_reads_one_minibatch_of_data_that_stay_on_disk():
    recipe = digits_recipe(steps=27)
    data = Counting(*recipe.train)
    recipes.check(recipes.load(replace(recipe, train=data, workers=0)))
    assert data.read <= 4 * 32


def test_a_full_batch_is_all_examples_at_every_step():
    problem = recipes.load(digits_recipe(dtype=torch.float64, batch_size=None, steps=27))
    (member,) = SerialLane(problem, plain("sgd")).train(
        [Member.new(Trial("sgd", {"lr": 1e-12}, 0))], 27, lambda steps: None
    )
    assert problem.batch_size == len(problem.train)
    costs = [point.cost for point in member.run.curve]
    assert max(costs) - min(costs) <= 1e-9


def test_choosing_a_lane_needs_no_more_examples_than_the_training():
    """A stream of exactly six minibatches, for six steps."""
    recipe = digits_recipe(steps=27)
    exact = Flowing(*(part[: 6 * 32] for part in recipe.train), rounds=1)
    problem = recipes.load(replace(recipe, train=exact, steps=6))
    arms = plain("momentum")
    choice = choose(problem, arms, TRIALS, "auto", 2, work=1)
    assert len(curves(choice.lane, (6,))) == 2
