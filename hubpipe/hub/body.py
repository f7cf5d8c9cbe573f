"""The nodes of a graph, or of a function in its library, as a list that can grow."""

import functools
import itertools
from collections.abc import Iterable, Iterator

from tensorflow.core.framework import attr_value_pb2, graph_pb2, node_def_pb2, tensor_pb2


class Body:
    """The nodes of a graph, or of a function in its library.

    Attributes:
        nodes: the NodeDefs, a repeated field.
        is_function: whether tensors are named as in a function, "node:output:0" for "node:0".
    """

    def __init__(self, nodes, *, is_function: bool):
        self.nodes = nodes
        self.is_function = is_function

    @functools.cached_property
    def by_name(self) -> dict[str, node_def_pb2.NodeDef]:
        """dict name -> NodeDef."""
        return {node.name: node for node in self.nodes}

    def add(self, op: str, name: str, inputs: Iterable[str], **types: int) -> str:
        """Adds a node.

        Args:
            op: its op.
            name: its name, which gets a number at the end if it is taken.
            inputs: tensors, as this body names them.
            **types: dict attribute -> dtype.
        Returns:
            Its name.
        """
        candidates = itertools.chain([name], (f"{name}_{number}" for number in itertools.count(1)))
        free = next(candidate for candidate in candidates if candidate not in self.by_name)
        attributes = {key: attr_value_pb2.AttrValue(type=dtype) for key, dtype in types.items()}
        self.by_name[free] = self.nodes.add(name=free, op=op, input=inputs, attr=attributes)
        return free

    def tensor(self, node: str, output: str, index: int = 0) -> str:
        """An output of a node, as this body names it.

        Args:
            node: its name.
            output: what its op calls the output, which is one tensor.
            index: which output it is.
        """
        if self.is_function:
            return f"{node}:{output}:0"
        return f"{node}:{index}" if index else node

    def add_constant(self, name: str, value: tensor_pb2.TensorProto) -> str:
        """Adds a constant under a name like that; returns its output, as this body names it."""
        node = self.add("Const", name, [], dtype=value.dtype)
        self.by_name[node].attr["value"].tensor.CopyFrom(value)
        return self.tensor(node, "output")


def bodies(graph_def: graph_pb2.GraphDef) -> Iterator[Body]:
    """The graph, then the functions of its library."""
    yield Body(graph_def.node, is_function=False)
    for function in graph_def.library.function:
        yield Body(function.node_def, is_function=True)
