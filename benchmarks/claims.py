"""What the lecture notes claim about starting points, rates and the order of examples: figures.

    OMP_NUM_THREADS=1 python -m benchmarks.claims

Run it from the repository's root; the measurements are those of tests/claims, with more seeds. Takes
about four minutes on one core and writes benchmarks/results/claims.json: for each claim what theory
expects, what was measured with its 95% interval over seeds where there are several, and whether the
claim held.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike
from tests.claims import depth, descent, order, sampling, training
from tests.claims.statistics import interval, slopes
from tests.claims.test_bias_correction import LR, steps_of, uncorrected
from tests.claims.test_momentum import walk
from tests.problems import digits_problem
from torch import nn

from ravine import batches, rules
from ravine.environment import environment
from ravine.initializers import identity
from ravine.schedules import constant, inverse_sqrt, inverse_time

RESULT = Path(__file__).parent / "results" / "claims.json"
SEEDS = range(20_000, 20_020)


@dataclass(frozen=True)
class Figure:
    """One line of the table.

    Attributes:
        claim: what the notes say, or what bounds it. setting: what it was measured on.
        measured: the figure. expected: by theory, where there is one; ci95: over seeds.
        held: whether the claim held; None for a figure that only describes.
    """

    claim: str
    setting: str
    measured: float
    expected: float | None = None
    ci95: tuple[float, float] | None = None
    held: bool | None = None


def over_seeds(
    claim: str,
    setting: str,
    samples: ArrayLike,
    expected: float | None = None,
    held: Callable[[float, float], bool] | None = None,
) -> Figure:
    """A mean over seeds. Held, if not said otherwise: the 95% interval holds what is expected."""
    low, high = interval(samples, 0.95)
    if held is not None:
        judged: bool | None = bool(held(low, high))
    else:
        judged = None if expected is None else low <= expected <= high
    return Figure(claim, setting, float(np.mean(samples)), expected, (low, high), judged)


def below_zero(low: float, high: float) -> bool:
    return high < 0


def above_zero(low: float, high: float) -> bool:
    return low > 0


def signals() -> Iterator[Figure]:
    """Second moments after 50 layers, as multiples of those that went in."""
    width, seeds = 512, range(20_000, 20_064)

    def kept(low: float, high: float) -> bool:
        return low > 0.5 and high < 2

    for activation, weights, stddev in (
        (nn.Tanh, "glorot_uniform", 0.01),
        (nn.ReLU, "he_normal", 1.0),
    ):
        found = depth.all_moments(activation, weights, width, seeds, stddev)[:, :, -1]
        for i, direction in enumerate(("forward", "backward")):
            setting = f"{weights}, {activation.__name__}, 50 x {width}, input std {stddev}"
            claim = f"{direction} second moment is kept within a factor of 2"
            yield over_seeds(claim, setting, found[:, i], 1.0, kept)
        spread = float(np.std(found[:, 0]))
        yield Figure("standard deviation of one network's forward moment", setting, spread)
    halved = depth.all_moments(nn.ReLU, "glorot_uniform", width, seeds)[:, 0, -1]
    setting = f"glorot_uniform, ReLU, 50 x {width}: times 2^50"
    yield over_seeds("ReLU halves the second moment at each layer", setting, halved * 2.0**50, 1.0)
    yield from drift(width)
    for gain, word in ((0.5, "vanishes"), (1.5, "explodes")):
        forward, _ = depth.moments(depth.network(nn.Identity, 2), identity(gain), seed=0)
        size = float(np.sqrt(forward[-1]))
        held = bool(np.isclose(size, gain**50, rtol=1e-12))
        yield Figure(f"{gain} I {word}", "50 linear layers, amplitude", size, gain**50, held=held)


def drift(width: int) -> Iterator[Figure]:
    """Glorot at the edge of the regime in which tanh is linear, and outside of it."""
    edge = depth.all_moments(nn.Tanh, "glorot_uniform", width, range(20_000, 20_050), 0.1)[:, 0, -1]
    yield over_seeds(
        "inputs of variance 1/(2 depth): half the variance is lost",
        f"glorot_uniform, Tanh, {width} wide, input std 0.1, after 50 layers",
        edge,
        float(depth.tanh_in_wide_layers(0.01)[-1] / 0.01),
    )
    found = depth.all_moments(nn.Tanh, "glorot_uniform", width, range(20_000, 20_050))[:, 0]
    theory = depth.tanh_in_wide_layers(1.0)
    for layers in (1, 10, 25, 50):
        yield over_seeds(
            "inputs of variance 1: tanh lets the variance decay as 1/(2 depth)",
            f"glorot_uniform, Tanh, {width} wide, after {layers} layers; expected as n goes to infinity",
            found[:, layers - 1],
            float(theory[layers - 1]),
            lambda low, high: high < 1,
        )


def gradients() -> Iterator[Figure]:
    """Standard errors of minibatch gradients."""
    vectors, labels = sampling.digits_gradients()
    sampled = sampling.Sampled(vectors)
    sizes, draws = [1, 2, 4, 8, 16, 32, 64, 128, 256], 20_000
    found = sampling.standard_errors(sampled, batches.with_replacement(), sizes, draws, 0)
    groups = np.array([descent.in_groups(s, 20) for s in found.values()])
    setting = "digits-mlp at its He start, with replacement, batches of 1 to 256"
    yield over_seeds(
        "standard error falls as 1/sqrt(batch size): slope",
        setting,
        slopes(sizes, np.sqrt(groups)),
        -0.5,
        lambda low, high: low > -0.55 and high < -0.45,
    )
    hundred = sampled.squared_errors(
        sampling.drawn(batches.with_replacement(), sampled.examples, 100, draws, 10**7)
    )
    ratio = np.sqrt(groups[0] / descent.in_groups(hundred, 20))
    yield over_seeds("100 times the computation, a tenth of the error", setting, ratio, 10.0)
    n = sampled.examples
    half = sampled.squared_errors(sampling.drawn(batches.shuffled(), n, 539, 2000, 0))
    expected = (n - 539) / (n - 1)
    yield over_seeds(
        "without replacement the finite population counts: factor (N-m)/(N-1)",
        "digits-mlp, batches of 539 of 1078",
        half * 539 / sampled.variance,
        expected,
    )
    stored = np.argsort(labels, kind="stable")[: n // 32 * 32].reshape(-1, 32)
    mean = float(sampled.squared_errors(stored).mean())
    theory = sampled.variance / 32 * (n - 32) / (n - 1)
    claim = (
        "examples stored by class: squared error of a minibatch gradient over that when shuffled"
    )
    yield Figure(claim, "digits-mlp, batches of 32", mean / theory, held=bool(mean > theory))


def convergence() -> Iterator[Figure]:
    """Slopes of the excess error, and floors."""
    steps = [2**i for i in range(5, 14)]
    harmonic = inverse_time(1.0)
    found = descent.excess(harmonic, [1.0, 2.0, 0.25], [1.0] * 3, steps, 8192, 1)
    for i, (c, expected) in enumerate(((1.0, -1.0), (2.0, -1.0), (0.25, -0.5))):
        yield over_seeds(
            "Robbins-Monro c/k, strongly convex: slope of the excess error",
            f"noisy quadratic, c times curvature {c}, 512 to 8192 steps; -2c below a half",
            slopes(steps[4:], descent.in_groups(found[4:, i])),
            expected,
            lambda low, high, at=expected: low < at + 0.05 and high > at - 0.05,
        )
    curvatures = np.geomspace(1e-3, 1, 61).tolist()
    rates = [1.0] * len(curvatures)
    horizon = [
        descent.expected_excess(constant(k**-0.5), rates, curvatures, [k]).max() for k in steps
    ]
    worst = "worst of quadratics with curvatures 0.001 to 1, 32 to 8192 steps, in expectation: "
    slope = float(slopes(steps, horizon))
    claim = "convex: O(1/sqrt(k)), slope of the excess error"
    yield Figure(
        claim, worst + "constant rate 1/sqrt(k)", slope, -0.5, held=abs(slope + 0.5) < 0.05
    )
    for name, schedule in (("1/sqrt(k)", inverse_sqrt(1.0)), ("1/k", harmonic)):
        theory = descent.expected_excess(schedule, rates, curvatures, steps).max(axis=1)
        yield Figure(claim, worst + f"decaying rates {name}", float(slopes(steps, theory)), -0.5)
    lrs = np.array([0.02, 0.1, 0.5, 1.5])
    floors = descent.excess(constant(), lrs.tolist(), [1.0] * 4, [1200], 8192, 2)[0]
    for lr, of_runs in zip(lrs, floors, strict=True):
        yield over_seeds(
            "a constant rate stops at a floor, lr s²/(2 (2 - lr))",
            f"noisy quadratic of curvature 1, s = 1, lr {lr}",
            of_runs,
            float(descent.floor(lr)),
        )


def orders() -> Iterator[Figure]:
    """With and without replacement, first and later passes, samples of patients."""
    examples, epochs = 32, [20, 40, 80, 160, 320]
    kinds = {
        "with_replacement": batches.with_replacement(),
        "shuffled": batches.shuffled(),
        "shuffled_once": batches.shuffled_once(),
    }
    seeds = range(20_000, 20_200)
    ends = [examples * epoch for epoch in epochs]
    problem = order.independent(examples, 4, seed=1)
    found = order.excess(problem, kinds, seeds, 0.1 * inverse_time(0.05), 1, ends)
    expected = {"with_replacement": -1.0, "shuffled": None, "shuffled_once": -2.0}
    for name, of_seeds in found.items():
        yield over_seeds(
            "excess error at ends of epochs: slope (-1 with replacement, -2 to -3 reshuffled, -2 once)",
            f"least squares, 32 examples, rates 2/(k+20), 20 to 320 epochs, {name}",
            slopes(epochs, descent.in_groups(of_seeds, 20)),
            expected[name],
            lambda low, high, at=expected[name]: (
                high < -1.8 if at is None else low < at + 0.1 and high > at - 0.1
            ),
        )
    for name in ("shuffled", "shuffled_once"):
        yield over_seeds(
            "log of excess error after 320 epochs over that with replacement",
            f"the same, {name}, paired by seed",
            order.log_ratio(found[name][-1], found["with_replacement"][-1]),
            held=below_zero,
        )
    yield from passes()
    yield from blood_samples()


def passes() -> Iterator[Figure]:
    """Bias of minibatch gradients, pass by pass."""
    differences, pull = order.pulls(40_000, 32, 8, 4, passes=4, rate=0.1)
    for i in range(4):
        part = slice(8 * i, 8 * i + 8)
        samples = differences[:, part].mean(axis=1) / pull[:, part].mean()
        yield over_seeds(
            "first pass unbiased, later ones biased: share of the pull towards the truth that is lost",
            f"least squares, 32 examples shuffled once, pass {i + 1}",
            samples,
            0.0 if i == 0 else None,
            None if i == 0 else above_zero,
        )


def blood_samples() -> Iterator[Figure]:
    """Five samples of each patient."""
    of_patient = np.repeat(np.arange(40), 5).tolist()
    kinds = {
        "grouped": batches.grouped(of_patient),
        "shuffled": batches.shuffled(),
        "spread": batches.spread(of_patient),
    }
    problem = order.of_patients(40, 5, 4, 0.9, seed=2)
    found = order.excess(problem, kinds, range(20_000, 20_100), constant(0.1), 10, range(401, 801))
    floors = {name: of_seeds.mean(axis=0) for name, of_seeds in found.items()}
    setting = "least squares, 40 patients x 5 samples of correlation 0.9, batches of 10, lr 0.1"
    for one, other in (("grouped", "shuffled"), ("shuffled", "spread")):
        yield over_seeds(
            f"log of the floor, {one} over {other}",
            setting,
            order.log_ratio(floors[one], floors[other]),
            held=above_zero,
        )


def first_steps() -> Iterator[Figure]:
    """Momentum's terminal speed, Adam's first steps."""
    for momentum in (0.5, 0.9, 0.99):
        path = walk("momentum", momentum, round(40 / (1 - momentum)))
        speed = float(np.abs(np.diff(path, axis=0)).max() / (0.01 * 3))
        expected = 1 / (1 - momentum)
        held = bool(np.isclose(speed, expected, rtol=1e-9))
        claim = "momentum multiplies the maximum speed by 1/(1-a)"
        yield Figure(claim, f"constant gradient, a = {momentum}", speed, expected, held=held)
    for beta2 in (0.99, 0.999, 0.9999):
        rest = [steps_of(r, 200, beta2=beta2) for r in (uncorrected(), rules.adam())]
        ratio = (rest[0] / rest[1])[:, 0]
        expected = 0.1 / np.sqrt(1 - beta2)
        held = bool(np.isclose(ratio[0], expected, rtol=1e-3))
        claim = "without bias correction Adam's first step is larger, times"
        yield Figure(
            claim, f"constant gradient, beta2 {beta2}", float(ratio[0]), expected, held=held
        )
        claim = f"and the largest, step {int(rest[0][:, 0].argmax()) + 1}, times"
        largest = float(rest[0][:, 0].max() / LR)
        yield Figure(claim, f"constant gradient, beta2 {beta2}", largest)


def surrogate() -> Iterator[Figure]:
    """After the training 0-1 loss has reached zero."""
    for rule in (rules.sgd(lr=0.1), rules.sgd(lr=0.5), rules.adam(lr=3e-3)):
        found = training.after_the_last_error(SEEDS, epochs=100, rule=rule)
        setting = f"digits 64-128-10, {rule.title} lr {rule.defaults['lr']}, 100 epochs, 20 seeds"
        zero = 100 / 27 * found["zero"]
        yield over_seeds("training 0-1 loss is zero from this epoch on", setting, zero)
        yield over_seeds(
            "log ratio of the training cost from there to the end",
            setting,
            np.log(found["train_cost_at_end"] / found["train_cost_then"]),
            held=below_zero,
        )
        yield over_seeds(
            "held-out 0-1 loss goes on decreasing (719 digits): its change",
            setting,
            found["error_at_end"] - found["error_then"],
            held=below_zero,
        )
        yield over_seeds(
            "while the held-out surrogate rises: log ratio of its cost",
            setting,
            np.log(found["cost_at_end"] / found["cost_then"]),
            held=above_zero,
        )


def stored_digits() -> Iterator[Figure]:
    """Digits class after class, shuffled once, shuffled anew, after few and after many passes."""
    kinds = {
        "stored": batches.stored(),
        "shuffled_once": batches.shuffled_once(),
        "shuffled": batches.shuffled(),
    }
    for epochs in (3, 30):
        problem = training.by_class(digits_problem(steps=None, epochs=epochs))
        found = training.final_costs(problem, kinds, SEEDS, lr=0.1)
        for one, other, held in (
            ("stored", "shuffled_once", above_zero),
            ("shuffled_once", "shuffled", lambda low, high: max(-low, high) < np.log(1.1)),
        ):
            claim = f"log of the validation cost, {one} over {other}"
            setting = f"digits-mlp stored by class, SGD lr 0.1, {epochs} epochs, 20 seeds"
            yield over_seeds(claim, setting, np.log(found[one] / found[other]), held=held)


def batch_sizes() -> Iterator[Figure]:
    """Stable rates and generalization by batch size."""
    rates = [2.0 ** (i / 4) for i in range(-18, 10)]
    smaller = None
    for size in (1, 4, 16, 64, 256):
        found = np.log2(training.largest_stable_rates(size, 200, rates, SEEDS[:5]))
        claim = "small batches need a small learning rate: log2 of the largest stable one"
        setting = f"digits-mlp, SGD, 200 steps, batch {size}, 5 seeds, quarter octaves"
        held = None if smaller is None else bool((found > smaller).all())
        samples = found + 1e-9 * np.arange(len(found))  # equal values have no interval
        yield replace(over_seeds(claim, setting, samples), held=held)
        smaller = found
    yield from generalization()


def generalization() -> Iterator[Figure]:
    """Test error at the rate that is best on the validation digits."""
    errors = {}
    for size in (1, 8, 32, 128):
        rates = [2.0**i * min(1.0, size / 32) for i in range(-6, 2)]
        problem = digits_problem(batch_size=size, steps=None, epochs=30)
        _, metric = training.by_rate(problem, rates, SEEDS[:10])
        best = rates[int(metric.mean(axis=1).argmin())]
        assert problem.test is not None
        _, tested = training.by_rate(replace(problem, validation=problem.test), [best], SEEDS[:10])
        errors[size] = tested[0]
        setting = f"digits-mlp, SGD, 30 epochs, batch {size}, lr {best:g}, 10 seeds"
        yield over_seeds("test error at the best rate", setting, tested[0])
    yield over_seeds(
        "generalization is best for batch size of 1: test error of batch 1 less that of batch 128",
        "the same, paired by seed",
        errors[1] - errors[128],
        held=below_zero,
    )


PARTS = (
    signals,
    gradients,
    convergence,
    orders,
    first_steps,
    surrogate,
    stored_digits,
    batch_sizes,
)


def show(figure: Figure) -> None:
    """Print one line."""
    verdict = {True: "held", False: "DID NOT HOLD", None: ""}[figure.held]
    told = "" if figure.expected is None else f"expected {figure.expected:.5g}"
    ci = "" if figure.ci95 is None else f"[{figure.ci95[0]:.5g}, {figure.ci95[1]:.5g}]"
    print(
        f"{figure.measured:>12.5g} {ci:26} {told:20} {verdict:13} {figure.claim}; {figure.setting}"
    )


def main() -> None:
    """Measure everything, print the table, write the result."""
    begun = time.perf_counter()
    figures = []
    for part in PARTS:
        for figure in part():
            show(figure)
            figures.append(asdict(figure))
        print(f"{part.__name__}: {time.perf_counter() - begun:.0f} s so far", flush=True)
    result = {"environment": environment(None), "figures": figures}
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(f"{time.perf_counter() - begun:.0f} s; wrote {RESULT.name}")


if __name__ == "__main__":
    main()
