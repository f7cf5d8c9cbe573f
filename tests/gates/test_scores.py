"""Tests of hubpipe.gates.scores."""

import numpy as np
import pytest
from sklearn import metrics as expected_metrics

from hubpipe.config import schema
from hubpipe.gates import scores

COUNT = 400


@pytest.fixture(params=["plain", "weighted", "some rows", "resampled"])
def weighting(request):
    """Weights of the data, and how often each row counts."""
    rng = np.random.default_rng(2)
    weights = np.ones(COUNT) if request.param == "plain" else rng.uniform(0.1, 3.0, COUNT)
    times = {
        "some rows": np.arange(COUNT) % 3 == 0,
        "resampled": np.bincount(rng.integers(0, COUNT, COUNT), minlength=COUNT),
    }.get(request.param)
    return weights, times


def values(found, weighting):
    """All metrics, and the weights that scikit-learn takes."""
    weights, times = weighting
    of_rows = weights if times is None else weights * times
    return {metric: found.value(metric, times) for metric in found.metrics}, {"sample_weight": of_rows}


@pytest.mark.parametrize(
    "labels, predicted, expected",
    [
        ([0, 1, 2], [0, 1, 2], 1.0),
        ([0, 0, 1, 1], [0, 1, 1, 1], (2 / 3 + 4 / 5) / 2),
        ([0, 0], [-1, -1], 0.0),
        ([0, 5], [0, 5], 1.0),  # classes in between do not occur
        ([1, 1], [0, 1], (0.0 + 2 / 3) / 2),
    ],
)
def test_macro_f1(labels, predicted, expected):
    found = scores.macro_f1(np.array(labels), np.array(predicted))(np.ones(len(labels)))
    assert found == pytest.approx(expected)


def test_classes(weighting):
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 4, COUNT)
    predicted = np.where(rng.uniform(size=COUNT) < 0.6, labels, rng.integers(0, 4, COUNT))
    hits, loss = labels == predicted, rng.uniform(size=COUNT)
    rows = {"labels": labels, "predicted": predicted, "accuracy": hits, "loss": loss}
    found, of_rows = values(scores.of_classes({**rows, "weights": weighting[0]}), weighting)
    assert found == pytest.approx(
        {
            "accuracy": expected_metrics.accuracy_score(labels, predicted, **of_rows),
            "loss": np.average(rows["loss"], weights=of_rows["sample_weight"]),
            "macro_f1": expected_metrics.f1_score(labels, predicted, average="macro", **of_rows),
        }
    )


@pytest.mark.parametrize("decimals", [8, 0])  # 0: many logits are equal
def test_two_classes(weighting, decimals):
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 2, COUNT)
    logits = (labels - 0.4 + rng.normal(size=COUNT)).round(decimals)
    rows = {"labels": labels, "logits": logits, "loss": rng.uniform(size=COUNT), "weights": weighting[0]}
    found, of_rows = values(scores.of_two_classes(rows), weighting)
    predicted = logits >= 0
    expected = {
        "accuracy": expected_metrics.accuracy_score(labels, predicted, **of_rows),
        "auc": expected_metrics.roc_auc_score(labels, logits, **of_rows),
        "auc_pr": expected_metrics.average_precision_score(labels, logits, **of_rows),
        "precision": expected_metrics.precision_score(labels, predicted, **of_rows),
        "recall": expected_metrics.recall_score(labels, predicted, **of_rows),
        "f1": expected_metrics.f1_score(labels, predicted, **of_rows),
        "loss": np.average(rows["loss"], weights=of_rows["sample_weight"]),
    }
    assert found == pytest.approx(expected)
    assert set(found) == set(schema.METRICS["binary"])


def test_one_kind_of_rows_has_no_area():
    rows = {"labels": np.ones(3), "logits": np.arange(3.0), "loss": np.ones(3), "weights": np.ones(3)}
    found = scores.of_two_classes(rows)
    assert np.isnan(found.value("auc")) and np.isnan(found.value("auc_pr"))


def test_several_classes(weighting):
    rng = np.random.default_rng(1)
    labels = rng.uniform(size=[COUNT, 3]) < [0.2, 0.5, 0.3]
    logits = labels - 0.6 + rng.normal(size=[COUNT, 3])
    rows = {"labels": labels, "logits": logits, "loss": rng.uniform(size=COUNT), "weights": weighting[0]}
    found, of_rows = values(scores.of_several_classes(rows), weighting)
    predicted = logits >= 0
    expected = {
        "micro_f1": expected_metrics.f1_score(labels, predicted, average="micro", **of_rows),
        "macro_f1": expected_metrics.f1_score(labels, predicted, average="macro", **of_rows),
        "subset_accuracy": expected_metrics.accuracy_score(labels, predicted, **of_rows),
        "auc": expected_metrics.roc_auc_score(labels, logits, average="macro", **of_rows),
        "loss": np.average(rows["loss"], weights=of_rows["sample_weight"]),
    }
    assert found == pytest.approx(expected)
    assert set(found) == set(schema.METRICS["multi_label"])


def test_numbers(weighting):
    rng = np.random.default_rng(1)
    labels = rng.normal(1e6, 3.0, COUNT)
    predicted = labels + rng.normal(0.5, 1.0, COUNT)
    rows = {"labels": labels, "predicted": predicted, "loss": rng.uniform(size=COUNT), "weights": weighting[0]}
    found, of_rows = values(scores.of_numbers(rows), weighting)
    expected = {
        "rmse": expected_metrics.mean_squared_error(labels, predicted, **of_rows) ** 0.5,
        "mae": expected_metrics.mean_absolute_error(labels, predicted, **of_rows),
        "r2": expected_metrics.r2_score(labels, predicted, **of_rows),
        "loss": np.average(rows["loss"], weights=of_rows["sample_weight"]),
    }
    assert found == pytest.approx(expected)
    assert set(found) == set(schema.METRICS["regression"])
