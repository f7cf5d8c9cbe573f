"""Tests of hubpipe.saved_model.twin: what a loaded twin offers."""

import base64
import json
import os
import pathlib
import shutil
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.compat import v1 as tf1

from hubpipe import errors, hub
from hubpipe.saved_model import twin, write
from tests.conformance import oracles
from tests.saved_model import modules
from tests.saved_model.modules import KERNEL, MOMENTUM, VARIANTS, X

PRODUCT = X @ KERNEL
BATCH_MEAN = PRODUCT.mean(0)


def facts(tmp_path):
    return json.loads((tmp_path / "twin" / write.FACTS_FILE).read_text())


def by_name(variables):
    return {variable.name.partition(":")[0]: variable for variable in variables}


def is_dropped_or_doubled(outputs):
    centred = PRODUCT - BATCH_MEAN
    return np.all(np.isclose(outputs, 0) | np.isclose(outputs, 2 * centred, rtol=1e-5))


# Calls.


@pytest.mark.parametrize(
    "call",
    [
        lambda loaded: loaded(X),
        lambda loaded: loaded(tf.constant(X), False),
        lambda loaded: loaded(inputs=X, training=False),
        lambda loaded: loaded(X, False, 0.1, 0.9),
        lambda loaded: loaded(X, dropout_rate=0.9),
        lambda loaded: loaded(X, batch_norm_momentum=tf.constant(0.0)),
    ],
)
def test_inference(twin_of, call):
    loaded = twin_of(modules.encoder, VARIANTS)
    np.testing.assert_allclose(call(loaded), PRODUCT, rtol=1e-6)
    assert by_name(loaded.variables)["mean"].numpy().tolist() == [0, 0]


@pytest.mark.parametrize(
    "call, momentum",
    [
        (lambda loaded: loaded(X, training=True, dropout_rate=0.0), MOMENTUM),
        (lambda loaded: loaded(X, True, MOMENTUM, 0.0), MOMENTUM),
        (lambda loaded: loaded(X, True, 0.5, dropout_rate=0.0), 0.5),
        (lambda loaded: loaded(X, True, batch_norm_momentum=0, dropout_rate=0), 0.0),
        (lambda loaded: loaded(X, True, tf.constant(1.0), tf.constant(0.0)), 1.0),
        (lambda loaded: loaded(X, True, batch_norm_momentum=np.float32(0.25), dropout_rate=0.0), 0.25),
    ],
)
def test_hyperparameters_are_numbers_or_tensors(twin_of, call, momentum):
    loaded = twin_of(modules.encoder, VARIANTS)
    np.testing.assert_allclose(call(loaded), PRODUCT - BATCH_MEAN, rtol=1e-5)
    np.testing.assert_allclose(by_name(loaded.variables)["mean"], (1 - momentum) * BATCH_MEAN, rtol=1e-5)


def test_hyperparameters_default_to_those_of_the_module(twin_of, tmp_path):
    loaded = twin_of(modules.encoder, VARIANTS)
    assert facts(tmp_path)["hyperparameters"] == {"batch_norm_momentum": MOMENTUM, "dropout_rate": modules.RATE}
    outputs = [loaded(X, training=True).numpy() for _ in range(8)]
    assert all(map(is_dropped_or_doubled, outputs))
    assert len({array.tobytes() for array in outputs}) > 1
    expected = BATCH_MEAN * (1 - MOMENTUM**8)
    np.testing.assert_allclose(by_name(loaded.variables)["mean"], expected, rtol=1e-5)


def test_hyperparameters_as_a_signature(twin_of):
    loaded = twin_of(modules.encoder, VARIANTS)
    inputs = {"x": X, "dropout_rate": tf.constant(0.0), "batch_norm_momentum": tf.constant(0.5)}
    np.testing.assert_allclose(loaded.hyperparameters(inputs, training=True), PRODUCT - BATCH_MEAN, rtol=1e-5)
    np.testing.assert_allclose(by_name(loaded.variables)["mean"], BATCH_MEAN / 2, rtol=1e-5)


