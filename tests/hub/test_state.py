"""Tests of hubpipe.hub.state."""

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.compat import v1 as tf1

from hubpipe import hub
from tests.hub import layers


def _table_and_weight():
    keys = tf1.placeholder(tf.string, [None])
    initializer = tf.lookup.KeyValueTensorInitializer(["a", "b"], tf.constant([10, 20], tf.int64))
    table = tf.lookup.StaticHashTable(initializer, -1, name="table")
    weight = tf1.get_variable("w", [2], initializer=tf1.random_normal_initializer())
    hub.add_signature(inputs=keys, outputs={"default": table.lookup(keys), "weight": tf.identity(weight)})


def test_state_has_its_original_names():
    with tf.Graph().as_default() as graph:
        hub.Module(hub.create_module_spec(_table_and_weight), name="m")
        for name in ("m/w", "m/w/Assign", "m/w/Initializer/random_normal", "m/w/Read/ReadVariableOp", "m/table"):
            assert graph.get_operation_by_name(name)


def test_shared_names_have_the_scope():
    spec = hub.create_module_spec(_table_and_weight)
    with tf.Graph().as_default() as graph:
        first, second = hub.Module(spec), hub.Module(spec)
        for name in ("module/w", "module_1/w"):
            assert graph.get_operation_by_name(name).get_attr("shared_name") == name.encode()
        values = layers.run([first.variables[0], second.variables[0]])
        assert set(values[0]).isdisjoint(values[1])


def test_tables_are_initialized_by_the_consumer():
    with tf.Graph().as_default():
        module = hub.Module(hub.create_module_spec(_table_and_weight))
        assert len(tf1.get_collection(tf1.GraphKeys.TABLE_INITIALIZERS)) == 1
        output = module(["b", "c", "a"])
        assert len(tf1.get_collection(tf1.GraphKeys.TABLE_INITIALIZERS)) == 1
        np.testing.assert_array_equal(layers.run(output), [20, -1, 10])


def test_only_what_a_signature_needs_is_added():
    def module_fn():
        x, y = tf1.placeholder(tf.float32, [], name="x"), tf1.placeholder(tf.float32, [], name="y")
        hub.add_signature("x", inputs=x, outputs=tf.add(x, 1, name="of_x"))
        hub.add_signature("y", inputs=y, outputs=tf.add(y, 1, name="of_y"))

    with tf.Graph().as_default() as graph:
        hub.Module(hub.create_module_spec(module_fn))(1, signature="x")
        names = [op.name for op in graph.get_operations()]
    names = [name for name in names if name.startswith("module_apply_x/")]
    assert names == ["module_apply_x/of_x/y", "module_apply_x/of_x"]


def test_updates_that_need_inputs_of_another_signature_are_left_out():
    def module_fn():
        x, y = tf1.placeholder(tf.float32, []), tf1.placeholder(tf.float32, [])
        for name, value in (("of_x", x), ("of_y", y), ("of_none", 1.0)):
            total = tf1.get_variable(name, [], initializer=tf1.zeros_initializer(), trainable=False)
            tf1.add_to_collection(tf1.GraphKeys.UPDATE_OPS, total.assign_add(value).op)
        hub.add_signature("x", inputs=x, outputs=x + 1)
        hub.add_signature("both", inputs={"x": x, "y": y}, outputs=x + y)

    spec = hub.create_module_spec(module_fn)
    for signature, inputs, moved in (("x", 5, [1, 5, 0]), ("both", {"x": 5, "y": 7}, [1, 5, 7])):
        with tf.Graph().as_default(), tf1.Session() as session:
            module = hub.Module(spec, trainable=True)
            module(inputs, signature=signature)
            session.run(tf1.global_variables_initializer())
            session.run(tf1.get_collection(tf1.GraphKeys.UPDATE_OPS))
            assert session.run(module.variables) == moved


def test_control_dependencies_on_an_input_move_to_what_is_fed():
    def module_fn():
        x = tf1.placeholder(tf.float32, [])
        with tf.control_dependencies([x]):
            hub.add_signature(inputs=x, outputs=tf.constant(3.0))

    with tf.Graph().as_default():
        fed = tf.constant(1.0, name="fed")
        output = hub.Module(hub.create_module_spec(module_fn))(fed)
        assert output.op.control_inputs == [fed.op]
        assert layers.run(output) == 3


def test_control_dependencies_inside_are_kept():
    def module_fn():
        x = tf1.placeholder(tf.float32, [])
        with tf.control_dependencies([tf1.assert_positive(x, message="not positive")]):
            hub.add_signature(inputs=x, outputs=tf.constant(3.0))

    with tf.Graph().as_default():
        module = hub.Module(hub.create_module_spec(module_fn))
        assert layers.run(module(1.0)) == 3
        with pytest.raises(tf.errors.InvalidArgumentError, match="not positive"):
            layers.run(module(-1.0))


def test_several_outputs_of_a_node_as_inputs():
    def module_fn():
        first, second = tf.split(tf1.placeholder(tf.float32, [2]), 2)
        hub.add_signature(inputs={"first": first, "second": second}, outputs=first - second)

    with tf.Graph().as_default():
        module = hub.Module(hub.create_module_spec(module_fn))
        np.testing.assert_array_equal(layers.run(module({"first": [5.0], "second": [3.0]})), [2])


def test_signature_names_become_scopes():
    spec = hub.create_module_spec(lambda: hub.add_signature("of x:y!", outputs=tf.constant(1, name="c")))
    with tf.Graph().as_default():
        assert hub.Module(spec)(signature="of x:y!").op.name == "module_apply_of_x_y_/c"


def test_gradients_reach_the_variables():
    def module_fn():
        x = tf1.placeholder(tf.float32, [2])
        hub.add_signature(inputs=x, outputs=x * tf1.get_variable("w", [2], use_resource=False))

    with tf.Graph().as_default():
        module = hub.Module(hub.create_module_spec(module_fn), trainable=True)
        x = tf.constant([3.0, 4.0])
        (by_weight, by_input) = tf1.gradients(module(x), [module.variables[0], x])
        by_weight, by_input, weight = layers.run([by_weight, by_input, module.variables[0]])
    np.testing.assert_array_equal(by_weight, [3, 4])
    np.testing.assert_array_equal(by_input, weight)
