"""What a graph has and no reader of the module needs: initial values of variables, and what nothing leads to."""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Set

import tensorflow as tf
from tensorflow.compat import v1 as tf1
from tensorflow.core.framework import graph_pb2, node_def_pb2, tensor_pb2, types_pb2
from tensorflow.core.protobuf import meta_graph_pb2

from hubpipe.hub import body as body_lib
from hubpipe.hub import format
from hubpipe.hub import graph as graph_lib
from hubpipe.hub import signature as signature_lib
from hubpipe.hub import variant as variant_lib

# Collections of names of nodes and tensors.
_NAME_COLLECTIONS = (
    tf1.GraphKeys.TABLE_INITIALIZERS,
    tf1.GraphKeys.UPDATE_OPS,
    tf1.GraphKeys.REGULARIZATION_LOSSES,
    tf1.GraphKeys.ASSET_FILEPATHS,
)

IsReadable = Callable[[node_def_pb2.NodeDef], bool]


def remove(meta_graph: meta_graph_pb2.MetaGraphDef, is_readable: IsReadable) -> None:
    """Takes what cannot be read out of a graph variant, as far as it is not needed.

    An initial value that comes from nodes that cannot be read becomes zeros: a reader takes the values on disk. If
    such nodes or functions are left then that nothing leads to, all to which nothing leads goes.

    Args:
        meta_graph: the graph variant, which is changed.
        is_readable: tells of a node, other than a call of a function by its name, whether it can be read.
    """
    graph_def = meta_graph.graph_def
    functions = _unreadable_functions(graph_def, is_readable)
    nodes = _unreadable_nodes(graph_def, is_readable, functions)
    if not nodes and not functions:
        return
    visible = _visible(variant_lib.Variant(meta_graph))
    _blank_initial_values(meta_graph, _reached(nodes, _consumers(graph_def)) - visible)
    variant = variant_lib.Variant(meta_graph)
    variables = (variant_lib.variable_tensors(definition, variant.nodes) for definition in variant.variables)
    keep = graph_lib.ancestors(variant.nodes, visible.union(*variables), graph_lib.Cut())
    called = _called(graph_def, keep)
    if nodes & variant.nodes.keys() - keep or functions - called:
        _keep_only(graph_def, keep, called)


def _visible(variant: variant_lib.Variant) -> set[str]:
    """The nodes, variables aside, that a reader finds by signatures and collections, and all that these need."""
    found = {name for collection in _NAME_COLLECTIONS for name in variant.names(collection)}
    for signature in variant.meta_graph.signature_def.values():
        for info in [*signature.inputs.values(), *signature.outputs.values()]:
            found.update(signature_lib.component_names(info))
    for collection in format.CONTROL_FLOW_COLLECTIONS:
        for context in variant.serialized(collection):
            found |= graph_lib.control_flow_tensors(collection, context)
    return graph_lib.ancestors(variant.nodes, found, graph_lib.Cut())


def _blank_initial_values(meta_graph: meta_graph_pb2.MetaGraphDef, nodes: Collection[str]) -> None:
    """Makes the initial values that are among the nodes zeros, where the variable's shape is known.

    The zeros are filled in: a constant would claim the memory of the whole variable.
    """
    body = body_lib.Body(meta_graph.graph_def.node, is_function=False)
    for definition in variant_lib.Variant(meta_graph).variables:
        node = body.by_name.get(graph_lib.node_name(definition.initial_value_name))
        variable = body.by_name[graph_lib.node_name(definition.variable_name)]
        shape = tf.TensorShape(variable.attr["shape"].shape)
        dtype = tf.as_dtype(variable.attr["dtype"].type)
        if node is None or node.name not in nodes or not (shape.is_fully_defined() and dtype.is_numpy_compatible):
            continue
        for attribute in set(node.attr) - {"_class"}:  # colocation stays
            del node.attr[attribute]
        node.op = "Fill"
        node.attr["T"].type = dtype.as_datatype_enum
        node.attr["index_type"].type = types_pb2.DT_INT64
        node.input[:] = [
            body.add_constant(f"{node.name}/dims", tf.make_tensor_proto(shape.as_list(), tf.int64)),
            body.add_constant(f"{node.name}/zero", _zero(dtype)),
        ]