@pytest.mark.parametrize("default", [None, "a variable"])
def test_a_scalar_without_a_constant_default_is_no_argument(twin_of, default):
    def module_fn():
        x = tf1.placeholder(tf.float32, [None])
        if default is None:
            scale = tf1.placeholder(tf.float32, [])
        else:
            scale = tf1.placeholder_with_default(tf1.get_variable("scale", initializer=2.0), [])
        hub.add_signature(inputs=x, outputs=x if default is None else x * scale)
        hub.add_signature("hyperparameters", inputs={"default": x, "scale": scale}, outputs=x * scale)

    loaded = twin_of(module_fn)
    assert loaded(tf.constant([1.0])).numpy() == (1.0 if default is None else 2.0)
    assert loaded.hyperparameters({"default": tf.constant([1.0]), "scale": tf.constant(3.0)}).numpy() == 3.0
    with pytest.raises((TypeError, ValueError), match="scale"):
        loaded(tf.constant([1.0]), scale=3.0)


@pytest.mark.parametrize("value, dtype", [(3, tf.int32), (True, tf.bool)], ids=["int", "bool"])
def test_hyperparameters_of_other_types(twin_of, value, dtype):
    def module_fn():
        x = tf1.placeholder(tf.float32, [None])
        scalar = tf1.placeholder_with_default(tf.constant(value, dtype), [])
        outputs = x * tf.cast(scalar, tf.float32)
        hub.add_signature(inputs=x, outputs=outputs)
        hub.add_signature("hyperparameters", inputs={"default": x, "scalar": scalar}, outputs=outputs)

    loaded = twin_of(module_fn)
    assert loaded(tf.constant([2.0])).numpy() == 2.0 * value
    assert loaded(tf.constant([2.0]), scalar=type(value)(0)).numpy() == 0.0


def test_a_default_is_the_shortest_number_that_means_it(twin_of, tmp_path):
    twin_of(lambda is_training: modules.encoder(is_training, momentum=0.9, rate=1e-4), VARIANTS)
    assert facts(tmp_path)["hyperparameters"] == {"batch_norm_momentum": 0.9, "dropout_rate": 1e-4}


def test_in_a_function_of_the_consumer(twin_of):
    loaded = twin_of(modules.encoder, VARIANTS)

    @tf.function
    def step(x, rate):
        return loaded(x, training=True, dropout_rate=rate)

    np.testing.assert_allclose(step(X, 0.0), PRODUCT - BATCH_MEAN, rtol=1e-5)
    np.testing.assert_allclose(by_name(loaded.variables)["mean"], BATCH_MEAN * (1 - MOMENTUM), rtol=1e-5)


# Signatures.


def test_several_inputs_and_outputs(twin_of):
    def module_fn():
        a, b = tf1.placeholder(tf.float32, [None]), tf1.placeholder(tf.int32, [])
        outputs = {"default": a * 2, "b plus": b + 1}
        hub.add_signature(inputs={"a": a, "b": b}, outputs=outputs)
        hub.add_signature("sum", inputs={"a": a, "b": b}, outputs={"sum": a + tf.cast(b, tf.float32)})
        hub.add_signature("nothing", outputs={"default": tf.constant("a")})

    loaded = twin_of(module_fn)
    inputs = {"a": tf.constant([1.0]), "b": tf.constant(3)}
    outputs = loaded(inputs)
    assert {key: value.numpy().tolist() for key, value in outputs.items()} == {"default": [2.0], "b plus": 4}
    assert loaded.sum(inputs)["sum"].numpy() == 4.0
    assert loaded.sum(inputs, training=True)["sum"].numpy() == 4.0
    assert loaded.nothing().numpy() == b"a"
    assert sorted(loaded.signatures) == ["default", "nothing", "serving_default", "sum"]
    served = loaded.signatures["sum"](**inputs)
    assert served["sum"].numpy() == 4.0
    assert loaded.signatures["nothing"]()["default"].numpy() == b"a"


