"""Is the candidate good enough, and better than the current version on the same rows? Pure functions over scores.

Differences of candidate and current are resampled over the rows, the same rows for both (paired bootstrap): an
interval that contains 0 is called noise. The metric is computed anew from each sample, so it may be of any kind.

Source: Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13; Koehn, "Statistical Significance
Tests for Machine Translation Evaluation", https://aclanthology.org/W04-3250, section 4 (paired).
"""

import dataclasses
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import numpy as np

from hubpipe.gates import result
from hubpipe.gates.scores import Scores, finite_or_none

GATE = "quality"
_RESAMPLES = 1000
_SEED = 0


@dataclasses.dataclass(frozen=True)
class Bounds:
    """What a metric must keep to, None for no bound."""

    at_least: float | None = None
    at_most: float | None = None

    def problem(self, value: float) -> str | None:
        """What is wrong with a value, None if nothing is; a NaN keeps to no bound."""
        if self.at_least is not None and not value >= self.at_least:
            return f"{value:.4f}, required is at least {self.at_least:g}"
        if self.at_most is not None and not value <= self.at_most:
            return f"{value:.4f}, required is at most {self.at_most:g}"
        return None


@dataclasses.dataclass(frozen=True)
class SliceBounds:
    """Bounds for every group of rows with one value of a column.

    Attributes:
        metric: which.
        bounds: what it must keep to in each group.
        min_rows: smaller groups are not judged.
    """

    metric: str
    bounds: Bounds
    min_rows: int = 1


@dataclasses.dataclass(frozen=True)
class Policy:
    """When a candidate is good enough.

    Attributes:
        metric: the one that selects.
        higher_is_better: its direction.
        min_improvement: by how much the candidate must beat the current version in it.
        noise: "publish" or "keep": what to do with an improvement inside the noise.
        confidence: of the intervals, in (0, 1).
        thresholds: dict metric -> Bounds of the candidate.
        max_regression: dict metric -> by how much it may be worse than the current version.
        lower_is_better: names of metrics; of all others higher is better.
        slices: bounds for groups of rows.
        no_current: "publish" or "reject" if there is no current version.
        current_not_evaluable: the same if the current version cannot be evaluated.
        no_thresholds: the same if no thresholds are given.
    """

    metric: str
    higher_is_better: bool
    min_improvement: float = 0.0
    noise: str = "publish"
    confidence: float = 0.95
    thresholds: Mapping[str, Bounds] = dataclasses.field(default_factory=dict)
    max_regression: Mapping[str, float] = dataclasses.field(default_factory=dict)
    lower_is_better: Collection[str] = ("loss",)
    slices: Sequence[SliceBounds] = ()
    no_current: str = "publish"
    current_not_evaluable: str = "reject"
    no_thresholds: str = "publish"


@dataclasses.dataclass(frozen=True)
class Difference:
    """Candidate minus current in a metric, turned so that positive is better.

    Attributes:
        candidate: value of the candidate.
        current: value of the current version.
        gain: the improvement.
        low: lower end of its interval.
        high: upper end.
    """

    candidate: float
    current: float
    gain: float
    low: float
    high: float

    @property
    def is_noise(self) -> bool:
        """Whether the interval contains 0, or cannot be told."""
        return not (self.low > 0.0 or self.high < 0.0)

    def to_json(self) -> dict[str, float | None]:
        """The numbers as JSON values; None for one that is not finite."""
        return {name: finite_or_none(value) for name, value in dataclasses.asdict(self).items()}

    def describe(self, metric: str, confidence: float) -> str:
        """One line for people."""
        gain = self.describe_gain(confidence)
        return f"{metric} {self.candidate:.4f}, current {self.current:.4f}: {gain}"

    def describe_gain(self, confidence: float) -> str:
        """The part of it on the improvement."""
        verdict = "inside the noise" if self.is_noise else "outside the noise"
        return (
            f"better by {self.gain:+.4f}, {verdict} "
            f"({confidence:.0%} interval {self.low:+.4f} to {self.high:+.4f})"
        )


def compare(
    candidate: Scores, current: Scores, metric: str, *, higher_is_better: bool, confidence: float
) -> Difference:
    """The improvement in a metric, with its interval over resampled rows."""
    sign = 1.0 if higher_is_better else -1.0
    rng = np.random.default_rng(_SEED)
    count = len(candidate.weights)
    gains = []
    for _ in range(_RESAMPLES):
        times = np.bincount(rng.integers(0, count, count), minlength=count)
        gains.append(sign * (candidate.value(metric, times) - current.value(metric, times)))
    finite = [gain for gain in gains if math.isfinite(gain)]  # a sample may lack what the metric needs
    tail = (1.0 - confidence) / 2.0
    low, high = np.quantile(finite, [tail, 1.0 - tail]) if finite else (math.nan, math.nan)
    ours, theirs = candidate.value(metric), current.value(metric)
    return Difference(ours, theirs, sign * (ours - theirs), float(low), float(high))


