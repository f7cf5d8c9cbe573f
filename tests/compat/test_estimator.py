"""Tests of hubpipe.compat.estimator."""

import json
import os

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.compat import v1 as tf1

import hubpipe
from hubpipe.compat import estimator as tf_estimator

# What tf.estimator offered and hubpipe or its users name; without canned estimators, which need Keras 2.
API = (
    *("BestExporter", "CheckpointSaverHook", "CheckpointSaverListener", "Estimator", "EstimatorSpec", "EvalSpec"),
    *("Exporter", "FinalExporter", "LatestExporter", "ModeKeys", "RunConfig", "SessionRunHook", "TrainSpec"),
    *("WarmStartSettings", "export", "experimental", "train_and_evaluate"),
)


def _model_fn(features, labels, mode):
    """Linear regression of one feature."""
    weight = tf1.get_variable("weight", [], initializer=tf1.zeros_initializer())
    outputs = weight * features["x"]
    if mode == tf_estimator.ModeKeys.PREDICT:
        return tf_estimator.EstimatorSpec(mode, predictions={"outputs": outputs})
    loss = tf.reduce_mean((outputs - labels) ** 2)
    train_op = tf1.train.GradientDescentOptimizer(0.1).minimize(loss, tf1.train.get_global_step())
    metrics = {"error": tf1.metrics.mean_absolute_error(labels, outputs)}
    return tf_estimator.EstimatorSpec(mode, loss=loss, train_op=train_op, eval_metric_ops=metrics)


def _input_fn():
    x = np.arange(1, 5, dtype=np.float32) / 4
    return tf.data.Dataset.from_tensors(({"x": x}, 3 * x)).repeat()


def _serving_input_fn():
    x = tf1.placeholder(tf.float32, [None], name="x")
    return tf_estimator.export.ServingInputReceiver({"x": x}, {"x": x})


def test_the_api_is_there():
    assert [name for name in API if not hasattr(tf_estimator, name)] == []
    assert hubpipe.estimator is tf_estimator
    assert callable(tf_estimator.v1.inputs.numpy_input_fn)


def test_canned_estimators_without_keras_2_say_what_they_need():
    if tf_estimator._HAS_KERAS_2:
        pytest.skip("Keras 2 is here")
    with pytest.raises(AttributeError, match="'DNNClassifier'; it is made of layers of Keras 2: pip install"):
        tf_estimator.DNNClassifier  # noqa: B018


def test_the_classes_are_those_of_tensorflow():
    assert tf_estimator.SessionRunHook is tf1.train.SessionRunHook
    assert tf_estimator.CheckpointSaverListener is tf1.train.CheckpointSaverListener
    if not hasattr(tf, "estimator"):
        pytest.skip(f"TensorFlow {tf.__version__} has no tf.estimator")
    assert [name for name in API if getattr(tf_estimator, name) is not getattr(tf.estimator, name)] == []


def test_train_evaluate_and_export_with_stock_exporters(tmp_path):
    config = tf_estimator.RunConfig(model_dir=str(tmp_path), tf_random_seed=1, save_checkpoints_steps=20)
    estimator = tf_estimator.Estimator(_model_fn, config=config)

    def is_better(best_eval_result, current_eval_result):
        return current_eval_result["loss"] < best_eval_result["loss"]

    exporters = [
        tf_estimator.BestExporter("best", _serving_input_fn, compare_fn=is_better),
        tf_estimator.LatestExporter("latest", _serving_input_fn, exports_to_keep=1),
        tf_estimator.FinalExporter("final", _serving_input_fn),
    ]
    train_spec = tf_estimator.TrainSpec(_input_fn, max_steps=40)
    eval_spec = tf_estimator.EvalSpec(_input_fn, steps=1, exporters=exporters, start_delay_secs=0, throttle_secs=0)
    metrics, _ = tf_estimator.train_and_evaluate(estimator, train_spec, eval_spec)
    assert metrics["global_step"] == 40
    assert metrics["error"] < 0.5
    for name in ("best", "latest", "final"):
        (version, *_) = os.listdir(tmp_path / "export" / name)
        loaded = tf.saved_model.load(str(tmp_path / "export" / name / version))
        assert loaded.signatures["serving_default"](tf.constant([1.0]))["outputs"].numpy() > 2
    predictions = estimator.predict(lambda: _input_fn().take(1))
    assert next(predictions)["outputs"] == pytest.approx(estimator.get_variable_value("weight") / 4)


def test_building_hooks_announces_no_deprecation(caplog):
    with caplog.at_level("WARNING", logger="tensorflow"):
        tf_estimator.SessionRunHook()
        tf1.train.StopAtStepHook(last_step=1)
        tf1.train.SessionRunArgs([])
    assert "deprecated" not in caplog.text


def test_parameter_servers_of_tf_config(monkeypatch):
    cluster = {"chief": ["localhost:1"], "worker": ["localhost:2"], "ps": ["localhost:3", "localhost:4"]}
    monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": cluster, "task": {"type": "worker", "index": 0}}))
    config = tf_estimator.RunConfig()
    assert (config.task_type, config.task_id, config.is_chief) == ("worker", 0, False)
    assert (config.num_worker_replicas, config.num_ps_replicas, config.global_id_in_cluster) == (2, 2, 1)
    assert config.cluster_spec.as_dict() == cluster


def test_the_evaluator_of_tf_config(monkeypatch):
    cluster = {"chief": ["localhost:1"], "worker": ["localhost:2"]}
    monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": cluster, "task": {"type": "evaluator", "index": 0}}))
    config = tf_estimator.RunConfig()
    assert (config.task_type, config.is_chief, config.num_worker_replicas) == ("evaluator", False, 0)


def test_a_strategy_on_the_cluster_of_tf_config(monkeypatch):
    cluster = {"worker": ["localhost:1", "localhost:2"]}
    monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": cluster, "task": {"type": "worker", "index": 1}}))
    strategy = tf.distribute.OneDeviceStrategy("/cpu:0")
    config = tf_estimator.RunConfig(train_distribute=strategy)
    assert config.train_distribute is strategy
    assert config.cluster_spec.as_dict() == cluster


def test_a_strategy_without_a_cluster():
    strategy = tf.distribute.OneDeviceStrategy("/cpu:0")
    config = tf_estimator.RunConfig(train_distribute=strategy, eval_distribute=strategy)
    assert (config.task_type, config.is_chief, config.num_worker_replicas) == ("worker", True, 1)


def test_training_with_a_strategy(tmp_path):
    config = tf_estimator.RunConfig(
        model_dir=str(tmp_path), train_distribute=tf.distribute.OneDeviceStrategy("/cpu:0")
    )
    estimator = tf_estimator.Estimator(_model_fn, config=config)
    estimator.train(_input_fn, steps=3)
    assert estimator.get_variable_value("global_step") == 3
    assert estimator.get_variable_value("weight") > 0
