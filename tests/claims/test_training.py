"""What the notes say of whole trainings, on the handwritten digits."""

from __future__ import annotations

import numpy as np
import pytest

from ravine import batches, rules
from tests.claims.statistics import interval
from tests.claims.training import after_the_last_error, by_class, final_costs
from tests.problems import digits_problem

SEEDS = range(79_000, 79_012)


def test_the_surrogate_goes_on_teaching_when_no_training_example_is_wrong():
    """The notes: "Test set 0-1 loss continues to decrease for a long time after the training set 0-1
    loss has reached zero ... Because one can improve classifier robustness by further pushing the
    classes apart".

    Certain is the reason: the training cost falls further, as its gradient vanishes at no finite
    weights. How much of it 719 other digits show is a tenth of a percent, one digit, so all that 12
    seeds can say at this level is that no rise of their 0-1 loss is seen.
    """
    found = after_the_last_error(SEEDS, epochs=30, rule=rules.sgd(lr=0.3))
    _, high = interval(np.log(found["train_cost_at_end"] / found["train_cost_then"]))
    assert high < 0
    low, _ = interval(found["error_at_end"] - found["error_then"])
    assert low <= 0


@pytest.mark.parametrize("order", [batches.shuffled(), batches.shuffled_once()])
def test_examples_stored_by_class_train_worse(order):
    """The notes: "Crucial to select minibatches randomly"; "For a data set with billions of samples
    shuffle once and store it in shuffled fashion".

    Three passes over the digits class after class end at a higher validation cost than three
    shuffled ones, paired by seed.
    """
    orders = {"stored": batches.stored(), "random": order}
    found = final_costs(by_class(digits_problem(steps=99)), orders, SEEDS, lr=0.1)
    low, _ = interval(np.log(found["stored"] / found["random"]))
    assert low > 0


def test_shuffling_once_is_usually_sufficient():
    """The notes: "it is usually sufficient to shuffle the order of the dataset once".

    Validation costs after ten passes, shuffled once against every pass anew, paired by seed: the
    interval of the log ratio holds 0, and is narrow: within ± 10%.
    """
    orders = {"once": batches.shuffled_once(), "anew": batches.shuffled()}
    found = final_costs(digits_problem(steps=330), orders, SEEDS, lr=0.1)
    low, high = interval(np.log(found["once"] / found["anew"]))
    assert low <= 0 <= high
    assert max(-low, high) < np.log(1.1)
