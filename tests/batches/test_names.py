"""Orders by name."""

from __future__ import annotations

import pytest
import torch

from ravine import batches
from ravine.batches import NAMES, named
from ravine.errors import SettingError, UnknownNameError

TARGETS = torch.tensor([0, 1, 1, 0, 2, 1])


def test_names_are_those_of_the_functions() -> None:
    assert NAMES == ("shuffled", "shuffled_once", "stored", "with_replacement", "stratified")
    for name in NAMES:
        make = getattr(batches, name)
        assert named(name, TARGETS) == (make(TARGETS) if name == "stratified" else make())
        assert named(name, TARGETS).name == name


def test_an_unknown_name_is_said_with_the_nearest() -> None:
    message = r"unknown order of examples 'shufled'; did you mean shuffled.*ravine batches"
    with pytest.raises(UnknownNameError, match=message):
        named("shufled", TARGETS)


def test_targets_are_needed_for_classes_alone() -> None:
    for name in set(NAMES) - {"stratified"}:
        assert named(name, None) == named(name) == named(name, TARGETS)
    with pytest.raises(SettingError, match="--batches stratified came without training targets"):
        named("stratified", None)


def test_an_empty_name_is_said() -> None:
    with pytest.raises(SettingError, match="--batches is empty; expected one of shuffled, "):
        named("", TARGETS)


def test_targets_that_are_no_classes_cannot_be_stratified() -> None:
    with pytest.raises(SettingError, match=r"--batches stratified takes .* for .*labels hold 0.25"):
        named("stratified", TARGETS / 4)
    assert named("shuffled", TARGETS / 4) == batches.shuffled()
