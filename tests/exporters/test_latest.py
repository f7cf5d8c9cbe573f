"""Tests of hubpipe.exporters.latest."""

import os
import re
import time

import numpy as np
import pytest
import tensorflow as tf
from absl import logging
from tensorflow.compat import v1 as tf1

from hubpipe import errors, exporters, hub
from hubpipe.compat import estimator as tf_estimator
from tests.exporters import linear


def exported_weights(path):
    # load_variable takes a prefix on ram:// for a directory.
    return tf1.train.NewCheckpointReader(hub.load_module_spec(path).checkpoint_path).get_tensor("w")


def trained_weights(estimator, step, name="linear/w"):
    return tf.train.load_variable(linear.checkpoint(estimator, step), name)


@pytest.fixture
def exporter():
    return exporters.LatestModuleExporter("tf_hub", linear.serving_input_fn)


def test_layout(trained, exporter, tmp_path):
    before = int(time.time())
    path = exporter.export(trained, str(tmp_path), linear.checkpoint(trained, 3), {}, False)
    assert isinstance(path, bytes)
    (seconds,) = os.listdir(tmp_path)
    assert path.decode() == str(tmp_path / seconds)
    assert re.fullmatch("[0-9]{10}", seconds) and before <= int(seconds) <= time.time()
    assert os.listdir(tmp_path / seconds) == ["linear"]
    np.testing.assert_array_equal(
        exported_weights(str(tmp_path / seconds / "linear")), trained_weights(trained, 3)
    )


def _with_auxiliary_head(is_training=False):
    x = tf1.placeholder(tf.float32, [None, 4])
    outputs = tf.matmul(x, tf1.get_variable("w", [4, 1]))
    if is_training:
        outputs += tf1.get_variable("auxiliary", [1])
    hub.add_signature(inputs=x, outputs=outputs)


def test_variables_that_only_training_has(tmp_path):
    module_spec = hub.create_module_spec(_with_auxiliary_head, [(set(), {}), ({"train"}, {"is_training": True})])

    def model_fn(features, labels, mode):
        tags = {"train"} if mode == tf_estimator.ModeKeys.TRAIN else None
        module = hub.Module(module_spec, trainable=True, name="encoder", tags=tags)
        hub.register_module_for_export(module, "encoder")
        outputs = module(features["x"])
        if mode == tf_estimator.ModeKeys.PREDICT:
            return tf_estimator.EstimatorSpec(mode, predictions=outputs)
        loss = tf.reduce_sum((outputs - labels) ** 2)
        train_op = tf1.train.GradientDescentOptimizer(0.1).minimize(loss, tf1.train.get_global_step())
        return tf_estimator.EstimatorSpec(mode, loss=loss, train_op=train_op)

    estimator = tf_estimator.Estimator(model_fn, str(tmp_path / "run"))
    estimator.train(linear.input_fn, max_steps=1)
    exporter = exporters.LatestModuleExporter("tf_hub", linear.serving_input_fn)
    path = exporter.export(estimator, str(tmp_path / "exports")).decode()
    reader = tf1.train.NewCheckpointReader(hub.load_module_spec(f"{path}/encoder").checkpoint_path)
    for name in ("w", "auxiliary"):
        np.testing.assert_array_equal(
            reader.get_tensor(name), estimator.get_variable_value(f"encoder/{name}"), err_msg=name
        )


def test_without_a_checkpoint_path_it_is_the_newest(trained, exporter, tmp_path):
    path = exporter.export(trained, str(tmp_path)).decode()
    newest = trained_weights(trained, linear.STEPS)
    np.testing.assert_array_equal(exported_weights(os.path.join(path, "linear")), newest)


def test_exports_of_one_second_are_distinct_and_the_newest_stay(trained, tmp_path):
    exporter = exporters.LatestModuleExporter("tf_hub", linear.serving_input_fn, exports_to_keep=2)
    for other in ("123", "best", "12345678901", "temp-1234567890"):
        (tmp_path / other).mkdir()
    others = set(os.listdir(tmp_path))
    checkpoints = [linear.checkpoint(trained, step) for step in (1, 2, 3)]
    paths = [exporter.export(trained, str(tmp_path), path).decode() for path in checkpoints]
    assert paths == sorted(set(paths))
    assert set(os.listdir(tmp_path)) - others == {os.path.basename(path) for path in paths[1:]}


def test_all_stay_if_asked(trained, tmp_path):
    exporter = exporters.LatestModuleExporter("tf_hub", linear.serving_input_fn, exports_to_keep=None)
    for _ in range(7):
        exporter.export(trained, str(tmp_path))
    assert len(os.listdir(tmp_path)) == 7


