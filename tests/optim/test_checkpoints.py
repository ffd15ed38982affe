"""Checkpoints: exchanged with torch, matched by name, refused as a whole, continued exactly."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
import torch
from torch import nn

import ravine.optim
from ravine.errors import SettingError
from tests.optim.trials import (
    ALL,
    OWN,
    STEPS,
    Trial,
    assert_same,
    ours,
    side_by_side,
    theirs,
    through_file,
    trial,
    twins,
)

MODULES: list[Any] = [ravine.optim, torch.optim]
HALF = STEPS // 2


@twins
@pytest.mark.parametrize("direction", ["torch to ravine", "ravine to torch"])
def test_checkpoints_are_exchanged(name: str, options: dict[str, Any], direction: str) -> None:
    makers = [ours(name), theirs(name)]
    if direction == "ravine to torch":
        makers.reverse()
    reader, writer = (
        Trial(lambda model, new=new, o=o: new(model.parameters(), **o), bias=name != "Muon")
        for new, o in zip(makers, ({}, options), strict=True)  # options come with the checkpoint
    )
    writer.run(HALF)
    reader.model.load_state_dict(writer.model.state_dict())
    reader.optimizer.load_state_dict(through_file(writer.optimizer.state_dict()))
    reader.k = writer.k
    assert_same(reader.run(HALF), writer.run(HALF))


@twins
def test_checkpoints_have_torch_layout(name: str, options: dict[str, Any]) -> None:
    mine, torch_own = side_by_side(name, lambda new, model: new(model.parameters(), **options))
    a, b = (each.run(3).optimizer.state_dict() for each in (mine, torch_own))
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
    old = trial("Adam").run(3)
    state = old.optimizer.state_dict()
    for entries in state["state"].values():
        entries["step"] = 3
    for group in state["param_groups"]:
        del group["maximize"], group["decoupled_weight_decay"]
    old.optimizer.load_state_dict(state)
    again = Trial(lambda model: torch.optim.Adam(model.parameters())).run(4)
    assert_same(old.run(1), again)

    old = trial("SGD", momentum=0.9)
    state = old.optimizer.state_dict()
    state["state"] = {0: {"momentum_buffer": None}}
    old.optimizer.load_state_dict(state)
    again = Trial(lambda model: torch.optim.SGD(model.parameters(), momentum=0.9))
    assert_same(old.run(4), again.run(4))


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
    reader = trial("Adam")
    reader.model.load_state_dict(writer.model.state_dict())
    reader.optimizer.load_state_dict(through_file(writer.optimizer.state_dict()))
    reader.k = writer.k
    assert_same(reader.run(5), writer.run(5))


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("engine", ["eager", "auto"])
def test_a_stop_changes_nothing(name: str, engine: str) -> None:
    """Bit by bit; also from one engine's checkpoint on by the same engine in a new process."""
    straight, broken = trial(name, engine=engine).run(STEPS), trial(name, engine=engine).run(HALF)
    resumed = trial(name, engine=engine)
    resumed.model.load_state_dict(through_file(broken.model.state_dict()))
    resumed.optimizer.load_state_dict(through_file(broken.optimizer.state_dict()))
    resumed.k = broken.k
    assert (resumed.run(HALF).weights() == straight.weights()).all()
    assert not (straight.weights() == broken.weights()).all()


@pytest.mark.parametrize("name", ["Adam", "ASGD", "LAMB", "Nesterov", "ScheduleFreeAdamW"])
def test_a_stop_changes_nothing_compiled(name: str) -> None:
    """One class for each kind of state; matrix rules are not compiled."""
    test_a_stop_changes_nothing(name, "compiled")


@pytest.mark.parametrize("name", OWN)
@pytest.mark.parametrize("saved_in", ["train", "eval"])
@pytest.mark.parametrize("optimizer_first", [True, False])
def test_own_checkpoints_continue(name: str, saved_in: str, optimizer_first: bool) -> None:
    straight, broken = trial(name).run(10), trial(name).run(5)
    getattr(broken.optimizer, saved_in)()
    model, optimizer = broken.model.state_dict(), through_file(broken.optimizer.state_dict())
    resumed = trial(name)
    resumed.k = broken.k
    if optimizer_first:
        resumed.optimizer.load_state_dict(optimizer)
        resumed.model.load_state_dict(model)
    else:
        resumed.model.load_state_dict(model)
        resumed.optimizer.load_state_dict(optimizer)
    resumed.optimizer.train()
    assert (resumed.run(5).weights() == straight.weights()).all()


