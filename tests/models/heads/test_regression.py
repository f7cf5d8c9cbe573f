"""Tests of hubpipe.models.heads.regression."""

import numpy as np
import pytest
import tensorflow as tf
from sklearn import metrics as expected_metrics
from tensorflow.compat import v1 as tf1

from hubpipe.config import schema
from hubpipe.models import heads
from tests.models.heads.evaluating import evaluated, loss_of, metrics_of

MOMENTS = (1000.0, 50.0)


def head_of(moments=MOMENTS, **keys):
    return heads.create(schema.RegressionHead(kind="regression", **keys), [], moments)


def examples(count=300, seed=1):
    """Predictions [count, 1], labels and weights."""
    rng = np.random.default_rng(seed)
    labels = rng.normal(*MOMENTS, count)
    predicted = labels + rng.normal(5.0, 20.0, count)
    return predicted[:, None].astype(np.float32), labels.astype(np.float32), rng.uniform(size=count)


@pytest.mark.parametrize("is_weighted", [False, True])
def test_metrics_are_those_of_scikit_learn(is_weighted):
    predicted, labels, weights = examples()
    weights = weights if is_weighted else None
    found = metrics_of(head_of(), predicted, labels, weights)
    of_rows = {"sample_weight": weights}
    expected = {
        "rmse": expected_metrics.mean_squared_error(labels, predicted, **of_rows) ** 0.5,
        "mae": expected_metrics.mean_absolute_error(labels, predicted, **of_rows),
        "r2": expected_metrics.r2_score(labels, predicted, **of_rows),
    }
    assert found == pytest.approx(expected, rel=1e-5)
    assert {*found, "loss"} == set(schema.METRICS["regression"])


def test_r2_of_equal_labels_is_not_finite():
    assert not np.isfinite(metrics_of(head_of(), np.array([[1.0], [2.0]]), np.float32([3.0, 3.0]))["r2"])


@pytest.mark.parametrize(
    "keys, loss",
    [
        ({}, lambda distance: distance**2),
        ({"loss": "absolute"}, lambda distance: distance),
        ({"loss": "huber"}, lambda distance: np.where(distance < 1, distance**2 / 2, distance - 0.5)),
        (
            {"loss": "huber", "huber_delta": 0.2},
            lambda distance: np.where(distance < 0.2, distance**2 / 2, 0.2 * (distance - 0.1)),
        ),
    ],
)
@pytest.mark.parametrize("is_weighted", [False, True])
def test_loss_is_of_standard_deviations(keys, loss, is_weighted):
    predicted, labels, weights = examples()
    weights = weights if is_weighted else None
    found = loss_of(head_of(**keys), predicted, labels, weights)
    losses = loss(np.abs(predicted[:, 0] - labels) / MOMENTS[1])
    assert found == pytest.approx(np.average(losses, weights=weights), rel=1e-4)


def test_outputs_start_at_the_mean_of_the_labels():
    found = evaluated(lambda: head_of().logits(tf.zeros([2, 3])))
    assert found.tolist() == [[1000.0], [1000.0]]


def test_the_moments_are_restored_with_the_head():
    with tf.Graph().as_default(), tf1.Session() as session:
        head = head_of(moments=(0.0, 1.0))
        logits = head.logits(tf.zeros([1, 3]))
        head.losses(logits, tf.zeros([1]))
        names = sorted(variable.op.name for variable in tf1.global_variables())
        assert names == ["head/bias", "head/kernel", "head/label_mean", "head/label_stddev"]
        assert {variable.op.name for variable in tf1.trainable_variables()} == {"head/bias", "head/kernel"}
        session.run(tf1.global_variables_initializer())
        (mean,) = [variable for variable in tf1.global_variables() if variable.op.name == "head/label_mean"]
        mean.load(7.0, session)
        assert session.run(logits).tolist() == [[7.0]]


def test_equal_labels_are_not_divided_by_zero():
    head = head_of(moments=(3.0, 0.0))
    assert loss_of(head, [[5.0]], [3.0]) == 4.0


def test_predictions_and_what_is_served():
    assert evaluated(lambda: head_of().predictions(tf.constant([[2.0]])))["predictions"].tolist() == [[2.0]]
    with tf.Graph().as_default():
        outputs = head_of().export_outputs({"predictions": tf.zeros([3, 1])})
        assert set(outputs) == {"serving_default", "predict", "regression"}