def test_an_output_that_is_an_input(twin_of):
    def module_fn():
        x = tf1.placeholder(tf.int64, None)
        hub.add_signature(inputs=x, outputs={"default": x, "again": x})

    loaded = twin_of(module_fn)
    for value in (tf.constant(3, tf.int64), tf.constant([[1]], tf.int64)):  # of any rank
        np.testing.assert_array_equal(loaded(value)["default"], value)
        np.testing.assert_array_equal(loaded.signatures["serving_default"](value)["again"], value)
    assert loaded.variables == loaded.trainable_variables == loaded.regularization_losses == []


def test_names_that_a_twin_has_for_something_else(twin_of):
    def module_fn():
        x = tf1.placeholder(tf.float32, [])
        for name in ("variables", "assets", "save", "restore", "signatures", "serving_default"):
            hub.add_signature(name, inputs=x, outputs=x + 1)

    loaded = twin_of(module_fn)
    assert [line.split(":")[0] for line in loaded.lost] == [
        f"signature '{name}'" for name in ("assets", "restore", "save", "signatures", "variables")
    ]
    assert loaded.lost[0].endswith("a twin has an attribute of that name; only serving has it")
    for name in ("variables", "save", "serving_default"):
        assert loaded.signatures[name](tf.constant(1.0))["default"].numpy() == 2.0
    assert loaded.serving_default(1.0).numpy() == 2.0
    assert list(loaded.variables) == []


def test_inputs_whose_names_no_argument_may_have(twin_of):
    names = ("capital-gain", "capital_gain", "b c", "2nd", "class", "City", "city")

    def module_fn():
        inputs = {name: tf1.placeholder(tf.float32, []) for name in names}
        hub.add_signature(inputs=inputs, outputs=tf.stack([inputs[name] for name in names]))

    loaded = twin_of(module_fn)
    values = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]
    found = loaded({name: tf.constant(value) for name, value in zip(names, values, strict=True)})
    np.testing.assert_array_equal(found, values)
    served = ("capital_gain_1", "capital_gain", "b_c", "arg_2nd", "class_", "City", "city_1")
    serve = loaded.signatures["serving_default"]
    found = serve(**{name: tf.constant(value) for name, value in zip(served, values, strict=True)})
    np.testing.assert_array_equal(found["default"], values)
    assert sorted(loaded.lost) == [
        "signature 'default': serving calls the input '2nd' 'arg_2nd'",
        "signature 'default': serving calls the input 'b c' 'b_c'",
        "signature 'default': serving calls the input 'capital-gain' 'capital_gain_1'",
        "signature 'default': serving calls the input 'city' 'city_1'",
        "signature 'default': serving calls the input 'class' 'class_'",
    ]


def test_no_default_signature(twin_of):
    def module_fn():
        x = tf1.placeholder(tf.float32, [])
        hub.add_signature("double", inputs=x, outputs=2 * x)

    loaded = twin_of(module_fn)
    assert loaded.double(1.0).numpy() == 2.0
    assert sorted(loaded.signatures) == ["double"]
    assert not callable(loaded)


@pytest.mark.parametrize(
    "dtype, value",
    [
        (tf.string, [b"a", b"\xff"]),
        (tf.bool, [True, False]),
        (tf.uint8, [255, 0]),
        (tf.int64, [-1, 2**40]),
        (tf.float16, [0.5, -2.0]),
        (tf.bfloat16, [0.5, -2.0]),
        (tf.float64, [1e300, 0.1]),
        (tf.complex64, [1 + 2j, -1j]),
    ],
    ids=lambda value: value.name if isinstance(value, tf.DType) else "",
)
def test_types_of_tensors(twin_of, dtype, value):
    def module_fn():
        x = tf1.placeholder(dtype, [None])
        hub.add_signature(inputs=x, outputs=tf.reverse(x, [0]))

    loaded = twin_of(module_fn)
    outputs = loaded(tf.constant(value, dtype))
    assert outputs.dtype == dtype
    np.testing.assert_array_equal(outputs, tf.constant(value[::-1], dtype))


