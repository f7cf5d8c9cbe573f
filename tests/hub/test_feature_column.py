import copy
import re

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.compat import v1 as tf1

from hubpipe import errors, estimator, hub
from hubpipe.compat import feature_column as compat_columns

# A text of n letters is embedded as [2 n, 2 n + 1].
TABLE = np.arange(20, dtype=np.float32).reshape(10, 2)


def text_fn():
    weights = tf1.get_variable("weights", initializer=TABLE, regularizer=tf.reduce_sum)
    texts = tf1.placeholder(tf.string, [None])
    hub.add_signature(inputs=texts, outputs=tf.gather(weights, tf.strings.length(texts)))


def image_fn(shape=(None, 1, 2, 3)):
    weight = tf1.get_variable("weight", [], initializer=tf1.constant_initializer(2.0))
    images = tf1.placeholder(tf.float32, shape)
    features = tf.reduce_sum(images[..., :3], [1, 2]) * weight
    features.set_shape([None, 3])
    hub.add_signature(inputs={"images": images}, outputs=features)


def spec_of(dtype, shape, output=(tf.float32, (None, 2)), inputs=("x",), output_name="default", signature=None):
    def module_fn():
        placeholders = {name: tf1.placeholder(dtype, shape) for name in inputs}
        hub.add_signature(signature, inputs=placeholders, outputs={output_name: tf1.placeholder(*output)})

    return hub.create_module_spec(module_fn)


TEXT = hub.create_module_spec(text_fn)
IMAGE = hub.create_module_spec(image_fn)


@pytest.fixture(scope="module")
def text_module(tmp_path_factory):
    path = str(tmp_path_factory.mktemp("modules") / "text")
    with tf.Graph().as_default(), tf1.Session() as session:
        module = hub.Module(TEXT)
        session.run(tf1.global_variables_initializer())
        module.export(path, session)
    return path


def input_layer(column, make_feature):
    with tf.Graph().as_default():
        output = tf1.feature_column.input_layer({"k": make_feature()}, [column])
        with tf1.train.MonitoredSession() as session:
            return session.run(output)


def sparse(indices, values, shape):
    indices = np.reshape(indices, [-1, 2]).astype(np.int64)
    return lambda: tf.SparseTensor(indices, tf.constant(values, tf.string), shape)


def skip_without_keras_2():
    if not hasattr(tf, "estimator"):
        pytest.importorskip("tf_keras", reason="canned estimators and DenseFeatures need the extra [keras]")


# Text.


@pytest.mark.parametrize("texts", [["a", "bbb"], [["a"], ["bbb"]]])
def test_text_column_in_input_layer(texts):
    output = input_layer(hub.text_embedding_column("k", TEXT), lambda: np.array(texts))
    np.testing.assert_array_equal(output, TABLE[[1, 3]])


def test_text_column_of_a_module_on_disk(text_module):
    column = hub.text_embedding_column("k", text_module)
    np.testing.assert_array_equal(input_layer(column, lambda: np.array(["bb"])), TABLE[[2]])


def test_text_column_describes_itself():
    column = hub.text_embedding_column("k", TEXT)
    assert column.name == "k_hub_module_embedding"
    assert column.parents == ["k"]
    assert column.variable_shape == column._variable_shape == [2]
    assert column.module_spec is TEXT
    expected = {"k": tf.io.FixedLenFeature([1], tf.string)}
    assert tf1.feature_column.make_parse_example_spec([column]) == expected
    assert tf.feature_column.make_parse_example_spec([column]) == expected


@pytest.mark.parametrize(("column_trains", "layer_trains"), [(True, True), (True, False), (False, True)])
def test_the_module_trains_only_if_column_and_layer_do(column_trains, layer_trains):
    column = hub.text_embedding_column("k", TEXT, trainable=column_trains)
    with tf.Graph().as_default():
        tf1.feature_column.input_layer({"k": np.array(["a"])}, [column], trainable=layer_trains)
        names = [variable.op.name for variable in tf1.trainable_variables()]
        losses = tf1.losses.get_regularization_losses()
    is_trained = column_trains and layer_trains
    assert names == (["input_layer/k_hub_module_embedding/module/weights"] if is_trained else [])
    assert len(losses) == is_trained


