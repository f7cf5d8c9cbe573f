"""Checks of the nodes and functions of a graph that was read from a file."""

import collections
import graphlib
import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence

import tensorflow as tf
from tensorflow.core.framework import graph_pb2, node_def_pb2, tensor_pb2, tensor_shape_pb2, types_pb2

from hubpipe.hub import graph as graph_lib

MAX_CONSTANT_BYTES = 2 << 30  # of one constant in memory; a few bytes of a file can claim any size
# TensorFlow recurses along a path of nodes, and at some 35 000 it is at the end of a thread's stack of 8 MB.
MAX_PATH_NODES = 20_000
# Of a graph, its functions put where they are called, as TensorFlow does. Importing that many takes minutes.
MAX_NODES = 1_000_000

_MAX_RANK = 254  # TensorFlow's own limit
_MAX_INT64 = (1 << 63) - 1
_STRING_BYTES = 24  # of one string's object
_SHOWN = 5
_CONSTANT_OPS = ("Const", "HostConst")
_DTYPES = frozenset(types_pb2.DataType.values()) - {types_pb2.DT_INVALID}

Nodes = Mapping[str, node_def_pb2.NodeDef]
_Sources = Mapping[str, list[str]]  # node -> the nodes that it takes inputs from


def count_problems(graph_def: graph_pb2.GraphDef) -> Iterator[str]:
    """Too many nodes, found in no time."""
    if len(graph_def.node) > MAX_NODES:
        yield f"it has {len(graph_def.node)} nodes, accepted are {MAX_NODES}"


def problems(graph_def: graph_pb2.GraphDef, nodes: Nodes) -> Iterator[str]:
    """What is wrong with the nodes of a graph.

    Args:
        graph_def: the graph.
        nodes: dict name -> NodeDef, its nodes.
    Yields:
        One line for each problem; those after the first may only follow from it.
    """
    if len(nodes) < len(graph_def.node):
        names = collections.Counter(node.name for node in graph_def.node)
        yield f"several nodes are named {_shown(name for name, count in names.items() if count > 1)}"
    sources = _sources(nodes)
    for name, needed in sources.items():
        for source in needed:
            if source not in nodes:
                yield f"node {name!r} refers to a node {source!r} that the graph does not have"
    yield from _constant_problems(graph_def)
    yield from _size_problems(graph_def, nodes, sources)


def dtype_problems(dtype: int) -> Iterator[str]:
    """What is wrong with a DataType."""
    if dtype not in _DTYPES:
        yield f"has the unknown type {dtype}"


def shape_problems(shape: tensor_shape_pb2.TensorShapeProto) -> Iterator[str]:
    """What is wrong with a shape, which may be partly or not at all known."""
    if shape.unknown_rank and shape.dim or len(shape.dim) > _MAX_RANK:
        yield f"has the shape {shape_text(shape)}, the rank must be unknown or 0 to {_MAX_RANK}"
    sizes = [dim.size for dim in shape.dim]
    if any(size < -1 for size in sizes) or math.prod(map(abs, sizes)) > _MAX_INT64:
        yield f"has the shape {shape_text(shape)}, which no tensor has"


def shape_text(shape: tensor_shape_pb2.TensorShapeProto) -> str:
    """A shape in messages, e.g. "[-1, 50]"."""
    sizes = [dim.size for dim in shape.dim[:_SHOWN]]
    more = f" and {len(shape.dim) - _SHOWN} more" if len(shape.dim) > _SHOWN else ""
    return f"{sizes}{more} of unknown rank" if shape.unknown_rank else f"{sizes}{more}"


def _constant_problems(graph_def: graph_pb2.GraphDef) -> Iterator[str]:
    functions = (function.node_def for function in graph_def.library.function)
    for node in itertools.chain(graph_def.node, *functions):
        if node.op not in _CONSTANT_OPS or "value" not in node.attr:
            continue
        tensor = node.attr["value"].tensor
        for problem in _tensor_problems(tensor):
            yield f"constant {node.name!r} {problem}"
        if "dtype" not in node.attr or node.attr["dtype"].type != tensor.dtype:
            yield f"constant {node.name!r} holds another type than it says"


