"""Checks of a graph variant that was read from a file.

TensorFlow trusts a graph more than a file deserves. What is checked here would end the process, take its memory,
or come up later as an error that names neither the file nor the cause. Time and memory are proportional to the
graph's. That each node is as its op wants it is left to TensorFlow, which says so when the module is constructed
or called.
"""

import collections
from collections.abc import Iterator, Sequence

from google.protobuf import message as protobuf
from tensorflow.compat import v1 as tf1
from tensorflow.core.framework import node_def_pb2, variable_pb2
from tensorflow.core.protobuf import meta_graph_pb2

from hubpipe import errors
from hubpipe.hub import assets, format, sound_nodes
from hubpipe.hub import graph as graph_lib
from hubpipe.hub import signature as signature_lib
from hubpipe.hub import variant as variant_lib

_VARIABLE_OPS = ("VarHandleOp", "VariableV2", "Variable")
_NAME_COLLECTIONS = (
    tf1.GraphKeys.TABLE_INITIALIZERS,
    tf1.GraphKeys.UPDATE_OPS,
    tf1.GraphKeys.REGULARIZATION_LOSSES,
    tf1.GraphKeys.ASSET_FILEPATHS,
)
_MESSAGE_COLLECTIONS = {
    **dict.fromkeys(format.VARIABLE_COLLECTIONS, variable_pb2.VariableDef),
    format.ATTACHMENTS_COLLECTION: format.ModuleAttachment,
}


def check(variant: variant_lib.Variant) -> None:
    """Checks a graph variant, as it is in the file.

    Raises:
        FormatError: naming file, variant and the first problem found.
    """
    problem = next(_problems(variant), None)
    if problem:
        raise errors.FormatError(f"{variant.path}: {variant.describe()}: {problem}.")


def _problems(variant: variant_lib.Variant) -> Iterator[str]:
    """The problems, in an order that lets each check rely on those before it."""
    meta_graph = variant.meta_graph
    yield from sound_nodes.count_problems(meta_graph.graph_def)
    nodes = variant.nodes
    yield from sound_nodes.problems(meta_graph.graph_def, nodes)
    for name in sorted(meta_graph.collection_def):
        for problem in _collection_problems(name, meta_graph.collection_def[name], nodes):
            yield f"collection {name!r} {problem}"
    yield from _variable_problems(variant)
    for name, signature in sorted(meta_graph.signature_def.items()):
        for side, infos in (("input", signature.inputs), ("output", signature.outputs)):
            for key, info in sorted(infos.items()):
                for problem in _tensor_info_problems(info, variant):
                    yield f"signature {name!r}: {side} {key!r} {problem}"


def _collection_problems(
    name: str, collection: meta_graph_pb2.CollectionDef, nodes: sound_nodes.Nodes
) -> Iterator[str]:
    kind = collection.WhichOneof("kind")
    if kind is None:
        return
    if name == format.ASSETS_COLLECTION:
        expected = "any_list"
    elif name in _NAME_COLLECTIONS:
        expected = "node_list"
    elif name in format.SUPPORTED_COLLECTIONS:
        expected = "bytes_list"
    else:
        yield f"is not supported, accepted are {sorted(format.SUPPORTED_COLLECTIONS)!r}"
        return
    if kind != expected:
        yield f"is a {kind}, expected is a {expected}"
    for element in collection.node_list.value:
        yield from _element_problems(element, nodes)
        if name == tf1.GraphKeys.ASSET_FILEPATHS and not assets.is_path(nodes[graph_lib.node_name(element)]):
            yield f"names {element!r}, which is no constant of one string"
    for serialized in collection.bytes_list.value:
        try:
            if name in format.CONTROL_FLOW_COLLECTIONS:
                for tensor in graph_lib.control_flow_tensors(name, serialized):
                    yield from _element_problems(tensor, nodes)
            else:
                _MESSAGE_COLLECTIONS[name].FromString(serialized)
        except protobuf.DecodeError as error:
            yield f"holds what is not one of its messages: {error}"


def _variable_problems(variant: variant_lib.Variant) -> Iterator[str]:
    parts = collections.defaultdict(list)
    whole = set()
    for definition in variant.variables:
        name = definition.variable_name
        node = variant.nodes.get(graph_lib.node_name(name))
        if node is None or node.op not in _VARIABLE_OPS:
            yield f"variable {name!r} is {'missing' if node is None else 'a ' + node.op}"
        shape, dtype = node.attr["shape"].shape, node.attr["dtype"].type
        for problem in (*sound_nodes.dtype_problems(dtype), *sound_nodes.shape_problems(shape)):
            yield f"variable {name!r} {problem}"
        if definition.HasField("save_slice_info_def"):
            parts[definition.save_slice_info_def.full_name].append((node, definition.save_slice_info_def))
        else:
            whole.add(node.name)
    for full_name, slices in parts.items():
        if full_name in whole:
            yield f"variable {full_name!r} is there whole and in parts"
        for problem in _slice_problems(slices):
            yield f"variable {full_name!r} {problem}"


def _slice_problems(
    slices: Sequence[tuple[node_def_pb2.NodeDef, variable_pb2.SaveSliceInfoDef]],
) -> Iterator[str]:
    """A partitioned variable's parts lie one after the other along one axis, and make up the whole."""
    whole = list(slices[0][1].full_shape)
    dtype = slices[0][0].attr["dtype"].type
    for node, info in slices:
        starts, sizes = list(info.var_offset), list(info.var_shape)
        shape = node.attr["shape"].shape
        if list(info.full_shape) != whole or node.attr["dtype"].type != dtype:
            yield f"has parts of several shapes or types: {whole} and {list(info.full_shape)}"
        if not whole or not len(starts) == len(sizes) == len(whole) or min(*starts, *sizes) < 0:
            yield f"of shape {whole} has no part {sizes} at {starts}"
        if [dim.size for dim in shape.dim] != sizes:
            yield f"has a part {sizes} in {node.name!r}, whose shape is {sound_nodes.shape_text(shape)}"
    infos = [info for _, info in slices]
    cut = [axis for axis, size in enumerate(whole) if any(info.var_shape[axis] != size for info in infos)]
    axis = cut[0] if cut else 0
    end = 0
    for info in sorted(infos, key=lambda info: (info.var_offset[axis], info.var_shape[axis])):
        expected = [end if i == axis else 0 for i in range(len(whole))]
        if len(cut) > 1 or list(info.var_offset) != expected:
            yield f"has a part at {list(info.var_offset)}, expected is the next at {expected}"
        end += info.var_shape[axis]
    if end != whole[axis]:
        yield f"has parts up to {end} of {whole[axis]} along axis {axis}"


def _tensor_info_problems(info: meta_graph_pb2.TensorInfo, variant: variant_lib.Variant) -> Iterator[str]:
    if info.WhichOneof("encoding") != "composite_tensor":  # whose type specs are decoded when they are asked for
        yield from sound_nodes.dtype_problems(info.dtype)
        yield from sound_nodes.shape_problems(info.tensor_shape)
    for name in signature_lib.component_names(info):
        if not variant.has_tensor(name):
            yield f"names {name!r}, a tensor that the graph does not have"


def _element_problems(name: str, nodes: sound_nodes.Nodes) -> Iterator[str]:
    if graph_lib.node_name(name) not in nodes or graph_lib.is_control(name):
        yield f"names {name!r}, which the graph does not have"
