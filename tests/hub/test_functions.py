"""Tests of hubpipe.hub.functions: modules in tf.function, wrap_function and Defun, and functions in modules."""

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.compat import v1 as tf1
from tensorflow.core.framework import graph_pb2
from tensorflow.python.framework import function

from hubpipe import hub
from hubpipe.hub import functions
from tests.hub import layers


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


def _times(factor, name="times"):
    """A spec of a module that multiplies in a function whose name does not tell by what."""

    @function.Defun(tf.float32, func_name=name)
    def times(x):
        return x * factor

    def module_fn():
        x = tf1.placeholder(tf.float32, [])
        hub.add_signature(inputs=x, outputs=tf.cond(x > 0, lambda: times(x), lambda: -times(x)))

    return hub.create_module_spec(module_fn)


def test_functions_of_several_modules_and_of_the_graph_share_a_name(tmp_path):
    layers.export(_times(5.0), tmp_path / "five")
    specs = [_times(2.0), hub.load_module_spec(str(tmp_path / "five"))]

    @function.Defun(tf.float32, func_name="times")
    def times(x):
        return x * 7.0

    with tf.Graph().as_default():
        x = tf.constant(3.0)
        outputs = [times(x), *(hub.Module(spec)(x) for spec in specs)]
        got, gradients = _run([outputs, [tf.gradients(y, x)[0] for y in outputs]])
    assert got == [21.0, 6.0, 15.0]
    assert gradients == [7.0, 2.0, 5.0]


def test_a_module_of_modules_whose_functions_share_a_name(tmp_path):
    for factor in (2.0, 5.0):
        layers.export(_times(factor), tmp_path / str(factor))

    def module_fn():
        x = tf1.placeholder(tf.float32, [])
        five, two = (hub.Module(str(tmp_path / name)) for name in ("5.0", "2.0"))
        hub.add_signature(inputs=x, outputs=two(five(x)))

    layers.export(hub.create_module_spec(module_fn), tmp_path / "outer")
    with tf.Graph().as_default():
        assert _run(hub.Module(str(tmp_path / "outer"))(3.0)) == 30.0


def test_applications_share_functions():
    spec = _times(2.0)
    with tf.Graph().as_default() as graph:
        module = hub.Module(spec)
        module(1.0)
        names = {f.signature.name for f in graph.as_graph_def().library.function}
        assert len(names) == 3
        module(1.0)
        hub.Module(spec)(1.0)
        assert {f.signature.name for f in graph.as_graph_def().library.function} == names


def _noisy(seed=None):
    """A spec of a module that draws in a function, in a function called by it, and in a loop."""

    @function.Defun(tf.int32)
    def inner(shape):
        return tf.random.uniform(shape, seed=seed)

    @tf.function
    def outer(shape):
        return tf.concat([tf.random.uniform(shape, seed=seed), inner(shape)], 0)

    def module_fn():
        shape = tf1.placeholder(tf.int32, [1])
        _, last = tf.while_loop(
            lambda i, _: i < 3, lambda i, _: (i + 1, tf.random.uniform([2], seed=seed)), [0, tf.zeros([2])]
        )
        hub.add_signature(inputs=shape, outputs=tf.concat([outer(shape), last], 0))

    return hub.create_module_spec(module_fn)


def _draw(spec, seed):
    with tf.Graph().as_default():
        if seed is not None:
            tf1.set_random_seed(seed)
        module = hub.Module(spec)
        return np.concatenate(_run([module([2]), module([2])]))


def test_functions_follow_the_seed_of_the_consumer():
    spec = _noisy()
    drawn = _draw(spec, 1)
    assert len(set(drawn)) == 12
    np.testing.assert_array_equal(drawn, _draw(spec, 1))
    assert set(drawn).isdisjoint(_draw(spec, 2))
    assert set(_draw(spec, None)).isdisjoint(_draw(spec, None))


def test_seeds_of_the_publisher_stay_in_functions():
    spec = _noisy(seed=4)
    np.testing.assert_array_equal(_draw(spec, 1), _draw(spec, 2))


def test_functions_are_renamed_wherever_they_are_called():
    graph_def = graph_pb2.GraphDef()
    graph_def.node.add(name="direct", op="f")
    call = graph_def.node.add(name="call", op="PartitionedCall")
    call.attr["f"].func.name = "f"
    call.attr["f"].func.attr["g"].func.name = "g"
    graph_def.node.add(name="case", op="Case").attr["branches"].list.func.add(name="g")
    for name in ("f", "g"):
        graph_def.library.function.add().signature.name = name
    caller = graph_def.library.function[0]
    caller.node_def.add(name="call", op="g")
    caller.attr["forward_function_name"].s = b"g"
    caller.attr["other"].s = b"g"
    graph_def.library.gradient.add(function_name="f", gradient_func="g")
    names = functions.own_names(graph_def.library)
    assert functions.own_names(graph_def.library) == names
    caller.attr["other"].s = b"h"
    assert not set(functions.own_names(graph_def.library).values()) & set(names.values())

    functions.rename(graph_def, {"f": "F", "g": "G"})
    direct, call, case = graph_def.node
    assert (direct.op, call.op, case.op) == ("F", "PartitionedCall", "Case")
    assert (call.attr["f"].func.name, call.attr["f"].func.attr["g"].func.name) == ("F", "G")
    assert case.attr["branches"].list.func[0].name == "G"
    assert [renamed.signature.name for renamed in graph_def.library.function] == ["F", "G"]
    assert caller.node_def[0].op == "G"
    assert (caller.attr["forward_function_name"].s, caller.attr["other"].s) == (b"G", b"h")
    (gradient,) = graph_def.library.gradient
    assert (gradient.function_name, gradient.gradient_func) == ("F", "G")
