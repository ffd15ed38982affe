"""ravine.optim stands in for torch.optim: same paths, same options, same checkpoints."""

from __future__ import annotations

import copy
import inspect
import io
import pickle
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import ravine.optim
from ravine import rules
from ravine.errors import InputError, SettingError
from tests.cases import STEPS, TOLERANCE, Ravine, difference, walk, walk_optimizer

Optimizer = Any
TWINS: list[tuple[str, dict[str, Any]]] = [
    ("SGD", {"lr": 0.02}),
    ("SGD", {"lr": 0.02, "momentum": 0.8}),
    ("SGD", {"lr": 0.02, "momentum": 0.8, "dampening": 0.4, "weight_decay": 0.1}),
    ("SGD", {"lr": 0.02, "momentum": 0.8, "nesterov": True, "weight_decay": 0.1}),
    ("Adagrad", {}),
    ("Adagrad", {"lr": 0.1, "lr_decay": 0.1, "initial_accumulator_value": 0.2}),
    ("Adagrad", {"weight_decay": 0.1}),
    ("RMSprop", {}),
    ("RMSprop", {"alpha": 0.9, "centered": True, "weight_decay": 0.1}),
    ("RMSprop", {"momentum": 0.8, "eps": 1e-3}),
    ("RMSprop", {"momentum": 0.8, "centered": True}),
    ("Adadelta", {}),
    ("Adadelta", {"lr": 0.5, "rho": 0.8, "weight_decay": 0.1}),
    ("Adam", {}),
    ("Adam", {"lr": 0.02, "betas": (0.8, 0.9), "eps": 1e-3, "weight_decay": 0.1}),
    ("Adam", {"amsgrad": True}),
    ("Adam", {"weight_decay": 0.1, "decoupled_weight_decay": True}),
    ("AdamW", {}),
    ("AdamW", {"amsgrad": True, "weight_decay": 0.1}),
    ("NAdam", {}),
    ("NAdam", {"weight_decay": 0.1, "momentum_decay": 0.1}),
    ("NAdam", {"weight_decay": 0.1, "decoupled_weight_decay": True}),
]
NAMES = sorted({name for name, _ in TWINS})
OWN = ("Momentum", "Nesterov", "RMSpropNesterov")
MODULES: list[Any] = [ravine.optim, torch.optim]
LOOK_AHEAD = ("Nesterov", "RMSpropNesterov")

twins = pytest.mark.parametrize(
    ("name", "options"), TWINS, ids=lambda value: str(value).replace(" ", "")
)


