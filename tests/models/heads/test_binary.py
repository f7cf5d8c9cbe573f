"""Tests of hubpipe.models.heads.binary."""

import numpy as np
import pytest
import tensorflow as tf
from sklearn import metrics as expected_metrics

from hubpipe.config import schema
from hubpipe.models import heads
from tests.models.heads.evaluating import evaluated, loss_of, metrics_of

HEAD = heads.create(schema.BinaryHead(kind="binary"), ["no", "yes"])


def examples(count=500, seed=1, scale=1.0):
    """Logits that know something of the labels, labels and weights."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, count)
    logits = (scale * (labels - 0.7 + rng.normal(size=count))).astype(np.float32)
    return logits, labels, rng.uniform(size=count).astype(np.float32)


def test_logits_have_one_column():
    assert evaluated(lambda: HEAD.logits(tf.ones([2, 3]))).shape == (2, 1)


@pytest.mark.parametrize("scale", [0.01, 1.0, 100.0])
@pytest.mark.parametrize("is_weighted", [False, True])
def test_metrics_are_those_of_scikit_learn(scale, is_weighted):
    logits, labels, weights = examples(scale=scale)
    weights = weights if is_weighted else None
    found = metrics_of(HEAD, logits[:, None], labels, weights)
    predicted, of_rows = logits >= 0, {"sample_weight": weights}
    expected = {
        "accuracy": expected_metrics.accuracy_score(labels, predicted, **of_rows),
        "precision": expected_metrics.precision_score(labels, predicted, **of_rows),
        "recall": expected_metrics.recall_score(labels, predicted, **of_rows),
        "f1": expected_metrics.f1_score(labels, predicted, **of_rows),
        "auc": expected_metrics.roc_auc_score(labels, logits, **of_rows),
        "auc_pr": expected_metrics.average_precision_score(labels, logits, **of_rows),
    }
    exact = {name: value for name, value in expected.items() if not name.startswith("auc")}
    assert {name: found[name] for name in exact} == pytest.approx(exact, rel=1e-5)
    assert {name: found[name] for name in expected} == pytest.approx(expected, abs=1e-4)
    assert {*found, "loss"} == set(schema.METRICS["binary"])


def test_equal_logits_count_half():
    found = metrics_of(HEAD, np.zeros([4, 1]), [0, 1, 1, 0])
    assert (found["auc"], found["auc_pr"]) == (0.5, 0.5)


def test_one_class_alone_has_no_area():
    found = metrics_of(HEAD, np.array([[1.0], [2.0]]), [1, 1])
    assert np.isnan(found["auc"]) and np.isnan(found["auc_pr"])
    assert (found["accuracy"], found["recall"]) == (1.0, 1.0)


def test_extreme_logits_keep_their_order():
    found = metrics_of(HEAD, np.array([[-1e9], [-1e5], [1e5], [1e9]]), [0, 1, 0, 1])
    assert found["auc"] == 0.75


@pytest.mark.parametrize("is_weighted", [False, True])
def test_loss_is_the_log_loss(is_weighted):
    logits, labels, weights = examples()
    weights = weights if is_weighted else None
    found = loss_of(HEAD, logits[:, None], labels, weights)
    probabilities = 1 / (1 + np.exp(-logits.astype(np.float64)))
    expected = expected_metrics.log_loss(labels, probabilities, sample_weight=weights)
    assert found == pytest.approx(expected, rel=1e-5)


def test_the_loss_of_weights_of_zero_is_zero():
    assert loss_of(HEAD, [[1.0]], [0], [0.0]) == 0.0


def test_two_logits_of_a_module_become_one():
    logits = np.array([[0.3, 1.0], [2.0, -1.0]], np.float32)
    found = evaluated(lambda: HEAD.adopted(tf.constant(logits)))
    softmax = np.exp(logits[:, 1]) / np.exp(logits).sum(axis=1)
    np.testing.assert_allclose(1 / (1 + np.exp(-found[:, 0])), softmax, rtol=1e-6)
    np.testing.assert_array_equal(evaluated(lambda: HEAD.adopted(tf.constant(found))), found)


def test_predictions_and_what_is_served():
    found = evaluated(lambda: HEAD.predictions(tf.constant([[-1.0], [0.0], [2.0]])))
    assert found["class_ids"].tolist() == [[0], [1], [1]]
    assert found["classes"].tolist() == [[b"no"], [b"yes"], [b"yes"]]
    np.testing.assert_allclose(found["probabilities"].sum(axis=1), np.ones(3), rtol=1e-6)
    np.testing.assert_array_equal(found["probabilities"][:, 1:], found["logistic"])
    with tf.Graph().as_default():
        outputs = HEAD.export_outputs(HEAD.predictions(tf.zeros([3, 1])))
        assert set(outputs) == {"serving_default", "predict", "classification", "regression"}
        assert outputs["classification"].classes.shape.as_list() == [3, 2]
