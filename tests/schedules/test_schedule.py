"""What holds for every schedule: values, products, equality, and the condition of Robbins & Monro."""

from __future__ import annotations

import itertools
import math
import pickle
from typing import Any

import numpy as np
import pytest
import torch

from ravine import schedules
from ravine.errors import InputError, SettingError
from ravine.schedules import (
    Schedule,
    constant,
    cosine,
    cosine_restarts,
    exponential,
    function,
    inverse_sqrt,
    inverse_time,
    join,
    linear,
    step,
    warmup,
)
from tests.schedules import forms
from tests.schedules.forms import FORMS, STEPS, Form, K, harmonic, values

every_form = pytest.mark.parametrize("form", FORMS, ids=lambda form: repr(form.schedule))


@every_form
def test_values_are_those_of_the_closed_form(form: Form) -> None:
    assert np.max(np.abs(values(form.schedule) - form.closed(K))) <= 1e-13


@every_form
def test_nothing_is_remembered(form: Form) -> None:
    """Any order of calls gives what the order of training gives; a step below 0 is step 0."""
    schedule = form.schedule
    straight = [schedule(k) for k in range(600)]
    assert [schedule(k) for k in reversed(range(600))][::-1] == straight
    assert schedule(np.int64(599)) == schedule(torch.tensor(599)) == straight[599]
    assert schedule(-1) == schedule(-(10**6)) == straight[0]
    assert all(isinstance(value, float) for value in straight)


@every_form
def test_far_steps(form: Form) -> None:
    """What ends stays at its last value; nothing overflows."""
    far, farther = form.schedule(10**9), form.schedule(10**12)
    assert 0 <= farther <= 1
    if form.schedule.tail == 0 and "restarts" not in form.schedule.name:
        assert far == farther == form.schedule(STEPS - 1)
    if form.schedule.tail == math.inf:
        assert farther == 0


@every_form
def test_what_is_printed_makes_it_again(form: Form) -> None:
    names = {**vars(schedules), "harmonic": harmonic}
    again = eval(repr(form.schedule), names)
    assert again == form.schedule
    assert hash(again) == hash(form.schedule)


@every_form
def test_pickles_are_equal(form: Form) -> None:
    again = pickle.loads(pickle.dumps(form.schedule))
    assert again == form.schedule
    assert [again(k) for k in range(50)] == [form.schedule(k) for k in range(50)]


def test_different_schedules_differ() -> None:
    assert len({form.schedule for form in FORMS}) == len(FORMS)
    assert cosine(100) != cosine(101)
    assert cosine(100) != cosine(100, final=0.1)
    assert cosine(100) == cosine(100.0)  # type: ignore[arg-type]


# Products


def test_products_are_commutative_and_associative_bit_by_bit() -> None:
    parts = [
        constant(0.1),
        constant(0.7),
        warmup(90),
        cosine(900),
        inverse_sqrt(0.3),
        function(harmonic, "harmonic"),
    ]
    first = values(math.prod(parts), 1000)
    assert np.max(np.abs(first - np.prod([values(p, 1000) for p in parts], axis=0))) <= 1e-15
    for a, b, *rest in itertools.permutations(parts):
        product = (a * b) * math.prod(rest)
        assert product == math.prod(parts)
    for a, b, c in itertools.combinations(parts, 3):
        assert (values(a * (b * c), 1000) == values((c * a) * b, 1000)).all()


@pytest.mark.parametrize("number", [0.1, 2, np.float64(0.1), np.float32(0.5), np.int64(3)])
def test_numbers_multiply_from_both_sides(number: Any) -> None:
    left, right = number * cosine(100), cosine(100) * number
    assert isinstance(left, Schedule)
    assert left == right
    assert left(50) == pytest.approx(float(number) * 0.5, rel=1e-15)


def test_names_are_one_word() -> None:
    assert (0.1 * cosine(100)).name == "cosine"
    assert (constant(2) * constant(3)).name == "constant"
    assert (warmup(10) * cosine(100)).name == "cosine*warmup"
    assert join([warmup(10), cosine(100)], [10]).name == "warmup+cosine"
    assert (join([warmup(10), cosine(100)], [10]) * step(9)).name == "(warmup+cosine)*step"


def test_where_the_order_matters() -> None:
    """Under a ramp the cosine begins at once, in front of it after the ramp."""
    w, t = 100, 1000
    under, front = warmup(w) * cosine(t), join([warmup(w), cosine(t - w)], [w])
    assert under(w) == pytest.approx(math.cos(math.pi / 2 * w / t) ** 2, rel=1e-14)
    assert front(w) == 1.0
    assert under(t) == front(t) == 0.0
    assert join([cosine(t - w), warmup(w)], [w])(t) == 1.0


# Robbins & Monro


@every_form
def test_robbins_monro(form: Form) -> None:
    found = form.schedule.check()
    assert (found.sum_diverges, found.squares_converge) == form.truth
    assert found.holds == all(form.truth)


BLOCKS: list[tuple[Schedule, float]] = [
    (constant(0.5), 0),
    (linear(1000), 0),
    (cosine_restarts(64), 0),
    (inverse_sqrt(), 0.5),
    (inverse_time(1), 1),
    (inverse_sqrt(2) * inverse_sqrt(3), 1),
    (inverse_sqrt() * inverse_time(1), 1.5),
    (inverse_time(1) * warmup(500), 1),
    (inverse_time(1) * cosine_restarts(64), 1),
    (inverse_time(1) * cosine_restarts(1, growth=2), 1),
    (join([inverse_time(1), inverse_sqrt()], [200]), 0.5),
]


