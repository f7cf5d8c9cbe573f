"""Tests of hubpipe.gates.advice: each item, followed and not."""

import pytest
import tensorflow as tf
from tensorflow.compat import v1 as tf1

from hubpipe import hub
from hubpipe.gates import advice
from hubpipe.models import layers
from tests.gates import modules
from tests.saved_model import modules as saved_modules


def _found(path, module_fn, tags_and_args=None):
    """dict item -> (followed, what was found)."""
    module_dir = modules.export(module_fn, path / "m", tags_and_args)
    return {
        finding["item"]: (finding["followed"], finding["found"])
        for finding in advice.check(module_dir).numbers["findings"]
    }


def test_a_module_that_follows_all(tmp_path):
    def module_fn(is_training):
        text = tf1.placeholder(tf.string, [None])
        momentum = tf1.placeholder_with_default(0.9, [])
        table = tf1.get_variable("table", [8, 4], regularizer=lambda values: tf.reduce_sum(values**2))
        vectors = tf.nn.embedding_lookup(table, tf.strings.to_hash_bucket_fast(text, 8))
        dropped = layers.dropout(vectors, rate=momentum, is_training=is_training)
        outputs = layers.batch_norm(
            layers.dense(dropped, 4, kernel_regularizer=None, with_bias=False),
            momentum=momentum,
            epsilon=1e-3,
            is_training=is_training,
        )
        hub.add_signature(inputs={"text": text}, outputs=outputs)
        hub.add_signature("hyperparameters", inputs={"text": text, "momentum": momentum}, outputs=outputs)

    answer = advice.check(modules.export(module_fn, tmp_path / "m", modules.VARIANTS))
    assert answer.problems == [] and answer.advice == []
    assert answer.notes == ["common signature for images: no input is an image"]
    assert len(answer.confirmed) == len(answer.numbers["findings"]) - 1
    assert "small momentum: moving averages keep 0.9 in a step" in answer.confirmed


def test_advice_tells_what_to_do_and_where_it_stands(tmp_path):
    answer = advice.check(modules.export(modules.plain, tmp_path / "m"))
    assert answer.passed
    assert answer.advice[0] == (
        "regularization losses: losses 0, trainable variables 1. Fine-tuning needs regularization: give weights a "
        'regularizer, it travels with the module. See "Exporting models in the TF1 Hub format", Advice for '
        "Publishers."
    )


def test_no_default_signature(tmp_path):
    found = _found(tmp_path, lambda: hub.add_signature("other", outputs=tf.constant(1.0)))
    assert found["default signature"] == (False, "signatures are 'other'")
    for item in ("open batch", "floating default output"):
        assert found[item] == (None, "there is no signature 'default'")
    assert found["no probabilities"] == (None, "there is no output 'default'")


@pytest.mark.parametrize(
    "shape, followed",
    [([None], True), ([None, 3], True), ([4, 3], False), (None, True), ([], None)],
)
def test_the_batch_is_open(tmp_path, shape, followed):
    def module_fn():
        x = tf1.placeholder(tf.float32, shape)
        hub.add_signature(inputs={"x": x}, outputs=x * 2.0)

    found = _found(tmp_path, module_fn)["open batch"]
    assert found[0] is followed
    if followed is False:
        assert found[1] == "input 'x' has a batch of 4"


def test_the_default_output_is_floating(tmp_path):
    def module_fn(name, dtype):
        hub.add_signature(outputs={name: tf.zeros([2], dtype)})

    item = "floating default output"
    ints = _found(tmp_path / "1", lambda: module_fn("default", tf.int32))
    assert ints[item] == (False, "it is int32")
    others = _found(tmp_path / "2", lambda: module_fn("vectors", tf.float32))
    assert others[item] == (False, "the outputs of 'default' are 'vectors'")