def test_a_trainable_column_learns():
    column = hub.text_embedding_column("k", TEXT, trainable=True)
    with tf.Graph().as_default():
        output = tf1.feature_column.input_layer({"k": np.array(["a", "bb"])}, [column])
        train = tf1.train.GradientDescentOptimizer(1.0).minimize(tf.reduce_sum(output))
        with tf1.train.MonitoredSession() as session:
            session.run(train)
            np.testing.assert_array_equal(session.run(output), TABLE[[1, 2]] - 1)


def test_text_column_refuses_a_sparse_feature():
    column = hub.text_embedding_column("k", TEXT)
    with pytest.raises(errors.SignatureInputError, match="'k_hub_module_embedding' takes one text .* hub.sparse"):
        input_layer(column, sparse([[0, 0]], ["a"], [1, 1]))


@pytest.mark.parametrize("error_type", [TypeError, ValueError])
def test_text_column_refuses_numbers(error_type):
    with pytest.raises(error_type, match="Can't convert 'default': .* float"):
        input_layer(hub.text_embedding_column("k", TEXT), lambda: np.array([1.0]))


# Sparse text.


@pytest.mark.parametrize(("combiner", "scale"), [("mean", 1 / 2), ("sqrtn", 1 / np.sqrt(2)), ("sum", 1)])
@pytest.mark.parametrize(("default_value", "of_empty"), [(None, [0, 0]), ("", TABLE[0]), ("zzzz", TABLE[4])])
def test_sparse_text_column_combines(combiner, scale, default_value, of_empty):
    column = hub.sparse_text_embedding_column("k", TEXT, combiner, default_value)
    output = input_layer(column, sparse([[0, 0], [0, 1], [2, 3]], ["a", "bbb", "cc"], [4, 5]))
    np.testing.assert_allclose(output, [(TABLE[1] + TABLE[3]) * scale, of_empty, TABLE[2], of_empty], rtol=1e-6)


@pytest.mark.parametrize(("default_value", "of_empty"), [(None, [0, 0]), ("zzzz", TABLE[4])])
@pytest.mark.parametrize("shape", [[3, 0], [3, 2], [0, 2]])
def test_sparse_text_column_without_any_text(default_value, of_empty, shape):
    output = input_layer(hub.sparse_text_embedding_column("k", TEXT, "mean", default_value), sparse([], [], shape))
    np.testing.assert_array_equal(output, np.reshape([of_empty] * shape[0], [shape[0], 2]))


def test_a_trainable_sparse_text_column_learns():
    column = hub.sparse_text_embedding_column("k", TEXT, "mean", None, trainable=True)
    with tf.Graph().as_default():
        texts = sparse([[0, 0], [0, 1]], ["a", "bb"], [1, 2])()
        output = tf1.feature_column.input_layer({"k": texts}, [column])
        train = tf1.train.GradientDescentOptimizer(1.0).minimize(tf.reduce_sum(output))
        with tf1.train.MonitoredSession() as session:
            session.run(train)
            np.testing.assert_array_equal(session.run(output), [(TABLE[1] + TABLE[2]) / 2 - 0.5])


def test_sparse_text_column_describes_itself():
    column = hub.sparse_text_embedding_column("k", TEXT, combiner="sum", default_value="")
    assert (column.name, column.parents) == ("k_hub_module_embedding", ["k"])
    assert column.variable_shape == column._variable_shape == [2]
    assert tf1.feature_column.make_parse_example_spec([column]) == {"k": tf.io.VarLenFeature(tf.string)}


def test_sparse_text_column_refuses_a_dense_feature():
    column = hub.sparse_text_embedding_column("k", TEXT, "mean", "")
    with pytest.raises(TypeError, match="'k_hub_module_embedding': input must be a SparseTensor, got "):
        input_layer(column, lambda: np.array(["a", "b"]))


