"""Tests of hubpipe.compat.keras."""

import keras as keras_package
import numpy as np
import pytest
import tensorflow as tf

from hubpipe import errors
from hubpipe.compat import keras
from tests import needs


@pytest.fixture(params=["keras", "tf_keras"])
def package(request):
    """Keras 2 or 3, whichever `keras` is, and tf_keras."""
    return pytest.importorskip(request.param, reason=f"{request.param} is not installed")


def _model(package, structure=lambda left, right: [left, right]):
    left, right = package.Input([4], name="left"), package.Input([2], name="right", dtype="int32")
    hidden = package.layers.Dense(3, kernel_regularizer=package.regularizers.L1(0.5), name="hidden")(left)
    inputs = structure(left, right)
    if not any(each is right for each in tf.nest.flatten(inputs)):
        return package.Model(inputs, hidden)
    # Some releases of Keras 3 refuse an input that leads nowhere.
    return package.Model(inputs, [hidden, package.layers.Reshape([2])(right)])


def test_generation(package):
    class Own(package.layers.Layer):
        pass

    expected = int(package.__version__[0])
    assert keras.generation(Own()) == expected
    assert keras.generation(_model(package)) == expected
    for other in (tf.Module(), "keras", package.optimizers.SGD()):
        assert keras.generation(other) is None


def test_keras_2_is_tf_keras():
    assert keras.generation(needs.keras_2().layers.Dense(1)) == 2


def test_without_keras_2(monkeypatch):
    monkeypatch.setattr(keras, "_generation", lambda layer_type: 3)
    with pytest.raises(errors.TrainingError) as caught:
        keras.keras_2()
    assert str(caught.value) == (
        "tf.keras is not Keras 2, and no other trains in a graph of TensorFlow 1. "
        "Install it: pip install 'hubpipe[keras]'; and leave TF_USE_LEGACY_KERAS unset."
    )


@pytest.mark.parametrize("is_training", [False, True])
def test_fix_training(is_training):
    keras_2 = needs.keras_2()
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        keras.fix_training(is_training)
        inputs = keras_2.Input([100])
        model = keras_2.Sequential([inputs, keras_2.layers.Dropout(0.5)])
        found = session.run(model.output, {model.input: np.ones([1, 100])})
    assert np.any(found == 0) == is_training
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:  # other graphs do not know
        model = keras_2.Sequential([keras_2.Input([100]), keras_2.layers.Dropout(0.5)])
        assert not np.any(session.run(model.output, {model.input: np.ones([1, 100])}) == 0)


def test_weights(package):
    model = _model(package)
    model.get_layer("hidden").trainable = False
    found, trainable = keras.weights(model)
    assert [type(variable).__name__ for variable in found] == ["ResourceVariable"] * 2
    assert [variable.shape for variable in found] == [[4, 3], [3]]
    assert trainable == []


def test_regularization_losses(package):
    model = _model(package)
    (loss,) = keras.regularization_losses(model)
    kernel, _ = model.get_layer("hidden").get_weights()
    np.testing.assert_allclose(loss(), 0.5 * np.sum(np.abs(kernel)), rtol=1e-5)


@pytest.mark.parametrize(
    ("structure", "expected"),
    [
        (lambda left, right: [left, right], lambda left, right: [left, right]),
        (lambda left, right: {"left": left, "right": right}, lambda left, right: {"left": left, "right": right}),
        (lambda left, right: [left], lambda left, right: left),
        (lambda left, right: left, lambda left, right: left),
    ],
)
def test_input_specs(package, structure, expected):
    left = tf.TensorSpec([None, 4], tf.float32, name="left")
    right = tf.TensorSpec([None, 2], tf.int32, name="right")
    assert keras.input_specs(_model(package, structure)) == expected(left, right)


def test_the_batch_is_left_open(package):
    model = package.Sequential([package.layers.Dense(2)])
    model(np.ones([3, 4], np.float32))
    spec = keras.input_specs(model)
    assert (spec.shape.as_list(), spec.dtype) == ([None, 4], tf.float32)


def test_a_model_that_does_not_say():
    class Own(keras_package.layers.Layer):
        pass

    assert keras.inputs(Own()) is None
    assert keras.input_specs(Own()) is None


def test_forget_losses(package):
    inputs = package.Input([4])
    model = package.Model(inputs, package.layers.Dense(2, activity_regularizer="l2")(inputs))
    model(np.ones([3, 4]))
    before = [loss for loss in model.losses if hasattr(loss, "numpy")]
    keras.forget_losses(model)
    assert len(before) == 1
    assert [loss for loss in model.losses if hasattr(loss, "numpy")] == []
