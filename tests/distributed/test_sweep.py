"""Comparisons on a Ray cluster: the verdict of one machine, whatever happens to its workers."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from contextlib import closing
from dataclasses import replace

import pytest
import torch

from ravine import api
from ravine.comparison.progress import Progress
from ravine.comparison.store import Store
from ravine.distributed import LOCAL, RayExecutor, packed, sweep, work
from ravine.errors import ClusterError, RecipeError
from ravine.recipes import find, load
from ravine.training.executor import Here
from ravine.training.lane import Member, unheard
from ravine.training.population import PopulationLane
from ravine.training.threads import threads
from tests.distributed import recipes
from tests.disturbed import titles_below, verdict
from tests.problems import digits_recipe, plain

pytest.importorskip("ray", reason="Ray is not installed: pip install 'ravine[ray]'")

LANE = {"name": "population", "compiled": False, "capacity": 4, "threads": 1}


class Notes(Progress):
    """Keeps the notes."""

    def __init__(self):
        self.lines: list[str] = []

    def note(self, line: str) -> None:
        self.lines.append(line)


def compared(recipe, out, **changes):
    api.compare(recipe, ["sgd", "adam"], out, lane="serial", command="test", **changes)
    return verdict(out)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """What one machine makes of the short recipe; the slow one differs in its name alone."""
    out = tmp_path_factory.mktemp("whole") / "run"
    compared(recipes.short, out)
    return out


def trials_of(folder):
    with closing(Store(folder)) as store:
        return [[run.trial for run in store.runs(stage)] for stage in ("selection", "final")]


def test_the_verdict_is_that_of_one_machine(cluster, tmp_path, whole):
    """So is the order of the runs, whichever chunk comes back first: bootstraps go through them."""
    assert compared(recipes.short, tmp_path / "run", ray=LOCAL) == verdict(whole)
    assert trials_of(tmp_path / "run") == trials_of(whole)


def members_of(problem, procedures):
    return [
        Member.new(procedures[name].trial(lr, seed))
        for name in procedures
        for lr in (0.01, 0.1)
        for seed in (0, 1)
    ]


def trained(executor, lane, members):
    """Curves and weights by trial, after two stops and as many pauses as there can be."""
    kept = {}
    for until in (9, 27):
        for chunk in executor.train(lane.chunks(members), until, unheard, pause=0.0):
            kept.update({str(m.run.trial): m for m in chunk})
        members = [kept[str(m.run.trial)] for m in members]
    return kept


def test_populations_are_the_same_to_the_last_bit(cluster):
    recipe = find(recipes.short)
    problem, procedures = load(recipe), plain("sgd", "adam", "momentum")
    lane = PopulationLane(problem, procedures, LANE["capacity"], compiled=False)
    members = members_of(problem, procedures)
    here = trained(Here(lane), lane, members)
    there = trained(executor_of(cluster, problem, procedures), lane, members)
    assert set(here) == set(there)
    for trial, member in here.items():
        assert member.run == there[trial].run
        assert member.step == 27
        assert torch.equal(member.snapshot["weights"], there[trial].snapshot["weights"])


def executor_of(cluster, problem, procedures, note=lambda line: None):
    from ravine.comparison.identity import fingerprint

    parcel = packed(problem, procedures, LANE, fingerprint(problem))
    return RayExecutor(cluster, parcel, LANE["threads"], note)


class Killer(threading.Thread):
    """Kills a worker that trains, at moments that a fixed generator draws."""

    def __init__(self, kills: int):
        super().__init__(daemon=True)
        self._left = kills
        self._moments = random.Random(0)
        self.over = False

    def run(self) -> None:
        while self._left and not self.over:
            time.sleep(self._moments.uniform(0.1, 0.4))
            below = titles_below(os.getpid())
            busy = sorted(p for p, title in below.items() if title.startswith("ray::train_chunk"))
            if busy:
                os.kill(self._moments.choice(busy), signal.SIGKILL)
                self._left -= 1


def test_killed_workers_change_nothing(cluster, tmp_path, whole):
    notes, killer = Notes(), Killer(1)
    killer.start()
    try:
        found = compared(recipes.slow, tmp_path / "run", ray=LOCAL, progress=notes)
    finally:
        killer.over = True
        killer.join()
    assert found == {**verdict(whole), "recipe": "slow"}
    assert sum("a worker was lost" in line for line in notes.lines) >= 1


def test_what_kills_every_worker_is_given_up(cluster, tmp_path, monkeypatch):
    monkeypatch.setattr(sweep, "LOSSES", 1)  # a worker takes some seconds to begin
    with pytest.raises(ClusterError, match="workers were lost 2 times while they trained"):
        compared(recipes.deadly, tmp_path / "run", ray=LOCAL)


def test_an_error_in_a_worker_is_that_of_one_machine(cluster):
    problem, procedures = load(find(recipes.short)), plain("sgd", "adam")
    executor = executor_of(cluster, problem, {"sgd": procedures["sgd"]})
    lane = PopulationLane(problem, procedures, LANE["capacity"], compiled=False)
    stranger = [Member.new(procedures["adam"].trial(0.1, 0))]
    with pytest.raises(KeyError, match="adam"):
        next(executor.train([stranger], 9, unheard, pause=1.0))
    with pytest.raises(KeyError, match="adam"):
        PopulationLane(problem, plain("sgd"), 4, compiled=False).chunks(stranger)
    assert lane.chunks(stranger) == [stranger]


def test_other_data_than_the_drivers_are_refused(cluster):
    problem, procedures = load(find(recipes.short)), plain("sgd")
    from ravine.comparison.identity import fingerprint

    other = {**fingerprint(problem), "data": "0123"}
    parcel = packed(problem, procedures, LANE, other)
    executor = RayExecutor(cluster, parcel, 1, lambda line: None)
    with pytest.raises(ClusterError, match=r"another recipe: data .* here it is 0123"):
        next(executor.train([[Member.new(procedures["sgd"].trial(0.1, 0))]], 9, unheard, 1.0))


def test_a_recipe_that_cannot_be_sent_says_so(cluster):
    lock = threading.Lock()
    problem = load(digits_recipe(lambda: (lock, recipes.linear())[1]))
    with pytest.raises(RecipeError, match=r"cannot be sent to workers .*lock.*by its path"):
        executor_of(cluster, problem, plain("sgd"))


def test_more_threads_than_cores_are_refused(cluster):
    problem, procedures = load(find(recipes.short)), plain("sgd")
    from ravine.comparison.identity import fingerprint

    parcel = packed(problem, procedures, LANE, fingerprint(problem))
    with pytest.raises(ClusterError, match="trains on 10000 at once"):
        RayExecutor(cluster, parcel, 10_000, lambda line: None)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"model": lambda: recipes.nn.Linear(64, 10, bias=False)}, "model Linear.*bias=False"),
        (
            {"cost": lambda o, t: 2 * recipes.F.cross_entropy(o, t)},
            r"cost [45]\.\d+, here it is 2\.",
        ),
        ({"penalty": lambda named: 1e-6 * named["weight"].square().sum()}, "penalty .* it is 0;"),
    ],
)
def test_a_worker_refuses_another_model_or_cost(monkeypatch, change, said):
    """What the worker finds is changed behind the driver's back."""
    problem, procedures = load(find(recipes.short)), plain("sgd")
    from ravine.comparison.identity import fingerprint

    parcel = packed(problem, procedures, LANE, fingerprint(problem))
    mine = replace(problem.recipe, **change)
    monkeypatch.setattr(work, "_recipe", lambda _: mine)
    monkeypatch.setattr("ray.get", lambda received: received)
    with pytest.raises(ClusterError, match=f"another recipe: {said}"):
        work._set_up([parcel])