@pytest.mark.parametrize("combiner", ["max", None])
def test_sparse_text_column_refuses_an_unknown_combiner(combiner):
    with pytest.raises(errors.ColumnError, match=f"one of .'mean', 'sqrtn', 'sum'.: got {combiner!r}"):
        hub.sparse_text_embedding_column("k", TEXT, combiner, "")


def test_sparse_text_column_refuses_a_default_value_that_is_no_text():
    with pytest.raises(ValueError, match="default_value must be a text or None: got 3 for column 'k_hub"):
        hub.sparse_text_embedding_column("k", TEXT, "mean", 3)


# Images.

PIXELS = np.float32([[[[0.1, 0.2, 0.3], [0.4, 0.5, 0.6]]], [[[0.7, 0.7, 0.7], [0.1, 0.2, 0.3]]]])


def test_image_column_in_input_layer():
    output = input_layer(hub.image_embedding_column("k", IMAGE), lambda: PIXELS)
    np.testing.assert_allclose(output, PIXELS.sum(axis=(1, 2)) * 2, rtol=1e-6)


def test_image_column_on_a_numeric_column():
    key = tf.feature_column.numeric_column("k", shape=[1, 2, 3], normalizer_fn=lambda pixels: pixels / 2)
    column = hub.image_embedding_column(key, IMAGE)
    assert (column.name, column.parents) == ("k_hub_module_embedding", [key])
    assert column.parse_example_spec == key.parse_example_spec
    np.testing.assert_allclose(input_layer(column, lambda: PIXELS), PIXELS.sum(axis=(1, 2)), rtol=1e-6)


def test_image_column_describes_itself():
    column = hub.image_embedding_column("k", IMAGE)
    assert hub.get_expected_image_size(column.module_spec) == [1, 2]
    assert column.variable_shape == column._variable_shape == [3]
    expected = {"k": tf.io.FixedLenFeature([1, 2, 3], tf.float32)}
    assert tf1.feature_column.make_parse_example_spec([column]) == expected


@pytest.mark.parametrize(
    ("shape", "image_size", "expected"),
    [
        ((None, None, None, 3), [7, 8], [7, 8, 3]),
        ((None, None, None, None), (7, 8), [7, 8, 3]),
        ((None, None, None, 4), (7, 8), [7, 8, 4]),
        ((None, 5, 6, None), None, [5, 6, 3]),
    ],
)
def test_what_is_read_for_an_image(shape, image_size, expected):
    spec = hub.create_module_spec(image_fn, [((), {"shape": shape})])
    column = hub.image_embedding_column("k", spec, image_size=image_size)
    assert column.parse_example_spec == {"k": tf.io.FixedLenFeature(expected, tf.float32)}


@pytest.mark.parametrize("image_size", [(7,), (7, 0), (7, "8")])
def test_image_column_refuses_a_malformed_size(image_size):
    with pytest.raises(errors.ColumnError, match="image_size must be .height, width. in pixels: got") as raised:
        hub.image_embedding_column("k", IMAGE, image_size=image_size)
    assert repr(image_size) in str(raised.value)


def test_image_column_refuses_images_of_another_size():
    with pytest.raises(TypeError, match=r"'images': Got shape \(2, 4, 4, 3\). Expected \(None, 1, 2, 3\)"):
        input_layer(hub.image_embedding_column("k", IMAGE), lambda: np.zeros([2, 4, 4, 3], np.float32))


# Modules that do not fit.


@pytest.mark.parametrize(
    ("spec", "messages"),
    [
        (spec_of(tf.string, [None], inputs=("a", "b")), [r"only one input, it has \['a', 'b'\]"]),
        (spec_of(tf.string, [10]), ["only one input, of string and shape .None.; 'x' is .* shape=.10,"]),
        (spec_of(tf.string, None), ["only one input, .* shape=<unknown>"]),
        (spec_of(tf.string, [None], output_name="y"), [r"must have a 'default' output; its outputs are \['y'\]"]),
        (spec_of(tf.string, [None], output=(tf.int64, (None, 2))), ["'default' output of float32 .* dtype=int64"]),
        (spec_of(tf.string, [None], output=(tf.float32, (None, None))), ["'default' output of .*=.None, None"]),
        (
            spec_of(tf.float32, [None], output=(tf.float64, (None, 2))),
            ["'x' is .* dtype=float32", "it is .* dtype=float64"],
        ),
    ],
)
def test_a_module_that_is_no_text_embedding(spec, messages):
    for column in (
        lambda: hub.text_embedding_column("k", spec),
        lambda: hub.sparse_text_embedding_column("k", spec, "mean", ""),
    ):
        for message in messages:
            with pytest.raises(ValueError, match="cannot be used in column 'k_hub.*" + message) as raised:
                column()
            assert isinstance(raised.value, errors.ColumnError)