def test_sparse_and_ragged_tensors(twin_of):
    def module_fn():
        sparse = tf1.sparse_placeholder(tf.float32, [None, 3])
        ragged = tf1.ragged.placeholder(tf.int32, 2, [])
        sums = tf.sparse.reduce_sum(sparse, 1)
        hub.add_signature("sparse", inputs={"cells": sparse}, outputs={"default": sparse, "sums": sums})
        hub.add_signature("ragged", inputs=ragged, outputs=ragged + 1)

    loaded = twin_of(module_fn)
    cells = tf.sparse.from_dense([[1.0, 0.0, 2.0], [0.0, 3.0, 0.0]])
    outputs = loaded.sparse(cells)
    np.testing.assert_array_equal(tf.sparse.to_dense(outputs["default"]), tf.sparse.to_dense(cells))
    assert outputs["sums"].numpy().tolist() == [3, 3]
    rows = tf.ragged.constant([[[1], [2, 3]], []], dtype=tf.int32, row_splits_dtype=tf.int64)
    assert loaded.ragged(rows).to_list() == [[[2], [3, 4]], []]
    served = loaded.signatures["sparse"](
        cells_indices=cells.indices, cells_values=cells.values, cells_dense_shape=cells.dense_shape
    )
    assert sorted(served) == ["default_dense_shape", "default_indices", "default_values", "sums"]
    parts = tf.nest.flatten(rows, expand_composites=True)
    parts = {f"default_component_{index}": part for index, part in enumerate(parts)}
    served = loaded.signatures["ragged"](**parts)
    assert served["default_component_0"].numpy().tolist() == [2, 3, 4]


# Variants.


def test_without_a_train_variant_both_modes_run_the_same_graph(twin_of):
    def module_fn():
        x = tf1.placeholder(tf.float32, [2])
        scale = tf1.get_variable("scale", initializer=3.0)
        calls = tf1.get_variable("calls", initializer=0, trainable=False)
        tf1.add_to_collection(tf1.GraphKeys.UPDATE_OPS, calls.assign_add(1).op)
        hub.add_signature(inputs=x, outputs=scale * x)

    loaded = twin_of(module_fn)
    for training in (False, True):
        assert loaded(tf.constant([1.0, 2.0]), training=training).numpy().tolist() == [3, 6]
    assert by_name(loaded.variables)["calls"].numpy() == 1  # as hub.Module(trainable=True) does
    assert list(by_name(loaded.trainable_variables)) == ["scale"]


def _tagged(tag):
    x = tf1.placeholder(tf.float32, [])
    hub.add_signature(inputs=x, outputs=tf.tuple([x, tf.constant(tag)])[1])


@pytest.mark.parametrize(
    "tag_sets, inference, train, lost",
    [
        ([{"serve"}, {"train"}], "serve", "train", []),
        ([{"train", "gpu"}, {"gpu"}], "gpu", "gpu+train", []),
        ([set(), {"train", "gpu"}], "", "gpu+train", []),
        ([set(), {"serve"}, {"train"}], "", "train", [["serve"]]),
        ([set(), {"train", "a"}, {"train", "b"}], "", "", [["a", "train"], ["b", "train"]]),
        ([{"train"}], "train", "train", []),
        ([{"b"}, {"a"}], "a", "a", [["b"]]),
    ],
)
def test_which_variants_a_twin_runs(twin_of, tag_sets, inference, train, lost):
    variants = [(tags, {"tag": "+".join(sorted(tags))}) for tags in tag_sets]
    loaded = twin_of(_tagged, variants)
    assert loaded(1.0).numpy().decode() == inference
    assert loaded(1.0, training=True).numpy().decode() == train
    assert loaded.lost == [
        f"graph variant tags={tags!r}: a twin has one variant for inference and one for training" for tags in lost
    ]


def test_a_signature_of_one_variant_is_said_to_be_lost(twin_of):
    def module_fn(is_training):
        x = tf1.placeholder(tf.float32, [])
        hub.add_signature(inputs=x, outputs=x)
        hub.add_signature("fit" if is_training else "predict", inputs=x, outputs=x * 2)

    loaded = twin_of(module_fn, VARIANTS)
    assert loaded.lost == [
        "signature 'fit' in both modes: the graph variant tags=[] lacks it",
        "signature 'predict' in both modes: the graph variant tags=['train'] lacks it",
    ]
    assert loaded.predict(1.0, training=True).numpy() == 2.0


