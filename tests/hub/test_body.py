"""Tests of hubpipe.hub.body."""

import tensorflow as tf
from tensorflow.core.framework import graph_pb2

from hubpipe.hub import body


def _graph_def():
    graph_def = graph_pb2.GraphDef()
    graph_def.node.add(name="x", op="Placeholder")
    graph_def.node.add(name="x_1", op="Placeholder")
    graph_def.library.function.add().signature.name = "f"
    return graph_def


def test_names_are_free():
    graph_def = _graph_def()
    graph, _ = body.bodies(graph_def)
    assert graph.add("Identity", "y", ["x"], T=1) == "y"
    assert graph.add("Identity", "x", ["x"], T=1) == "x_2"
    assert graph.add("Identity", "x", ["x"], T=1) == "x_3"
    assert [node.name for node in graph_def.node] == ["x", "x_1", "y", "x_2", "x_3"]
    assert graph.by_name["x_3"].attr["T"].type == 1
    assert list(graph.by_name["x_3"].input) == ["x"]


def test_tensors_of_graphs():
    graph, _ = body.bodies(_graph_def())
    assert graph.tensor("u", "y") == "u"
    assert graph.tensor("u", "idx", 1) == "u:1"
    assert graph.add_constant("c", tf.make_tensor_proto(2)) == "c"


def test_tensors_of_functions_name_the_output():
    graph_def = _graph_def()
    _, function = body.bodies(graph_def)
    assert function.is_function
    assert function.add("Cast", "c", ["x"], SrcT=9, DstT=3) == "c"
    assert function.tensor("c", "y") == "c:y:0"
    assert function.tensor("u", "idx", 1) == "u:idx:0"
    assert function.add_constant("c", tf.make_tensor_proto(-1, tf.int64)) == "c_1:output:0"
    assert tf.make_ndarray(graph_def.library.function[0].node_def[1].attr["value"].tensor) == -1