@pytest.mark.parametrize(
    ("spec", "messages"),
    [
        (spec_of(tf.float32, [None, 1, 2, 3]), ["single input, .* name 'images'; it has .'x'"]),
        (spec_of(tf.uint8, [None, 1, 2, 3], inputs=("images",)), ["single input, .* dtype=uint8"]),
        (spec_of(tf.float32, [None, 1, 2, 3], inputs=("images", "y")), ["single input, .*'images': .*'y': "]),
        (
            spec_of(tf.float32, [None, None, 2, 3], output_name="y", inputs=("images",)),
            [r"not know the size of the images: .*\(None, None, 2, 3\)", "must have a 'default' output"],
        ),
    ],
)
def test_a_module_that_is_no_image_embedding(spec, messages):
    for message in messages:
        with pytest.raises(errors.ColumnError, match="cannot be used in column 'k_hub.*" + message):
            hub.image_embedding_column("k", spec)


@pytest.mark.parametrize(
    ("module_spec", "error_type", "message"),
    [
        ("/no/such/module", OSError, "/no/such/module does not exist"),
        (3, ValueError, "Unknown module spec type: <class 'int'>"),
        (spec_of(tf.string, [None], signature="encode"), ValueError, r"'default' is missing .* \['encode'\]"),
    ],
)
def test_what_is_no_module(module_spec, error_type, message):
    with pytest.raises(error_type, match=message):
        hub.text_embedding_column("k", module_spec)


# Configurations.


def columns_of(path):
    return [
        hub.text_embedding_column("k", path, trainable=True),
        hub.sparse_text_embedding_column("k", path, "sqrtn", "", trainable=True),
        hub.text_embedding_column(tf.feature_column.numeric_column("k"), path),
    ]


@pytest.mark.parametrize("index", range(3))
def test_configuration_round_trip(text_module, index):
    column = columns_of(text_module)[index]
    config = column.get_config()
    copied = type(column).from_config(config)
    assert copied == column and hash(copied) == hash(column)
    assert copied.module_spec_path == config["module_spec_path"] == text_module
    assert copied.module_spec is not column.module_spec


def test_an_image_size_survives_the_round_trip(tmp_path):
    path = str(tmp_path / "image")
    with tf.Graph().as_default(), tf1.Session() as session:
        module = hub.Module(IMAGE)
        session.run(tf1.global_variables_initializer())
        module.export(path, session)
    column = hub.image_embedding_column("k", path, image_size=[1, 2])
    config = {**column.get_config(), "image_size": [1, 2]}  # what JSON makes of a tuple
    copied = type(column).from_config(config)
    assert copied == column and hash(copied) == hash(column)


def test_columns_are_serialized_by_the_names_of_tensorflow_hub(text_module):
    column = hub.text_embedding_column("k", text_module)
    config = {"key": "k", "module_spec_path": text_module, "trainable": False}
    assert compat_columns.serialize(column) == {"class_name": "_TextEmbeddingColumn", "config": config}
    known = {"_TextEmbeddingColumn": hub.feature_column._TextEmbeddingColumn}
    assert compat_columns.deserialize(compat_columns.serialize(column), custom_objects=known) == column


def test_a_column_of_a_module_spec_has_no_configuration():
    with pytest.raises(NotImplementedError, match="Can only generate a valid config .* a ModuleSpec") as raised:
        hub.text_embedding_column("k", TEXT).get_config()
    assert isinstance(raised.value, errors.ColumnConfigError)


