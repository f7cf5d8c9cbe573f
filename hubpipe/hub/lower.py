"""Graphs in the words of the oldest TensorFlow that reads modules, where nothing changes that a reader can see.

What is lowered:
- attributes that hold their default go, and those that only name something in messages;
- int64 segment ids of sparse segment ops become int32;
- such an op with a sparse gradient gets it from a Gather before it;
- DenseBincount of a vector, which RaggedTensor uses, becomes Bincount;
- the check of shapes in an assignment goes, if the shapes are known to be equal;
- initial values of variables that need younger ops become zeros: a reader restores the values on disk;
- nodes and functions that need younger ops go, if no signature, collection or variable leads to them.
"""

import functools
from collections.abc import Callable

import tensorflow as tf
from tensorflow.core.framework import attr_value_pb2, graph_pb2, node_def_pb2, types_pb2
from tensorflow.core.protobuf import meta_graph_pb2

from hubpipe.compat import ops as compat_ops
from hubpipe.hub import body as body_lib
from hubpipe.hub import format, op_registries, readers, unneeded
from hubpipe.hub import graph as graph_lib

# Attributes that only name something in messages; what they hold is not known to every reader.
_NAMES_IN_MESSAGES = frozenset({("VarHandleOp", "debug_name")})
# Ops whose third input, the segment ids, was always int32 before TensorFlow 2.4.
_SEGMENT_OPS = frozenset(
    f"SparseSegment{reduction}{suffix}"
    for reduction in ("Sum", "Mean", "SqrtN")
    for suffix in ("", "WithNumSegments", "Grad")
)

_Shape = Callable[[str], tf.TensorShape]


def lowered(meta_graph: meta_graph_pb2.MetaGraphDef) -> meta_graph_pb2.MetaGraphDef:
    """A copy of a graph variant that more versions of TensorFlow read.

    It computes the same. Only initial values of variables may differ, which a reader replaces by those on disk.
    """
    result = meta_graph_pb2.MetaGraphDef()
    result.CopyFrom(meta_graph)
    shape = _shapes(meta_graph.graph_def)
    in_contexts = _nodes_in_contexts(result)
    for body in body_lib.bodies(result.graph_def):
        for node in list(body.nodes):
            _lower_attributes(node)
            # A node beside it would have to be entered into the contexts of v1 control flow.
            if node.name not in in_contexts:
                _lower_segment_ids(node, body)
                _lower_sparse_gradient(node, body)
                if not body.is_function:
                    _lower_bincount(node, body, shape)
            if not body.is_function:
                _lower_assignment(node, body, shape)
    unneeded.remove(result, lambda node: readers.is_readable(node, op_registries.load()[0]))
    _list_ops(result)
    return result


def _shapes(graph_def: graph_pb2.GraphDef) -> _Shape:
    """A function from an input of a node of the graph to its shape, unknown in a graph that TensorFlow refuses.

    The graph is built when the function is first called.
    """

    @functools.cache
    def graph() -> tf.Graph:
        copy = graph_pb2.GraphDef()
        copy.CopyFrom(graph_def)  # the import writes defaults into what it is given
        built = tf.Graph()
        with built.as_default():
            tf.graph_util.import_graph_def(copy, name="")
        return built

    def shape(name: str) -> tf.TensorShape:
        try:
            return graph().get_tensor_by_name(graph_lib.tensor_name(name)).shape
        except (ValueError, TypeError, KeyError, tf.errors.OpError):
            return tf.TensorShape(None)

    return shape


def _nodes_in_contexts(meta_graph: meta_graph_pb2.MetaGraphDef) -> set[str]:
    """The nodes that contexts of v1 cond and while_loop mention."""
    return {
        graph_lib.node_name(name)
        for collection in format.CONTROL_FLOW_COLLECTIONS
        if collection in meta_graph.collection_def
        for context in meta_graph.collection_def[collection].bytes_list.value
        for name in graph_lib.control_flow_tensors(collection, context)
    }


def _list_ops(meta_graph: meta_graph_pb2.MetaGraphDef) -> None:
    """Lists the ops in use and no other: tensorflow_hub refuses a module that lists one it does not know."""
    listed = {op.name: op for op in meta_graph.meta_info_def.stripped_op_list.op}
    used = sorted({node.op for body in body_lib.bodies(meta_graph.graph_def) for node in body.nodes})
    ops = [listed.get(name) or compat_ops.definition(name) for name in used]
    del meta_graph.meta_info_def.stripped_op_list.op[:]
    meta_graph.meta_info_def.stripped_op_list.op.extend(op for op in ops if op is not None)


