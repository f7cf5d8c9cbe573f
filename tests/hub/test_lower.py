"""Tests of hubpipe.hub.lower."""

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.compat import v1 as tf1
from tensorflow.core.framework import types_pb2

from hubpipe import hub
from hubpipe.hub import lower, readers


def _lowered(module_fn):
    """The meta graph of a module_fn, which stays as it is, and what it is lowered to."""
    original = hub.create_module_spec(module_fn).variant().meta_graph
    copy = type(original)()
    copy.CopyFrom(original)
    result = lower.lowered(original)
    assert original == copy
    return original, result


def _obstacles(meta_graph):
    return [obstacle.op for obstacle in readers.obstacles(meta_graph, "1.15")]


def _nodes(meta_graph):
    return {node.name: node for node in meta_graph.graph_def.node}


def _run(meta_graph, fetches, feeds):
    with tf.Graph().as_default(), tf1.Session() as session:
        tf.graph_util.import_graph_def(meta_graph.graph_def, name="")
        return session.run(fetches, feeds)


def _same(original, result, fetches, feeds):
    before, after = _run(original, fetches, feeds), _run(result, fetches, feeds)
    for one, other in zip(before, after, strict=True):
        np.testing.assert_array_equal(one, other)
        assert one.dtype == other.dtype
    return after


def test_a_graph_for_all_readers_stays():
    def module_fn():
        x = tf1.placeholder(tf.float32, [None, 2], name="x")
        hub.add_signature(inputs=x, outputs=tf.nn.relu(x))

    original, result = _lowered(module_fn)
    assert result == original


def test_names_in_messages_go():
    def module_fn():
        hub.add_signature(outputs=tf1.get_variable("w", [], initializer=tf1.zeros_initializer()) + 1.0)

    original, result = _lowered(module_fn)
    assert original.graph_def.node[-1].op == "AddV2"
    assert "debug_name" not in _nodes(result)["w"].attr
    assert _obstacles(result) == []


def test_defaults_go_in_functions_too():
    def module_fn():
        x = tf1.placeholder(tf.float32, [None, 2], name="x")
        hub.add_signature(inputs=x, outputs=tf.function(lambda x: tf.matmul(x, x, transpose_b=True))(x))

    original, _ = _lowered(module_fn)
    for node in original.graph_def.library.function[0].node_def:
        if node.op == "MatMul":
            node.attr["transpose_a"].b = False
            node.attr["a_new_one"].b = False
    (matmul,) = (n for n in lower.lowered(original).graph_def.library.function[0].node_def if n.op == "MatMul")
    assert set(matmul.attr) - {"_output_shapes"} == {"T", "transpose_b", "a_new_one"}


def test_a_default_that_was_none_is_written():
    def module_fn():
        x = tf1.placeholder(tf.float32, [None], name="x")
        splits = tf1.placeholder(tf.int64, [None], name="splits")
        ragged = {"rt_nested_splits": [splits], "rt_dense_values": x}
        variant = tf.raw_ops.RaggedTensorToVariant(**ragged, batched_input=False)
        back = tf.raw_ops.RaggedTensorFromVariant(
            encoded_ragged=variant, input_ragged_rank=1, output_ragged_rank=1, Tvalues=tf.float32, Tsplits=tf.int64
        )
        hub.add_signature(
            inputs={"x": x, "splits": splits}, outputs={"default": back.output_dense_values}
        )

    original, result = _lowered(module_fn)
    assert _obstacles(original) == ["RaggedTensorToVariant", "RaggedTensorFromVariant"]
    assert _nodes(result)["RaggedTensorToVariant"].attr["Tsplits"].type == types_pb2.DT_INT64
    assert _obstacles(result) == []


@pytest.mark.parametrize("combiner", ["sum", "mean", "sqrtn"])
def test_segment_ids(combiner):
    def module_fn():
        table = tf1.placeholder(tf.float32, [5, 3], name="table")
        ids = tf1.placeholder(tf.int64, [4], name="ids")
        rows = tf.stack([tf.constant([0, 0, 2, 3], tf.int64), tf.constant([0, 1, 0, 0], tf.int64)], axis=1)
        sparse = tf.SparseTensor(rows, ids, [4, 2])
        outputs = tf.nn.embedding_lookup_sparse(table, sparse, None, combiner=combiner)
        hub.add_signature(inputs={"table": table, "ids": ids}, outputs=tf.identity(outputs, "outputs"))

    original, result = _lowered(module_fn)
    assert len(_obstacles(original)) == 1
    assert _obstacles(result) == []
    feeds = {"table:0": np.arange(15).reshape(5, 3), "ids:0": [4, 0, 1, 1]}
    (values,) = _same(original, result, ["outputs:0"], feeds)
    assert values[3].tolist() == [3, 4, 5]
    gradients = []
    for meta_graph in (original, result):
        with tf.Graph().as_default() as graph, tf1.Session() as session:
            tf.graph_util.import_graph_def(meta_graph.graph_def, name="")
            outputs, table = graph.get_tensor_by_name("outputs:0"), graph.get_tensor_by_name("table:0")
            (gradient,) = tf1.gradients(outputs**2, table)
            assert isinstance(gradient, tf.IndexedSlices)
            gradients.append(session.run(tf.convert_to_tensor(gradient), feeds))
    np.testing.assert_allclose(gradients[0], gradients[1], rtol=1e-6)
    listed = [op.name for op in result.meta_info_def.stripped_op_list.op]
    assert {"Cast", "Unique", "GatherV2"} <= set(listed)
    assert listed == sorted({node.op for node in result.graph_def.node})


