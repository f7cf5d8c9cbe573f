"""Tests of hubpipe.hub.readers."""

import pytest
import tensorflow as tf
from absl import logging
from tensorflow.compat import v1 as tf1
from tensorflow.core.framework import attr_value_pb2, node_def_pb2, types_pb2
from tensorflow.core.protobuf import meta_graph_pb2

from hubpipe import errors, hub
from hubpipe.hub import readers

_FLOAT = {"type": types_pb2.DT_FLOAT}


def _graph(*nodes, functions=()):
    meta_graph = meta_graph_pb2.MetaGraphDef()
    meta_graph.graph_def.node.extend(nodes)
    for name, body in functions:
        function = meta_graph.graph_def.library.function.add()
        function.signature.name = name
        function.node_def.extend(body)
    return meta_graph


def _node(op, name="n", **attributes):
    values = {key: attr_value_pb2.AttrValue(**value) for key, value in attributes.items()}
    return node_def_pb2.NodeDef(name=name, op=op, attr=values)


def _obstacles(*nodes, version="1.15", functions=()):
    return list(map(str, readers.obstacles(_graph(*nodes, functions=functions), version)))


def test_versions():
    assert readers.versions()[:3] == ["1.15", "2.1", "2.2"]


def test_a_graph_that_all_read():
    assert _obstacles(_node("Identity", T=_FLOAT)) == []
    assert readers.oldest_reader([_graph(_node("Identity", T=_FLOAT))]) == "1.15"
    assert readers.oldest_reader([]) == "1.15"


def test_a_younger_op():
    node = _node("StatelessRandomUniformV2", dtype=_FLOAT, Tshape={"type": 3})
    assert _obstacles(node) == ["node 'n': StatelessRandomUniformV2 needs TensorFlow 2.4"]
    assert _obstacles(node, version="2.4") == []
    assert readers.oldest_reader([_graph(), _graph(node)]) == "2.4"


def test_an_op_of_nobody():
    assert _obstacles(_node("Frobnicate")) == ["node 'n': Frobnicate is in no TensorFlow that hubpipe knows of"]
    assert readers.oldest_reader([_graph(_node("Frobnicate"))]) is None


@pytest.mark.parametrize(
    ("node", "cause", "oldest"),
    [
        (
            _node("VarHandleOp", dtype=_FLOAT, shape={"shape": {}}, debug_name={"s": b"a/"}),
            "attribute debug_name = b'a/'",
            "2.15",
        ),
        (
            _node("AssignVariableOp", dtype=_FLOAT, validate_shape={"b": True}),
            "attribute validate_shape = True",
            "2.8",
        ),
        (_node("SparseSegmentSum", T=_FLOAT, Tsegmentids={"type": 9}), "attribute Tsegmentids = DT_INT64", "2.4"),
        (_node("StringJoin", N={"i": 0}), "attribute N = 0", "2.15"),
        (_node("Identity", T={"type": types_pb2.DT_FLOAT8_E5M2}), "attribute T = DT_FLOAT8_E5M2", "2.15"),
        (
            _node("RaggedTensorToVariant", RAGGED_RANK={"i": 1}, Tvalues=_FLOAT, batched_input={"b": True}),
            "no attribute Tsplits",
            "2.1",
        ),
    ],
)
def test_an_attribute_that_does_not_fit(node, cause, oldest):
    assert _obstacles(node) == [f"node 'n': {node.op} with {cause} needs TensorFlow {oldest}"]


def test_a_string_that_is_not_allowed():
    sizes = {"list": {"i": [1, 2, 2, 1]}}
    node = _node("MaxPool", T=_FLOAT, ksize=sizes, strides=sizes, padding={"s": b"EXPLICIT"})
    assert _obstacles(node) == ["node 'n': MaxPool with attribute padding = b'EXPLICIT' needs TensorFlow 2.4"]
    node.attr["padding"].s = b"SAME"
    assert _obstacles(node) == []


def test_a_constant_of_a_younger_dtype():
    dtype = types_pb2.DT_FLOAT8_E5M2
    value = {"tensor": {"dtype": dtype, "tensor_shape": {}}}
    (obstacle,) = readers.obstacles(_graph(_node("Const", dtype={"type": dtype}, value=value)), "1.15")
    assert (obstacle.cause, obstacle.oldest) == ("attribute dtype = DT_FLOAT8_E5M2", "2.15")


def test_references_have_the_dtype_they_refer_to():
    assert _obstacles(_node("Identity", T={"type": types_pb2.DT_FLOAT_REF})) == []


def test_annotations_are_for_all_ops():
    assert _obstacles(_node("Identity", T=_FLOAT, _class={"list": {}}, _output_shapes={"list": {}})) == []


def test_bodies_of_functions():
    body = [
        _node("Frobnicate", "inner"),
        _node("g", "call"),
        _node("Identity", "generic", T={"placeholder": "T"}),
    ]
    functions = [("f", body), ("g", [])]
    assert _obstacles(_node("f"), _node("Identity", T=_FLOAT), functions=functions) == [
        "function 'f', node 'inner': Frobnicate is in no TensorFlow that hubpipe knows of"
    ]


def test_an_unknown_version():
    with pytest.raises(errors.ExportError) as caught:
        readers.obstacles(_graph(), "1.14")
    assert str(caught.value).startswith("Unknown TensorFlow version '1.14'; known are 1.15, 2.1, ")


def _stateless():
    hub.add_signature(inputs={"seed": (seed := tf1.placeholder(tf.int32, [2]))}, outputs=_random(seed, "one"))
    hub.add_signature("more", inputs={"seed": seed}, outputs=_random(seed, "two"))


def _random(seed, name):
    return tf.random.stateless_uniform([2], seed, name=name)


def test_a_spec_tells_its_readers():
    spec = hub.create_module_spec(_stateless)
    assert spec.oldest_reader == "2.6"  # StatelessRandomGetKeyCounter
    assert spec.obstacles("2.6") == []
    assert len(spec.obstacles("1.15")) == 4
    assert spec.obstacles("2.4") == [
        f"graph variant tags=[], node '{name}/StatelessRandomGetKeyCounter': "
        "StatelessRandomGetKeyCounter needs TensorFlow 2.6"
        for name in ("one", "two")
    ]


def test_an_export_warns_in_one_line(tmp_path, monkeypatch):
    lines = []
    monkeypatch.setattr(logging, "warning", lambda message, *values: lines.append(message % values))
    spec = hub.create_module_spec(_stateless)
    spec.write(str(tmp_path / "m"), lambda prefix: None)
    assert lines == [
        f"{tmp_path}/m: TensorFlow 1.15 cannot read this module: graph variant tags=[], node "
        "'one/StatelessRandomGetKeyCounter': StatelessRandomGetKeyCounter needs TensorFlow 2.6 and 3 more."
    ]
