"""Parts of a module's graph into another graph."""

import dataclasses
from collections.abc import Mapping

import tensorflow as tf
from tensorflow.compat import v1 as tf1
from tensorflow.core.framework import graph_pb2

from hubpipe import errors
from hubpipe.compat import graph as compat_graph
from hubpipe.hub import functions
from hubpipe.hub import variant as variant_lib


@dataclasses.dataclass(frozen=True)
class Imported:
    """What an import added to a graph, by the names of the module's graph.

    Attributes:
        scope: absolute name scope, without the last slash.
        nodes: names of the nodes.
    """

    graph: tf.Graph
    scope: str
    nodes: frozenset[str]

    def operation(self, node: str) -> tf.Operation:
        """A node's operation in the graph."""
        return self.graph.get_operation_by_name(f"{self.scope}/{node}")

    def element(self, name: str) -> tf.Operation | tf.Tensor:
        """The operation or tensor of a name."""
        return self.graph.as_graph_element(f"{self.scope}/{name}")


def import_part(part: variant_lib.Part, input_map: Mapping[str, tf.Tensor], scope: str) -> Imported:
    """Imports a part of a variant into the current graph.

    Args:
        part: what to import.
        input_map: dict tensor of `part.inputs` -> what takes its place.
        scope: absolute name scope, without the last slash; it is not made unique.
    Raises:
        ModuleStateError: the graph has an operation of the name that one of the part would get.
    """
    graph = tf1.get_default_graph()
    taken = [f"{scope}/{node}" for node in part.nodes if _has_operation(graph, f"{scope}/{node}")]
    if taken:
        raise errors.ModuleStateError(
            f"{min(taken)!r} is in the graph already, so the name scope {scope!r} cannot be the module's own. "
            "Give the module another name, or what is there."
        )
    with tf1.name_scope(None):
        tf.graph_util.import_graph_def(_seeded(part, graph), input_map=input_map, name=scope + "/")
    for collection, serialized in part.contexts:
        compat_graph.restore_control_flow_context(collection, serialized, scope)
    if part.contexts:
        nodes = {f"{scope}/{node}" for node in part.nodes}
        compat_graph.restore_contexts_of_sinks(op for op in graph.get_operations() if op.name in nodes)
    return Imported(graph, scope, part.nodes)


def _has_operation(graph: tf.Graph, name: str) -> bool:
    try:
        graph.get_operation_by_name(name)
    except KeyError:
        return False
    return True


def _seeded(part: variant_lib.Part, graph: tf.Graph) -> graph_pb2.GraphDef:
    """The part's graph, its unseeded random ops seeded if the graph they come to has a seed."""
    if graph.seed is None or not part.unseeded:
        return part.graph_def
    seeded = graph_pb2.GraphDef()
    seeded.CopyFrom(part.graph_def)
    for function, node in functions.all_nodes(seeded):
        if (function, node.name) in part.unseeded:
            node.attr["seed"].i, node.attr["seed2"].i = tf1.get_seed(None)
    if any(function for function, _ in part.unseeded):
        functions.rename(seeded, functions.own_names(seeded.library))
    return seeded
