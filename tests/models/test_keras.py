"""Tests of hubpipe.models.keras."""

import sys
import types

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.compat import v1 as tf1

from hubpipe import errors, hub
from hubpipe.config import schema
from hubpipe.models import keras as keras_lib
from tests import needs

X = np.random.default_rng(0).normal(size=[5, 4]).astype(np.float32)


@pytest.fixture
def keras():
    """Keras 2, in the graph of whoever calls."""
    return needs.keras_2()


@pytest.fixture
def create_spec(keras, tmp_path, monkeypatch):
    """A function (build_fn, hyperparameters, **params) -> the ModuleSpec of the encoder."""
    (tmp_path / "labels.txt").write_text("no\nyes\n")
    (tmp_path / "vocabulary.txt").write_text("the\ncat\n")

    def create(build_fn, hyperparameters=(), **params):
        module = types.ModuleType("encoders")
        module.encoder = build_fn
        monkeypatch.setitem(sys.modules, "encoders", module)
        model = schema.KerasModel(kind="keras", build_fn="encoders:encoder", params=params)
        return keras_lib.create_spec(
            model,
            schema.Export(hyperparameters=hyperparameters),
            vocabulary_path=str(tmp_path / "vocabulary.txt"),
            labels_path=str(tmp_path / "labels.txt"),
        )

    return create


def dense(units=3, dropout_rate=0.5, batch_norm_momentum=0.75, trainable=True):
    """An encoder of the features, float32 [batch, 4]."""
    keras = tf.keras
    inputs = keras.Input([4], name="features")
    kernel_regularizer = keras.regularizers.L2(0.5)
    hidden = keras.layers.Dense(units, kernel_regularizer=kernel_regularizer, name="hidden", trainable=trainable)
    normalized = keras.layers.BatchNormalization(momentum=batch_norm_momentum, name="norm")(hidden(inputs))
    return keras.Model(inputs, keras.layers.Dropout(dropout_rate)(normalized))


class Applied:
    """A module in a graph of its own, with a session."""

    def __init__(self, spec, *, tags=None, signature="default"):
        self.graph = tf.Graph()
        with self.graph.as_default():
            tf1.set_random_seed(1)
            self.module = hub.Module(spec, trainable=True, tags=tags)
            infos = self.module.get_input_info_dict(signature)
            self.inputs = {name: tf1.placeholder(info.dtype, info.get_shape()) for name, info in infos.items()}
            self.outputs = self.module(self.inputs, signature=signature, as_dict=True)
            self.session = tf1.Session()
            self.session.run([tf1.global_variables_initializer(), tf1.tables_initializer()])

    def __call__(self, **inputs):
        return self.session.run(self.outputs["default"], {self.inputs[name]: inputs[name] for name in inputs})

    def collection(self, key):
        return self.graph.get_collection(key)

    def values(self):
        return self.session.run(self.module.variable_map)

    def update(self, **inputs):
        updates = self.collection(tf1.GraphKeys.UPDATE_OPS)
        self.session.run(updates, {self.inputs[name]: inputs[name] for name in inputs})


WEIGHTS = ["hidden/bias", "hidden/kernel", "norm/beta", "norm/gamma", "norm/moving_mean", "norm/moving_variance"]


def test_weights_have_relative_names_in_both_variants(create_spec):
    spec = create_spec(dense)
    for tags in (None, {"train"}):
        module = Applied(spec, tags=tags)
        assert sorted(module.module.variable_map) == WEIGHTS
        trained = sorted(variable.op.name for variable in module.collection(tf1.GraphKeys.TRAINABLE_VARIABLES))
        assert trained == [f"module/{name}" for name in WEIGHTS[:4]]


def test_the_regularizers_of_layers_are_losses(create_spec):
    module = Applied(create_spec(dense), tags={"train"})
    (loss,) = module.session.run(module.collection(tf1.GraphKeys.REGULARIZATION_LOSSES))
    assert loss == pytest.approx(0.5 * np.sum(module.values()["hidden/kernel"] ** 2), rel=1e-5)


def test_the_variants_differ_as_they_should(create_spec):
    spec = create_spec(dense)
    inference, training = Applied(spec), Applied(spec, tags={"train"})
    assert inference.collection(tf1.GraphKeys.UPDATE_OPS) == []
    np.testing.assert_array_equal(inference(features=X), inference(features=X))
    assert 0.2 < np.mean(training(features=np.repeat(X, 20, axis=0)) == 0) < 0.8
    assert np.any(training(features=X) != training(features=X))
    values = training.values()
    training.update(features=X)
    batch = X @ values["hidden/kernel"] + values["hidden/bias"]
    np.testing.assert_allclose(training.values()["norm/moving_mean"], 0.25 * batch.mean(axis=0), rtol=1e-4)


def test_hyperparameters_take_effect(create_spec):
    spec = create_spec(dense, ("dropout_rate", "batch_norm_momentum"), dropout_rate=0.5, batch_norm_momentum=0.5)
    assert sorted(spec.get_signature_names()) == ["default", "hyperparameters", "labels"]
    module = Applied(spec, tags={"train"}, signature="hyperparameters")
    assert sorted(module.inputs) == ["batch_norm_momentum", "dropout_rate", "features"]
    assert not np.any(module(features=X, dropout_rate=0.0, batch_norm_momentum=0.5) == 0)
    assert np.mean(module(features=X, dropout_rate=0.99, batch_norm_momentum=0.5) == 0) > 0.5
    values = module.values()
    module.update(features=X, dropout_rate=0.0, batch_norm_momentum=0.9)
    batch = X @ values["hidden/kernel"] + values["hidden/bias"]
    np.testing.assert_allclose(module.values()["norm/moving_mean"], 0.1 * batch.mean(axis=0), rtol=1e-3)


