"""hub.KerasLayer of tensorflow_hub 0.16 uses and fine-tunes Reusable SavedModels, those of Keras 3 included."""

import pathlib

import keras
import numpy as np
import pytest
import tensorflow as tf

from hubpipe import saved_model
from tests.conformance import oracles

pytestmark = [pytest.mark.oracle, pytest.mark.process]

X = np.random.default_rng(0).normal(size=[5, 4]).astype(np.float32)


class MyMulModel(tf.train.Checkpoint):
    """The low-level route of "Exporting a SavedModel", TensorFlow Hub documentation."""

    def __init__(self, v_init):
        super().__init__()
        self.v = tf.Variable(v_init)
        self.variables = [self.v]
        self.trainable_variables = [self.v]
        self.regularization_losses = [tf.function(input_signature=[])(lambda: 0.001 * self.v**2)]

    @tf.function(input_signature=[tf.TensorSpec(shape=None, dtype=tf.float32)])
    def __call__(self, inputs):
        return tf.multiply(inputs, self.v)


def _encoder():
    inputs = keras.Input([4], name="features")
    hidden = keras.layers.Dense(3, kernel_regularizer=keras.regularizers.L2(0.5), name="hidden")(inputs)
    hidden = keras.layers.BatchNormalization(momentum=0.75, name="norm")(hidden)
    frozen = keras.layers.Dense(2, trainable=False, name="frozen")(hidden)
    return keras.Model(inputs, keras.layers.Dropout(0.5)(frozen))


@pytest.fixture(scope="module")
def encoder():
    return _encoder()


@pytest.fixture(scope="module", params=oracles.KERAS_LAYER_ORACLES, ids=lambda oracle: oracle.name)
def answers(request, encoder, tmp_path_factory):
    """A function from a name to the oracle's answers."""
    folder = tmp_path_factory.mktemp("keras_layer")
    tf.saved_model.save(MyMulModel(2.0), str(folder / "my_mul"))
    np.savez(folder / "my_mul.npz", inputs=np.array([[10.0], [20.0]], np.float32))
    saved_model.export_keras(encoder, str(folder / "encoder"))
    np.savez(folder / "encoder.npz", inputs=X)
    oracles.run(request.param, str(pathlib.Path(__file__).with_name("keras_layer.py")), str(folder))
    return lambda name: dict(np.load(folder / "answers" / f"{name}.npz"))


def test_the_low_level_route(answers):
    found = answers("my_mul")
    np.testing.assert_array_equal(found["frozen"], [[20.0], [40.0]])
    np.testing.assert_array_equal(found["inference"], [[20.0], [40.0]])
    np.testing.assert_allclose(found["losses"], [0.004])
    (before,) = [value for name, value in found.items() if name.startswith("before/")]
    (after,) = [value for name, value in found.items() if name.startswith("after/")]
    # d/dv (mean((x v - 1)^2) + 0.001 v^2) at v = 2, for x = 10 and 20
    gradient = 2 * (10 * 19 + 20 * 39) / 2 + 0.002 * 2
    np.testing.assert_allclose([before, after], [2, 2 - 0.1 * gradient], rtol=1e-5)


def test_a_piece_of_a_keras_model(answers, encoder):
    found = answers("encoder")
    np.testing.assert_allclose(found["frozen"], encoder(X), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found["inference"], encoder(X), rtol=1e-5, atol=1e-6)
    kernel, bias = encoder.get_layer("hidden").get_weights()
    np.testing.assert_allclose(found["losses"], [0.5 * np.sum(kernel**2)], rtol=1e-5)
    assert found["trainable"] == 4
    names = [name.removeprefix("before/") for name in found if name.startswith("before/")]
    moved = {name for name in names if np.any(found[f"before/{name}"] != found[f"after/{name}"])}
    mean = next(name for name in names if "moving_mean" in name)
    averages = 0.25 * np.mean(X @ kernel + bias, axis=0)
    np.testing.assert_allclose(found[f"after/{mean}"], averages, rtol=1e-4, atol=1e-6)
    frozen = [name for name in names if found[f"before/{name}"].shape in [(3, 2), (2,)] and "seed" not in name]
    assert len(frozen) == 2
    assert moved.isdisjoint(frozen)
    assert {found[f"before/{name}"].shape for name in moved} >= {(4, 3), (3,)}
