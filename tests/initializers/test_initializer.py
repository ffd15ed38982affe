"""What holds for every initializer."""

from __future__ import annotations

import pickle

import pytest
import torch

from ravine import initializers
from ravine.errors import SettingError, UnknownNameError
from ravine.initializers import NAMES, Fans, get
from ravine.seeds import generator

RANDOM = sorted({*NAMES} - {"zeros", "ones", "constant", "identity"})
SHAPE = (24, 6, 3, 3)


@pytest.mark.parametrize("name", NAMES)
def test_one_seed_gives_the_same_numbers_in_all_dtypes(name: str) -> None:
    """Drawn in float64 and rounded once."""
    exact = get(name)(SHAPE, generator(3), dtype=torch.float64)
    for dtype in (torch.float32, torch.bfloat16):
        assert torch.equal(get(name)(SHAPE, generator(3), dtype=dtype), exact.to(dtype))
    assert get(name)(SHAPE, generator(3)).dtype == torch.get_default_dtype()


@pytest.mark.parametrize("name", RANDOM)
def test_the_generator_alone_decides(name: str) -> None:
    first, again = (get(name)(SHAPE, generator(3)) for _ in range(2))
    assert torch.equal(first, again)
    assert not torch.equal(first, get(name)(SHAPE, generator(4)))
    torch.manual_seed(1)
    globally = get(name)(SHAPE)
    torch.manual_seed(1)
    assert torch.equal(globally, get(name)(SHAPE))
    before = torch.get_rng_state()
    get(name)(SHAPE, generator(3))
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("name", NAMES)
def test_one_can_type_what_is_printed(name: str) -> None:
    initializer = get(name)
    typed = eval(repr(initializer), vars(initializers))
    assert typed == initializer
    assert hash(typed) == hash(initializer)
    sent = pickle.loads(pickle.dumps(initializer))
    assert sent == initializer
    assert torch.equal(sent(SHAPE, generator(3)), initializer(SHAPE, generator(3)))
    assert [other for other in NAMES if get(other) == initializer] == [name]


def test_settings_make_a_difference() -> None:
    assert initializers.orthogonal(2.0) != initializers.orthogonal()
    assert (
        repr(initializers.truncated_normal(stddev=0.1)) == "truncated_normal(mean=0.0, stddev=0.1)"
    )


def test_names_are_kerass_in_snake_case() -> None:
    """keras.initializers, as the lecture notes list them."""
    keras = (
        "Zeros Ones Constant RandomNormal RandomUniform TruncatedNormal VarianceScaling Orthogonal "
        "Identity LecunUniform LecunNormal GlorotUniform GlorotNormal HeUniform HeNormal"
    )
    snake = {"".join(f"_{c.lower()}" if c.isupper() else c for c in n)[1:] for n in keras.split()}
    assert snake == {*NAMES} - {"uniform_fan_in", "sparse"}


def test_unknown_names_are_refused_with_near_ones() -> None:
    with pytest.raises(UnknownNameError, match=r"unknown initializer 'xhe_normal'.*he_normal"):
        get("xhe_normal")


def test_impossible_fans_and_dtypes_are_refused() -> None:
    with pytest.raises(SettingError, match=r"shape \(5,\) has no fans.*fans=Fans"):
        get("he_normal")((5,))
    with pytest.raises(SettingError, match=r"without an empty axis"):
        get("glorot_uniform")((5, 0))
    for bad in (0, -1.0, float("nan"), float("inf"), True, "3"):
        with pytest.raises(SettingError, match="expected a positive number of products"):
            Fans(bad, 1)
        with pytest.raises(SettingError, match="fan_out="):
            Fans(1, bad)
    with pytest.raises(SettingError, match="expected a floating dtype"):
        get("zeros")((2,), dtype=torch.int64)