@pytest.mark.parametrize(
    "function, end",
    [
        (tf.nn.softmax, "Softmax"),
        (tf.sigmoid, "Sigmoid"),
        (lambda x: tf.reshape(tf.nn.log_softmax(x), [-1]), "LogSoftmax"),
        (lambda x: tf.cast(tf.argmax(x, axis=1), tf.float32), "ArgMax"),
        (lambda x: tf.math.top_k(x, 1).values, "TopKV2"),
    ],
)
def test_probabilities_and_choices(tmp_path, function, end):
    def module_fn():
        x = tf1.placeholder(tf.float32, [None, 3])
        hub.add_signature(inputs=x, outputs=tf.identity(function(x)))

    followed, told = _found(tmp_path, module_fn)["no probabilities"]
    assert followed is False
    assert told.startswith(f"it ends in {end}, node ")


def test_a_probability_on_the_way_is_fine(tmp_path):
    def module_fn():
        x = tf1.placeholder(tf.float32, [None, 3])
        hub.add_signature(inputs=x, outputs=x * tf.nn.softmax(x))

    assert _found(tmp_path, module_fn)["no probabilities"] == (True, "it ends in Mul")


_DROPOUTS = {
    "tf.nn.dropout": lambda x: tf.nn.dropout(x, rate=0.5),
    "tf1.nn.dropout": lambda x: tf1.nn.dropout(x, rate=0.5),
    "of TensorFlow 1.12": lambda x: x / 0.5 * tf.floor(0.5 + tf.random.uniform(tf.shape(x))),
    "stateless": lambda x: tf.nn.experimental.stateless_dropout(x, 0.5, seed=[1, 2]),
    "then an identity": lambda x: tf.identity(tf.nn.dropout(x, rate=0.5)),
}


@pytest.mark.parametrize("dropout", _DROPOUTS.values(), ids=_DROPOUTS)
def test_dropout_on_the_output(tmp_path, dropout):
    def module_fn(is_training):
        x = tf1.placeholder(tf.float32, [None, 3])
        kernel = tf1.get_variable("kernel", initializer=saved_modules.KERNEL)
        outputs = tf.matmul(dropout(x) if is_training == "inside" else x, kernel)
        hub.add_signature(inputs=x, outputs=dropout(outputs) if is_training == "outside" else outputs)

    def found(path, place):
        variants = [((), {"is_training": False}), (("train",), {"is_training": place})]
        return _found(path, module_fn, variants)["no dropout on the output"]

    followed, told = found(tmp_path / "1", "outside")
    assert followed is False
    assert told.startswith("training drops parts of the output, node ")
    assert found(tmp_path / "2", "inside") == (True, "none is seen there")


@pytest.mark.parametrize("momentum, followed", [(0.9, True), (0.99, True), (0.999, False)])
@pytest.mark.parametrize("kind", ["default of an input", "constant", "constant share"])
def test_momentum(tmp_path, momentum, followed, kind):
    def module_fn(is_training):
        x = tf1.placeholder(tf.float32, [None, 2])
        share = {
            "default of an input": lambda: 1.0 - tf1.placeholder_with_default(momentum, []),
            "constant": lambda: tf.subtract(1.0, tf.constant(momentum)),
            "constant share": lambda: tf.constant(1.0 - momentum),
        }[kind]()
        mean = tf1.get_variable("moving_mean", [2], initializer=tf1.zeros_initializer(), trainable=False)
        if is_training:
            update = mean.assign_sub((mean - tf.reduce_mean(x, 0)) * share)
            tf1.add_to_collection(tf1.GraphKeys.UPDATE_OPS, update.op)
        hub.add_signature(inputs=x, outputs=x - mean)

    found = _found(tmp_path, module_fn, modules.VARIANTS)["small momentum"]
    assert found == (followed, f"moving averages keep {momentum:g} in a step")


def test_a_momentum_that_the_graph_does_not_show(tmp_path):
    def module_fn():
        count = tf1.get_variable("count", initializer=0.0, trainable=False)
        tf1.add_to_collection(tf1.GraphKeys.UPDATE_OPS, count.assign_add(1.0).op)
        hub.add_signature(outputs=count * 1.0)

    assert _found(tmp_path, module_fn)["small momentum"] == (None, "the graph does not show it")