def test_segment_ids_in_a_function():
    @tf.function
    def pool(table, rows):
        return tf.math.segment_sum(table, rows) + tf.sparse.segment_sum(table, [0, 1, 1], rows)

    def module_fn():
        table = tf1.placeholder(tf.float32, [3, 2], name="table")
        rows = tf1.placeholder(tf.int64, [3], name="rows")
        hub.add_signature(
            inputs={"table": table, "rows": rows}, outputs=tf.identity(pool(table, rows), "outputs")
        )

    original, result = _lowered(module_fn)
    assert _obstacles(original) == ["SparseSegmentSum"]
    assert _obstacles(result) == []
    (values,) = _same(original, result, ["outputs:0"], {"table:0": np.eye(3)[:, :2], "rows:0": [0, 0, 1]})
    assert values.tolist() == [[2, 2], [0, 1]]


def test_segment_ids_in_a_v1_loop_stay():
    def module_fn():
        was_enabled = tf1.control_flow_v2_enabled()
        tf1.disable_control_flow_v2()
        table = tf1.placeholder(tf.float32, [3, 2], name="table")
        rows = tf1.placeholder(tf.int64, [3], name="rows")
        _, outputs = tf1.while_loop(
            lambda i, _: i < 2,
            lambda i, value: (i + 1, value + tf.reduce_sum(tf1.sparse.segment_sum(table, [0, 1, 1], rows))),
            [0, 0.0],
        )
        if was_enabled:
            tf1.enable_control_flow_v2()
        hub.add_signature(inputs={"table": table, "rows": rows}, outputs=outputs)

    original, result = _lowered(module_fn)
    assert _obstacles(original) == _obstacles(result) == ["SparseSegmentSum"]


@pytest.mark.parametrize("dtype", [tf.int32, tf.int64])
@pytest.mark.parametrize("weights", [[], [0.5, 1.5, 2.5, 3.5]])
def test_counts(dtype, weights):
    def module_fn():
        x = tf1.placeholder(dtype, [None], name="x")
        size = tf1.placeholder(dtype, [], name="size")
        weight = tf.constant(weights, tf.float32)
        counts = tf.raw_ops.DenseBincount(input=x, size=size, weights=weight, name="counts")
        hub.add_signature(inputs={"x": x, "size": size}, outputs=counts)

    original, result = _lowered(module_fn)
    assert _obstacles(original) == ["DenseBincount"]
    assert _obstacles(result) == []
    large = [2**32 + 1, 2**62] if dtype == tf.int64 else [2**31 - 1, 7]
    (values,) = _same(original, result, ["counts:0"], {"x:0": [1, 2, *large], "size:0": 4})
    assert values.tolist() == ([0, 0.5, 1.5, 0] if weights else [0, 1, 1, 0])
    negative = {"x:0": [1, 2, 3, -1 if dtype == tf.int32 else -(2**32) + 1], "size:0": 4}
    for meta_graph in (original, result):
        with pytest.raises(tf.errors.InvalidArgumentError, match="non-negative"):
            _run(meta_graph, ["counts:0"], negative)


@pytest.mark.parametrize(("shape", "is_binary"), [([None, 3], False), (None, False), ([None], True)])
def test_other_counts_stay(shape, is_binary):
    def module_fn():
        x = tf1.placeholder(tf.int32, shape, name="x")
        hub.add_signature(
            inputs=x, outputs=tf.raw_ops.DenseBincount(input=x, size=4, weights=[0.0][:0], binary_output=is_binary)
        )

    original, result = _lowered(module_fn)
    assert _obstacles(result) == ["DenseBincount"]


def test_ragged_words():
    def module_fn():
        text = tf1.placeholder(tf.string, [None], name="text")
        words = tf.strings.split(text)
        lengths = tf.identity(words.row_lengths(), "lengths")
        hub.add_signature(inputs=text, outputs={"default": lengths, "words": words.to_sparse(name="words").values})

    original, result = _lowered(module_fn)
    assert _obstacles(original) == ["DenseBincount"]
    assert _obstacles(result) == []
    (values,) = _same(original, result, ["lengths:0"], {"text:0": ["a b", "", "c"]})
    assert values.tolist() == [2, 0, 1]


@pytest.mark.parametrize("shape", [[3], [None]])
def test_assignments(shape):
    def module_fn():
        x = tf1.placeholder(tf.float32, shape, name="x")
        mean = tf1.get_variable("mean", [3], initializer=tf1.zeros_initializer(), trainable=False)
        tf1.add_to_collection(tf1.GraphKeys.UPDATE_OPS, mean.assign(x).op)
        hub.add_signature(inputs=x, outputs=x + mean)

    original, result = _lowered(module_fn)
    assert _obstacles(original)[-1] == "AssignVariableOp"
    assert _obstacles(result) == ([] if shape == [3] else ["AssignVariableOp"])  # the check of another may fail


def test_a_graph_that_tensorflow_refuses_is_lowered_where_no_shape_is_asked_for():
    def module_fn():
        x = tf1.placeholder(tf.int32, [None], name="x")
        weight = tf1.get_variable("w", [], initializer=tf1.zeros_initializer())
        counts = tf.raw_ops.DenseBincount(input=x, size=4, weights=[0.0][:0], name="counts")
        hub.add_signature(inputs=x, outputs=counts + weight)

    original, _ = _lowered(module_fn)
    broken = original.graph_def.node.add(name="broken", op="SparseSegmentSum")
    broken.attr["Tsegmentids"].type = types_pb2.DT_INT64
    original.graph_def.node.add(name="assign", op="AssignVariableOp").attr["validate_shape"].b = True
    original.graph_def.node.add(name="count", op="DenseBincount")
    result = lower.lowered(original)
    assert "debug_name" not in _nodes(result)["w"].attr
    assert _nodes(result)["counts"].op == "DenseBincount"
