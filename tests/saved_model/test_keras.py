"""Tests of hubpipe.saved_model.keras."""

import os

import numpy as np
import pytest
import tensorflow as tf

from hubpipe import errors, saved_model

X = np.linspace(-1, 2, 20, dtype=np.float32).reshape([5, 4])


@pytest.fixture(params=["keras", "tf_keras"])
def keras(request):
    """Keras 2 or 3, whichever `keras` is, and tf_keras."""
    return pytest.importorskip(request.param, reason=f"{request.param} is not installed")


@pytest.fixture
def export(tmp_path):
    """A function (model, **arguments) -> (what was loaded again, what export_keras returned)."""

    def call(model, **arguments):
        lost = saved_model.export_keras(model, str(tmp_path / "exported"), **arguments)
        return tf.saved_model.load(str(tmp_path / "exported")), lost

    return call


def _layers(keras, rate=0.5):
    """Input, hidden layer and output of an encoder."""
    inputs = keras.Input([4], name="features")
    hidden = keras.layers.Dense(3, kernel_regularizer=keras.regularizers.L2(0.5), name="hidden")(inputs)
    hidden = keras.layers.BatchNormalization(momentum=0.75, name="norm")(hidden)
    return inputs, hidden, keras.layers.Dropout(rate)(hidden)


def _encoder(keras, rate=0.5):
    inputs, _, outputs = _layers(keras, rate)
    return keras.Model(inputs, outputs)


def _values(variables):
    return {variable.name: variable.numpy() for variable in variables}