@pytest.mark.parametrize("name", ["Adam", "SOAP", "ScheduleFreeSGD"])
@pytest.mark.parametrize("engine", ["eager", "auto"])
def test_named_states_find_their_parameters(name: str, engine: str) -> None:
    def named(backwards: bool) -> Trial:
        return Trial(
            lambda model: ours(name)(
                list(model.named_parameters())[:: -1 if backwards else 1], engine=engine
            )
        )

    writer, reader = named(False).run(HALF), named(True)
    names = reader.optimizer.param_groups[0]["param_names"]
    reader.model.load_state_dict(writer.model.state_dict())
    reader.optimizer.load_state_dict(through_file(writer.optimizer.state_dict()))
    assert reader.optimizer.param_groups[0]["param_names"] == names
    reader.k = writer.k
    assert_same(reader.run(HALF), writer.run(HALF))


@pytest.mark.parametrize("named", ["writer", "reader"])
def test_where_one_side_has_no_names_the_order_counts(named: str) -> None:
    def made(with_names: bool) -> Trial:
        return Trial(
            lambda model: ravine.optim.Adam(
                model.named_parameters() if with_names else model.parameters()
            )
        )

    writer, reader = made(named == "writer").run(HALF), made(named == "reader")
    reader.model.load_state_dict(writer.model.state_dict())
    reader.optimizer.load_state_dict(through_file(writer.optimizer.state_dict()))
    reader.k = writer.k
    assert_same(reader.run(HALF), writer.run(HALF))


def test_states_keep_the_dtype_they_were_saved_in() -> None:
    """A float32 state of a bfloat16 model: torch's load casts it to bfloat16."""
    wide = Trial(lambda model: ravine.optim.Adam(model.parameters()), dtype=torch.float32).run(5)
    saved = through_file(wide.optimizer.state_dict())
    params = [param.detach().bfloat16() for param in wide.model.parameters()]
    optimizer = ravine.optim.Adam(params)
    optimizer.load_state_dict(copy.deepcopy(saved))
    for step in range(2):  # before and after a step
        for key, param in enumerate(params):
            entries = optimizer.state[param]
            assert entries["exp_avg"].dtype == torch.float32
            if step == 0:
                assert torch.equal(entries["exp_avg"], saved["state"][key]["exp_avg"])
            param.grad = torch.ones_like(param)
        optimizer.step()


def snapshot(each: Trial) -> bytes:
    """All that a refused checkpoint must leave alone."""
    state = each.optimizer.state_dict()
    entries = [entry for of_one in state["state"].values() for entry in of_one.values()]
    return pickle.dumps((state["param_groups"], [e.tolist() for e in entries], each.weights()))


def broken_checkpoint(kind: str) -> dict[str, Any]:
    """A checkpoint that does not fit an Adam of named parameters."""
    if kind == "another rule":
        other = Trial(lambda model: ravine.optim.RMSprop(model.named_parameters())).run(2)
        return other.optimizer.state_dict()
    checkpoint = Trial(lambda model: ravine.optim.Adam(model.named_parameters())).run(2)
    saved: dict[str, Any] = checkpoint.optimizer.state_dict()
    (group,) = saved["param_groups"]
    if kind == "another name":
        group["param_names"][0] = "elsewhere"
    elif kind == "fewer parameters":
        del group["param_names"]
        group["params"] = group["params"][:-1]
    elif kind == "more groups":
        saved["param_groups"] = [group, {**group, "params": []}]
    elif kind == "a missing entry":
        del saved["state"][2]["exp_avg_sq"]
    return saved


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("another rule", r"of another rule: its states hold.*Adam.*needs exp_avg"),
        ("another name", r"missing 0\.weight; not in the optimizer elsewhere"),
        ("fewer parameters", r"has 3 parameters, and the optimizer's has 4"),
        ("more groups", r"has 2 parameter groups, and this Adam has 1"),
        ("a missing entry", r"of another rule"),
    ],
)
def test_a_refused_checkpoint_changes_nothing(kind: str, message: str) -> None:
    each = Trial(lambda model: ravine.optim.Adam(model.named_parameters())).run(3)
    before = snapshot(each)
    with pytest.raises(SettingError, match=message):
        each.optimizer.load_state_dict(broken_checkpoint(kind))
    assert snapshot(each) == before
    straight = Trial(lambda model: ravine.optim.Adam(model.named_parameters())).run(6)
    assert (each.run(3).weights() == straight.weights()).all()


def test_a_saved_state_is_no_larger_than_its_parameter() -> None:
    """Although small states are views of one block."""
    model = nn.Sequential(*[nn.Linear(4, 4) for _ in range(20)])
    optimizer = ravine.optim.Adam(model.parameters())
    model(torch.ones(1, 4)).sum().backward()
    optimizer.step()
    for entries in optimizer.state_dict()["state"].values():
        for entry in entries.values():
            assert entry.untyped_storage().nbytes() == entry.numel() * entry.element_size()
