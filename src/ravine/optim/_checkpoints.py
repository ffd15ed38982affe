"""What goes into a checkpoint, and what may come out of one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from ravine.errors import SettingError

Checkpoint = dict[str, Any]
Entries = dict[str, Any]

_BESIDE = frozenset({"step", "train_point"})
"""Entries that may be there without need: a count, and what `eval()` keeps."""


def detached_from_blocks(checkpoint: Checkpoint) -> Checkpoint:
    """A `state_dict` whose tensors hold nothing but themselves.

    Counts are shared between parameters, and torch's optimizers would count each of them up several
    times; saving a view would save the block it lies in.
    """
    state = {key: _own(entries) for key, entries in checkpoint["state"].items()}
    return {**checkpoint, "state": state}


def matched(
    checkpoint: Checkpoint,
    groups: list[dict[str, Any]],
    expected: Callable[[int, dict[str, Any], Tensor], Mapping[str, torch.Size]],
    adopt: Callable[[Entries], Entries],
    reader: str,
) -> Checkpoint:
    """A checkpoint in the order of the reader's parameters, checked as a whole.

    Parameters are matched by name where both sides have names, else by their order.

    Args:
        checkpoint: what `state_dict` gave, of this class or of torch's of the same name.
        groups: the reader's groups.
        expected: (index of a group, its options, parameter) -> names and shapes of its state's
            entries.
        adopt: makes a state of the reader's out of one of torch's.
        reader: the class that reads, for messages.

    Raises:
        SettingError: groups or parameters do not match, or states are of another rule. Nothing has
            been changed then.
    """
    saved_groups = checkpoint["param_groups"]
    if len(saved_groups) != len(groups):
        raise SettingError(
            f"the checkpoint has {len(saved_groups)} parameter groups, and this {reader} has "
            f"{len(groups)}: build it with the groups of the run that was saved."
        )
    state = dict(checkpoint["state"])
    matched_groups = []
    for index, (saved, group) in enumerate(zip(saved_groups, groups, strict=True)):
        order = _order(index, saved, group)
        for key, param in zip(order, group["params"], strict=True):
            state[key] = adopt(dict(state.get(key, {})))
            if state[key]:
                _check_entries(state[key], expected(index, saved, param), param, reader)
        both = "param_names" in saved and "param_names" in group
        renamed = {"param_names": group["param_names"]} if both else {}
        matched_groups.append({**saved, "params": order, **renamed})
    return {**checkpoint, "state": state, "param_groups": matched_groups}


def _order(index: int, saved: Mapping[str, Any], group: Mapping[str, Any]) -> list[Any]:
    """The saved keys in the order of the group's parameters."""
    keys = list(saved["params"])
    if "param_names" in saved and "param_names" in group:
        by_name = dict(zip(saved["param_names"], keys, strict=True))
        missing = [name for name in group["param_names"] if name not in by_name]
        surplus = sorted(by_name.keys() - set(group["param_names"]))
        if missing or surplus:
            raise SettingError(
                f"group {index} of the checkpoint does not match by name: "
                f"missing {_listed(missing)}; not in the optimizer {_listed(surplus)}."
            )
        return [by_name[name] for name in group["param_names"]]
    if len(keys) != len(group["params"]):
        raise SettingError(
            f"group {index} of the checkpoint has {len(keys)} parameters, and the optimizer's has "
            f"{len(group['params'])}: build it with the parameters of the run that was saved."
        )
    return keys


def _check_entries(
    entries: Entries, expected: Mapping[str, torch.Size], param: Tensor, reader: str
) -> None:
    if (
        entries.keys() - _BESIDE != expected.keys() - _BESIDE
        or not expected.keys() <= entries.keys()
    ):
        raise SettingError(
            f"the checkpoint is of another rule: its states hold {_listed(sorted(entries))}, and "
            f"{reader} with the checkpoint's options needs {_listed(sorted(expected))}."
        )
    for name, shape in expected.items():
        if isinstance(entries[name], Tensor) and entries[name].shape != shape:
            raise SettingError(
                f"the checkpoint's {name} has the shape {list(entries[name].shape)}, and a parameter "
                f"of shape {list(param.shape)} needs {list(shape)}: the model is another one."
            )


def _listed(names: list[str]) -> str:
    return ", ".join(names[:5]) + (", ..." if len(names) > 5 else "") if names else "nothing"


def _own(entries: Entries) -> Entries:
    return {name: _alone(entry) for name, entry in entries.items()}


def _alone(entry: Any) -> Any:
    """The tensor, copied if it is a count or a part of something larger."""
    if not isinstance(entry, Tensor):
        return entry
    try:
        whole = entry.untyped_storage().nbytes() == entry.numel() * entry.element_size()
    except (RuntimeError, NotImplementedError):  # a DTensor keeps no storage of its own
        return entry
    return entry if whole and entry.ndim else entry.detach().clone()
