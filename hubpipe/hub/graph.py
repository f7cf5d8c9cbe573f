"""Graphs as protos: lookups and rewrites that build no TensorFlow graph and change no argument."""

import dataclasses
import functools
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

from tensorflow.core.framework import graph_pb2, node_def_pb2
from tensorflow.core.protobuf import control_flow_pb2

from hubpipe import errors
from hubpipe.hub import format

COLOCATION_PREFIX = b"loc:@"


def node_name(tensor_or_input: str) -> str:
    """The node of a tensor, input or control input: "a" for "a", "a:1" and "^a"."""
    return tensor_or_input.removeprefix("^").split(":", 1)[0]


def tensor_name(name: str) -> str:
    """A tensor's full name: "a:0" for "a"."""
    return name if ":" in name else name + ":0"


def is_control(input_name: str) -> bool:
    """True for a control input, "^a"."""
    return input_name.startswith("^")


def colocated_with(node: node_def_pb2.NodeDef) -> list[str]:
    """Names of the nodes that a node's colocation constraints mention."""
    if "_class" not in node.attr:
        return []
    groups = node.attr["_class"].list.s
    return [group[len(COLOCATION_PREFIX) :].decode() for group in groups if group.startswith(COLOCATION_PREFIX)]


@dataclasses.dataclass(frozen=True)
class Cut:
    """What of a graph something else takes the place of.

    Attributes:
        nodes: names of nodes, all of whose outputs are replaced.
        tensors: names of tensors.
    """

    nodes: frozenset[str] = frozenset()
    tensors: frozenset[str] = frozenset()

    def covers(self, name: str) -> bool:
        """True if a tensor, input, control input or node is replaced."""
        if is_control(name):
            return node_name(name) in self.touched
        return node_name(name) in self.nodes or tensor_name(name) in self.tensors

    @functools.cached_property
    def touched(self) -> frozenset[str]:
        """Nodes with an output that is replaced."""
        return self.nodes | {node_name(tensor) for tensor in self.tensors}


def ancestors(nodes: Mapping[str, node_def_pb2.NodeDef], targets: Iterable[str], cut: Cut) -> set[str]:
    """Names of the nodes that the targets need, the targets included, up to the cut.

    Args:
        nodes: dict name -> NodeDef, the graph.
        targets: names of nodes or tensors.
        cut: what need not be computed.
    Raises:
        FormatError: the graph refers to a node that it does not have.
    """
    needed: set[str] = set()
    todo = list(targets)
    while todo:
        name = todo.pop()
        node = node_name(name)
        if node in needed or cut.covers(name):
            continue
        if node not in nodes:
            raise errors.FormatError(f"The module's graph refers to a node {node!r} that it does not have.")
        needed.add(node)
        todo.extend(source for source in nodes[node].input if node_name(source) not in needed)
    return needed


def descendants(nodes: Mapping[str, node_def_pb2.NodeDef], sources: Collection[str], cut: Cut) -> set[str]:
    """Names of the nodes that need one of the sources, the sources included; nothing is needed across the cut.

    Args:
        nodes: dict name -> NodeDef, the graph.
        sources: names of nodes.
        cut: what need not be computed.
    """
    if not sources:
        return set()
    takers: dict[str, list[str]] = {}
    for name, node in nodes.items():
        for source in node.input:
            if not cut.covers(source):
                takers.setdefault(node_name(source), []).append(name)
    found, todo = set(), list(sources)
    while todo:
        name = todo.pop()
        if name not in found:
            found.add(name)
            todo.extend(takers.get(name, ()))
    return found


def subgraph(
    graph_def: graph_pb2.GraphDef,
    keep: Collection[str],
    fed: Collection[str],
    rewrite: Callable[[node_def_pb2.NodeDef], None],
) -> graph_pb2.GraphDef:
    """A copy of the nodes to keep, in their order, with the functions and versions of the whole graph.

    Control inputs from nodes that are neither kept nor fed go; data inputs stay, for the importer's input_map.

    Args:
        graph_def: the graph.
        keep: names of the nodes to keep.
        fed: names of the nodes that the importer's input_map replaces.
        rewrite: called with each copied node, to change it.
    """
    result = graph_pb2.GraphDef(versions=graph_def.versions, library=graph_def.library)
    for node in graph_def.node:
        if node.name not in keep:
            continue
        copy = result.node.add()
        copy.CopyFrom(node)
        inputs = [
            name
            for name in node.input
            if not is_control(name) or node_name(name) in keep or node_name(name) in fed
        ]
        if len(inputs) != len(node.input):
            copy.input[:] = inputs
        rewrite(copy)
    return result


def keep_colocations(node: node_def_pb2.NodeDef, keep: Collection[str]) -> None:
    """Drops a node's colocation constraints with nodes that are not kept."""
    if "_class" not in node.attr:
        return
    kept = [COLOCATION_PREFIX + name.encode() for name in colocated_with(node) if name in keep]
    if kept:
        node.attr["_class"].list.s[:] = kept
    else:
        del node.attr["_class"]


def control_flow_tensors(collection: str, serialized: bytes) -> set[str]:
    """Names of what a v1 cond or while context refers to, nested contexts and outside values included."""
    return {name for name in _context_tensors(_parse_context(collection, serialized)) if name}


def inner_tensors(collection: str, serialized: bytes) -> set[str]:
    """Names of what is inside of a v1 cond or while context, or of contexts nested in it."""
    return set(_inner_tensors(_parse_context(collection, serialized)))


def with_ordered_maps(collection: str, serialized: bytes) -> bytes:
    """A v1 cond or while context in the one order of bytes; protobuf's own changes from process to process."""
    return _parse_context(collection, serialized).SerializeToString(deterministic=True)


def _parse_context(
    collection: str, serialized: bytes
) -> control_flow_pb2.CondContextDef | control_flow_pb2.WhileContextDef:
    is_cond = collection == format.CONTROL_FLOW_COLLECTIONS[0]
    message = control_flow_pb2.CondContextDef if is_cond else control_flow_pb2.WhileContextDef
    return message.FromString(serialized)


def _context_tensors(context) -> Iterator[str]:
    yield context.pivot_name
    yield from context.values_def.values
    yield from context.values_def.external_values.values()
    if isinstance(context, control_flow_pb2.CondContextDef):
        yield context.pred_name
    else:
        yield context.pivot_for_pred_name
        yield context.pivot_for_body_name
        yield from context.loop_exit_names
        yield from context.loop_enter_names
        yield context.maximum_iterations_name
    for nested in _nested(context):
        yield from _context_tensors(nested)


def _inner_tensors(context) -> Iterator[str]:
    # The keys of external_values are outside, what they stand for is the Switch or Enter inside.
    yield from set(context.values_def.values).difference(context.values_def.external_values)
    if isinstance(context, control_flow_pb2.WhileContextDef):
        yield from context.loop_exit_names
    for nested in _nested(context):
        yield from _inner_tensors(nested)


def _nested(context) -> Iterator:
    for nested in context.nested_contexts:
        kind = nested.WhichOneof("ctxt")
        if kind is not None:  # the importer refuses it
            yield getattr(nested, kind)
