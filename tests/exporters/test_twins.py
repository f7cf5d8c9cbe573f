"""Tests of hubpipe.exporters.twins, and of what BestModuleExporter makes of them."""

import json
import os
import pathlib

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.compat import v1 as tf1

from hubpipe import errors, exporters, hub
from hubpipe.compat import estimator as tf_estimator
from hubpipe.exporters import best, registered, twins
from hubpipe.saved_model import golden, write
from hubpipe.store import layout, store
from tests.exporters import linear

X = np.array([[1, 2, 3, 4], [4, 3, 2, 1]], np.float32)


@pytest.fixture
def module(trained):
    (found,) = registered.RegisteredModules(linear.serving_input_fn).of(trained)
    return found


@pytest.fixture
def add(trained, module, tmp_path):
    """A function (Twins, step) -> the facts of the twin of a step's version, at tmp_path/step."""

    def call(made, step):
        path = str(tmp_path / str(step))
        module.export(path, linear.checkpoint(trained, step))
        return made.add(path, module, linear.checkpoint(trained, step))

    return call


def weights(trained, step):
    return tf.train.load_variable(linear.checkpoint(trained, step), "linear/w")


def test_a_version_gets_a_twin_and_golden_values(trained, add, tmp_path):
    made = twins.Twins()
    for step in (1, 2):
        facts = add(made, step)
        assert (facts["path"], facts["lost"], facts["tolerance"]) == ("tf2", [], 1e-6)
        assert facts["differences"]["outputs of 'default'"] <= 1e-6
        assert facts["differences"]["golden outputs"] <= 1e-6
        loaded = tf.saved_model.load(str(tmp_path / str(step) / "tf2"))
        np.testing.assert_allclose(loaded(X), X @ weights(trained, step), rtol=1e-5, atol=1e-6)
        with np.load(tmp_path / str(step) / layout.GOLDEN) as archive:
            assert sorted(archive.files) == ["inputs/default/0", "outputs/default/0"]
            expected = archive["inputs/default/0"] @ weights(trained, step)
            np.testing.assert_allclose(archive["outputs/default/0"], expected, rtol=1e-5, atol=1e-6)


def test_given_golden_inputs(trained, add, tmp_path):
    facts = add(twins.Twins({"default": X}), 3)
    assert "golden outputs" in facts["differences"]
    path = str(tmp_path / "3" / layout.GOLDEN)
    infos = hub.load_module_spec(str(tmp_path / "3")).get_input_info_dict()
    inputs, (outputs,) = golden.load(path, infos)[0], golden.load(path, infos)[1]["default"]
    np.testing.assert_array_equal(inputs["default"], X)
    np.testing.assert_allclose(outputs, X @ weights(trained, 3), rtol=1e-5)


def test_in_a_training_graph(trained, add):
    with tf.Graph().as_default() as graph, tf.distribute.OneDeviceStrategy("/cpu:0").scope():
        tf1.train.create_global_step()
        before = len(graph.get_operations())
        assert add(twins.Twins(), 1)["lost"] == []
        assert len(graph.get_operations()) == before


def test_values_that_are_not_those_of_the_graph(trained, module, tmp_path):
    """The module of one step beside the checkpoint of another: the trained graph gives other outputs."""
    path = str(tmp_path / "version")
    module.export(path, linear.checkpoint(trained, 1))
    with pytest.raises(errors.ParityError) as caught:
        twins.Twins().add(path, module, linear.checkpoint(trained, 5))
    assert str(caught.value).startswith(f"linear of {linear.checkpoint(trained, 5)}: the module and its twin ")
    assert "\ngolden outputs: 'default' differs by " in str(caught.value)


def test_a_model_that_predicts_with_the_train_variant_has_no_golden_values(tmp_path):
    def module_fn(is_training):
        inputs = tf1.placeholder(tf.float32, [None, 4])
        weights = tf1.get_variable("w", [4, 1], initializer=tf1.ones_initializer())
        hub.add_signature(inputs=inputs, outputs=tf.matmul(inputs, weights) * (2.0 if is_training else 1.0))

    spec = hub.create_module_spec(module_fn, [((), {"is_training": False}), (("train",), {"is_training": True})])

    def model_fn(features, labels, mode):
        module = hub.Module(spec, trainable=True, tags={"train"}, name="linear")
        hub.register_module_for_export(module, "linear")
        loss = tf.reduce_mean(module(features["x"]))
        train_op = tf1.assign_add(tf1.train.get_global_step(), 1)
        return tf_estimator.EstimatorSpec(mode, loss=loss, train_op=train_op, predictions=loss)

    estimator = tf_estimator.Estimator(model_fn, str(tmp_path / "model"))
    estimator.train(linear.input_fn, max_steps=1)
    (module,) = registered.RegisteredModules(linear.serving_input_fn).of(estimator)
    path = str(tmp_path / "version")
    module.export(path, estimator.latest_checkpoint())
    facts = twins.Twins().add(path, module, estimator.latest_checkpoint())
    assert "golden outputs" not in facts["differences"]
    assert not os.path.exists(os.path.join(path, layout.GOLDEN))


# BestModuleExporter.


def create_exporter(**options):
    return exporters.BestModuleExporter("best", linear.serving_input_fn, "accuracy", True, **options)


def offer(exporter, estimator, path, step, value):
    eval_result = {"accuracy": np.float32(value), "global_step": step}
    return exporter.export(estimator, str(path), linear.checkpoint(estimator, step), eval_result, False)