def test_a_workers_lane_has_the_groups_of_the_drivers(monkeypatch):
    """Their width follows from the threads that the driver chose, not from the worker's own."""
    problem, procedures = load(find(recipes.short)), plain("sgd")
    from ravine.comparison.identity import fingerprint

    lane = {"name": "population", "compiled": True, "capacity": 8, "threads": 2}
    with threads(2):
        mine = PopulationLane(problem, procedures, 8)
    parcel = packed(problem, procedures, lane, fingerprint(problem))
    monkeypatch.setattr(work, "_bench", None)
    monkeypatch.setattr("ray.get", lambda received: received)
    with threads(1):
        found = work._set_up([parcel]).lane
    assert (found.workers, found.width) == (mine.workers, mine.width) == (2, 4)


def test_a_workers_problem_is_as_long_as_the_drivers(monkeypatch):
    """At every size of minibatches: its length may be in epochs, and its own size was typed."""
    problem, procedures = load(find(recipes.short), epochs=2, batch_size=16), plain("sgd")
    from ravine.comparison.identity import fingerprint

    parcel = packed(problem, procedures, LANE, fingerprint(problem))
    monkeypatch.setattr(work, "_bench", None)
    monkeypatch.setattr("ray.get", lambda received: received)
    found = work._set_up([parcel]).lane.problem
    assert (found.batch_size, found.steps) == (16, problem.steps)
    assert found.resized(64).steps == problem.resized(64).steps < problem.steps
