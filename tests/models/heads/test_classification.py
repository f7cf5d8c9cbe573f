"""Tests of hubpipe.models.heads.classification."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as expected_metrics

from hubpipe.config import schema
from hubpipe.models import heads
from tests.models.heads.evaluating import evaluated, loss_of, metrics_of

LOGITS = np.array([[2.0, 0.0, -1.0], [0.1, 0.2, 0.3], [-1.0, 3.0, 3.5], [0.0, 1.0, 0.0]], np.float32)
LABELS = np.array([0, 1, 1, 1])


def head_of(classes=3, **keys):
    labels = [f"class {number}" for number in range(classes)]
    return heads.Classification(schema.ClassificationHead(kind="classification", **keys), labels)


WEIGHTS = [None, np.array([1.0, 0.5, 2.0, 0.0])]


def macro_f1(labels, predicted):
    """By the definition, from precision and recall of each class that occurs."""
    scores = []
    for number in set(labels) | set(predicted):
        hits = sum(label == guess == number for label, guess in zip(labels, predicted, strict=True))
        precision = hits / list(predicted).count(number) if number in predicted else 0.0
        recall = hits / list(labels).count(number) if number in labels else 0.0
        scores.append(2 * precision * recall / (precision + recall) if hits else 0.0)
    return sum(scores) / len(scores)


def test_logits_have_a_column_per_class():
    logits = evaluated(lambda: head_of(5).logits(tf.ones([2, 3])))
    assert logits.shape == (2, 5) and logits.dtype == np.float32


@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_loss_is_the_mean_cross_entropy(smoothing, weights):
    head = head_of(label_smoothing=smoothing)
    found = loss_of(head, LOGITS, LABELS, weights)
    log_probabilities = LOGITS - np.log(np.exp(LOGITS).sum(axis=1, keepdims=True))
    targets = np.eye(3)[LABELS] * (1 - smoothing) + smoothing / 3
    losses = -(targets * log_probabilities).sum(axis=1)
    assert found == pytest.approx(np.average(losses, weights=weights), rel=1e-6)


def test_metrics_over_batches():
    found = metrics_of(head_of(top_k=2), LOGITS, LABELS, batch_size=3)
    assert found["accuracy"] == pytest.approx(2 / 4)
    assert found["top_k_accuracy"] == pytest.approx(4 / 4)
    assert found["macro_f1"] == pytest.approx(macro_f1(list(LABELS), [0, 2, 2, 1]))


def test_top_k_with_fewer_classes_than_k():
    found = metrics_of(head_of(classes=3, top_k=5), LOGITS, LABELS)
    assert found["top_k_accuracy"] == 1.0


@settings(max_examples=15)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=12), st.integers(1, 5))
def test_macro_f1_is_that_of_plain_python(pairs, batch_size):
    logits = np.eye(4, dtype=np.float32)[[predicted for _, predicted in pairs]]
    labels = np.array([label for label, _ in pairs])
    expected = macro_f1([label for label, _ in pairs], [predicted for _, predicted in pairs])
    found = metrics_of(head_of(4), logits, labels, batch_size=batch_size)
    assert found["macro_f1"] == pytest.approx(expected, rel=1e-5)


def test_metrics_with_weights_are_those_of_scikit_learn():
    rng = np.random.default_rng(1)
    logits, labels, weights = rng.normal(size=(300, 6)), rng.integers(0, 6, 300), rng.uniform(size=300)
    found = metrics_of(head_of(6, top_k=2), logits, labels, weights)
    predicted = logits.argmax(axis=1)
    of_rows = {"sample_weight": weights}
    assert found["accuracy"] == pytest.approx(expected_metrics.accuracy_score(labels, predicted, **of_rows))
    expected = expected_metrics.f1_score(labels, predicted, average="macro", **of_rows)
    assert found["macro_f1"] == pytest.approx(expected)
    expected = expected_metrics.top_k_accuracy_score(labels, logits, k=2, **of_rows)
    assert found["top_k_accuracy"] == pytest.approx(expected)


def test_metrics_are_those_that_a_config_may_select_by():
    with tf.Graph().as_default():
        found = head_of().metrics(tf.constant(LOGITS), tf.constant(LABELS))
    assert {*found, "loss"} == set(schema.METRICS["classification"])


def test_predictions_name_the_classes():
    found = evaluated(lambda: head_of().predictions(tf.constant(LOGITS)))
    assert found["class_ids"].tolist() == [[0], [2], [2], [1]]
    assert found["classes"].tolist() == [[b"class 0"], [b"class 2"], [b"class 2"], [b"class 1"]]
    np.testing.assert_allclose(found["probabilities"].sum(axis=1), np.ones(4), rtol=1e-6)
    np.testing.assert_array_equal(found["logits"], LOGITS)
