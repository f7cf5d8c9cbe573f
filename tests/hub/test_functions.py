"""Modules inside tf.function, wrap_function and Defun, and functions inside modules."""

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.compat import v1 as tf1
from tensorflow.python.framework import function

from hubpipe import hub


def _adding_module():
    """x + a variable; another variable is assigned from an input that reaches no output."""
    x, unused = tf1.placeholder(tf.float32, name="x"), tf1.placeholder(tf.float32, name="unused")
    added = tf1.get_variable("added", [], initializer=tf1.constant_initializer(10.0))
    tf1.get_variable("other", [], initializer=tf1.constant_initializer(1.0)).assign(unused)
    hub.add_signature(inputs={"x": x}, outputs=x + added)


def _random_module():
    hub.add_signature(outputs=tf1.get_variable("r", [], initializer=tf1.random_uniform_initializer()).value())


def _control_dependency_module():
    with tf.control_dependencies([tf.constant(1.0, name="dependency")]):
        hub.add_signature(inputs={}, outputs=tf.constant(3.0) + tf.constant(2.0))


def _table_module():
    x = tf1.placeholder(tf.string, [None])
    initializer = tf.lookup.KeyValueTensorInitializer(["a", "b"], tf.constant([1, 2], tf.int64))
    hub.add_signature(inputs=x, outputs=tf.lookup.StaticHashTable(initializer, -1).lookup(x))


def _run(fetches, feeds=None):
    with tf1.Session() as session:
        session.run([tf1.global_variables_initializer(), tf1.tables_initializer()])
        return session.run(fetches, feeds)


def _in_tf_function(fn, *arguments):
    return tf.function(fn)(*arguments)


def _in_wrap_function(fn, *arguments):
    return tf1.wrap_function(fn, [tf.TensorSpec([], tf.float32)] * len(arguments))(*arguments)


def _in_defun(fn, *arguments):
    return function.Defun(*[tf.float32] * len(arguments))(fn)(*arguments)


@pytest.mark.parametrize("in_function", [_in_tf_function, _in_wrap_function, _in_defun])
def test_constructed_and_called_in_a_function(in_function):
    spec = hub.create_module_spec(_adding_module)

    def compute(first, second):
        module = hub.Module(spec, name="inner", trainable=True)
        return [module(first), module(second)]

    with tf.Graph().as_default():
        results = in_function(compute, tf.constant(9.0), tf.constant(6.0))
        assert [variable.op.name for variable in tf1.global_variables()] == ["inner/added", "inner/other"]
        np.testing.assert_array_equal(_run(list(results)), [19.0, 16.0])


@pytest.mark.parametrize("in_function", [_in_tf_function, _in_wrap_function, _in_defun])
def test_state_of_a_function_is_initialized_once(in_function):
    spec = hub.create_module_spec(_random_module)

    def compute():
        module = hub.Module(spec, name="inner")
        return [module(), module()]

    with tf.Graph().as_default():
        first, second = _run(list(in_function(compute)))
    assert first == second


def test_called_in_a_function_with_state_outside():
    spec = hub.create_module_spec(_adding_module)
    with tf.Graph().as_default():
        module = hub.Module(spec)
        assert _run(tf.function(lambda x: module(x) + module(x))(tf.constant(1.0))) == 22.0


def test_tables_in_a_function():
    spec = hub.create_module_spec(_table_module)
    with tf.Graph().as_default():
        ids = tf.function(lambda: hub.Module(spec)(["b", "z"]))()
        np.testing.assert_array_equal(_run(ids), [2, -1])


def test_a_function_leaves_control_dependencies_of_the_module_in_the_graph_outside():
    spec = hub.create_module_spec(_control_dependency_module)

    def compute():
        return hub.Module(spec, name="inner")()

    with tf.Graph().as_default() as graph:
        result = _in_defun(compute)
        assert _run(result) == 5.0
        assert graph.get_operation_by_name("inner/dependency").type == "Const"


def test_wrap_function_from_eager_execution():
    assert tf.executing_eagerly()
    spec = hub.create_module_spec(_adding_module)
    initializers = []

    def compute(first, second):
        module = hub.Module(spec, name="inner", trainable=True)
        initializers.append(tf1.global_variables_initializer())
        return [module(first), module(second)]

    wrapped = tf1.wrap_function(compute, [tf.TensorSpec([], tf.float32)] * 2)
    wrapped.prune([], initializers)()
    assert [value.numpy() for value in wrapped(9.0, 6.0)] == [19.0, 16.0]


def test_a_module_that_holds_functions_travels_with_them(tmp_path):
    @tf.function
    def square(x):
        return x * x

    @function.Defun(tf.float32)
    def plus_one(x):
        return x + 1.0

    def module_fn():
        x = tf1.placeholder(tf.float32, [None])
        scale = tf1.get_variable("scale", [], initializer=tf1.constant_initializer(3.0))
        hub.add_signature(inputs=x, outputs=scale * plus_one(square(x)))

    with tf.Graph().as_default(), tf1.Session() as session:
        module = hub.Module(hub.create_module_spec(module_fn))
        session.run(tf1.global_variables_initializer())
        module.export(str(tmp_path / "m"), session)
    with tf.Graph().as_default():
        module = hub.Module(str(tmp_path / "m"), trainable=True)
        x = tf.constant([2.0, -1.0])
        y = module(x)
        by_x, by_scale = tf.gradients(y, [x, module.variable_map["scale"]])
        got = _run([y, by_x, by_scale])
    np.testing.assert_allclose(got[0], [15.0, 6.0])
    np.testing.assert_allclose(got[1], [12.0, -6.0])
    assert got[2] == 7.0