@pytest.fixture(autouse=True)
def wide() -> Iterator[None]:
    """float64 throughout; torch then also keeps NAdam's product in float64."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


def ours(name: str) -> Callable[..., Optimizer]:
    return getattr(ravine.optim, name)


def theirs(name: str) -> Callable[..., Optimizer]:
    return getattr(torch.optim, name)


class Trial:
    """A small network on fixed data, and an optimizer for it."""

    def __init__(self, make: Callable[[nn.Module], Optimizer]) -> None:
        generator = torch.Generator().manual_seed(0)
        self.inputs = torch.randn(STEPS, 16, 3, generator=generator)
        self.targets = torch.randn(STEPS, 16, 2, generator=generator)
        self.model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
        for param in self.model.parameters():
            param.data = torch.randn(param.shape, generator=generator)
        self.optimizer = make(self.model)
        self.scheduler: Any = None
        self.k = 0

    def loss(self) -> Tensor:
        return nn.functional.mse_loss(self.model(self.inputs[self.k]), self.targets[self.k])

    def run(self, steps: int) -> Trial:
        for _ in range(steps):
            self.optimizer.zero_grad()
            self.loss().backward()
            self.optimizer.step()
            if self.scheduler is not None:
                self.scheduler.step()
            self.k += 1
        return self

    def weights(self) -> Any:
        return nn.utils.parameters_to_vector(self.model.parameters()).detach().numpy().copy()


def assert_same(first: Trial, second: Trial) -> None:
    assert difference(first.weights(), second.weights()) <= TOLERANCE


def side_by_side(
    name: str, make: Callable[[Callable[..., Optimizer], nn.Module], Optimizer]
) -> tuple[Trial, Trial]:
    return (
        Trial(lambda model: make(ours(name), model)),
        Trial(lambda model: make(theirs(name), model)),
    )


@twins
@pytest.mark.parametrize("maximize", [False, True])
def test_same_path_as_torch(name: str, options: dict[str, Any], maximize: bool) -> None:
    problem = Ravine()
    paths = [
        walk_optimizer(lambda p, new=new: new(p, **options, maximize=maximize), problem)
        for new in (ours(name), theirs(name))
    ]
    assert difference(*paths) <= TOLERANCE


@pytest.mark.parametrize("name", NAMES)
def test_same_signature_as_torch(name: str) -> None:
    mine = dict(inspect.signature(ours(name).__init__).parameters)
    assert mine.pop("rounding").kind is mine.pop("engine").kind is inspect.Parameter.KEYWORD_ONLY
    torch_own = inspect.signature(theirs(name).__init__).parameters
    assert [(p.name, p.default, p.kind) for p in mine.values()] == [
        (p.name, p.default, p.kind) for p in torch_own.values()
    ]


@twins
def test_param_groups_and_added_groups(name: str, options: dict[str, Any]) -> None:
    def make(new: Callable[..., Optimizer], model: nn.Module) -> Optimizer:
        first, _, last = model
        groups = [
            {"params": first.weight, "lr": 0.003},
            {"params": [first.bias], "weight_decay": 0.2},
        ]
        optimizer = new(groups, **options)
        optimizer.add_param_group({"params": last.parameters(), "maximize": True, "lr": 1e-4})
        return optimizer

    mine, torch_own = side_by_side(name, make)
    assert_same(mine.run(STEPS), torch_own.run(STEPS))


@twins
@pytest.mark.parametrize("tensor_lr", [False, True])
def test_schedulers_move_the_lr(name: str, options: dict[str, Any], tensor_lr: bool) -> None:
    lr = torch.tensor(0.01) if tensor_lr else 0.01
    trials = side_by_side(
        name, lambda new, model: new(model.parameters(), **{**options, "lr": copy.deepcopy(lr)})
    )
    for trial in trials:
        trial.scheduler = torch.optim.lr_scheduler.StepLR(trial.optimizer, 15, gamma=0.3)
        trial.run(STEPS)
    assert_same(*trials)
    assert float(trials[0].optimizer.param_groups[0]["lr"]) == pytest.approx(0.01 * 0.3**3)


@pytest.mark.parametrize("name", ["SGD", "RMSprop", "Adam"])
def test_one_cycle_moves_momentum_and_betas(name: str) -> None:
    options = {} if name == "Adam" else {"momentum": 0.9}
    trials = side_by_side(name, lambda new, model: new(model.parameters(), lr=0.01, **options))
    for trial in trials:
        trial.scheduler = torch.optim.lr_scheduler.OneCycleLR(
            trial.optimizer, max_lr=0.02, total_steps=STEPS + 1
        )
        trial.run(STEPS)
    assert_same(*trials)


@twins
def test_closures(name: str, options: dict[str, Any]) -> None:
    losses = []
    for trial in side_by_side(name, lambda new, model: new(model.parameters(), **options)):

        def closure(trial: Trial = trial) -> Tensor:
            trial.optimizer.zero_grad()
            loss = trial.loss()
            loss.backward()
            return loss

        losses.append([trial.optimizer.step(closure).item() for _ in range(5)])
    assert losses[0] == pytest.approx(losses[1], rel=1e-12)


def through_file(state: dict[str, Any]) -> dict[str, Any]:
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    loaded: dict[str, Any] = torch.load(file, weights_only=True)
    return loaded


@twins
@pytest.mark.parametrize("direction", ["torch to ravine", "ravine to torch"])
def test_checkpoints_are_exchanged(name: str, options: dict[str, Any], direction: str) -> None:
    makers = [ours(name), theirs(name)]
    if direction == "ravine to torch":
        makers.reverse()
    reader, writer = (
        Trial(lambda model, new=new, o=o: new(model.parameters(), **o))
        for new, o in zip(makers, ({}, options), strict=True)  # options come with the checkpoint
    )
    writer.run(STEPS // 2)
    reader.model.load_state_dict(writer.model.state_dict())
    reader.optimizer.load_state_dict(through_file(writer.optimizer.state_dict()))
    reader.k = writer.k
    assert_same(reader.run(STEPS // 2), writer.run(STEPS // 2))


@twins
def test_checkpoints_have_torch_layout(name: str, options: dict[str, Any]) -> None:
    mine, torch_own = side_by_side(name, lambda new, model: new(model.parameters(), **options))
    a, b = (trial.run(3).optimizer.state_dict() for trial in (mine, torch_own))
    assert a["param_groups"] == b["param_groups"]
    assert a["state"].keys() == b["state"].keys()
    for key, expected in b["state"].items():
        entries = dict(a["state"][key])
        if name == "SGD":  # the only extra: a count, which torch ignores
            entries.pop("step", None)
        assert entries.keys() == expected.keys()
        for entry, value in expected.items():
            assert entries[entry].shape == value.shape
            torch.testing.assert_close(entries[entry].to(value), value, rtol=1e-12, atol=1e-12)


def test_old_checkpoints_of_torch_load() -> None:
    """Counts as numbers, options that did not exist yet, empty momentum buffers."""
    trial = Trial(lambda model: ravine.optim.Adam(model.parameters())).run(3)
    state = trial.optimizer.state_dict()
    for entries in state["state"].values():
        entries["step"] = 3
    for group in state["param_groups"]:
        del group["maximize"], group["decoupled_weight_decay"]
    trial.optimizer.load_state_dict(state)
    again = Trial(lambda model: torch.optim.Adam(model.parameters())).run(4)
    assert_same(trial.run(1), again)

    trial = Trial(lambda model: ravine.optim.SGD(model.parameters(), momentum=0.9))
    state = trial.optimizer.state_dict()
    state["state"] = {0: {"momentum_buffer": None}}
    trial.optimizer.load_state_dict(state)
    again = Trial(lambda model: torch.optim.SGD(model.parameters(), momentum=0.9))
    assert_same(trial.run(4), again.run(4))


@pytest.mark.parametrize("name", [*NAMES, *OWN])
@pytest.mark.parametrize("clone", [copy.deepcopy, lambda o: pickle.loads(pickle.dumps(o))])
def test_copies_continue(name: str, clone: Callable[[Optimizer], Optimizer]) -> None:
    trial = Trial(lambda model: ours(name)(model.parameters(), engine="eager")).run(3)
    copied = clone(trial.optimizer)
    assert copied.engine == "eager"
    for param, twin in zip(trial.model.parameters(), copied.param_groups[0]["params"], strict=True):
        twin.grad = torch.ones_like(twin)
        param.grad = torch.ones_like(param)
    copied.step()
    trial.optimizer.step()
    for param, twin in zip(trial.model.parameters(), copied.param_groups[0]["params"], strict=True):
        assert torch.equal(param, twin)


def test_adamw_stays_decoupled_whatever_it_loads() -> None:
    for module in MODULES:
        writer = Trial(lambda model, m=module: m.Adam(model.parameters(), weight_decay=0.1)).run(3)
        readers = [Trial(lambda model, m=m: m.AdamW(model.parameters())) for m in MODULES]
        for reader in readers:
            reader.model.load_state_dict(writer.model.state_dict())
            reader.optimizer.load_state_dict(through_file(writer.optimizer.state_dict()))
        assert_same(*(reader.run(5) for reader in readers))


def test_checkpoints_of_fused_torch_load() -> None:
    """How torch ran the steps is no part of what they were."""
    writer = Trial(lambda model: torch.optim.Adam(model.parameters(), fused=True)).run(3)
    reader = Trial(lambda model: ravine.optim.Adam(model.parameters()))
    reader.model.load_state_dict(writer.model.state_dict())
    reader.optimizer.load_state_dict(through_file(writer.optimizer.state_dict()))
    reader.k = writer.k
    assert_same(reader.run(5), writer.run(5))


def test_named_parameters_and_hooks() -> None:
    model, calls = nn.Linear(2, 1), []
    optimizer = ravine.optim.Adam(model.named_parameters())
    assert optimizer.param_groups[0]["param_names"] == ["weight", "bias"]
    optimizer.register_step_pre_hook(lambda *args: calls.append("before"))
    optimizer.register_step_post_hook(lambda *args: calls.append("after"))
    model(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    assert calls == ["before", "after"]


def test_parameters_without_gradient_rest() -> None:
    model = nn.Linear(2, 1)
    before = model.bias.detach().clone()
    optimizer = ravine.optim.Adam(model.parameters())
    model.weight.grad = torch.ones_like(model.weight)
    optimizer.step()
    assert torch.equal(model.bias, before)
    assert model.bias not in optimizer.state


@pytest.mark.parametrize("name", [*NAMES, *OWN])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_dtypes_stay(name: str, dtype: torch.dtype) -> None:
    params = [torch.ones(3, dtype=dtype), torch.ones((), dtype=dtype)]
    optimizer = ours(name)(params, lr=torch.tensor(0.1))
    for _ in range(2):
        for param in params:
            param.grad = torch.ones_like(param)
        optimizer.step()
    for param in params:
        assert param.dtype == dtype
        for entry, value in optimizer.state[param].items():
            scalar = entry in ("step", "mu_product")
            assert value.dtype == (torch.float32 if scalar else dtype)


# Rules that torch does not have


def test_momentum_walks_the_path_of_its_rule() -> None:
    problem = Ravine()
    path = walk_optimizer(lambda p: ravine.optim.Momentum(p, lr=0.01), problem)
    assert difference(path, walk(rules.momentum(lr=0.01), problem)) <= TOLERANCE


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("Nesterov", rules.nesterov(lr=0.01, momentum=0.8)),
        ("RMSpropNesterov", rules.rmsprop_nesterov(lr=0.01, momentum=0.8)),
    ],
)
def test_look_ahead_takes_the_gradient_at_the_probe(name: str, rule: rules.Rule) -> None:
    """An ordinary loop; θ, which eval() shows, walks the path of the notes' box."""
    problem = Ravine()
    param = torch.from_numpy(problem.start.copy()).requires_grad_()
    optimizer = ours(name)([param], lr=0.01, momentum=0.8)
    path = []
    for k in range(STEPS):
        param.grad = problem.gradient_at(param, k)
        optimizer.step()
        probe = param.detach().clone()
        optimizer.eval()
        path.append(param.detach().clone())
        assert not torch.equal(param, probe)
        optimizer.train()
        assert torch.equal(param, probe)
    assert difference(torch.stack(path).numpy(), walk(rule, problem)) <= TOLERANCE


