"""Tests of hubpipe.hub.unneeded."""

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.compat import v1 as tf1

from hubpipe import hub
from hubpipe.hub import unneeded

_SEED = [1, 2]
_YOUNG = frozenset({"StatelessRandomUniformV2", "StatelessRandomGetKeyCounter"})


def _is_readable(node):
    return node.op not in _YOUNG


def _removed(module_fn):
    """The meta graph of a module_fn without what is not needed of the younger ops."""
    meta_graph = type(tf1.MetaGraphDef())()
    meta_graph.CopyFrom(hub.create_module_spec(module_fn).variant().meta_graph)
    assert any(not _is_readable(node) for node in _all_nodes(meta_graph))
    unneeded.remove(meta_graph, _is_readable)
    return meta_graph


def _all_nodes(meta_graph):
    functions = (function.node_def for function in meta_graph.graph_def.library.function)
    return [node for nodes in (meta_graph.graph_def.node, *functions) for node in nodes]


def _ops(meta_graph):
    return {node.op for node in _all_nodes(meta_graph)}


def _has_young(meta_graph):
    return _ops(meta_graph) >= _YOUNG


def _nodes(meta_graph):
    return {node.name: node for node in meta_graph.graph_def.node}


def _random(shape, dtype=tf.float32):
    maximum = None if dtype.is_floating else 9
    return tf.random.stateless_uniform(shape, _SEED, maxval=maximum, dtype=dtype)


def _initial(shape, dtype=tf.float32, **_):
    return _random(shape, dtype) + tf.constant(1, dtype)


@pytest.mark.parametrize("use_resource", [True, False])
@pytest.mark.parametrize("dtype", [tf.float32, tf.float64, tf.int64])
def test_initial_values_become_zeros(use_resource, dtype):
    def module_fn():
        shape = [2, 3]
        variable = tf1.get_variable("w", shape, dtype, _initial, use_resource=use_resource, trainable=False)
        hub.add_signature(outputs=tf.identity(variable, "outputs"))

    meta_graph = _removed(module_fn)
    assert _YOUNG.isdisjoint(_ops(meta_graph))
    with tf.Graph().as_default(), tf1.Session() as session:
        tf.graph_util.import_graph_def(meta_graph.graph_def, name="")
        session.run("w/Assign")
        value = session.run("outputs:0")
    np.testing.assert_array_equal(value, np.zeros([2, 3], dtype.as_numpy_dtype))
    assert value.dtype == dtype.as_numpy_dtype


def test_zeros_of_a_large_variable_are_small():
    def module_fn():
        variable = tf1.get_variable("w", [1 << 20, 1 << 12], initializer=_initial)
        hub.add_signature(outputs=tf.gather(variable, [0]))

    meta_graph = _removed(module_fn)
    assert _YOUNG.isdisjoint(_ops(meta_graph))
    constants = [node.attr["value"].tensor for node in meta_graph.graph_def.node if node.op == "Const"]
    assert all(tf.TensorShape(value.tensor_shape).num_elements() <= 2 for value in constants)
    assert meta_graph.ByteSize() < 20_000


def test_parts_of_a_partitioned_variable():
    def module_fn():
        partitioner = tf1.fixed_size_partitioner(2)
        variable = tf1.get_variable(
            "w", [5, 2], initializer=lambda shape, dtype, partition_info: _random(shape), partitioner=partitioner
        )
        hub.add_signature(outputs=tf.convert_to_tensor(variable))

    assert _YOUNG.isdisjoint(_ops(_removed(module_fn)))


def test_an_initial_value_that_readers_see_stays():
    def module_fn():
        variable = tf1.get_variable("w", [2], initializer=_initial)
        hub.add_signature(outputs=variable - variable.initial_value)

    assert _has_young(_removed(module_fn))


@pytest.mark.parametrize(
    "collection", [tf1.GraphKeys.UPDATE_OPS, tf1.GraphKeys.REGULARIZATION_LOSSES]
)
def test_what_collections_lead_to_stays(collection):
    def module_fn():
        tf1.add_to_collection(collection, _random([]))
        hub.add_signature(outputs=tf.constant(1))

    assert _has_young(_removed(module_fn))


def test_what_nothing_leads_to_goes():
    def module_fn():
        x = tf1.placeholder(tf.float32, [2], name="x")
        unused = tf1.placeholder(tf.float32, [2], name="unused")
        tf.add(_random([2]), x, name="dead")
        hub.add_signature(inputs={"x": x, "unused": unused}, outputs=tf.identity(x, "outputs"))

    assert sorted(_nodes(_removed(module_fn))) == ["outputs", "unused", "x"]


def test_colocation_with_what_goes_is_forgotten():
    def module_fn():
        x = tf1.placeholder(tf.float32, [2], name="x")
        dead = _random([2])
        with tf1.colocate_with(dead):
            outputs = tf.identity(x, "outputs")
        hub.add_signature(inputs=x, outputs=outputs)

    assert "_class" not in _nodes(_removed(module_fn))["outputs"].attr


def test_functions_that_nothing_calls_go():
    @tf.function
    def random():
        return _random([2])

    @tf.function
    def nested():
        return random() + 1.0

    @tf.function
    def plain(x):
        return x + 1.0

    def module_fn():
        x = tf1.placeholder(tf.float32, [2], name="x")
        nested()
        hub.add_signature(inputs=x, outputs=plain(x))

    functions = _removed(module_fn).graph_def.library.function
    assert len(functions) == 1
    assert "plain" in functions[0].signature.name


def test_functions_that_are_called_stay():
    @tf.function
    def random():
        return _random([2])

    @tf.function
    def nested():
        return random() + 1.0

    def module_fn():
        hub.add_signature(outputs=nested())

    meta_graph = _removed(module_fn)
    assert _has_young(meta_graph)
    assert len(meta_graph.graph_def.library.function) == 2


def test_an_initial_value_that_a_function_computes():
    random = tf.function(lambda: _random([2]))

    def module_fn():
        variable = tf1.get_variable("w", initializer=lambda: random())
        hub.add_signature(outputs=tf.identity(variable))

    meta_graph = _removed(module_fn)
    assert _YOUNG.isdisjoint(_ops(meta_graph))
    assert len(meta_graph.graph_def.library.function) == 0


def test_only_what_cannot_be_read_is_a_reason():
    def module_fn():
        x = tf1.placeholder(tf.float32, [2], name="x")
        tf.identity(x, "dead")
        variable = tf1.get_variable("w", [2], initializer=tf1.random_uniform_initializer())
        hub.add_signature(inputs=x, outputs=x + variable)

    meta_graph = hub.create_module_spec(module_fn).variant().meta_graph
    copy = type(meta_graph)()
    copy.CopyFrom(meta_graph)
    unneeded.remove(copy, _is_readable)
    assert copy == meta_graph


def test_what_v1_control_flow_mentions_stays():
    def module_fn():
        was_enabled = tf1.control_flow_v2_enabled()
        tf1.disable_control_flow_v2()
        x = tf1.placeholder(tf.float32, [2], name="x")
        tf1.cond(tf.reduce_sum(x) > 0, lambda: _random([2]), lambda: x)  # no output
        if was_enabled:
            tf1.enable_control_flow_v2()
        hub.add_signature(inputs=x, outputs=x + 1.0)

    assert _has_young(_removed(module_fn))
