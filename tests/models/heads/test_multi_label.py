"""Tests of hubpipe.models.heads.multi_label."""

import numpy as np
import pytest
import tensorflow as tf
from sklearn import metrics as expected_metrics

from hubpipe.config import schema
from hubpipe.models import heads
from tests.models.heads.evaluating import evaluated, loss_of, metrics_of


def head_of(classes):
    return heads.create(schema.MultiLabelHead(kind="multi_label"), [f"class {n}" for n in range(classes)])


def examples(classes=5, count=400, seed=1):
    """Logits that know something of the labels, labels and weights."""
    rng = np.random.default_rng(seed)
    labels = rng.uniform(size=(count, classes)) < rng.uniform(0.1, 0.6, classes)
    logits = labels - 0.8 + rng.normal(size=(count, classes))
    return logits.astype(np.float32), labels.astype(np.float32), rng.uniform(size=count).astype(np.float32)


@pytest.mark.parametrize("is_weighted", [False, True])
def test_metrics_are_those_of_scikit_learn(is_weighted):
    logits, labels, weights = examples()
    weights = weights if is_weighted else None
    found = metrics_of(head_of(5), logits, labels, weights)
    predicted, of_rows = logits >= 0, {"sample_weight": weights}
    expected = {
        "micro_f1": expected_metrics.f1_score(labels, predicted, average="micro", **of_rows),
        "macro_f1": expected_metrics.f1_score(labels, predicted, average="macro", **of_rows),
        "subset_accuracy": expected_metrics.accuracy_score(labels, predicted, **of_rows),
    }
    assert {name: found[name] for name in expected} == pytest.approx(expected, rel=1e-5)
    area = expected_metrics.roc_auc_score(labels, logits, average="macro", **of_rows)
    assert found["auc"] == pytest.approx(area, abs=1e-4)
    assert {*found, "loss"} == set(schema.METRICS["multi_label"])


def test_many_classes_share_fewer_buckets():
    logits, labels, _ = examples(classes=300)
    found = metrics_of(head_of(300), logits, labels)
    assert found["auc"] == pytest.approx(expected_metrics.roc_auc_score(labels, logits), abs=2e-3)


def test_classes_with_one_kind_of_examples_have_no_part_in_the_area():
    logits, labels, _ = examples(classes=2)
    labels[:, 1] = 0.0
    expected = expected_metrics.roc_auc_score(labels[:, 0], logits[:, 0])
    assert metrics_of(head_of(2), logits, labels)["auc"] == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("is_weighted", [False, True])
def test_loss_is_the_mean_over_classes_and_examples(is_weighted):
    logits, labels, weights = examples()
    weights = weights if is_weighted else None
    found = loss_of(head_of(5), logits, labels, weights)
    probabilities = 1 / (1 + np.exp(-logits.astype(np.float64)))
    losses = -(labels * np.log(probabilities) + (1 - labels) * np.log(1 - probabilities)).mean(axis=1)
    assert found == pytest.approx(np.average(losses, weights=weights), rel=1e-5)


def test_predictions_and_what_is_served():
    head = head_of(2)
    found = evaluated(lambda: head.predictions(tf.constant([[0.0, 1.0]])))
    np.testing.assert_allclose(found["probabilities"], [[0.5, 1 / (1 + np.exp(-1))]], rtol=1e-6)
    with tf.Graph().as_default():
        outputs = head.export_outputs(head.predictions(tf.zeros([3, 2])))
        assert set(outputs) == {"serving_default", "predict", "classification"}
        assert outputs["classification"].classes.shape.as_list() == [3, 2]
