"""Tests of hubpipe.hub.graph."""

import pytest
from tensorflow.core.framework import graph_pb2, node_def_pb2

from hubpipe import errors
from hubpipe.hub import graph


def _node(name, *inputs, colocated_with=()):
    node = node_def_pb2.NodeDef(name=name, op="NoOp", input=inputs)
    if colocated_with:
        node.attr["_class"].list.s[:] = [b"loc:@" + other.encode() for other in colocated_with]
    return node


def _chain():
    """x -> a -> b -> c, where c also waits for d."""
    return graph_pb2.GraphDef(
        node=[_node("x"), _node("a", "x:1"), _node("b", "a"), _node("d"), _node("c", "b", "^d")],
        versions={"producer": 7},
    )


@pytest.mark.parametrize(
    ("name", "node", "tensor"), [("a", "a", "a:0"), ("s/a:1", "s/a", "s/a:1"), ("a:0", "a", "a:0")]
)
def test_names(name, node, tensor):
    assert graph.node_name(name) == node
    assert graph.tensor_name(name) == tensor


def test_control_inputs():
    assert graph.is_control("^a") and not graph.is_control("a:0")
    assert graph.node_name("^s/a") == "s/a"


def test_a_cut_covers_nodes_and_tensors():
    cut = graph.Cut(frozenset({"w"}), frozenset({"x:0"}))
    covered = ("w", "w:0", "w:5", "^w", "x", "x:0", "^x")
    assert [name for name in (*covered, "x:1", "y", "^y") if cut.covers(name)] == list(covered)
    assert cut.touched == {"w", "x"}


@pytest.mark.parametrize(
    ("targets", "cut", "needed"),
    [
        (["c"], graph.Cut(), {"c", "d", "b", "a", "x"}),
        (["b:0"], graph.Cut(), {"b", "a", "x"}),
        (["c"], graph.Cut(tensors=frozenset({"b:0"})), {"c", "d"}),
        (["c"], graph.Cut(nodes=frozenset({"x", "d"})), {"c", "b", "a"}),
        (["c"], graph.Cut(tensors=frozenset({"x:0"})), {"c", "d", "b", "a", "x"}),
        (["c"], graph.Cut(nodes=frozenset({"c"})), set()),
    ],
)
def test_ancestors(targets, cut, needed):
    nodes = {node.name: node for node in _chain().node}
    assert graph.ancestors(nodes, targets, cut) == needed


def test_a_node_that_is_missing():
    with pytest.raises(errors.FormatError, match="refers to a node 'gone' that it does not have"):
        graph.ancestors({"a": _node("a", "^gone")}, ["a"], graph.Cut())


def test_a_subgraph_keeps_order_versions_and_data_inputs():
    original = _chain()
    original.library.function.add().signature.name = "f"
    part = graph.subgraph(original, {"c", "b"}, frozenset(), lambda node: None)
    assert [(node.name, list(node.input)) for node in part.node] == [("b", ["a"]), ("c", ["b"])]
    assert part.versions.producer == 7
    assert part.library.function[0].signature.name == "f"


def test_a_subgraph_keeps_control_inputs_that_are_fed():
    part = graph.subgraph(_chain(), {"c"}, {"d"}, lambda node: None)
    assert list(part.node[0].input) == ["b", "^d"]


def test_a_subgraph_is_a_copy():
    original = _chain()
    before = original.SerializeToString()

    def rename(node):
        node.name = node.name.upper()

    part = graph.subgraph(original, {"a"}, frozenset(), rename)
    assert [node.name for node in part.node] == ["A"]
    assert original.SerializeToString() == before


def test_colocations_with_nodes_that_are_kept():
    node = _node("a", colocated_with=("b", "c"))
    assert graph.colocated_with(node) == ["b", "c"]
    graph.keep_colocations(node, {"c"})
    assert graph.colocated_with(node) == ["c"]
    graph.keep_colocations(node, set())
    assert "_class" not in node.attr
    graph.keep_colocations(node, set())
    assert graph.colocated_with(node) == []