@pytest.mark.parametrize("number", [0, -1])
def test_exports_to_keep_is_positive(number):
    with pytest.raises(errors.ExportError, match=f"must be a positive number; got {number}"):
        exporters.LatestModuleExporter("tf_hub", linear.serving_input_fn, exports_to_keep=number)


def test_nothing_registered_is_a_warning(tmp_path, exporter, monkeypatch):
    warnings = []
    monkeypatch.setattr(logging, "warning", warnings.append)
    estimator = linear.create_estimator(tmp_path / "model", names=())
    estimator.train(linear.input_fn, max_steps=1)
    assert exporter.export(estimator, str(tmp_path / "export")) is None
    assert not (tmp_path / "export").exists()
    assert warnings == [
        "LatestModuleExporter found zero modules to export. Use hub.register_module_for_export() if needed."
    ]


def test_no_checkpoint_is_an_error(tmp_path, exporter):
    estimator = linear.create_estimator(tmp_path / "model")
    with pytest.raises(errors.ExportError, match=f"{tmp_path}/model: there is no checkpoint"):
        exporter.export(estimator, str(tmp_path / "export"))
    assert not (tmp_path / "export").exists()


def test_several_modules(tmp_path, exporter):
    estimator = linear.create_estimator(tmp_path / "model", names=("one", "two"))
    estimator.train(linear.input_fn, max_steps=2)
    path = exporter.export(estimator, str(tmp_path / "export")).decode()
    assert sorted(os.listdir(path)) == ["one", "two"]
    for name in ("one", "two"):
        expected = trained_weights(estimator, 2, f"{name}/w")
        np.testing.assert_array_equal(exported_weights(os.path.join(path, name)), expected)


def test_the_savers_of_the_model_fn_decide_what_is_read(tmp_path, exporter):
    estimator = linear.create_estimator(tmp_path / "model", averaged=True)
    estimator.train(linear.input_fn, max_steps=3)
    path = exporter.export(estimator, str(tmp_path / "export")).decode()
    found = exported_weights(os.path.join(path, "linear"))
    names = [name for name, _ in tf.train.list_variables(linear.checkpoint(estimator, 3))]
    (average,) = [name for name in names if name.endswith("ExponentialMovingAverage")]
    np.testing.assert_array_equal(found, trained_weights(estimator, 3, average))
    assert np.any(found != trained_weights(estimator, 3))


def test_partitioned_variables_are_joined(tmp_path, exporter):
    estimator = linear.create_estimator(tmp_path / "model", partitions=2)
    estimator.train(linear.input_fn, max_steps=2)
    path = exporter.export(estimator, str(tmp_path / "export")).decode()
    found = exported_weights(os.path.join(path, "linear"))
    assert found.shape == (4, 1)
    np.testing.assert_array_equal(found, trained_weights(estimator, 2))


def test_other_file_systems(trained, exporter):
    root = "ram://latest/export"
    first = exporter.export(trained, root, linear.checkpoint(trained, 1)).decode()
    second = exporter.export(trained, root, linear.checkpoint(trained, 2)).decode()
    names = sorted(name.rstrip("/") for name in tf.io.gfile.listdir(root))
    assert [os.path.join(root, name) for name in names] == [first, second]
    np.testing.assert_array_equal(
        exported_weights(os.path.join(first, "linear")), trained_weights(trained, 1)
    )


@pytest.mark.parametrize("root", ["{tmp_path}", "ram://failing"])
def test_an_export_that_fails_leaves_nothing(tmp_path, exporter, root):
    root = root.format(tmp_path=tmp_path / "export")
    estimator = linear.create_estimator(tmp_path / "model", names=("linear",))
    estimator.train(linear.input_fn, max_steps=1)
    other = linear.create_estimator(tmp_path / "other", names=("linear", "unknown"))
    with pytest.raises(errors.ModuleSpecError, match="unknown/w is not found"):
        exporter.export(other, root, linear.checkpoint(estimator, 1))
    assert tf.io.gfile.listdir(root) == []


def test_in_a_stock_train_and_evaluate(tmp_path, exporter):
    estimator = linear.create_estimator(tmp_path / "model")
    tf_estimator.train_and_evaluate(
        estimator,
        tf_estimator.TrainSpec(linear.input_fn, max_steps=2),
        tf_estimator.EvalSpec(linear.input_fn, steps=1, exporters=[exporter], start_delay_secs=0, throttle_secs=0),
    )
    found = sorted(os.listdir(tmp_path / "model" / "export" / "tf_hub"))
    assert len(found) == 2
    newest = str(tmp_path / "model" / "export" / "tf_hub" / found[-1] / "linear")
    np.testing.assert_array_equal(exported_weights(newest), trained_weights(estimator, 2))
