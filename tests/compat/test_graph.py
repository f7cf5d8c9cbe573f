"""Tests of hubpipe.compat.graph and hubpipe.compat.checkpoints."""

import numpy as np
import tensorflow as tf
from tensorflow.compat import v1 as tf1

from hubpipe.compat import checkpoints, graph


def test_graphs_of_functions():
    seen = []

    @tf.function
    def function():
        seen.append((graph.is_function_graph(tf1.get_default_graph()), graph.outermost_is_eager()))

    function()
    with tf.Graph().as_default() as outer:
        function()
        seen.append((graph.is_function_graph(outer), graph.outermost_is_eager()))
    assert seen[0] == (True, True)
    assert seen[-1] == (False, False)


def test_colocation_groups_are_set_and_removed():
    with tf.Graph().as_default():
        operation = tf.constant(1, name="a").op
        graph.set_colocation(operation, {b"loc:@z", b"loc:@b"})
        assert operation.colocation_groups() == [b"loc:@b", b"loc:@z"]
        graph.set_colocation(operation, set())
        assert operation.colocation_groups() == [b"loc:@a"]
        graph.set_colocation(operation, set())


def test_shared_names_get_a_prefix():
    with tf.Graph().as_default():
        named = tf1.get_variable("v", [1], use_resource=True).handle.op
        unnamed = tf1.get_variable("u", [1], use_resource=False).op
        for operation in (named, unnamed, tf.constant(1).op):
            graph.prefix_shared_name(operation, "m")
        assert named.get_attr("shared_name") == b"m/v"
        assert unnamed.get_attr("shared_name") == b""


def test_variables_read_checkpoints(tmp_path):
    prefix = str(tmp_path / "model.ckpt")
    values = [np.float32(7), np.arange(6, dtype=np.float32).reshape(3, 2)]
    tf.raw_ops.SaveV2(prefix=prefix, tensor_names=["a", "b"], shape_and_slices=["", ""], tensors=values)
    with tf.Graph().as_default(), tf1.Session() as session:
        whole = tf1.get_variable("whole", [])
        partitioned = tf1.get_variable("parts", [3, 2], partitioner=tf1.fixed_size_partitioner(2))
        checkpoints.initialize(whole, prefix, "a")
        for part in partitioned:
            checkpoints.initialize(part, prefix, "b")
        session.run(tf1.global_variables_initializer())
        assert session.run(whole) == 7
        np.testing.assert_array_equal(session.run(tf.convert_to_tensor(partitioned)), values[1])