def test_nesterov_shows_the_parameters_of_torch_nesterov() -> None:
    problem = Ravine()
    mine = walk_optimizer(lambda p: ravine.optim.Nesterov(p, lr=0.01, weight_decay=0.1), problem)
    torch_own = walk_optimizer(
        lambda p: torch.optim.SGD(p, 0.01, momentum=0.9, nesterov=True, weight_decay=0.1), problem
    )
    assert difference(mine, torch_own) <= TOLERANCE


@pytest.mark.parametrize("name", LOOK_AHEAD)
def test_step_in_eval_mode_is_refused(name: str) -> None:
    trial = Trial(lambda model: ours(name)(model.parameters())).run(2)
    trial.optimizer.eval()
    before = trial.weights()
    with pytest.raises(InputError, match=rf"{name}\.step\(\) came in eval mode.*train\(\)"):
        trial.run(1)
    assert (trial.weights() == before).all()
    trial.optimizer.eval()  # twice is once
    trial.optimizer.train()
    trial.run(1)


@pytest.mark.parametrize("name", NAMES)
def test_eval_and_train_do_nothing_where_probe_and_theta_are_one(name: str) -> None:
    trial = Trial(lambda model: ours(name)(model.parameters())).run(2)
    before = trial.weights()
    trial.optimizer.eval()
    assert (trial.weights() == before).all()
    trial.optimizer.train()
    trial.run(1)


