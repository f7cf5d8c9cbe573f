"""Tests of hubpipe.gates.quality."""

import dataclasses

import numpy as np
import pytest

from hubpipe.gates import quality
from hubpipe.gates import scores as scores_lib

POLICY = quality.Policy(metric="accuracy", higher_is_better=True)


def scores(right, rows=200, classes=4, seed=0):
    """Scores with that many rows right, spread evenly over the classes."""
    return scores_lib.of_classes(rows_of(right, rows, classes, seed))


def rows_of(right, rows=200, classes=4, seed=0):
    """What scores are made of."""
    labels = np.arange(rows) % classes
    order = np.random.default_rng(seed).permutation(rows)
    predicted = labels.copy()
    wrong = order[right:]
    predicted[wrong] = (labels[wrong] + 1) % classes
    accuracy = (predicted == labels).astype(float)
    return {
        "labels": labels,
        "predicted": predicted,
        "accuracy": accuracy,
        "loss": 1.0 - 0.9 * accuracy,
        "weights": np.ones(rows),
    }


def test_metrics_are_means_over_rows():
    found = scores(150)
    assert found.metrics == ("accuracy", "loss", "macro_f1")
    assert found.value("accuracy") == 0.75
    assert found.value("loss") == pytest.approx(0.325)
    assert found.value("accuracy", np.eye(200)[0]) in (0.0, 1.0)


def test_a_first_version_is_published_with_a_note():
    answer = quality.check(POLICY, scores(150), None)
    assert answer.passed
    assert answer.notes == ["no thresholds are given", "there is no current version to compare with"]
    assert answer.numbers["metrics"]["accuracy"] == 0.75
    assert answer.numbers["is_better"]


@pytest.mark.parametrize("key", ["no_thresholds", "no_current"])
def test_policies_may_refuse(key):
    answer = quality.check(dataclasses.replace(POLICY, **{key: "reject"}), scores(150), None)
    assert len(answer.problems) == 1


def test_a_current_version_that_cannot_be_evaluated():
    answer = quality.check(POLICY, scores(150), None, not_evaluable="it has no head")
    assert answer.problems == ["the current version cannot be evaluated: it has no head"]
    lenient = dataclasses.replace(POLICY, current_not_evaluable="publish")
    assert quality.check(lenient, scores(150), None, not_evaluable="it has no head").passed


def test_clearly_better_is_outside_the_noise():
    answer = quality.check(POLICY, scores(190), scores(120, seed=1))
    difference = answer.numbers["difference"]
    assert answer.passed and answer.numbers["is_better"]
    assert difference["gain"] == pytest.approx(0.35)
    assert 0 < difference["low"] < 0.35 < difference["high"]
    assert "outside the noise" in answer.notes[-1]


def test_a_difference_inside_the_noise_is_called_so():
    answer = quality.check(POLICY, scores(151), scores(150, seed=1))
    assert answer.numbers["is_better"]
    assert "better by +0.0050, inside the noise" in answer.notes[-1]
    kept = quality.check(dataclasses.replace(POLICY, noise="keep"), scores(151), scores(150, seed=1))
    assert kept.passed and not kept.numbers["is_better"]


def test_the_pairing_counts():
    """One row more right and no row less: pairing shows a sign that two samples apart would not."""
    rows = rows_of(150)
    better = rows["accuracy"].copy()
    wrong = np.flatnonzero(better == 0.0)[:10]
    better[wrong] = 1.0
    candidate, current = (scores_lib.of_classes({**rows, "accuracy": hits}) for hits in (better, rows["accuracy"]))
    difference = quality.compare(candidate, current, "accuracy", higher_is_better=True, confidence=0.95)
    assert difference.gain == pytest.approx(0.05)
    assert not difference.is_noise


def test_lower_may_be_better():
    policy = quality.Policy(metric="loss", higher_is_better=False)
    better = quality.check(policy, scores(190), scores(120, seed=1))
    worse = quality.check(policy, scores(120, seed=1), scores(190))
    assert better.numbers["is_better"] and better.numbers["difference"]["gain"] > 0
    assert not worse.numbers["is_better"] and worse.numbers["difference"]["gain"] < 0


@pytest.mark.parametrize("least, is_better", [(0.0, True), (0.05, True), (0.051, False), (-0.1, True)])
def test_minimum_improvement(least, is_better):
    answer = quality.check(dataclasses.replace(POLICY, min_improvement=least), scores(160), scores(150))
    assert answer.numbers["is_better"] is is_better
    assert answer.passed


def test_worse_is_no_problem_but_not_better():
    answer = quality.check(POLICY, scores(140), scores(150))
    assert answer.passed and not answer.numbers["is_better"]
    assert answer.notes[-1] == "required is an improvement of at least 0"


def test_thresholds():
    bounds = {"accuracy": quality.Bounds(at_least=0.8), "loss": quality.Bounds(at_most=0.3)}
    answer = quality.check(dataclasses.replace(POLICY, thresholds=bounds), scores(150), None)
    assert answer.problems == [
        "accuracy is 0.7500, required is at least 0.8",
        "loss is 0.3250, required is at most 0.3",
    ]
    assert quality.check(dataclasses.replace(POLICY, thresholds=bounds), scores(190), None).passed