def test_variants_that_return_other_things_are_no_twin(twin_of):
    def module_fn(is_training):
        x = tf1.placeholder(tf.float32, [])
        hub.add_signature(inputs=x, outputs={"default": x, **({"more": x} if is_training else {})})

    with pytest.raises(errors.ModuleSpecError) as caught:
        twin_of(module_fn, VARIANTS)
    assert str(caught.value) == (
        "Signature 'default' takes or returns other tensors in the graph variant tags=['train'] than in the graph "
        "variant tags=[]; a twin has one function for both."
    )


def test_functions_of_the_same_name_and_other_bodies(twin_of):
    def module_fn(is_training):
        @tf.function
        def scaled(x):
            return x * (3.0 if is_training else 2.0)

        x = tf1.placeholder(tf.float32, [])
        hub.add_signature(inputs=x, outputs=scaled.get_concrete_function(tf.TensorSpec([]))(x))

    loaded = twin_of(module_fn, VARIANTS)
    assert (loaded(1.0).numpy(), loaded(1.0, training=True).numpy()) == (2.0, 3.0)


# Losses, updates, gradients.


def test_regularization_losses(twin_of):
    def module_fn():
        x = tf1.placeholder(tf.float32, [None, 2])
        a = tf1.get_variable("a", initializer=[[1.0], [2.0]])
        b = tf1.get_variable("b", initializer=[3.0, -4.0])
        tf1.add_to_collection(tf1.GraphKeys.REGULARIZATION_LOSSES, tf.reduce_sum(a**2))
        tf1.add_to_collection(tf1.GraphKeys.REGULARIZATION_LOSSES, 0.5 * tf.reduce_sum(tf.abs(b)))
        tf1.add_to_collection(tf1.GraphKeys.REGULARIZATION_LOSSES, tf.reduce_sum(x))
        hub.add_signature(inputs=x, outputs=tf.matmul(x * b, a))

    loaded = twin_of(module_fn)
    assert len(loaded.lost) == 1 and "it depends on the inputs of a signature" in loaded.lost[0]
    variables = by_name(loaded.trainable_variables)
    with tf.GradientTape(persistent=True) as tape:
        losses = [loss() for loss in loaded.regularization_losses]
    assert [(loss.dtype, loss.shape, loss.numpy()) for loss in losses] == [
        (tf.float32, [], 5.0),
        (tf.float32, [], 3.5),
    ]
    assert tape.gradient(losses[0], variables["a"]).numpy().tolist() == [[2], [4]]
    assert tape.gradient(losses[1], variables["b"]).numpy().tolist() == [0.5, -0.5]
    assert tape.gradient(losses[0], variables["b"]) is None
    variables["a"].assign([[0.0], [3.0]])
    assert loaded.regularization_losses[0]().numpy() == 9.0


def test_updates_run_once_per_training_call_and_never_in_inference(twin_of):
    def module_fn(is_training):
        x = tf1.placeholder(tf.float32, [])
        calls = tf1.get_variable("calls", initializer=0.0, trainable=False)
        before = calls + x
        if is_training:
            tf1.add_to_collection(tf1.GraphKeys.UPDATE_OPS, calls.assign_add(1.0).op)
        hub.add_signature(inputs=x, outputs={"default": before, "after": calls.read_value()})

    loaded = twin_of(module_fn, VARIANTS)
    calls = by_name(loaded.variables)["calls"]
    for done in range(3):
        assert loaded(0.5)["default"].numpy() == done + 0.5
        assert loaded.signatures["serving_default"](tf.constant(0.5))["default"].numpy() == done + 0.5
        outputs = loaded(0.5, training=True)
        assert (outputs["default"].numpy(), outputs["after"].numpy()) == (done + 0.5, done)  # of the step before
        assert calls.numpy() == done + 1


