"""Tests of hubpipe.saved_model.resource_form: graphs of reference variables become graphs of resources."""

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.compat import v1 as tf1
from tensorflow.core.framework import variable_pb2
from tensorflow.python.framework import function

from hubpipe import errors, hub
from hubpipe.hub import read
from hubpipe.saved_model import parity, resource_form, write
from tests.saved_model import modules
from tests.saved_model.modules import VARIANTS

ROWS = np.arange(8, dtype=np.float32).reshape([4, 2])


def _reference(name, value, **options):
    return tf1.get_variable(name, initializer=value, use_resource=False, **options)


def _update(update):
    tf1.add_to_collection(tf1.GraphKeys.UPDATE_OPS, update.op)


@pytest.fixture
def training(twin_of, tmp_path):
    """A function (update, tags_and_args) -> the variable "rows" after a training call of module and of twin."""

    def make(update):
        def module_fn(is_training):
            x = tf1.placeholder(tf.float32, [2])
            rows = _reference("rows", ROWS, trainable=False)
            before = tf.identity(rows)
            if is_training:
                _update(update(rows, x))
            hub.add_signature(inputs=x, outputs=before + x)

        loaded = twin_of(module_fn, VARIANTS)
        checks = parity.check(str(tmp_path / "module"), str(tmp_path / "twin"))
        assert [check.problem for check in checks if check.problem] == []
        np.testing.assert_array_equal(loaded(tf.constant([10.0, 20.0]), training=True), ROWS + [10, 20])
        (rows,) = loaded.variables
        return rows.numpy().tolist()

    return make


X = np.array([10.0, 20.0], np.float32)
SCATTERED = {
    "scatter_add": ROWS[1] + X,
    "scatter_sub": ROWS[1] - X,
    "scatter_mul": ROWS[1] * X,
    "scatter_div": ROWS[1] / X,
    "scatter_max": np.maximum(ROWS[1], X),
    "scatter_min": np.minimum(ROWS[1], X),
    "scatter_update": X,
}


@pytest.mark.parametrize("name", SCATTERED)
def test_scattered_updates(training, name):
    expected = ROWS.copy()
    expected[1] = SCATTERED[name]
    assert training(lambda rows, x: getattr(tf1, name)(rows, [1], x[None])) == expected.tolist()


@pytest.mark.parametrize(
    "update, expected",
    [
        (lambda rows, x: tf1.assign(rows, tf.tile(x[None], [4, 1])), np.tile(X, [4, 1])),
        (lambda rows, x: tf1.assign_add(rows, rows * 2), ROWS * 3),
        (lambda rows, x: tf1.assign_sub(rows, tf.zeros([4, 2]) + x), ROWS - X),
        (lambda rows, x: tf1.assign_add(tf1.assign(rows, rows * 2), tf.ones([4, 2])), ROWS * 2 + 1),
        (lambda rows, x: tf1.scatter_add(tf1.assign_sub(rows, ROWS), [0], x[None]), [X, [0, 0], [0, 0], [0, 0]]),
    ],
    ids=["assign", "assign_add", "assign_sub", "an update of an update", "scattering an update"],
)
def test_updates(training, update, expected):
    assert training(update) == np.asarray(expected).tolist()


def test_what_an_update_returns_is_read_after_it(twin_of):
    def module_fn():
        x = tf1.placeholder(tf.float32, [])
        total = _reference("total", 1.0)
        added = tf1.assign_add(total, x)
        hub.add_signature(inputs=x, outputs={"default": tf.identity(added), "doubled": added * 2})

    loaded = twin_of(module_fn)
    outputs = loaded(2.0)
    assert (outputs["default"].numpy(), outputs["doubled"].numpy()) == (3.0, 6.0)
    assert loaded(2.0)["default"].numpy() == 5.0


def test_is_variable_initialized(twin_of):
    def module_fn():
        scale = _reference("scale", 2.0)
        hub.add_signature(outputs={"default": tf1.is_variable_initialized(scale), "scale": scale.value()})

    outputs = twin_of(module_fn)()
    assert (outputs["default"].numpy(), outputs["scale"].numpy()) == (True, 2.0)


def test_gradients_reach_what_was_a_reference(twin_of):
    def module_fn():
        ids = tf1.placeholder(tf.int64, [None])
        table = _reference("table", ROWS, regularizer=tf.nn.l2_loss)
        scale = _reference("scale", 3.0)
        hub.add_signature(inputs=ids, outputs=scale * tf.nn.embedding_lookup(table, ids))

    loaded = twin_of(module_fn)
    variables = {variable.name.partition(":")[0]: variable for variable in loaded.trainable_variables}
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(loaded(tf.constant([1, 1, 3], tf.int64)))
    gradients = tape.gradient(loss, variables)
    dense = tf.convert_to_tensor(gradients["table"]).numpy()
    assert dense.tolist() == [[0, 0], [6, 6], [0, 0], [3, 3]]
    assert gradients["scale"].numpy() == ROWS[1].sum() * 2 + ROWS[3].sum()
    assert loaded.regularization_losses[0]().numpy() == (ROWS**2).sum() / 2


def test_a_partitioned_reference_variable(twin_of, tmp_path):
    def module_fn():
        ids = tf1.placeholder(tf.int32, [None])
        with tf1.variable_scope("", partitioner=tf1.fixed_size_partitioner(3), use_resource=False):
            table = tf1.get_variable("table", [4, 2], initializer=tf1.random_uniform_initializer(seed=1))
        hub.add_signature(inputs=ids, outputs=tf1.nn.embedding_lookup(table, ids, partition_strategy="div"))

    loaded = twin_of(module_fn)
    assert [variable.shape[0] for variable in loaded.variables] == [2, 1, 1]
    whole = np.concatenate(loaded.variables)
    assert np.unique(whole[:3]).size > 1
    assert loaded(tf.constant([3, 0])).numpy().tolist() == whole[[3, 0]].tolist()