def check(
    policy: Policy,
    candidate: Scores,
    current: Scores | None,
    *,
    slices: Sequence[str] | None = None,
    not_evaluable: str | None = None,
) -> result.Result:
    """Judges a candidate.

    Args:
        policy: when it is good enough.
        candidate: its scores.
        current: those of the current version on the same rows; None if there is none or it cannot be evaluated.
        slices: the value of the slice column of each row, None if there is no such column.
        not_evaluable: why the current version cannot be evaluated, None if it can or there is none.
    Returns:
        The gate's answer. `numbers["is_better"]` is False if nothing is wrong but the improvement is too small or
        inside noise that is to be kept out.
    """
    problems = [*_threshold_problems(policy, candidate), *_slice_problems(policy, candidate, slices)]
    notes: list[str] = []
    numbers: dict[str, Any] = {"metrics": candidate.to_json(), "is_better": True}
    decide = _decider(problems, notes)
    if not policy.thresholds:
        decide(policy.no_thresholds, "no thresholds are given")
    if not_evaluable is not None:
        decide(policy.current_not_evaluable, f"the current version cannot be evaluated: {not_evaluable}")
    elif current is None:
        decide(policy.no_current, "there is no current version to compare with")
    else:
        numbers["current"] = current.to_json()
        _judge_improvement(policy, candidate, current, notes, numbers)
        problems += _regression_problems(policy, candidate, current)
    return result.Result(GATE, problems, notes, numbers)


def _decider(problems: list[str], notes: list[str]) -> Callable[[str, str], None]:
    def decide(policy: str, line: str) -> None:
        (problems if policy == "reject" else notes).append(line)

    return decide


def _judge_improvement(
    policy: Policy, candidate: Scores, current: Scores, notes: list[str], numbers: dict[str, Any]
) -> None:
    difference = compare(
        candidate, current, policy.metric, higher_is_better=policy.higher_is_better, confidence=policy.confidence
    )
    notes.append(difference.describe(policy.metric, policy.confidence))
    numbers["difference"] = difference.to_json()
    if not difference.gain >= policy.min_improvement:
        numbers["is_better"] = False
        notes.append(f"required is an improvement of at least {policy.min_improvement:g}")
    elif difference.is_noise and policy.noise == "keep":
        numbers["is_better"] = False
        notes.append("the current version is kept: the difference is inside the noise")


def _threshold_problems(policy: Policy, candidate: Scores) -> list[str]:
    problems = []
    for metric, bounds in sorted(policy.thresholds.items()):
        if metric not in candidate.metrics:
            problems.append(f"threshold for {metric!r}: there are {', '.join(sorted(candidate.metrics))}")
            continue
        problem = bounds.problem(candidate.value(metric))
        if problem:
            problems.append(f"{metric} is {problem}")
    return problems


def _regression_problems(policy: Policy, candidate: Scores, current: Scores) -> list[str]:
    problems = []
    for metric, allowed in sorted(policy.max_regression.items()):
        if metric not in candidate.metrics:
            problems.append(f"max_regression of {metric!r}: there are {', '.join(sorted(candidate.metrics))}")
            continue
        sign = -1.0 if metric in policy.lower_is_better else 1.0
        new, old = candidate.value(metric), current.value(metric)
        if not sign * (new - old) >= -allowed:
            problems.append(f"{metric} is {new:.4f}, current {old:.4f}: worse by more than {allowed:g}")
    return problems


def _slice_problems(policy: Policy, candidate: Scores, slices: Sequence[str] | None) -> list[str]:
    if not policy.slices:
        return []
    if slices is None:
        return ["slices have bounds, but the evaluation data have no slice column"]
    named = np.asarray(slices)
    problems = []
    for wanted in policy.slices:
        for value in np.unique(named):
            is_inside = named == value
            count = int(is_inside.sum())
            problem = wanted.bounds.problem(candidate.value(wanted.metric, is_inside))
            if count >= wanted.min_rows and problem:
                problems.append(f"slice {str(value)!r} ({count} rows): {wanted.metric} is {problem}")
    return problems
