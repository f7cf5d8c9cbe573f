"""One form for all graphs that are the same but for chance: what makes the files of an export reproducible."""

import re

from tensorflow.core.protobuf import meta_graph_pb2

# Tables of TensorFlow share their contents under names with one of these.
_UUID = re.compile(rb"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_UUID_NUMBER = b"00000000-0000-0000-0000-%012x"


def canonical(meta_graph: meta_graph_pb2.MetaGraphDef) -> meta_graph_pb2.MetaGraphDef:
    """A copy of a graph variant with its functions in order, and with no random names.

    TensorFlow writes the functions of a graph in the order of a hash map, and names tables by random numbers. A
    reader puts its module's scope before such a name: unique in the graph is enough.
    """
    result = meta_graph_pb2.MetaGraphDef()
    result.CopyFrom(meta_graph)
    library = result.graph_def.library
    library.function.sort(key=lambda function: function.signature.name)
    library.gradient.sort(key=lambda gradient: gradient.function_name)
    names: dict[bytes, bytes] = {}
    for nodes in (result.graph_def.node, *(function.node_def for function in library.function)):
        for node in nodes:
            if "shared_name" in node.attr:
                node.attr["shared_name"].s = _UUID.sub(
                    lambda match: names.setdefault(match[0], _UUID_NUMBER % len(names)), node.attr["shared_name"].s
                )
    return result