def test_columns_differ_by_their_fields(text_module):
    columns = columns_of(text_module)
    assert len({*columns, *columns_of(text_module)}) == len(columns)
    assert columns[0] != hub.text_embedding_column("k", text_module)


def test_a_copied_column_works(text_module):
    column = copy.deepcopy(hub.text_embedding_column("k", text_module))
    np.testing.assert_array_equal(input_layer(column, lambda: np.array(["bb"])), TABLE[[2]])


# Layers and canned estimators.


def test_linear_model():
    skip_without_keras_2()
    with tf.Graph().as_default():
        tf1.feature_column.linear_model({"k": np.array(["a"])}, [hub.text_embedding_column("k", TEXT)])
        names = {variable.op.name for variable in tf1.global_variables()}
    assert "linear_model/k_hub_module_embedding/module/weights" in names


@pytest.mark.parametrize("trainable", [True, False])
def test_dense_features_share_the_module(trainable):
    skip_without_keras_2()
    with tf.Graph().as_default():
        layer = tf.keras.layers.DenseFeatures([hub.text_embedding_column("k", TEXT, trainable)])
        outputs = [layer({"k": tf.constant(["a", "bbb"])}) for _ in range(2)]
        assert [variable.op.name for variable in tf1.global_variables()] == ["module/weights"]
        assert len(tf1.trainable_variables()) == trainable
        with tf1.train.MonitoredSession() as session:
            for output in session.run(outputs):
                np.testing.assert_array_equal(output, TABLE[[1, 3]])


def test_dense_features_of_every_column():
    skip_without_keras_2()
    columns = [
        hub.sparse_text_embedding_column("tokens", TEXT, "mean", ""),
        hub.image_embedding_column("photo", IMAGE),
    ]
    with tf.Graph().as_default():
        tokens = sparse([[0, 0], [0, 1]], ["a", "bbb"], [2, 2])()
        output = tf.keras.layers.DenseFeatures(columns)({"tokens": tokens, "photo": tf.constant(PIXELS)})
        with tf1.train.MonitoredSession() as session:
            expected = np.hstack([PIXELS.sum(axis=(1, 2)) * 2, [TABLE[2], TABLE[0]]])
            np.testing.assert_allclose(session.run(output), expected, rtol=1e-6)


def test_a_saved_layer_finds_its_module(text_module):
    skip_without_keras_2()
    config = tf.keras.layers.DenseFeatures([hub.text_embedding_column("k", text_module)]).get_config()
    known = {"_TextEmbeddingColumn": hub.feature_column._TextEmbeddingColumn}
    with tf.Graph().as_default():
        layer = tf.keras.layers.DenseFeatures.from_config(config, custom_objects=known)
        output = layer({"k": tf.constant(["bb"])})
        with tf1.train.MonitoredSession() as session:
            np.testing.assert_array_equal(session.run(output), TABLE[[2]])


@pytest.mark.parametrize("kind", ["DNNClassifier", "LinearClassifier"])
def test_canned_estimators(kind, tmp_path):
    skip_without_keras_2()
    columns = [
        hub.text_embedding_column("text", TEXT, trainable=True),
        hub.image_embedding_column("photo", IMAGE),
        tf.feature_column.numeric_column("number"),
    ]
    features = {"text": np.array(["a", "bbb"]), "photo": PIXELS, "number": np.float32([20, 1])}

    def input_fn():
        return tf.data.Dataset.from_tensors((features, np.array([0, 1]))).repeat(3)

    # Of three units that start at random all may be dead, and nothing would train.
    options = {"hidden_units": [3], "activation_fn": tf.identity} if kind == "DNNClassifier" else {}
    classifier = getattr(estimator, kind)(feature_columns=columns, model_dir=str(tmp_path), **options)
    classifier.train(input_fn)
    assert classifier.evaluate(input_fn)["global_step"] == 3
    trained = [name for name in classifier.get_variable_names() if re.search(r"module(_1)?/weights$", name)]
    assert len(trained) == 1
    assert not np.array_equal(classifier.get_variable_value(trained[0]), TABLE)
    assert len(list(classifier.predict(input_fn))) == 6