def _lower_attributes(node: node_def_pb2.NodeDef) -> None:
    """Drops what old readers may not know, and adds the defaults that were none yet in one of them."""
    if compat_ops.definition(node.op) is None:  # a function, or an op of a library that is not loaded
        return
    for name, default, was_required in _defaults(node.op):
        if (node.op, name) in _NAMES_IN_MESSAGES:
            node.attr.pop(name, None)
        elif name not in node.attr:
            if was_required:
                node.attr[name].CopyFrom(default)
        elif node.attr[name] == default and not was_required:
            del node.attr[name]


@functools.cache
def _defaults(op: str) -> list[tuple[str, attr_value_pb2.AttrValue, bool]]:
    """Triples (attribute, default, whether it had none in an older version) of an op."""
    return [
        (attribute.name, attribute.default_value, _was_required(op, attribute.name))
        for attribute in compat_ops.definition(op).attr
        if attribute.HasField("default_value")
    ]


def _was_required(op: str, attribute: str) -> bool:
    known = (registry.ops.get(op, {}).get(attribute) for registry in op_registries.load())
    return any(entry is not None and entry.is_required for entry in known)


def _lower_segment_ids(node: node_def_pb2.NodeDef, body: body_lib.Body) -> None:
    """Casts the segment ids of SparseSegmentSum and its like: an id is a row of the output and fits into int32."""
    if node.op not in _SEGMENT_OPS or len(node.input) < 3 or "Tsegmentids" not in node.attr:
        return
    if node.attr["Tsegmentids"].type == types_pb2.DT_INT64:
        del node.attr["Tsegmentids"]  # int32 is the default
        node.input[2] = _to_int32(node.input[2], f"{node.name}/segment_ids", body)


def _lower_sparse_gradient(node: node_def_pb2.NodeDef, body: body_lib.Body) -> None:
    """Gathers the rows that SparseSegmentSum and its like take, each once; the gradient of Gather is sparse.

    So embedding_lookup_sparse did it before TensorFlow 2.15.
    """
    if node.op not in _SEGMENT_OPS or len(node.input) < 3 or "sparse_gradient" not in node.attr:
        return
    params = node.attr["T"].type
    indices = node.attr["Tidx"].type if "Tidx" in node.attr else types_pb2.DT_INT32
    if not params or not indices:  # parameters of the function
        return
    unique = body.add("Unique", f"{node.name}/unique", [node.input[1]], T=indices)
    rows = [
        node.input[0],
        body.tensor(unique, "y"),
        body.add_constant(f"{node.name}/axis", tf.make_tensor_proto(0, tf.int32)),
    ]
    gathered = body.add(
        "GatherV2", f"{node.name}/rows", rows, Tparams=params, Tindices=indices, Taxis=types_pb2.DT_INT32
    )
    node.input[0] = body.tensor(gathered, "output")
    node.input[1] = body.tensor(unique, "idx", 1)
    node.attr.pop("Tidx", None)  # int32 is the default
    del node.attr["sparse_gradient"]


def _lower_bincount(node: node_def_pb2.NodeDef, body: body_lib.Body, shape: _Shape) -> None:
    """Makes a DenseBincount a Bincount, which counts what is in a vector, of int32."""
    if node.op != "DenseBincount" or len(node.input) < 3 or "binary_output" in node.attr:
        return
    if shape(node.input[0]).rank != 1:
        return
    values, size = node.input[:2]
    if node.attr["Tidx"].type == types_pb2.DT_INT64:
        # Both ops ignore a value that is not below the size, and refuse one below zero: it must stay so.
        minus_one = body.add_constant(f"{node.name}/minus_one", tf.make_tensor_proto(-1, tf.int64))
        clipped = body.add(
            "ClipByValue", f"{node.name}/clipped", [values, minus_one, size], T=types_pb2.DT_INT64
        )
        values = _to_int32(body.tensor(clipped, "output"), f"{node.name}/values", body)
        size = _to_int32(size, f"{node.name}/size", body)
    node.op = "Bincount"
    node.input[0], node.input[1] = values, size
    del node.attr["Tidx"]


def _lower_assignment(node: node_def_pb2.NodeDef, body: body_lib.Body, shape: _Shape) -> None:
    """Drops the check of shapes, which TensorFlow 2.8 brought, where it cannot fail."""
    if node.op != "AssignVariableOp" or len(node.input) < 2 or "validate_shape" not in node.attr:
        return
    variable = body.by_name[graph_lib.node_name(node.input[0])]
    if variable.op != "VarHandleOp" or variable.attr["shape"].shape.unknown_rank:
        return
    sizes = [dim.size for dim in variable.attr["shape"].shape.dim]
    assigned = shape(node.input[1])
    if assigned.is_fully_defined() and assigned.as_list() == sizes:
        del node.attr["validate_shape"]


def _to_int32(tensor: str, name: str, body: body_lib.Body) -> str:
    cast = body.add("Cast", name, [tensor], SrcT=types_pb2.DT_INT64, DstT=types_pb2.DT_INT32)
    return body.tensor(cast, "y")
