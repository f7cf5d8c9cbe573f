"""Which versions of TensorFlow read a graph."""

import dataclasses
from collections.abc import Iterable, Iterator

from tensorflow.core.framework import attr_value_pb2, node_def_pb2, types_pb2
from tensorflow.core.protobuf import meta_graph_pb2

from hubpipe import errors
from hubpipe.hub import op_registries

# A dtype of references to another dtype has its number and this.
_REFERENCES = types_pb2.DT_FLOAT_REF - types_pb2.DT_FLOAT


@dataclasses.dataclass(frozen=True)
class Obstacle:
    """A node that some TensorFlow cannot read.

    Attributes:
        place: where the node is, e.g. "node 'a/b'" or "function 'f', node 'b'".
        op: its op.
        cause: what is not known: "the op", or an attribute with its value.
        oldest: the oldest version that reads the node, None if no version is known that does.
    """

    place: str
    op: str
    cause: str
    oldest: str | None

    def __str__(self) -> str:
        needs = f"needs TensorFlow {self.oldest}" if self.oldest else "is in no TensorFlow that hubpipe knows of"
        what = self.op if self.cause == _THE_OP else f"{self.op} with {self.cause}"
        return f"{self.place}: {what} {needs}"


_THE_OP = "the op"


def versions() -> list[str]:
    """The versions that are known, the oldest first, e.g. "1.15"; those between are not told apart."""
    return [registry.version for registry in op_registries.load()]


def oldest_reader(meta_graphs: Iterable[meta_graph_pb2.MetaGraphDef]) -> str | None:
    """The oldest known version that reads all graphs and their functions, None if none does."""
    graphs = [list(_nodes(meta_graph)) for meta_graph in meta_graphs]
    for registry in op_registries.load():
        if all(_cause(node, registry) is None for nodes in graphs for _, node in nodes):
            return registry.version
    return None


def obstacles(meta_graph: meta_graph_pb2.MetaGraphDef, version: str) -> list[Obstacle]:
    """What a version of TensorFlow cannot read of a graph, in the order of its nodes.

    Raises:
        ExportError: hubpipe does not know the version.
    """
    registry = _registry(version)
    found = []
    for function, node in _nodes(meta_graph):
        cause = _cause(node, registry)
        if cause is not None:
            place = f"function {function!r}, node {node.name!r}" if function else f"node {node.name!r}"
            readers = (other.version for other in op_registries.load() if _cause(node, other) is None)
            found.append(Obstacle(place, node.op, cause, next(readers, None)))
    return found


def is_readable(node: node_def_pb2.NodeDef, registry: op_registries.Registry) -> bool:
    """True if a version of TensorFlow reads a node that is no call of a function by its name."""
    return _cause(node, registry) is None


def _registry(version: str) -> op_registries.Registry:
    for registry in op_registries.load():
        if registry.version == version:
            return registry
    raise errors.ExportError(f"Unknown TensorFlow version {version!r}; known are {', '.join(versions())}.")


def _nodes(meta_graph: meta_graph_pb2.MetaGraphDef) -> Iterator[tuple[str | None, node_def_pb2.NodeDef]]:
    """Pairs (name of the function or None, node) of a graph and its functions, without calls by name."""
    functions = {function.signature.name for function in meta_graph.graph_def.library.function}
    for node in meta_graph.graph_def.node:
        if node.op not in functions:
            yield None, node
    for function in meta_graph.graph_def.library.function:
        for node in function.node_def:
            if node.op not in functions:
                yield function.signature.name, node


def _cause(node: node_def_pb2.NodeDef, registry: op_registries.Registry) -> str | None:
    """What of a node the version does not know, None if it reads the node."""
    attributes = registry.ops.get(node.op)
    if attributes is None:
        return _THE_OP
    # Names that start with "_" are for annotations; every op may have them.
    misfits = [
        name
        for name, value in node.attr.items()
        if not name.startswith("_") and not _fits(value, attributes.get(name), registry.last_dtype)
    ]
    if misfits:
        return f"attribute {min(misfits)} = {_text(node.attr[min(misfits)])}"
    lacking = [name for name, attribute in attributes.items() if attribute.is_required and name not in node.attr]
    return f"no attribute {lacking[0]}" if lacking else None


def _fits(
    value: attr_value_pb2.AttrValue, attribute: op_registries.Attribute | None, last_dtype: int
) -> bool:
    if attribute is None:
        return False
    kind = value.WhichOneof("value")
    if kind == "placeholder":  # in a function: the caller says
        return True
    values = _values(value, kind)
    if any(isinstance(dtype, int) and dtype % _REFERENCES > last_dtype for dtype in values):
        return False
    if attribute.allowed is not None and not set(values) <= set(attribute.allowed):
        return False
    return attribute.minimum is None or _size(value) >= attribute.minimum


def _values(value: attr_value_pb2.AttrValue, kind: str | None) -> list[int | str]:
    """The dtypes, as numbers, or the strings of an attribute."""
    if kind == "type":
        return [value.type]
    if kind == "tensor":
        return [value.tensor.dtype]
    if kind == "s":
        return [value.s.decode(errors="replace")]
    if kind == "list":
        return [*value.list.type, *(string.decode(errors="replace") for string in value.list.s)]
    return []


def _size(value: attr_value_pb2.AttrValue) -> int:
    """A number, or the length of a list: what a minimum is about."""
    if value.WhichOneof("value") != "list":
        return value.i
    return max(len(values) for _, values in value.list.ListFields()) if value.list.ListFields() else 0


def _text(value: attr_value_pb2.AttrValue) -> str:
    """An attribute's value in a message."""
    kind = value.WhichOneof("value")
    if kind == "type" and value.type in types_pb2.DataType.values():
        return types_pb2.DataType.Name(value.type)
    if kind in ("type", "i", "f", "b", "s"):
        text = repr(getattr(value, kind))
    else:
        text = str(value).strip().replace("\n", " ")
    return text if len(text) <= 60 else text[:57] + "..."