def damage_weights(path):
    """Writes the twin again with weights that are half as large."""
    loaded = tf.saved_model.load(path)
    for variable in loaded.trainable_variables:
        variable.assign(variable / 2)
    _again(loaded, path)


def damage_signatures(path):
    _again(tf.saved_model.load(path), path, signatures=False)


def damage_losses(path):
    loaded = tf.saved_model.load(path)
    loss = tf.function(lambda: tf.constant(1.0), input_signature=[])
    loss.get_concrete_function()
    loaded.regularization_losses = [loss]
    _again(loaded, path)


def _again(loaded, path, signatures=True):
    kept = {key: loaded.signatures[key] for key in ("default", "serving_default") if signatures}
    for file in pathlib.Path(path, "variables").iterdir():
        file.unlink()  # they are links
    tf.saved_model.save(loaded, path, kept or None)


@pytest.mark.parametrize(
    "damage, told",
    [
        (damage_weights, "variables: 'w' differs by "),
        (damage_signatures, "signatures: the twin serves [], expected ['default', 'serving_default']"),
        (damage_losses, "regularization losses: the module has 0, []; the twin has 1"),
    ],
    ids=["weights", "signatures", "losses"],
)
def test_nothing_is_published_when_the_twin_differs(trained, tmp_path, monkeypatch, damage, told):
    exporter = create_exporter()
    first = offer(exporter, trained, tmp_path, 1, 0.5)
    record = (tmp_path / best.RECORD_FILE).read_bytes()
    versions = store.Store(tmp_path, "linear")
    files = sorted(os.listdir(tmp_path / "linear"))
    original = write.TwinWriter.write

    def damaged(self, module_dir, path):
        lost = original(self, module_dir, path)
        damage(path)
        return lost

    with monkeypatch.context() as patch:
        patch.setattr(write.TwinWriter, "write", damaged)
        with pytest.raises(errors.ParityError) as caught:
            offer(exporter, trained, tmp_path, 4, 0.6)
    assert str(caught.value).startswith(f"linear of {linear.checkpoint(trained, 4)}: ")
    assert f"\n{told}" in str(caught.value)
    assert (tmp_path / best.RECORD_FILE).read_bytes() == record
    assert sorted(os.listdir(tmp_path / "linear")) == files
    assert [version.number for version in versions.versions()] == [1]
    assert versions.version(1).problems() == [] and versions.current_number() == 1
    assert first == offer(create_exporter(), trained, tmp_path, 4, 0.6).replace("/2", "/1")


def test_the_manifest_tells_of_the_twin(trained, tmp_path):
    offer(create_exporter(), trained, tmp_path, 1, 0.5)
    version = store.Store(tmp_path, "linear").version(1)
    told = version.manifest()["twin"]
    assert told["path"] == "tf2" and told["tolerance"] == 1e-6
    assert max(value for value in told["differences"].values() if value is not None) <= 1e-6
    shared = [path.stat().st_nlink for path in pathlib.Path(version.path).rglob("variables.data-*")]
    assert sorted(shared) == [1, 2, 2]  # the template's file, and the weights, once on disk
    assert version.problems() == []


def test_a_version_need_not_have_a_twin(trained, tmp_path):
    path = offer(create_exporter(twin=False), trained, tmp_path, 1, 0.5)
    assert not os.path.exists(os.path.join(path, "tf2"))
    assert store.Store(tmp_path, "linear").version(1).manifest()["twin"] is None


def test_partitioned_weights(tmp_path):
    estimator = linear.create_estimator(tmp_path / "model", partitions=3)
    estimator.train(linear.input_fn, max_steps=2)
    path = offer(create_exporter(), estimator, tmp_path / "export", 2, 0.5)
    loaded = tf.saved_model.load(os.path.join(path, "tf2"))
    assert len(loaded.trainable_variables) == 3
    np.testing.assert_allclose(loaded(X), X @ weights(estimator, 2), rtol=1e-5)


def test_averages_in_place_of_weights(tmp_path):
    estimator = linear.create_estimator(tmp_path / "model", averaged=True)
    estimator.train(linear.input_fn, max_steps=3)
    path = offer(create_exporter(), estimator, tmp_path / "export", 3, 0.5)
    averages = tf.train.load_variable(linear.checkpoint(estimator, 3), "linear/w/ExponentialMovingAverage")
    loaded = tf.saved_model.load(os.path.join(path, "tf2"))
    np.testing.assert_array_equal(loaded.variables[0], averages)
    assert json.loads(pathlib.Path(path, "tf2", write.FACTS_FILE).read_text())["lost"] == []


def test_in_a_stock_train_and_evaluate(tmp_path):
    estimator = linear.create_estimator(tmp_path, best_step=2)
    exporter = exporters.BestModuleExporter("best", linear.serving_input_fn, "distance", False)
    tf_estimator.train_and_evaluate(
        estimator,
        tf_estimator.TrainSpec(linear.input_fn, max_steps=2),
        tf_estimator.EvalSpec(linear.input_fn, steps=1, exporters=[exporter], start_delay_secs=0, throttle_secs=0),
    )
    version = store.Store(tmp_path / "export" / "best", "linear").current()
    loaded = tf.saved_model.load(os.path.join(version.path, "tf2"))
    np.testing.assert_allclose(loaded(X), X @ weights(estimator, 2), rtol=1e-5)