@pytest.mark.parametrize(("schedule", "order"), BLOCKS, ids=lambda x: repr(x))
def test_the_order_is_that_of_partial_sums(schedule: Schedule, order: float) -> None:
    """Sums over steps [2ʲ, 2ʲ⁺¹) grow by 2^(1-p) if ε_k ~ c k^-p, those of ε² by 2^(1-2p).

    Of (1+k)^-p the ratio is off by a factor of about 1 ± p/2ʲ; 2% leave room for join's 200 steps.
    """
    assert schedule.tail == order
    ends = 2 ** np.array([13, 14, 15]) - 1  # where restarts that double end
    terms = values(schedule, int(ends[-1]))
    for power in (1, 2):
        first, second = (np.sum(terms[a:b] ** power) for a, b in itertools.pairwise(ends))
        assert second / first == pytest.approx(2 ** (1 - power * order), rel=0.02)


@pytest.mark.parametrize("schedule", [exponential(0.01), step(100), cosine(5000), linear(9, 0)])
def test_fast_tails_add_nothing(schedule: Schedule) -> None:
    """exp(-0.01 · 8192) is 3e-36."""
    assert schedule.tail == math.inf
    assert sum(schedule(k) for k in range(2**13, 2**14)) <= 1e-30


def test_reasons_name_the_order() -> None:
    assert "k^-1: Σε = ∞ and Σε² < ∞" in inverse_time(0.1).check().reason
    assert "k^-0.5, too slowly" in inverse_sqrt().check().reason
    assert "k^-1.5, too fast" in (inverse_sqrt() * inverse_time(1)).check().reason
    assert "stays away from 0" in linear(100).check().reason
    assert "faster than any power" in cosine(100).check().reason


def test_of_a_function_nobody_knows() -> None:
    plain = function(harmonic, "harmonic")
    for unknown in (plain, 0.1 * plain, plain * exponential(0.1), join([cosine(5), plain], [5])):
        with pytest.raises(SettingError, match=r"say the order p .*function\(f, name, tail=1\.0\)"):
            unknown.check()
    assert join([plain, inverse_time(1)], [5]).check().holds


# What is refused

BAD: list[tuple[Any, str]] = [
    (lambda: linear(0), r"steps=0 is out of range; it must be a whole number >= 1"),
    (lambda: linear(0.5), r"steps=0\.5 "),
    (lambda: linear("9"), r"steps='9' "),
    (lambda: linear(float("nan")), r"steps=nan "),
    (lambda: linear(float("inf")), r"steps=inf "),
    (lambda: linear(9, final=1.5), r"final=1\.5 .*in \[0, 1\]"),
    (lambda: linear(9, final=-0.1), r"final=-0\.1 "),
    (lambda: schedules.polynomial(9, power=0), r"power=0 .*> 0"),
    (lambda: inverse_time(0), r"decay=0 is out of range; it must be a finite number > 0"),
    (lambda: inverse_sqrt(-1), r"decay=-1 "),
    (lambda: exponential(float("inf")), r"decay=inf "),
    (lambda: step(9, factor=1), r"factor=1 .*in \(0, 1\)"),
    (lambda: cosine_restarts(9, growth=1.5), r"growth=1\.5 "),
    (lambda: warmup(0), r"steps=0 "),
    (lambda: schedules.warmup_stable_decay(5, -1, 5), r"stable=-1 .*>= 0"),
    (lambda: schedules.one_cycle(3), r"steps=3 with rise=0\.3 leave no step.*more than 3\.333"),
    (lambda: schedules.one_cycle(9, rise=1.0), r"rise=1\.0 "),
    (lambda: schedules.one_cycle_momentum(9, low=-0.1), r"low=-0\.1 "),
    (lambda: schedules.ramp(0.5, -0.99, 9), r"end=-0\.99 .*>= 0"),
    (lambda: schedules.sutskever_momentum(1.1), r"largest=1\.1 "),
    (lambda: schedules.piecewise([5], [1.0]), r"1 boundaries came with 1 values"),
    (lambda: schedules.piecewise([], []), r"0 boundaries came with 0 values"),
    (lambda: schedules.piecewise([5, 5], [1, 2, 3]), r"\[5, 5\] must rise"),
    (lambda: schedules.piecewise([0], [1, 2]), r"boundaries\[0\]=0 "),
    (lambda: schedules.piecewise([5], [1, -2]), r"values\[1\]=-2 "),
    (lambda: join([cosine(5)], [5]), r"1 boundaries came with 1 schedules"),
    (lambda: join([cosine(5), 0.1], [5]), r"schedules\[1\]=0\.1 is no schedule.*constant"),
    (lambda: constant(-1), r"value=-1 is out of range; it must be a finite number >= 0"),
    (lambda: -0.1 * cosine(5), r"value=-0\.1 "),
    (lambda: function(0.1, "tenth"), r"0\.1 is no function"),
    (lambda: function(harmonic, "two words"), r"name='two words' is no word"),
    (lambda: function(harmonic, "a+b"), r"name='a\+b' is no word"),
    (lambda: function(harmonic, "harmonic", tail=-1), r"tail=-1 "),
]


@pytest.mark.parametrize(("make", "message"), BAD)
def test_what_is_refused(make: Any, message: str) -> None:
    with pytest.raises(SettingError, match=message) as raised:
        make()
    assert isinstance(raised.value, InputError)


def test_only_numbers_and_schedules_multiply() -> None:
    with pytest.raises(TypeError, match="unsupported operand"):
        cosine(5) * None


def test_every_factory_is_in_the_table() -> None:
    beside = {"NAMES", "RobbinsMonro", "Schedule", "Suggestion", "named", "range_test", "suggest"}
    factories = set(schedules.__all__) - beside
    typed = " ".join(repr(form.schedule) for form in forms.FORMS)
    assert {name for name in factories if f"{name}(" not in typed} == set()
    assert schedules.__all__ == sorted(schedules.__all__)