def test_only_updates_that_the_signature_feeds_run(twin_of):
    def module_fn(is_training):
        x, y = tf1.placeholder(tf.float32, []), tf1.placeholder(tf.float32, [])
        sums = {name: tf1.get_variable(name, initializer=0.0, trainable=False) for name in ("x", "y", "both")}
        if is_training:
            for name, value in (("x", x), ("y", y), ("both", x + y)):
                tf1.add_to_collection(tf1.GraphKeys.UPDATE_OPS, sums[name].assign_add(value).op)
        hub.add_signature(inputs=x, outputs=x * 1)
        hub.add_signature("other", inputs=y, outputs=y * 1)
        hub.add_signature("both", inputs={"x": x, "y": y}, outputs=x + y)

    loaded = twin_of(module_fn, VARIANTS)
    loaded(tf.constant(1.0), training=True)
    loaded.other(tf.constant(2.0), training=True)
    values = {name: value.numpy() for name, value in by_name(loaded.variables).items()}
    assert values == {"x": 1.0, "y": 2.0, "both": 0.0}
    loaded.both({"x": tf.constant(1.0), "y": tf.constant(2.0)}, training=True)
    values = {name: value.numpy() for name, value in by_name(loaded.variables).items()}
    assert values == {"x": 2.0, "y": 4.0, "both": 3.0}


def test_gradients_of_embeddings_are_sparse(twin_of):
    def module_fn():
        ids = tf1.placeholder(tf.int64, [None])
        table = tf1.get_variable("table", [1000, 4], initializer=tf1.ones_initializer())
        hub.add_signature(inputs=ids, outputs=tf.nn.embedding_lookup(table, ids))

    loaded = twin_of(module_fn)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(loaded(tf.constant([3, 999], tf.int64), training=True))
    (gradient,) = tape.gradient(loss, loaded.trainable_variables)
    assert isinstance(gradient, tf.IndexedSlices)
    assert gradient.indices.numpy().tolist() == [3, 999]
    assert gradient.values.numpy().tolist() == [[1.0] * 4] * 2


@pytest.fixture
def control_flow_v1():
    """Conditions and loops of TensorFlow 1."""
    was_enabled = tf1.control_flow_v2_enabled()
    tf1.disable_control_flow_v2()
    yield
    if was_enabled:
        tf1.enable_control_flow_v2()


def test_v1_assertions(twin_of, control_flow_v1):
    def module_fn():
        x = tf1.placeholder(tf.float32, [None])
        total = tf.reduce_sum(x)
        with tf.control_dependencies([tf1.assert_less(total, 9.0), tf1.assert_greater(total, -9.0)]):
            hub.add_signature(inputs=x, outputs=x * 2.0)

    loaded = twin_of(module_fn)
    assert loaded.lost == []
    assert loaded(tf.constant([1.0, 2.0])).numpy().tolist() == [2.0, 4.0]
    for total in (10.0, -10.0):
        with pytest.raises(tf.errors.InvalidArgumentError):
            loaded(tf.constant([total]))
        with pytest.raises(tf.errors.InvalidArgumentError):
            loaded.signatures["serving_default"](default=tf.constant([total]))


def test_a_v1_condition_that_changes_variables(twin_of, control_flow_v1):
    def module_fn():
        x = tf1.placeholder(tf.float32, [])
        is_training = tf1.placeholder_with_default(False, [])
        mean = tf1.get_variable("mean", initializer=4.0, trainable=False)
        doubled = x * 2.0
        used = tf1.cond(is_training, lambda: tf.identity(doubled), lambda: tf.identity(mean))
        tf1.cond(is_training, lambda: mean.assign(doubled), lambda: tf.identity(mean))  # which nothing asks for
        hub.add_signature(inputs=x, outputs=doubled - used)
        hub.add_signature("phase", inputs={"x": x, "is_training": is_training}, outputs=doubled - used)

    loaded = twin_of(module_fn)
    assert loaded(tf.constant(9.0)).numpy() == 14.0
    phase = {"x": tf.constant(9.0), "is_training": tf.constant(True)}
    assert loaded.phase(phase).numpy() == 0.0
    assert [variable.numpy() for variable in loaded.variables] == [4.0]


