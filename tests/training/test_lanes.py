"""The population lane does what the serial lane does, member by member."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor, nn

from ravine.recipes import Split
from ravine.training.lane import Lane, Member, mean_over, pack, unpack
from ravine.training.members import Population
from ravine.training.population import PopulationLane
from ravine.training.records import Trial
from ravine.training.serial import SerialLane
from ravine.training.threads import threads
from tests.problems import (
    convolutional,
    convolutional_with_noise,
    digits_problem,
    mlp,
    noisy,
    plain,
    recurrent,
    transformer,
)

PLAIN = plain()


def trial(name: str, seed: int = 0, **hyper: float) -> Trial:
    return Trial(name, {**PLAIN[name].rule.defaults, **hyper}, seed)


def train(lane: Lane, trials: Sequence[Trial], until: int) -> dict[tuple[str, float, int], Member]:
    done = [
        member
        for chunk in lane.chunks([Member.new(t) for t in trials])
        for member in lane.train(chunk, until, lambda steps: None)
    ]
    return {(m.run.trial.procedure, m.run.trial.lr, m.run.trial.seed): m for m in done}


def weights(member: Member) -> Tensor:
    saved = member.snapshot["weights"]
    return saved if isinstance(saved, Tensor) else torch.cat([w.reshape(-1) for w in saved])


def difference(a: Tensor, b: Tensor) -> float:
    return float((a - b).abs().max() / b.abs().max())


OF_EACH_KIND = ["adam", "lamb", "muon"]
"""Rules of single elements, of a tensor, of a matrix. Compiling all rules takes 40 s, and
tests/engines/test_table.py does."""


@pytest.mark.parametrize(
    ("model", "names", "compiled"),
    [
        (mlp, sorted(PLAIN.keys() - {"soap"}), False),
        (mlp, OF_EACH_KIND, True),
        (noisy, ["sgd", "nesterov", "rmsprop_inside", "adadelta"], False),
    ],
    ids=["mlp", "mlp-compiled", "batch-norm-and-dropout"],
)
def test_population_equals_serial_for_every_rule(model, names, compiled):
    """The network with batch norm leaves out rules that divide by √r + δ with a tiny δ: weights

    before a batch norm have gradients of rounding noise in some directions, which they magnify.
    SOAP does the same with the digits' dark pixels, in whose directions its basis is arbitrary; with
    gradients of full rank all engines agree on it (tests/engines/test_table.py).
    """
    problem = digits_problem(model, torch.float64, steps=100)
    trials = [trial(name, seed) for name in names for seed in (0, 1)]
    together = train(PopulationLane(problem, PLAIN, len(trials), compiled), trials, 100)
    alone = train(SerialLane(problem, PLAIN), trials, 100)
    for key, member in alone.items():
        other = together[key]
        assert difference(weights(other), weights(member)) <= 1e-10, key
        for name, value in member.snapshot["buffers"].items():
            assert torch.allclose(other.snapshot["buffers"][name], value, rtol=1e-10, atol=0), name
        for point, same in zip(other.run.curve, member.run.curve, strict=True):
            assert math.isclose(point.cost, same.cost, rel_tol=1e-10), key
            assert math.isclose(point.validation_cost, same.validation_cost, rel_tol=1e-10), key


class Shared(nn.Module):
    """Rows of digits through one attention, one recurrent layer and one dropout, each held twice."""

    def __init__(self):
        super().__init__()
        self.first = nn.MultiheadAttention(8, 2, dropout=0.2, batch_first=True)
        self.second = self.first
        self.reader = nn.GRU(8, 8, batch_first=True)
        self.reader_again = self.reader
        self.noise = nn.Dropout(0.3)
        self.scores = nn.Sequential(self.noise, nn.Linear(8, 10))

    def forward(self, x: Tensor) -> Tensor:
        x = x.unflatten(1, (8, 8))
        for attention in (self.first, self.second):
            x = x + self.noise(attention(x, x, x, need_weights=False)[0])
        x, state = self.reader(x)
        x, _ = self.reader_again(input=x, hx=state)
        return self.scores(x.mean(1))


@pytest.mark.parametrize(
    "model",
    [convolutional_with_noise, recurrent, transformer, Shared],
    ids=["convolutions-batch-norm-dropout", "lstm", "transformer", "shared-layers"],
)
@pytest.mark.filterwarnings("error:There is a performance drop")  # nothing runs in turns
def test_population_equals_serial_for_models_of_all_kinds(model):
    problem = digits_problem(model, torch.float64, steps=50)
    trials = [
        trial(name, seed, lr=lr) for name, lr in (("adam", 3e-3), ("sgd", 0.05)) for seed in (0, 1)
    ]
    together = train(PopulationLane(problem, PLAIN, len(trials), compiled=False), trials, 50)
    alone = train(SerialLane(problem, PLAIN), trials, 50)
    for key, member in alone.items():
        other = together[key]
        assert difference(weights(other), weights(member)) <= 1e-9, key
        for point, same in zip(other.run.curve, member.run.curve, strict=True):
            assert math.isclose(point.cost, same.cost, rel_tol=1e-9), key
            assert math.isclose(point.validation_cost, same.validation_cost, rel_tol=1e-9), key


@pytest.mark.parametrize(
    ("model", "compiled"),
    [(mlp, False), (noisy, False), (convolutional, False), (convolutional, True)],
)
def test_a_curve_does_not_depend_on_the_neighbours(model, compiled):
    """To the last bit: alone (beside its own copies), or in a crowd with other optimizers."""
    problem = digits_problem(model)
    one = [trial("adam", 3)]
    crowd = [trial("sgd", s, lr=0.1) for s in range(5)] + [trial("adam", s) for s in range(8)]
    with threads(2):
        lane = PopulationLane(problem, PLAIN, len(crowd), compiled)
        few, many = train(lane, one, 27), train(lane, crowd, 27)
    ((key, member),) = few.items()
    assert many[key].run.curve == member.run.curve
    assert torch.equal(weights(many[key]), weights(member))


def test_neither_pruning_nor_the_size_of_chunks_changes_a_curve():
    """Convolutions, batch norm and dropout; pruned, to the last bit; in other chunks, but for
    rounding, as batched kernels of other sizes round differently."""
    problem = digits_problem(convolutional_with_noise)
    trials = [trial("adam", seed) for seed in range(8)]

    def in_chunks(capacity: int) -> PopulationLane:
        return PopulationLane(problem, PLAIN, capacity, compiled=False)

    lane = in_chunks(8)
    whole = train(lane, trials, 27)
    halfway = list(train(lane, trials, 9).values())[::2]
    (chunk,) = lane.chunks(halfway)
    pruned = lane.train(chunk, 27, lambda steps: None)
    assert len(pruned) == 4
    elsewhere = train(in_chunks(3), trials, 27)
    for member in pruned:
        key = (member.run.trial.procedure, member.run.trial.lr, member.run.trial.seed)
        assert member.run.curve == whole[key].run.curve
        assert torch.equal(weights(member), weights(whole[key]))
        for point, same in zip(elsewhere[key].run.curve, member.run.curve, strict=True):
            assert math.isclose(point.cost, same.cost, rel_tol=1e-6), point.step


def test_groups_in_threads_train_as_one_after_the_other():
    """To the last bit, with chunks that do not fill their groups."""
    problem = digits_problem(noisy)
    trials = [trial(name, seed) for name in ("adam", "nesterov") for seed in range(3)]
    with threads(2):
        beside = PopulationLane(problem, PLAIN, 8)
        assert (beside.workers, beside.width) == (2, 4)
        together = train(beside, trials, 27)
    with threads(1):
        after = PopulationLane(problem, PLAIN, 4)
        assert (after.workers, after.width) == (1, 4)
        alone = train(after, trials, 27)
    assert together.keys() == alone.keys()
    for key, member in alone.items():
        assert together[key].run.curve == member.run.curve
        assert torch.equal(weights(together[key]), weights(member))


def test_what_fails_in_a_thread_is_raised(monkeypatch):
    problem = digits_problem()
    with threads(2):
        lane = PopulationLane(problem, PLAIN, 8)

    def fails(self):
        raise RuntimeError("no step")

    monkeypatch.setattr(Population, "begin", lambda self: None)
    monkeypatch.setattr(Population, "_one_step", fails)
    with pytest.raises(RuntimeError, match="no step"):
        train(lane, [trial("sgd", seed) for seed in range(8)], 27)


def test_a_diverging_member_stays_alone():
    problem = digits_problem()
    healthy, broken = trial("sgd", 0, lr=0.1), trial("sgd", 0, lr=1e30)
    beside = train(PopulationLane(problem, PLAIN, 2, compiled=False), [healthy, broken], 27)
    twice = train(PopulationLane(problem, PLAIN, 2, compiled=False), [healthy, trial("sgd", 1)], 27)
    assert beside["sgd", 1e30, 0].run.diverged_at == 1
    assert beside["sgd", 0.1, 0].run.diverged_at is None
    assert beside["sgd", 0.1, 0].run.curve == twice["sgd", 0.1, 0].run.curve


def test_serial_records_divergence():
    ((_, member),) = train(SerialLane(digits_problem(), PLAIN), [trial("sgd", lr=1e30)], 27).items()
    assert member.run.diverged_at == 1
    assert len(member.run.curve) == 28


@pytest.mark.parametrize("lane", ["serial", "population"])
def test_a_continued_run_equals_an_undisturbed_one(lane):
    """Bit for bit, through bytes; for a rule with a probe and one that counts steps."""
    problem = digits_problem(noisy)
    trials = [trial("nesterov", 0, lr=0.05), trial("adam", 1)]

    def fresh() -> Lane:
        if lane == "serial":
            return SerialLane(problem, PLAIN)
        return PopulationLane(problem, PLAIN, 2, compiled=False)

    whole = train(fresh(), trials, 27)
    halves = [Member(m.run, unpack(pack(m.snapshot))) for m in train(fresh(), trials, 9).values()]
    again = fresh()
    continued = [
        member
        for chunk in again.chunks(halves)
        for member in again.train(chunk, 27, lambda steps: None)
    ]
    for member in continued:
        key = (member.run.trial.procedure, member.run.trial.lr, member.run.trial.seed)
        assert member.run.curve == whole[key].run.curve
        assert torch.equal(weights(member), weights(whole[key]))


def test_pausing_changes_nothing():
    problem = digits_problem()
    lane = SerialLane(problem, PLAIN)
    (whole,) = train(lane, [trial("adam")], 27).values()
    member, calls = Member.new(trial("adam")), 0
    while member.step < 27:
        (member,) = lane.train([member], 27, lambda steps: None, pause=-1)
        calls += 1
    assert calls == 27
    assert member.run.curve == whole.run.curve


def test_measures_are_means_over_all_examples():
    """5000 examples in slices of 2048: the last, smaller one does not weigh more."""
    values = torch.linspace(0, 1, 5000, dtype=torch.float64) ** 3
    split = Split(values, values)

    def mean(output: Tensor, target: Tensor) -> Tensor:
        return (output * target).mean()

    (whole,) = mean_over(split, lambda x: x, [mean], members=False)
    assert whole.item() == pytest.approx((values * values).mean().item(), rel=1e-12)
    two = torch.tensor([[1.0], [2.0]], dtype=torch.float64)
    (each,) = mean_over(split, lambda x: two * x, [mean], members=True)
    assert each.tolist() == pytest.approx([whole.item(), 2 * whole.item()], rel=1e-12)


def test_both_lanes_test_the_same_weights():
    problem = digits_problem(dtype=torch.float64)
    lanes = [SerialLane(problem, PLAIN), PopulationLane(problem, PLAIN, 2, compiled=False)]
    trials = [trial("nesterov", 0, lr=0.1), trial("nesterov", 1, lr=0.1)]
    tested = [lane.test(list(train(lane, trials, 27).values())) for lane in lanes]
    assert tested[0] == tested[1]
    assert len(set(tested[0])) == 2


def test_the_serial_lane_is_a_plain_training_loop():
    """Independent truth: torch.optim, a hand-written loop, the same batches."""
    from ravine.batches import Batches
    from ravine.recipes import build_model

    problem = digits_problem(dtype=torch.float64)
    ((_, member),) = train(SerialLane(problem, PLAIN), [trial("adam", 7)], 27).items()
    model = build_model(problem, 7)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    batches = Batches([7], len(problem.train), 32, torch.device("cpu"))
    for step in range(27):
        batch = batches.at(step)[0]
        output = model(problem.train.inputs[batch])
        cost = torch.nn.functional.cross_entropy(output, problem.train.targets[batch])
        optimizer.zero_grad()
        cost.backward()
        optimizer.step()
        assert math.isclose(member.run.curve[step + 1].cost, cost.item(), rel_tol=1e-12)
    plain = torch.nn.utils.parameters_to_vector(model.parameters()).detach()
    assert difference(weights(member), plain) <= 1e-12