def test_what_there_is_to_train(tmp_path):
    def module_fn():
        x = tf1.placeholder(tf.float32, [None])
        hub.add_signature(inputs=x, outputs=x * 2.0)

    found = _found(tmp_path / "1", module_fn)
    for item in ("regularization losses", "train variant"):
        assert found[item] == (None, "no variable is trainable")
    found = _found(tmp_path / "2", modules.plain)
    assert found["train variant"] == (False, "the variants are []")
    assert found["hyperparameters signature"] == (None, "there is no variant for training")


def test_hyperparameters(tmp_path):
    def module_fn(is_training):
        x = tf1.placeholder(tf.float32, [None, 3])
        outputs = tf.matmul(
            tf.nn.dropout(x, rate=0.5) if is_training == "dropping" else x,
            tf1.get_variable("kernel", initializer=saved_modules.KERNEL),
        )
        hub.add_signature(inputs=x, outputs=outputs)

    def found(path, in_training):
        variants = [((), {"is_training": False}), (("train",), {"is_training": in_training})]
        return _found(path, module_fn, variants)["hyperparameters signature"]

    told = "training is random or moves averages, and no signature sets how much"
    assert found(tmp_path / "1", "dropping") == (False, told)
    assert found(tmp_path / "2", "plain") == (None, "there is neither dropout nor a moving average")
    settable = _found(tmp_path / "3", saved_modules.encoder, modules.VARIANTS)["hyperparameters signature"]
    assert settable == (True, "'hyperparameters' takes 'batch_norm_momentum', 'dropout_rate'")


def test_columns_of_a_table_are_no_text(tmp_path):
    def module_fn():
        inputs = {name: tf1.placeholder(tf.string, [None]) for name in ("job", "city", "state")}
        hub.add_signature(inputs=inputs, outputs=tf.stack([tf.strings.to_number(v) for v in inputs.values()], 1))

    told = _found(tmp_path, module_fn)["common signature for text"]
    assert told == (None, "it takes 3 inputs, the columns of a table")


def test_the_common_signature_for_text(tmp_path):
    def module_fn(width):
        text = tf1.placeholder(tf.string, [None])
        outputs = tf.reshape(tf.strings.to_number(text), [-1, width or 1])
        hub.add_signature(inputs=text, outputs=outputs if width else tf.squeeze(outputs, 1))

    item = "common signature for text"
    good = _found(tmp_path / "1", lambda: module_fn(1))[item]
    assert good == (True, "string [batch] -> float32 [batch, dim]")
    followed, told = _found(tmp_path / "2", lambda: module_fn(None))[item]
    assert followed is False
    assert told.startswith("signature 'default' must have a 'default' output of float32 and shape [None, K]")


@pytest.mark.parametrize("problem", [None, "name", "size", "signature"])
def test_the_common_signature_for_images(tmp_path, problem):
    def module_fn():
        images = tf1.placeholder(tf.float32, [None, None if problem == "size" else 8, 8, 3])
        name = "pictures" if problem == "name" else "images"
        outputs = tf.reduce_mean(images, [1, 2])
        hub.add_signature(inputs={name: images}, outputs=outputs)
        if problem != "signature":
            hub.add_signature("image_feature_vector", inputs={name: images}, outputs=outputs)

    followed, told = _found(tmp_path, module_fn)["common signature for images"]
    assert followed is (problem is None)
    expected = {
        None: "images, float32 [batch, height, width, 3] -> float32 [batch, dim]",
        "name": "must have type float32 and name 'images'",
        "size": "hub.get_expected_image_size() does not know the size of the images",
        "signature": "there is none of the signatures 'image_feature_vector', 'image_classification'",
    }[problem]
    assert expected in told


def test_what_cannot_be_read(tmp_path):
    (problem,) = advice.check(str(tmp_path)).problems
    assert problem == f"{tmp_path}: not a TF1 Hub module, it has no tfhub_module.pb."