def test_v1_control_flow_between_weights_and_outputs_is_said(twin_of, control_flow_v1):
    def module_fn():
        x = tf1.placeholder(tf.float32, [None])
        scale = tf1.get_variable("scale", initializer=2.0)
        _, product = tf1.while_loop(
            lambda step, _: step < 3, lambda step, value: (step + 1, value * scale), (0, x), back_prop=True
        )
        length, _ = tf1.while_loop(lambda n, _: n < 5, lambda n, value: (n + 1, value), (0, x))
        hub.add_signature(inputs=x, outputs=product)
        hub.add_signature("scaled", inputs=x, outputs=x * scale * tf.cast(length, tf.float32))

    loaded = twin_of(module_fn)
    assert loaded(tf.constant([1.0])).numpy() == 8.0
    assert loaded.scaled(tf.constant([1.0])).numpy() == 10.0
    assert len(loaded.lost) == 1
    assert loaded.lost[0].startswith("gradients of signature 'default': ")
    assert loaded.lost[0].endswith("it cannot be fine-tuned")


# Assets, messages.


def test_assets_move_with_the_twin_and_name_no_path_of_their_source(twin_of, tmp_path):
    vocabulary = modules.vocabulary(tmp_path / "the_source", "red", "green")

    def module_fn(is_training):
        words = tf1.placeholder(tf.string, [None])
        hub.add_signature(inputs=words, outputs=modules.lookup(words, vocabulary))
        path = tf.constant(str(vocabulary))
        tf1.add_to_collection(tf1.GraphKeys.ASSET_FILEPATHS, path)
        hub.add_signature("text", outputs=tf.io.read_file(path))

    twin_of(module_fn, VARIANTS)
    shutil.rmtree(tmp_path / "the_source")
    shutil.rmtree(tmp_path / "module")
    (tmp_path / "twin").rename(tmp_path / "moved")
    written = [path for path in (tmp_path / "moved").rglob("*") if path.is_file()]
    assert len(written) >= 5
    assert not [path for path in written if os.fsencode(tmp_path) in path.read_bytes()]
    assert [path.name for path in (tmp_path / "moved" / "assets").iterdir()] == ["vocab.txt"]
    loaded = tf.saved_model.load(str(tmp_path / "moved"))
    for training in (False, True):
        assert loaded(tf.constant(["green", "x", "red"]), training=training).numpy().tolist() == [1, -1, 0]
    assert loaded.text().numpy() == b"red\ngreen\n"
    assert len(loaded.tables) == 1  # of both variants


def test_attached_messages_are_kept(twin_of, tmp_path):
    message = tf1.ConfigProto(inter_op_parallelism_threads=3)

    def module_fn():
        x = tf1.placeholder(tf.float32, [])
        hub.add_signature(inputs=x, outputs=x)
        hub.attach_message("config", message)

    twin_of(module_fn)
    attached = {key: base64.b64decode(value) for key, value in facts(tmp_path)["attached_messages"].items()}
    assert attached == {"config": message.SerializeToString()}


# Life after loading.


def test_fine_tuned_saved_and_loaded_again(twin_of, tmp_path):
    vocabulary = modules.vocabulary(tmp_path / "words", "red", "green")

    def module_fn(is_training):
        words = tf1.placeholder(tf.string, [None])
        table = tf1.get_variable("table", [3, 2], initializer=tf1.ones_initializer(), regularizer=tf.nn.l2_loss)
        rows = tf.nn.embedding_lookup(table, modules.lookup(words, vocabulary) + 1)
        mean = tf1.get_variable("mean", [2], initializer=tf1.zeros_initializer(), trainable=False)
        if is_training:
            tf1.add_to_collection(tf1.GraphKeys.UPDATE_OPS, mean.assign(tf.reduce_mean(rows, 0)).op)
        hub.add_signature(inputs=words, outputs=rows - mean)

    loaded = twin_of(module_fn, VARIANTS)
    words = tf.constant(["green", "blue"])
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(loaded(words, training=True)) + loaded.regularization_losses[0]()
    (table,) = loaded.trainable_variables
    table.assign_sub(0.5 * tf.convert_to_tensor(tape.gradient(loss, table)))
    assert table.numpy().tolist() == [[0, 0], [0.5, 0.5], [0, 0]]
    expected = loaded(words).numpy().tolist()
    assert expected == [[-1, -1], [-1, -1]]
    tf.saved_model.save(loaded, str(tmp_path / "again"))
    shutil.rmtree(tmp_path / "twin")
    again = tf.saved_model.load(str(tmp_path / "again"))
    assert again(words).numpy().tolist() == expected
    assert again.regularization_losses[0]().numpy() == 0.25
    again(tf.constant(["red"]), training=True)
    assert by_name(again.variables)["mean"].numpy().tolist() == [0.5, 0.5]