def _tensor_problems(tensor: tensor_pb2.TensorProto) -> Iterator[str]:
    yield from dtype_problems(tensor.dtype)
    yield from shape_problems(tensor.tensor_shape)
    sizes = [dim.size for dim in tensor.tensor_shape.dim]
    if tensor.tensor_shape.unknown_rank or -1 in sizes:
        yield f"has the shape {shape_text(tensor.tensor_shape)}, sizes must be known"
    claimed = math.prod(sizes) * (tf.as_dtype(tensor.dtype).size or _STRING_BYTES)
    if claimed > MAX_CONSTANT_BYTES:
        yield f"of shape {sizes} claims {claimed} bytes, accepted are {MAX_CONSTANT_BYTES}"


def _size_problems(graph_def: graph_pb2.GraphDef, nodes: Nodes, sources: _Sources) -> Iterator[str]:
    """Circles, and what a graph grows to when its functions are put where they are called."""
    bodies = {
        function.signature.name: {node.name: node for node in function.node_def}
        for function in graph_def.library.function
    }
    lengths: dict[str, int] = {}  # function -> nodes of its longest path, functions expanded
    sizes: dict[str, int] = {}  # function -> number of its nodes, functions expanded
    try:
        called = {
            name: {callee for node in body.values() for callee in callees(node, bodies)}
            for name, body in bodies.items()
        }
        for name in graphlib.TopologicalSorter(called).static_order():
            body = bodies[name]
            lengths[name], sizes[name] = _expanded(body, _sources(body), lengths, sizes)
        length, size = _expanded(nodes, sources, lengths, sizes)
    except graphlib.CycleError as error:
        yield f"nodes or functions need one another in a circle: {_shown(error.args[1])}"
        return
    if length > MAX_PATH_NODES:
        yield f"a path through it has {length} nodes, accepted are {MAX_PATH_NODES}"
    if size > MAX_NODES:
        yield f"it has {size} nodes when its functions are expanded, accepted are {MAX_NODES}"


def _expanded(
    nodes: Nodes, sources: _Sources, lengths: Mapping[str, int], sizes: Mapping[str, int]
) -> tuple[int, int]:
    """Nodes of the longest path, and number of nodes, of a graph or a function's body.

    Raises:
        CycleError: the nodes need one another in a circle.
    """
    ends: dict[str, int] = {}  # node -> nodes of the longest path to it
    size = len(nodes)
    for name in _in_order(nodes, sources):
        # What is not there yet is an argument of the function, or closes a loop.
        ends[name] = 1 + max([ends.get(source, 0) for source in sources[name]], default=0)
        if lengths:
            for callee in callees(nodes[name], lengths):
                ends[name] += lengths[callee]
                size += sizes[callee]
    return max(ends.values(), default=0), size


def _in_order(nodes: Nodes, sources: _Sources) -> Iterable[str]:
    """Names of the nodes, each after those it needs, except where a v1 while loop closes.

    Raises:
        CycleError: there is no such order.
    """
    before: set[str] = set()
    for name, needed in sources.items():
        if not before.issuperset(needed) and not before.issuperset(_ordering(nodes, name, needed)):
            graph = {other: _ordering(nodes, other, sources[other]) for other in nodes}
            return tuple(graphlib.TopologicalSorter(graph).static_order())
        before.add(name)
    return nodes


def _ordering(nodes: Nodes, name: str, needed: Iterable[str]) -> list[str]:
    """Those of the nodes that a node needs which come before it; the arguments of a function are no nodes."""
    return [source for source in needed if source in nodes and not _closes_a_loop(nodes[source], nodes[name])]


def _sources(nodes: Nodes) -> _Sources:
    return {name: [graph_lib.node_name(source) for source in node.input] for name, node in nodes.items()}


def _closes_a_loop(source: node_def_pb2.NodeDef, node: node_def_pb2.NodeDef) -> bool:
    """True for the edge of a v1 while loop that leads back to its beginning."""
    return source.op.endswith("NextIteration") and node.op.endswith("Merge")


def callees(node: node_def_pb2.NodeDef, functions: Mapping[str, object]) -> Iterator[str]:
    """Names of the functions that a node calls, each as often as it does."""
    if node.op in functions:
        yield node.op
    for value in node.attr.values():
        kind = value.WhichOneof("value")
        named: Sequence = ()
        if kind == "func":
            named = (value.func,)
        elif kind == "list":
            named = value.list.func
        yield from (function.name for function in named if function.name in functions)


def _shown(names: Iterable[str]) -> str:
    names = list(names)
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(map(repr, names[:_SHOWN])) + more
