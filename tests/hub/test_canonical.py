"""Tests of hubpipe.hub.canonical."""

import re
import uuid

from tensorflow.core.protobuf import meta_graph_pb2

from hubpipe.hub import canonical


def _graph(names, functions=()):
    meta_graph = meta_graph_pb2.MetaGraphDef()
    for index, name in enumerate(names):
        node = meta_graph.graph_def.node.add(name=f"n{index}", op="HashTableV2")
        node.attr["shared_name"].s = name.encode()
    for name in functions:
        meta_graph.graph_def.library.function.add().signature.name = name
        meta_graph.graph_def.library.gradient.add(function_name=name)
    return meta_graph


def _names(meta_graph):
    return [node.attr["shared_name"].s.decode() for node in meta_graph.graph_def.node]


def test_random_names_become_numbers():
    first, second = uuid.uuid4(), uuid.uuid4()
    others = ["hash_table_vocab.txt_-2_-1", ""]
    names = [f"hash_table_{first}", f"m/hash_table_{second}", f"hash_table_{first}", *others]
    numbered = _names(canonical.canonical(_graph(names)))
    zeros = "00000000-0000-0000-0000-00000000000"
    assert numbered == [f"hash_table_{zeros}0", f"m/hash_table_{zeros}1", f"hash_table_{zeros}0", *others]


def test_a_second_time_changes_nothing():
    once = canonical.canonical(_graph([f"hash_table_{uuid.uuid4()}" for _ in range(12)]))
    assert len(set(_names(once))) == 12
    assert all(re.search(r"_0{8}-0000-0000-0000-0{11}[0-9a-b]$", name) for name in _names(once))
    assert canonical.canonical(once) == once


def test_functions_are_in_order():
    graph = _graph([], ["g", "f", "h"])
    result = canonical.canonical(graph).graph_def.library
    assert [function.signature.name for function in result.function] == ["f", "g", "h"]
    assert [gradient.function_name for gradient in result.gradient] == ["f", "g", "h"]
    assert [function.signature.name for function in graph.graph_def.library.function] == ["g", "f", "h"]