@pytest.mark.parametrize("name", OWN)
@pytest.mark.parametrize("saved_in", ["train", "eval"])
@pytest.mark.parametrize("optimizer_first", [True, False])
def test_own_checkpoints_continue(name: str, saved_in: str, optimizer_first: bool) -> None:
    straight = Trial(lambda model: ours(name)(model.parameters())).run(10)
    broken = Trial(lambda model: ours(name)(model.parameters())).run(5)
    getattr(broken.optimizer, saved_in)()
    model, optimizer = broken.model.state_dict(), through_file(broken.optimizer.state_dict())
    resumed = Trial(lambda model: ours(name)(model.parameters()))
    resumed.k = broken.k
    if optimizer_first:
        resumed.optimizer.load_state_dict(optimizer)
        resumed.model.load_state_dict(model)
    else:
        resumed.model.load_state_dict(model)
        resumed.optimizer.load_state_dict(optimizer)
    resumed.optimizer.train()
    assert (resumed.run(5).weights() == straight.weights()).all()


# What is refused


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("Adam", {"lr": -1.0}, r"lr=-1\.0 is out of range.*>= 0"),
        ("Adam", {"lr": float("nan")}, r"lr=nan is out of range"),
        ("Adam", {"lr": torch.ones(2)}, r"lr is a tensor of shape \[2\].*exactly one number"),
        ("Adam", {"betas": (0.9, 1.0)}, r"betas\[1\]=1\.0 is out of range.*in \[0, 1\)"),
        ("Adam", {"eps": -1.0}, r"eps=-1\.0"),
        ("Adam", {"weight_decay": -1.0}, r"weight_decay=-1\.0"),
        ("Adadelta", {"rho": 1.5}, r"rho=1\.5 .*in \[0, 1\]"),
        ("SGD", {"nesterov": True}, r"nesterov=True came with momentum=0.*0\.9"),
        ("Adam", {"fused": True}, r"fused=True is not available yet; leave it out"),
        ("RMSprop", {"capturable": True}, r"capturable=True is not available yet"),
        ("SGD", {"differentiable": True}, r"differentiable=True is not available yet"),
        ("Adam", {"engine": "compiled"}, r'"compiled" is not available yet; pass "auto"'),
        ("Adam", {"engine": "fast"}, r"engine='fast' is unknown; pass \"auto\" or \"eager\""),
    ],
)
def test_bad_settings_say_what_to_do(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingError, match=message):
        ours(name)([torch.zeros(2)], **options)


def test_complex_parameters_are_refused() -> None:
    with pytest.raises(SettingError, match=r"dtype torch\.complex128.*view_as_real"):
        ravine.optim.Adam([torch.zeros(2, dtype=torch.complex128)])


def test_a_refused_group_is_not_kept() -> None:
    optimizer = ravine.optim.Adam([torch.zeros(2)])
    with pytest.raises(SettingError, match="lr=-1"):
        optimizer.add_param_group({"params": [torch.zeros(2)], "lr": -1})
    assert len(optimizer.param_groups) == 1


def test_sparse_gradients_are_refused() -> None:
    embedding = nn.Embedding(5, 2, sparse=True)
    embedding(torch.tensor([1])).sum().backward()
    with pytest.raises(SettingError, match="sparse=False"):
        ravine.optim.Adam(embedding.parameters()).step()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("foreach", [None, False, True])
def test_foreach_changes_nothing(name: str, foreach: bool | None) -> None:
    asked = Trial(lambda model: ours(name)(model.parameters(), foreach=foreach, engine="auto"))
    plain = Trial(lambda model: ours(name)(model.parameters()))
    assert_same(asked.run(3), plain.run(3))