def test_tables_of_string_handles(tmp_path):
    """HashTable, InitializeTable, LookupTableFind as TensorFlow before 1.0 wrote them."""

    def module_fn():
        words = tf1.placeholder(tf.string, [None])
        handle = tf.raw_ops.HashTable(key_dtype=tf.string, value_dtype=tf.int64, shared_name="ids")
        keys, values = tf.constant(["a", "b"]), tf.constant([7, 8], tf.int64)
        initialize = tf.raw_ops.InitializeTable(table_handle=handle, keys=keys, values=values)
        tf1.add_to_collection(tf1.GraphKeys.TABLE_INITIALIZERS, initialize)
        minus = tf.constant(-1, tf.int64)
        ids = tf.raw_ops.LookupTableFind(table_handle=handle, keys=words, default_value=minus)
        size = tf.raw_ops.LookupTableSize(table_handle=handle)
        hub.add_signature(inputs=words, outputs={"default": ids, "size": size})

    module_dir = modules.export(module_fn, tmp_path / "module")
    assert write.TwinWriter().write(module_dir, str(tmp_path / "twin")) == []
    outputs = tf.saved_model.load(str(tmp_path / "twin"))(tf.constant(["b", "c", "a"]))
    assert outputs["default"].numpy().tolist() == [8, -1, 7]
    assert outputs["size"].numpy() == 2


@tf.custom_gradient
def _reversed(x):
    return tf.identity(x), lambda gradient: -gradient


@function.Defun(tf.float32, tf.float32, func_name="sevenfold")
def _sevenfold(x, gradient):
    return 7.0 * gradient


@function.Defun(tf.float32, func_name="squared", grad_func=_sevenfold)
def _squared(x):
    return x * x


@function.Defun(tf.float32, func_name="cubed", noinline=True)
def _cubed(x):
    return x * x * x


@tf.function
def _in_a_function(x):
    return _reversed(x) * 2


@pytest.mark.parametrize(
    "layer, node, gradient",
    [
        (_reversed, "IdentityN", 1.0),
        (_squared, "squared", 6.0),
        (_in_a_function, "StatefulPartitionedCall", 2.0),
        (_cubed, None, 27.0),
    ],
    ids=["tf.custom_gradient", "a gradient function", "inside a function", "a call that stays a call"],
)
def test_gradients_are_those_of_the_ops(twin_of, layer, node, gradient):
    def module_fn():
        scale = tf1.get_variable("scale", initializer=3.0)
        hub.add_signature(outputs=layer(scale))
        hub.add_signature("another", outputs=scale * 2)

    loaded = twin_of(module_fn)
    with tf.GradientTape() as tape:
        outputs = loaded()
    assert tape.gradient(outputs, loaded.trainable_variables[0]).numpy() == gradient
    if node is None:
        assert loaded.lost == []
        return
    assert len(loaded.lost) == 1
    assert loaded.lost[0].startswith(f"gradients of signature 'default': node '{node}")
    assert loaded.lost[0].endswith(
        "' has a gradient function of its own, which cannot be kept; the twin has the gradient of the ops"
    )


def test_a_gradient_between_inputs_and_outputs_alone_is_not_missed(twin_of):
    def module_fn():
        x = tf1.placeholder(tf.float32, [])
        hub.add_signature(inputs=x, outputs=tf1.get_variable("scale", initializer=3.0) * _reversed(x))

    assert twin_of(module_fn).lost == []


def _meta_graph(module_fn, path):
    spec = read.load_module_spec(modules.export(module_fn, path))
    return spec.variant(frozenset()).meta_graph


def test_an_op_that_needs_a_reference_is_named(tmp_path):
    def module_fn():
        x = tf1.placeholder(tf.int32, [])
        count = _reference("count", 0)
        hub.add_signature(inputs=x, outputs=tf.raw_ops.CountUpTo(ref=count._ref(), limit=3) + x)

    meta_graph = _meta_graph(module_fn, tmp_path / "module")
    with pytest.raises(errors.ModuleSpecError) as caught:
        resource_form.convert(meta_graph)
    assert str(caught.value) == (
        "Node 'CountUpTo' (CountUpTo) takes a reference to the variable 'count'; of such ops Assign, AssignAdd, "
        "AssignSub, ScatterAdd, ScatterDiv, ScatterMax, ScatterMin, ScatterMul, ScatterSub, ScatterUpdate can be "
        "kept."
    )


def test_a_graph_of_resources_stays_as_it_is(tmp_path):
    meta_graph = _meta_graph(lambda: modules.encoder(is_training=False), tmp_path / "module")
    before = meta_graph.SerializeToString(deterministic=True)
    converted = resource_form.convert(meta_graph)
    assert converted is not meta_graph
    assert converted.SerializeToString(deterministic=True) == before


def test_the_argument_is_not_changed(tmp_path):
    def module_fn():
        hub.add_signature(outputs=_reference("scale", 2.0) * 2)

    meta_graph = _meta_graph(module_fn, tmp_path / "module")
    before = meta_graph.SerializeToString(deterministic=True)
    converted = resource_form.convert(meta_graph)
    assert meta_graph.SerializeToString(deterministic=True) == before
    definitions = converted.collection_def[tf1.GraphKeys.GLOBAL_VARIABLES].bytes_list.value
    assert [variable_pb2.VariableDef.FromString(value).is_resource for value in definitions] == [True]
    assert "VariableV2" not in {node.op for node in converted.graph_def.node}