def _zero(dtype: tf.DType) -> tensor_pb2.TensorProto:
    """A scalar: 0, False or an empty string."""
    if dtype == tf.string:
        return tensor_pb2.TensorProto(dtype=dtype.as_datatype_enum, tensor_shape={}, string_val=[b""])
    return tensor_pb2.TensorProto(dtype=dtype.as_datatype_enum, tensor_shape={}, tensor_content=bytes(dtype.size))


def _consumers(graph_def: graph_pb2.GraphDef) -> Mapping[str, list[str]]:
    """dict node -> nodes that take its outputs."""
    consumers = defaultdict(list)
    for node in graph_def.node:
        for name in node.input:
            consumers[graph_lib.node_name(name)].append(node.name)
    return consumers


def _reached(starts: Iterable[str], edges: Mapping[str, Iterable[str]]) -> set[str]:
    """The starts, and what edges lead to from them."""
    found: set[str] = set()
    todo = list(starts)
    while todo:
        name = todo.pop()
        if name not in found:
            found.add(name)
            todo.extend(edges.get(name, ()))
    return found


# Functions of the graph's library.


def _callees(node: node_def_pb2.NodeDef) -> set[str]:
    """The names under which a node may call functions."""
    named = [value for attribute in node.attr.values() for value in (attribute.func, *attribute.list.func)]
    return {node.op, *(value.name for value in named)}


def _bodies(graph_def: graph_pb2.GraphDef) -> dict[str, Iterable[node_def_pb2.NodeDef]]:
    """dict function -> its nodes."""
    return {function.signature.name: function.node_def for function in graph_def.library.function}


def _unreadable_functions(graph_def: graph_pb2.GraphDef, is_readable: IsReadable) -> set[str]:
    """Names of the functions that have a node that cannot be read, or call one that has."""
    bodies = _bodies(graph_def)
    callers = defaultdict(list)
    for name, nodes in bodies.items():
        for callee in {callee for node in nodes for callee in _callees(node)}:
            callers[callee].append(name)
    unreadable = [
        name for name, nodes in bodies.items() if not all(node.op in bodies or is_readable(node) for node in nodes)
    ]
    return _reached(unreadable, callers)


def _unreadable_nodes(
    graph_def: graph_pb2.GraphDef, is_readable: IsReadable, functions: Set[str]
) -> set[str]:
    """Names of the nodes that cannot be read or call one of the functions."""
    known = _bodies(graph_def)
    return {
        node.name
        for node in graph_def.node
        if not (node.op in known or is_readable(node)) or (functions and not functions.isdisjoint(_callees(node)))
    }


def _called(graph_def: graph_pb2.GraphDef, nodes: Collection[str]) -> set[str]:
    """Names of the functions that nodes call, directly or not, and of those that compute their gradients."""
    bodies = _bodies(graph_def)
    callees = {name: {callee for node in body for callee in _callees(node)} for name, body in bodies.items()}
    for gradient in graph_def.library.gradient:
        callees.setdefault(gradient.function_name, set()).add(gradient.gradient_func)
    starts = {callee for node in graph_def.node if node.name in nodes for callee in _callees(node)}
    return _reached(starts, callees) & bodies.keys()


def _keep_only(graph_def: graph_pb2.GraphDef, nodes: Collection[str], functions: Collection[str]) -> None:
    """Drops the other nodes and functions; what nodes to keep take inputs from must be among them."""
    library = graph_def.library
    _filter(graph_def.node, lambda node: node.name in nodes)
    _filter(library.function, lambda function: function.signature.name in functions)
    _filter(library.gradient, lambda gradient: gradient.function_name in functions)
    for node in graph_def.node:
        graph_lib.keep_colocations(node, nodes)


def _filter(messages, is_kept: Callable[..., bool]) -> None:
    kept = [message for message in messages if is_kept(message)]
    del messages[:]
    messages.extend(kept)