def test_only_params_become_hyperparameters(create_spec):
    spec = create_spec(dense, ("dropout_rate", "batch_norm_momentum"), units=2)
    assert sorted(spec.get_signature_names()) == ["default", "labels"]
    spec = create_spec(dense, ("dropout_rate", "batch_norm_momentum"), dropout_rate=0)
    assert sorted(spec.get_input_info_dict("hyperparameters")) == ["dropout_rate", "features"]


def test_frozen_layers_are_not_trainable(create_spec):
    module = Applied(create_spec(dense, trainable=False), tags={"train"})
    trained = sorted(variable.op.name for variable in module.collection(tf1.GraphKeys.TRAINABLE_VARIABLES))
    assert trained == ["module/norm/beta", "module/norm/gamma"]
    assert sorted(module.module.variable_map) == WEIGHTS


def test_the_labels(create_spec):
    module = Applied(create_spec(dense), signature="labels")
    assert list(module()) == [b"no", b"yes"]


def test_the_vocabulary_comes_as_a_file_and_travels(create_spec, tmp_path):
    def build(*, vocabulary_path):
        text = tf.keras.Input([], dtype=tf.string, name="text")
        ids = tf.keras.layers.StringLookup(vocabulary=vocabulary_path)(text)
        return tf.keras.Model(text, tf.keras.layers.Embedding(3, 2)(ids))

    spec = create_spec(build)
    with tf.Graph().as_default(), tf1.Session() as session:
        module = hub.Module(spec)
        session.run([tf1.global_variables_initializer(), tf1.tables_initializer()])
        module.export(str(tmp_path / "module"), session)
    (tmp_path / "vocabulary.txt").unlink()
    module = Applied(str(tmp_path / "module"))
    (table,) = module.values().values()
    np.testing.assert_array_equal(module(text=["cat", "dog", "the"]), table[[2, 0, 1]])


def test_dict_outputs(create_spec):
    def build():
        inputs = tf.keras.Input([4], name="features")
        hidden = tf.keras.layers.Dense(3)(inputs)
        return tf.keras.Model(inputs, {"default": tf.keras.layers.Dense(2)(hidden), "hidden": hidden})

    outputs = create_spec(build).get_output_info_dict()
    assert {name: info.get_shape().as_list() for name, info in outputs.items()} == {
        "default": [None, 2],
        "hidden": [None, 3],
    }


def test_dict_inputs_keep_their_keys(create_spec):
    def build():
        inputs = {"left": tf.keras.Input([4], name="a"), "right": tf.keras.Input([4], name="b")}
        return tf.keras.Model(inputs, tf.keras.layers.Subtract()([inputs["left"], inputs["right"]]))

    module = Applied(create_spec(build))
    np.testing.assert_allclose(module(left=X, right=3 * X), -2 * X, rtol=1e-5)


def _without_default():
    inputs = tf.keras.Input([4])
    return tf.keras.Model(inputs, {"hidden": tf.keras.layers.Dense(3)(inputs)})


def _a_list():
    inputs = tf.keras.Input([4])
    return tf.keras.Model(inputs, [tf.keras.layers.Dense(3)(inputs), tf.keras.layers.Dense(3)(inputs)])


def _with_activity_regularizer():
    return tf.keras.Sequential([tf.keras.Input([4]), tf.keras.layers.Dense(3, activity_regularizer="l2")])


def _without_inputs():
    return tf.keras.Sequential([tf.keras.layers.Dense(3)])


@pytest.mark.parametrize(
    ("build_fn", "message"),
    [
        (
            _without_default,
            "model_fn.build_fn: encoders:encoder: the outputs of the model are ['hidden']; expected one, or a "
            "dict with the key 'default', which the head takes.",
        ),
        (
            _a_list,
            "model_fn.build_fn: encoders:encoder: the outputs of the model are a list of 2; expected one, or a "
            "dict with the key 'default', which the head takes.",
        ),
        (
            _with_activity_regularizer,
            "model_fn.build_fn: encoders:encoder: 1 of the losses of the model depend on its inputs "
            "(activity_regularizer, add_loss); a module has losses of weights alone.",
        ),
    ],
)
def test_models_that_cannot_become_modules(create_spec, build_fn, message):
    with pytest.raises(errors.ConfigError) as caught:
        create_spec(build_fn)
    assert str(caught.value) == message


@pytest.mark.parametrize(("build_fn", "found"), [(lambda: 3, "builtins.int;"), (_without_inputs, "Sequential;")])
def test_what_is_no_model_with_inputs(create_spec, build_fn, found):
    with pytest.raises(errors.ConfigError) as caught:
        create_spec(build_fn)
    assert str(caught.value).startswith("model_fn.build_fn: encoders:encoder: returned a value of type ")
    assert str(caught.value).endswith(
        f"{found} expected a functional or sequential model of tf.keras (Keras 2) with inputs, such as "
        "keras.Model(keras.Input(...), ...)."
    )


def test_arguments_that_the_function_does_not_take(create_spec):
    with pytest.raises(errors.ConfigError) as caught:
        create_spec(dense, unit=3)
    assert str(caught.value) == (
        "model_fn.params.unit: unknown parameter (did you mean 'units'?). encoders:encoder takes units, "
        "dropout_rate, batch_norm_momentum, trainable"
    )