def test_a_value_that_is_no_number_keeps_to_no_bound():
    assert quality.Bounds(at_least=0.0).problem(float("nan")).startswith("nan")
    assert quality.Bounds(at_most=0.0).problem(float("nan")).startswith("nan")


def test_an_unknown_metric_is_named():
    bounds = {"acuracy": quality.Bounds(at_least=0.8)}
    answer = quality.check(dataclasses.replace(POLICY, thresholds=bounds), scores(150), None)
    assert answer.problems == ["threshold for 'acuracy': there are accuracy, loss, macro_f1"]


def test_other_metrics_may_not_get_much_worse():
    policy = dataclasses.replace(POLICY, max_regression={"loss": 0.01, "macro_f1": 0.5})
    answer = quality.check(policy, scores(140), scores(150))
    assert answer.problems == ["loss is 0.3700, current 0.3250: worse by more than 0.01"]


def test_slices():
    found = scores(150)
    slices = ["good" if right else "bad" for right in rows_of(150)["accuracy"]]
    slices[0] = "few"
    bounds = quality.SliceBounds("accuracy", quality.Bounds(at_least=0.6), min_rows=2)
    policy = dataclasses.replace(POLICY, slices=[bounds])
    answer = quality.check(policy, found, None, slices=slices)
    count = slices.count("bad")
    assert answer.problems == [f"slice 'bad' ({count} rows): accuracy is 0.0000, required is at least 0.6"]
    assert quality.check(policy, found, None).problems == [
        "slices have bounds, but the evaluation data have no slice column"
    ]


def test_all_is_checked_even_if_something_is_refused():
    policy = dataclasses.replace(
        POLICY,
        thresholds={"accuracy": quality.Bounds(at_least=0.99)},
        max_regression={"accuracy": 0.0},
        slices=[quality.SliceBounds("accuracy", quality.Bounds(at_least=0.99))],
    )
    assert len(quality.check(policy, scores(140), scores(150), slices=["a"] * 200).problems) == 3


def numbers(noise, count=300, seed=0):
    """Scores of predictions that are off by so much."""
    rng = np.random.default_rng(1)
    labels = rng.normal(50.0, 10.0, count)
    predicted = labels + np.random.default_rng(seed).normal(0.0, noise, count)
    loss, weights = (predicted - labels) ** 2, rng.uniform(0.5, 2.0, count)
    return scores_lib.of_numbers({"labels": labels, "predicted": predicted, "loss": loss, "weights": weights})


@pytest.mark.parametrize("metric, higher_is_better", [("rmse", False), ("r2", True)])
def test_metrics_that_are_no_means_of_rows(metric, higher_is_better):
    policy = quality.Policy(metric=metric, higher_is_better=higher_is_better)
    difference = quality.check(policy, numbers(2.0), numbers(6.0, seed=2)).numbers["difference"]
    assert 0 < difference["low"] < difference["gain"] < difference["high"]
    same = quality.check(policy, numbers(2.0), numbers(2.0, seed=2)).numbers["difference"]
    assert same["low"] < 0 < same["high"]


def test_the_interval_of_a_mean_is_that_of_its_standard_error():
    rng = np.random.default_rng(3)
    gains, count = rng.normal(1.0, 2.0, 400), 400
    rows = {"labels": np.zeros(count), "predicted": np.zeros(count), "weights": np.ones(count)}
    candidate, current = (scores_lib.of_numbers({**rows, "loss": loss}) for loss in (-gains, np.zeros(count)))
    found = quality.compare(candidate, current, "loss", higher_is_better=False, confidence=0.95)
    half = 1.96 * gains.std() / count**0.5
    assert (found.low, found.high) == pytest.approx((gains.mean() - half, gains.mean() + half), rel=0.1)


def test_lower_is_better_of_the_metrics_that_the_policy_names():
    policy = quality.Policy(
        metric="rmse", higher_is_better=False, max_regression={"mae": 0.1}, lower_is_better=["rmse", "mae", "loss"]
    )
    assert quality.check(policy, numbers(2.0), numbers(6.0)).passed
    (problem,) = quality.check(policy, numbers(6.0), numbers(2.0)).problems
    assert problem.startswith("mae is ") and problem.endswith("worse by more than 0.1")


def test_slices_may_have_an_upper_bound():
    bounds = quality.SliceBounds("rmse", quality.Bounds(at_most=1.0))
    policy = quality.Policy(metric="rmse", higher_is_better=False, slices=[bounds])
    labels = np.arange(4.0)
    errors = np.array([0.0, 0.5, 2.0, 4.0])
    found = scores_lib.of_numbers(
        {"labels": labels, "predicted": labels + errors, "loss": errors, "weights": np.ones(4)}
    )
    problems = quality.check(policy, found, None, slices=["a", "a", "b", "b"]).problems
    assert problems == [f"slice 'b' (2 rows): rmse is {10**0.5:.4f}, required is at most 1"]


def test_a_metric_that_is_not_defined_is_null_and_no_improvement():
    rows = {"labels": np.ones(5, np.int64), "logits": np.ones(5), "loss": np.ones(5), "weights": np.ones(5)}
    found = scores_lib.of_two_classes(rows)
    answer = quality.check(quality.Policy(metric="auc", higher_is_better=True), found, found)
    assert answer.numbers["metrics"]["auc"] is None and answer.numbers["metrics"]["accuracy"] == 1.0
    assert answer.numbers["difference"]["gain"] is None
    assert not answer.numbers["is_better"]