def test_two_loaded_twins_share_nothing_that_changes(twin_of, tmp_path):
    loaded = twin_of(modules.encoder, VARIANTS)
    other = tf.saved_model.load(str(tmp_path / "twin"))
    loaded(X, training=True)
    by_name(loaded.variables)["kernel"].assign(tf.zeros([3, 2]))
    assert by_name(other.variables)["mean"].numpy().tolist() == [0, 0]
    np.testing.assert_array_equal(by_name(other.variables)["kernel"], KERNEL)


@pytest.mark.parametrize("tags", [frozenset(), frozenset({"serve"}), frozenset({"a"})])
def test_inference_tags_of_one_variant(tags):
    assert twin.inference_tags([tags]) == tags
    assert twin.train_tags([tags]) is None


# Other readers.


@pytest.mark.oracle
@pytest.mark.process
def test_the_oldest_tensorflow_loads_and_tunes_it(twin_of, tmp_path):
    vocabulary = modules.vocabulary(tmp_path / "words", "red", "green")

    def module_fn(is_training):
        modules.encoder(is_training)
        words = tf1.placeholder(tf.string, [None])
        hub.add_signature("ids", inputs=words, outputs=modules.lookup(words, vocabulary))

    loaded = twin_of(module_fn, VARIANTS)
    with tf.GradientTape() as tape:
        outputs = loaded(X, training=True, dropout_rate=0.0)
        loss = tf.reduce_sum(outputs**2) + loaded.regularization_losses[0]()
    variables = by_name(loaded.variables)
    gradient = tape.gradient(loss, variables["kernel"])
    np.save(tmp_path / "x.npy", X)
    arguments = [str(tmp_path / name) for name in ("twin", "x.npy", "answers.npz")]
    oracles.run(oracles.HUB015, str(pathlib.Path(__file__).with_name("twin_reader.py")), *arguments)
    answers = np.load(tmp_path / "answers.npz")
    assert answers["tensorflow"] == "2.15.1"
    np.testing.assert_allclose(answers["inference"], PRODUCT, rtol=1e-6)
    np.testing.assert_allclose(answers["training"], outputs, rtol=1e-5)
    np.testing.assert_allclose(answers["gradient"], gradient, rtol=1e-5)
    np.testing.assert_allclose(answers["mean"], variables["mean"], rtol=1e-5)
    assert answers["ids"].tolist() == [1, -1]
    np.testing.assert_allclose(answers["served"], PRODUCT, rtol=1e-6)


@pytest.mark.process
def test_saved_model_cli_shows_and_runs_it(twin_of, tmp_path):
    twin_of(modules.encoder, VARIANTS)
    cli = pathlib.Path(sys.executable).with_name("saved_model_cli")
    twin_dir = str(tmp_path / "twin")
    shown = subprocess.run([cli, "show", "--dir", twin_dir, "--all"], capture_output=True, text=True)
    assert shown.returncode == 0, shown.stderr
    for name in ("default", "hyperparameters", "serving_default"):
        assert f"signature_def['{name}']" in shown.stdout
    asked = ["--tag_set", "serve", "--signature_def", "serving_default", "--input_exprs", "x=[[1.0,2.0,3.0]]"]
    run = subprocess.run([cli, "run", "--dir", twin_dir, *asked], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert "[[-1.    4.75]]" in run.stdout
