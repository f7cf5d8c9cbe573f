"""The functions in a graph's library: their nodes, and names that no other graph's functions have."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping

from tensorflow.core.framework import attr_value_pb2, function_pb2, graph_pb2, node_def_pb2

_PYTHON_OPS = frozenset({"EagerPyFunc", "PyFunc", "PyFuncStateless"})
_DIGEST_LENGTH = 12
# Attributes of a function that name others: those of a tf.function that has gradients.
_NAMES = ("forward_function_name", "backward_function_name")


def all_nodes(graph_def: graph_pb2.GraphDef) -> Iterator[tuple[str, node_def_pb2.NodeDef]]:
    """Pairs (function, node) of a graph, whose function is "", and its functions in the order of their names."""
    yield from (("", node) for node in graph_def.node)
    for function in sorted(graph_def.library.function, key=lambda function: function.signature.name):
        yield from ((function.signature.name, node) for node in function.node_def)


def python_nodes(graph_def: graph_pb2.GraphDef) -> list[tuple[str, node_def_pb2.NodeDef]]:
    """The nodes, as of all_nodes, that call a Python function of the process that made the graph."""
    return [(function, node) for function, node in all_nodes(graph_def) if node.op in _PYTHON_OPS]


def called(node: node_def_pb2.NodeDef) -> set[str]:
    """Names of the functions that a node may call, its op among them."""
    return {node.op, *(function.name for value in node.attr.values() for function in _named(value))}


def own_names(library: function_pb2.FunctionDefLibrary) -> dict[str, str]:
    """dict name of a function -> the name with a digest of the library at its end.

    TensorFlow numbers functions from the start in each process, so that those of two modules, or of a module and
    the graph that uses it, often share names; but a graph can hold one function of a name.
    """
    messages = (*library.function, *library.gradient)
    content = b"".join(sorted(message.SerializeToString(deterministic=True) for message in messages))
    digest = hashlib.sha256(content).hexdigest()[:_DIGEST_LENGTH]
    return {function.signature.name: f"{function.signature.name}_{digest}" for function in library.function}


def rename(graph_def: graph_pb2.GraphDef, names: Mapping[str, str]) -> None:
    """Gives functions of a graph other names, there and wherever they are called.

    Args:
        graph_def: the graph, which is changed.
        names: dict name -> new name.
    """
    if not names:
        return
    for _, node in all_nodes(graph_def):
        node.op = names.get(node.op, node.op)
        _rename_in(node.attr, names)
    for function in graph_def.library.function:
        function.signature.name = names.get(function.signature.name, function.signature.name)
        _rename_in(function.attr, names)
        for key in set(_NAMES).intersection(function.attr):
            name = function.attr[key].s.decode("utf-8", "surrogateescape")
            function.attr[key].s = names.get(name, name).encode("utf-8", "surrogateescape")
    for gradient in graph_def.library.gradient:
        gradient.function_name = names.get(gradient.function_name, gradient.function_name)
        gradient.gradient_func = names.get(gradient.gradient_func, gradient.gradient_func)


def _rename_in(attributes: Mapping[str, attr_value_pb2.AttrValue], names: Mapping[str, str]) -> None:
    for value in attributes.values():
        for function in _named(value):
            function.name = names.get(function.name, function.name)
            _rename_in(function.attr, names)


def _named(value: attr_value_pb2.AttrValue) -> Iterable[attr_value_pb2.NameAttrList]:
    kind = value.WhichOneof("value")
    return (value.func,) if kind == "func" else value.list.func if kind == "list" else ()