def test_the_piece_of_a_trained_model(keras, export):
    encoder = _encoder(keras)
    full_model = keras.Sequential([encoder, keras.layers.Dense(1)])
    full_model.compile("adam", "mse")
    full_model.fit(X, np.ones([5, 1]), epochs=2, verbose=0)
    loaded, lost = export(encoder)
    assert lost == []
    np.testing.assert_allclose(loaded(X), encoder(X), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(loaded(X, training=False), encoder(X), rtol=1e-5, atol=1e-6)
    weights = [variable for variable in loaded.variables if variable.dtype.is_floating]
    assert len(weights) == len(encoder.weights) == 6  # nothing of the optimizer, nothing of the head
    for variable, weight in zip(weights, encoder.get_weights(), strict=True):
        np.testing.assert_array_equal(variable.numpy(), weight)
    assert [variable.shape for variable in loaded.trainable_variables] == [[4, 3], [3], [3], [3]]


def test_no_slot_variable_is_written(keras, export, tmp_path):
    model = _encoder(keras)
    model.compile("adam", "mse")
    model.fit(X, np.ones([5, 3]), verbose=0)
    export(model)
    names = [name for name, _ in tf.train.list_variables(str(tmp_path / "exported" / "variables" / "variables"))]
    assert len(names) >= 7
    assert not [name for name in names if "optimizer" in name or "momentum" in name or "velocity" in name]


def test_training_drops_and_moves_the_averages(keras, export):
    loaded, _ = export(_encoder(keras))
    before = _values(loaded.variables)
    batch = np.tile(X, [20, 1])
    outputs = [np.array(loaded(batch, training=True)) for _ in range(2)]
    assert 0.2 < np.mean(outputs[0] == 0) < 0.8
    assert np.any(outputs[0] != outputs[1])
    moved = {name for name, value in _values(loaded.variables).items() if np.any(value != before[name])}
    assert {name for name in moved if "moving" in name} == {name for name in before if "moving" in name}
    assert not [name for name in moved if "kernel" in name or "gamma" in name]
    after = _values(loaded.variables)
    loaded(X)
    np.testing.assert_equal(_values(loaded.variables), after)


def test_the_averages_move_by_the_layers_momentum(keras, export):
    model = _encoder(keras)
    loaded, _ = export(model)
    loaded(X, training=True)
    (mean,) = [variable for variable in loaded.variables if "moving_mean" in variable.name]
    kernel, bias = model.get_layer("hidden").get_weights()
    np.testing.assert_allclose(mean.numpy(), 0.25 * np.mean(X @ kernel + bias, axis=0), rtol=1e-4, atol=1e-6)


def test_regularization_losses(keras, export):
    model = _encoder(keras)
    loaded, _ = export(model)
    (loss,) = loaded.regularization_losses
    kernel = loaded.trainable_variables[0]
    assert loss().shape == []
    np.testing.assert_allclose(loss(), 0.5 * np.sum(kernel.numpy() ** 2), rtol=1e-5)
    with tf.GradientTape() as tape:
        value = loss()
    np.testing.assert_allclose(tape.gradient(value, kernel), kernel.numpy(), rtol=1e-5)


def test_gradients_reach_the_loaded_weights(keras, export):
    loaded, _ = export(_encoder(keras, rate=0.0))
    with tf.GradientTape() as tape:
        value = tf.reduce_sum(loaded(X, training=True) ** 3)
    gradients = tape.gradient(value, loaded.trainable_variables)
    assert len(gradients) == 4
    assert all(np.any(np.array(gradient) != 0) for gradient in gradients[-2:])


def test_frozen_layers_stay_frozen(keras, export):
    model = _encoder(keras)
    model.get_layer("norm").trainable = False
    loaded, _ = export(model)
    assert [variable.shape for variable in loaded.trainable_variables] == [[4, 3], [3]]
    before = _values(loaded.variables)
    loaded(X, training=True)
    moved = [name for name, value in _values(loaded.variables).items() if np.any(value != before[name])]
    assert not [name for name in moved if "moving" in name]


def test_dict_outputs(keras, export):
    inputs, hidden, outputs = _layers(keras)
    model = keras.Model(inputs, {"default": outputs, "hidden": hidden})
    loaded, _ = export(model)
    found = loaded(X)
    assert sorted(found) == ["default", "hidden"]
    for name, value in model(X).items():
        np.testing.assert_allclose(found[name], value, rtol=1e-5, atol=1e-6)
    served = loaded.signatures["serving_default"](features=tf.constant(X))
    np.testing.assert_allclose(served["hidden"], found["hidden"], rtol=1e-6)


def test_list_outputs_and_dict_inputs(keras, export):
    left, right = keras.Input([4], name="left"), keras.Input([2], name="right")
    total = keras.layers.Concatenate()([left, right])
    loaded, _ = export(keras.Model({"left": left, "right": right}, [total, left]))
    inputs = {"left": tf.constant(X), "right": tf.constant(X[:, :2])}
    found = loaded(inputs)
    np.testing.assert_array_equal(found[0], np.concatenate([X, X[:, :2]], axis=1))
    np.testing.assert_array_equal(found[1], X)
    served = loaded.signatures["serving_default"](**inputs)
    assert sorted(served) == ["output_0", "output_1"]
    np.testing.assert_array_equal(served["output_1"], X)


def test_list_inputs_are_served_by_name(keras, export):
    left, right = keras.Input([4], name="left"), keras.Input([4], name="right")
    loaded, _ = export(keras.Model([left, right], keras.layers.Subtract()([left, right])))
    np.testing.assert_array_equal(loaded([X, 2 * X]), -X)
    served = loaded.signatures["serving_default"](right=tf.constant(2 * X), left=tf.constant(X))
    np.testing.assert_array_equal(served["default"], -X)


def test_a_vocabulary_travels(keras, export):
    vectorize = keras.layers.TextVectorization(output_sequence_length=3)
    vectorize.adapt(["the cat", "the dog"])
    texts = keras.Input([], dtype="string", name="text")
    vectors = keras.layers.Flatten()(keras.layers.Embedding(9, 2)(vectorize(texts)))
    model = keras.Model(texts, vectors)
    loaded, _ = export(model)
    given = tf.constant(["the cat", "a dog sat"])
    np.testing.assert_allclose(loaded(given), model(given), rtol=1e-6)
    assert len(loaded.variables) == 1


def test_a_vocabulary_file_travels(keras, tmp_path):
    path = tmp_path / "vocabulary.txt"
    path.write_text("cat\ndog\n")
    texts = keras.Input([], dtype="string", name="text")
    model = keras.Model(texts, keras.layers.StringLookup(vocabulary=str(path))(texts))
    saved_model.export_keras(model, str(tmp_path / "exported"))
    path.unlink()
    (tmp_path / "exported").rename(tmp_path / "moved")
    loaded = tf.saved_model.load(str(tmp_path / "moved"))
    np.testing.assert_array_equal(loaded(tf.constant(["dog", "cow", "cat"])), [2, 0, 1])


def test_another_file_system(keras):
    model = _encoder(keras)
    path = f"ram://{model.name}-{keras.__name__}"
    saved_model.export_keras(model, path)
    np.testing.assert_allclose(tf.saved_model.load(path)(X), model(X), rtol=1e-5, atol=1e-6)
    with pytest.raises(errors.ExportExistsError):
        saved_model.export_keras(model, path)


def test_a_sequential_model_leaves_the_batch_open(keras, export):
    model = keras.Sequential([keras.layers.Dense(2)])
    model(X)
    loaded, _ = export(model)
    assert loaded(X[:2]).shape == [2, 2]


def _own(keras):
    class Own(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = keras.layers.Dense(2)
            self.norm = keras.layers.BatchNormalization()

        def call(self, inputs):
            return self.norm(self.dense(inputs))

    return Own()


def test_a_model_that_cannot_say_what_it_takes(keras, export):
    model = _own(keras)
    model(X)
    loaded, _ = export(model, inputs=tf.TensorSpec([None, 4], tf.float32))
    np.testing.assert_allclose(loaded(X), model(X), rtol=1e-5)
    before = _values(loaded.variables)
    loaded(X, training=True)  # reaches its layers, though its call does not take it
    assert [name for name, value in _values(loaded.variables).items() if np.any(value != before[name])]
    assert sorted(loaded.signatures["serving_default"].structured_input_signature[1]) == ["inputs"]


def test_a_single_layer(keras, export):
    full_model = keras.Sequential([keras.layers.Dense(3), keras.layers.Dense(1)])
    full_model(X)
    layer = full_model.layers[0]
    with pytest.raises(errors.ExportError) as caught:
        export(layer)
    assert str(caught.value) == (
        f"Dense {layer.name!r}: a Dense does not say what it takes. Give it: "
        "export_keras(..., inputs=tf.TensorSpec([None, 16], tf.float32))"
    )
    loaded, _ = export(layer, inputs=tf.TensorSpec([None, 4]))
    np.testing.assert_allclose(loaded(X), layer(X), rtol=1e-6)


def test_losses_of_inputs_are_said_to_be_lost(keras, export):
    inputs = keras.Input([4])
    model = keras.Model(inputs, keras.layers.Dense(2, activity_regularizer="l2", kernel_regularizer="l2")(inputs))
    before = list(map(str, model.losses))
    loaded, lost = export(model)
    assert len(loaded.regularization_losses) == 1
    assert lost == [
        f"1 of the losses of Functional {model.name!r}: they depend on inputs (activity_regularizer, add_loss), a "
        "Reusable SavedModel has losses of weights alone"
    ]
    assert list(map(str, model.losses)) == before  # no tensor of a trace is left in the model


def test_a_sparse_input_is_not_served(keras, export):
    inputs = keras.Input([4], sparse=True, name="cells")
    model = keras.Model(inputs, keras.layers.Dense(2)(inputs))
    loaded, lost = export(model)
    sparse = tf.sparse.from_dense(X)
    np.testing.assert_allclose(loaded(sparse), model(sparse), rtol=1e-5)
    assert lost == [
        "the signature serving_default: it takes dense tensors, the model takes sparse or ragged ones"
    ]


def test_half_precision(keras, export):
    inputs = keras.Input([4])
    model = keras.Model(inputs, keras.layers.Dense(2, dtype="mixed_float16")(inputs))
    loaded, _ = export(model)
    assert loaded(X).dtype == tf.float16
    assert {variable.dtype for variable in loaded.variables} == {tf.float32}


def test_an_unbuilt_model(keras, export, tmp_path):
    model = keras.Sequential([keras.layers.Dense(2)], name="fresh")
    with pytest.raises(errors.ExportError) as caught:
        export(model)
    assert str(caught.value) == (
        "Sequential 'fresh': not built, it has no weights yet. Call it on a batch first."
    )
    assert os.listdir(tmp_path) == []


def test_code_that_cannot_be_traced(keras, export, tmp_path):
    class Counted(keras.layers.Layer):
        def call(self, inputs):
            return inputs * len(inputs.numpy())

    layer = Counted(name="counted")
    layer.build([None, 4])
    with pytest.raises(errors.ExportError) as caught:
        export(layer, inputs=tf.TensorSpec([None, 4]))
    assert str(caught.value).startswith("Counted 'counted': it cannot be traced: ")
    assert "numpy" in str(caught.value)
    assert os.listdir(tmp_path) == []


def test_a_regularizer_that_returns_no_scalar(keras, export):
    inputs = keras.Input([4])
    layer = keras.layers.Dense(2, kernel_regularizer=lambda kernel: kernel[0], name="odd")
    model = keras.Model(inputs, layer(inputs), name="model")
    with pytest.raises(errors.ExportError) as caught:
        export(model)
    assert str(caught.value) == (
        "Functional 'model': it cannot be traced: a regularizer returns the shape (2,), not a scalar"
    )


def test_a_table_of_nobody_cannot_be_saved(keras, export, tmp_path):
    tables = (tf.lookup.StaticHashTable(tf.lookup.KeyValueTensorInitializer(["a"], [1]), -1),)

    class Looked(keras.layers.Layer):
        def call(self, inputs):
            return tables[0].lookup(inputs)

    layer = Looked(name="looked")
    layer.build([None])
    with pytest.raises(errors.ExportError) as caught:
        export(layer, inputs=tf.TensorSpec([None], tf.string))
    assert str(caught.value).startswith("Looked 'looked': it cannot be saved: ")
    assert os.listdir(tmp_path) == []


def test_inside_a_graph(keras, export):
    model = _encoder(keras)
    with tf.Graph().as_default(), pytest.raises(errors.ExportError) as caught:
        export(model)
    assert str(caught.value) == (
        f"Functional {model.name!r}: a Keras model is exported while executing eagerly, not in a tf.Graph. In "
        "graphs of TensorFlow 1 use hub.create_module_spec."
    )


def test_what_is_no_model(tmp_path):
    with pytest.raises(errors.ExportError) as caught:
        saved_model.export_keras("encoder", str(tmp_path / "exported"))
    assert str(caught.value) == "'encoder' is a str; expected a model or layer of Keras."


def test_a_directory_that_is_not_empty(keras, export, tmp_path):
    (tmp_path / "exported").mkdir()
    (tmp_path / "exported" / "mine").write_text("kept")
    with pytest.raises(errors.ExportExistsError) as caught:
        export(_encoder(keras))
    assert str(tmp_path / "exported") in str(caught.value)
    assert os.listdir(tmp_path / "exported") == ["mine"]
