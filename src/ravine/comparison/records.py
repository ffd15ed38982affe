"""The records of a comparison: its settings, its verdict, and everything a report needs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ravine.comparison.space import FEWEST
from ravine.diagnostics.finding import Finding
from ravine.rules import Span
from ravine.training.records import Run


@dataclass(frozen=True)
class Settings:
    """What decides the outcome of a comparison, besides the recipe.

    Attributes:
        arms: names of what is compared, in the order asked for.
        steps: T, gradient steps of a full training.
        seed: base seed; selection and final seeds derive from it and never overlap.
        trials: configurations that an arm's search begins with.
    """

    arms: tuple[str, ...]
    steps: int
    seed: int
    trials: int = FEWEST


@dataclass(frozen=True)
class Interval:
    """A mean over seeds with a 95% interval."""

    mean: float
    lo: float
    hi: float


@dataclass(frozen=True)
class RateScore:
    """How one learning rate, or one configuration, did in the selection.

    Attributes:
        lr: the learning rate.
        validation: mean metric on the validation data over the selection seeds, at the largest
            budget this rate was given; None where a seed diverged.
        early: the same after the first rung (T/9), the one budget that all rates were given.
        steps: that largest budget.
        status: "chosen", "survived" (trained for all of T), "dropped" (stopped early) or "diverged".
        other: the other hyperparameters that were searched; none where only the rate was.
        added: whether it was added since the best rate lay at an edge.
    """

    lr: float
    validation: float | None
    early: float | None
    steps: int
    status: str
    other: Mapping[str, float] = field(default_factory=dict)
    added: bool = False


@dataclass(frozen=True)
class Tuning:
    """What an arm gained from tuning: its rule's default setting against the chosen one.

    Attributes:
        default: the default hyperparameters.
        validation: of the default, the metric on the validation data over the final seeds.
        gain: how much better the chosen setting's is, paired over these seeds; positive is better.
        diverged: how many of the default's trainings diverged; they count as the worst value there is.
        gradient_steps: what these trainings took; none where the default itself was chosen.
    """

    default: Mapping[str, float]
    validation: Interval
    gain: Interval
    diverged: int
    gradient_steps: int


@dataclass(frozen=True)
class Arm:
    """One procedure in a verdict. Metrics are on fresh seeds at the chosen hyperparameters.

    Attributes:
        name: of a plain optimizer, the rule's; else with what else varies, "adam/he_normal".
        title: its name in print.
        parts: its "optimizer", "init", "schedule", order of "batches" and "batch_size", by name.
        hyper: the chosen hyperparameters.
        p_best: probability that its expected validation metric is the best of all arms.
        beats: other arm -> probability that this one's expected metric is better.
        validation: the metric on the validation data. test: on the test data, touched once.
        rank: rank among the arms, 1 is best, averaged over seeds.
        steps_to_target: median over seeds; infinite for a miss.
        seconds_to_target: the same in seconds of training one model alone, evaluation not counted.
        lr_band: smallest and largest good learning rate around the chosen one.
        rates: all learning rates tried, ascending.
        diverged: how many trials (selection and final) diverged.
        final_diverged: how many of the final ones. They count as the worst value there is in
            `validation`, which then is no measurement; `test` is None.
        gradient_steps: gradient steps that this arm took in the selection.
        best_of: expected validation metric of the best of k configurations on the selection seeds,
            k = 1 ... the number that the search began with.
        tuning: what tuning gained; None where only the learning rate was searched.
        code: the chosen setting as lines of PyTorch code, for a `model`.
        batch_size: examples in a minibatch. steps: gradient steps of a full training; where they are
            others than the comparison's, all steps above are in units of the comparison's.
    """

    name: str
    title: str
    parts: Mapping[str, str]
    hyper: Mapping[str, float]
    p_best: float
    beats: Mapping[str, float]
    validation: Interval
    test: Interval | None
    rank: Interval
    steps_to_target: float
    seconds_to_target: float
    lr_band: tuple[float, float]
    rates: tuple[RateScore, ...]
    diverged: int
    final_diverged: int
    gradient_steps: int
    best_of: tuple[float, ...] = ()
    tuning: Tuning | None = None
    code: str = ""
    batch_size: int | None = None
    steps: int | None = None

    @property
    def lr(self) -> float:
        """The chosen learning rate."""
        return self.hyper["lr"]


@dataclass(frozen=True)
class Level:
    """One level of a dimension of a comparison, e.g. the start "he_normal".

    Attributes:
        name: its name.
        validation: the metric, averaged over the arms that take this level.
        behind: how much worse than the best level it is, paired over seeds; 0 for the best one.
        p_best: probability that its expected metric is the best of all levels.
    """

    name: str
    validation: Interval
    behind: Interval
    p_best: float


@dataclass(frozen=True)
class Effect:
    """What a dimension of a comparison ("optimizer", "init", "schedule", "batches") does by itself.

    Attributes:
        dimension: which one.
        levels: what was compared in it, best first.
    """

    dimension: str
    levels: tuple[Level, ...]


@dataclass(frozen=True)
class Explanation:
    """What was found when a failed trial was trained again, alone and watched.

    Attributes:
        seed: the trial's. steps: how far it was trained again.
        outcome: what it did this time: "diverged", "stuck" or "fine"; "unknown" where an error
            stopped it.
        findings: what is wrong with it, the worst first; empty if nothing wrong was found.
        failure: the error that stopped it, in a line; None if there was none.
    """

    seed: int
    steps: int
    outcome: str
    findings: tuple[Finding, ...]
    failure: str | None = None


@dataclass(frozen=True)
class Failure:
    """The trials of one arm at one learning rate, of which some diverged or got stuck.

    Attributes:
        arm: its name. lr: the learning rate. chosen: the one that was chosen for the arm.
        chosen_trained: whether no final trial failed at the chosen one.
        trials: how many there were, in both stages. diverged: how many of them diverged.
        stuck: how many others got stuck: they came less than a tenth of the way from their own
            untrained metric to that of the best trial after as many steps.
        fresh: how many of those that failed are final ones.
        by: the evaluated step at which the last of them was seen to have diverged; None if none did.
        stage: "selection" or "final"; run: the one that speaks for all that failed.
        best: the validation metric of the best trial after as many steps as it; None if all had
            diverged.
        explanation: what was found when it was trained again; None if it was not.
        alike: whether it differs from the chosen one in the learning rate only, or not at all.
    """

    arm: str
    lr: float
    chosen: float
    chosen_trained: bool
    trials: int
    diverged: int
    stuck: int
    fresh: int
    by: int | None
    stage: str
    run: Run
    best: float | None
    explanation: Explanation | None = None
    alike: bool = True

    @property
    def way(self) -> tuple[str, int, bool]:
        """How it failed: the arm, the side of its chosen rate (-1 below, 0, 1 above), and whether the
        trial that speaks for all diverged."""
        side = (self.lr > self.chosen) - (self.lr < self.chosen)
        return self.arm, side, self.run.diverged_at is not None

    @property
    def trained_at(self) -> float | None:
        """Another rate at which the arm trained, everything else alike: the chosen one; None if there
        is no such."""
        trained = self.chosen_trained and self.alike and self.chosen != self.lr
        return self.chosen if trained else None

    @property
    def cause(self) -> Finding | None:
        """The finding that explains it; None where there is none, or the trial did not fail again.

        Where the arm trained at another rate nothing but the rate can be at fault, so a finding
        that says so comes before worse ones, which are its consequences.
        """
        if self.explanation is None or self.explanation.outcome == "fine":
            return None
        findings = self.explanation.findings
        if self.trained_at is not None:
            rate = "lr_too_high" if self.trained_at < self.lr else "lr_too_low"
            findings = tuple(sorted(findings, key=lambda finding: finding.kind != rate))
        return next(iter(findings), None)


@dataclass(frozen=True)
class Failures:
    """All trials of a comparison that failed.

    Attributes:
        trials: how many trials there were.
        settings: those at which some failed, the most telling first: failed on fresh seeds, then the
            next to the chosen rates, then the rest.
        looked_into: whether some were trained again to explain them; False in the folder of an
            earlier version.
    """

    trials: int
    settings: tuple[Failure, ...]
    looked_into: bool

    @property
    def diverged(self) -> int:
        """How many trials diverged."""
        return sum(failure.diverged for failure in self.settings)

    @property
    def stuck(self) -> int:
        """How many trials got stuck."""
        return sum(failure.stuck for failure in self.settings)


NO_FAILURES = Failures(0, (), looked_into=True)


@dataclass(frozen=True)
class Verdict:
    """The answer of a comparison.

    Attributes:
        recipe: its name. metric: name of the metric. maximize: whether a larger metric is better.
        best: the arms among which the best one is with P >= 0.98; a winner if there is only one.
        arms: all arms, best validation mean first.
        selection_seeds: seeds that took part in choosing. final_seeds: fresh ones, reported on.
        target: the validation metric that counts as "there" for steps and seconds to target.
        warnings: what the reader must know before trusting the answer.
        environment: versions, machine, lane, and the command.
        effects: what each dimension does by itself, where arms differ in more than the optimizer.
        failures: which trials failed, and why.
    """

    recipe: str
    metric: str
    maximize: bool
    best: tuple[str, ...]
    arms: tuple[Arm, ...]
    selection_seeds: tuple[int, ...]
    final_seeds: tuple[int, ...]
    target: float
    warnings: tuple[str, ...]
    environment: Mapping[str, str]
    effects: tuple[Effect, ...] = ()
    failures: Failures = NO_FAILURES

    @property
    def lead(self) -> Arm:
        """The arm that is most probably the best."""
        return max(self.arms, key=lambda arm: arm.p_best)

    @property
    def decision(self) -> str:
        """ "winner" or "tie"."""
        return "winner" if len(self.best) == 1 else "tie"


@dataclass(frozen=True)
class Study:
    """Everything that a report shows: the verdict and the runs behind it.

    Attributes:
        settings: what was asked for.
        verdict: what came out.
        selection: one run per point and seed of stage 1, with its curve as far as it was trained.
        final: one run per arm and fresh seed.
        baseline: validation metric before training, the mean over final seeds.
        defaults: one run per arm and fresh seed at the rule's default, where these were trained.
        spans: arm -> hyperparameter besides the learning rate -> where it was searched.
    """

    settings: Settings
    verdict: Verdict
    selection: tuple[Run, ...]
    final: tuple[Run, ...]
    baseline: float
    defaults: tuple[Run, ...] = ()
    spans: Mapping[str, Mapping[str, Span]] = field(default_factory=dict)
