"""A graph of TensorFlow 1 as the functions of TensorFlow 2 can hold it.

Variables and tables that were reference tensors become resources, and gradients are those of the ops: functions
that give others do not travel with a graph, or not to TensorFlow 2.
"""

from tensorflow.core.framework import attr_value_pb2, graph_pb2, node_def_pb2, variable_pb2
from tensorflow.core.protobuf import meta_graph_pb2

from hubpipe import errors
from hubpipe.compat import ops as compat_ops
from hubpipe.hub import format, functions
from hubpipe.hub import graph as graph_lib

_VARIABLES = ("Variable", "VariableV2")
# Op on a reference -> op on a resource that does the same and has no output.
_UPDATES = {
    "Assign": "AssignVariableOp",
    "AssignAdd": "AssignAddVariableOp",
    "AssignSub": "AssignSubVariableOp",
    "ScatterAdd": "ResourceScatterAdd",
    "ScatterDiv": "ResourceScatterDiv",
    "ScatterMax": "ResourceScatterMax",
    "ScatterMin": "ResourceScatterMin",
    "ScatterMul": "ResourceScatterMul",
    "ScatterSub": "ResourceScatterSub",
    "ScatterUpdate": "ResourceScatterUpdate",
}
# Attribute of a node that names its gradient function in the process that made it.
_GRADIENT = "_gradient_op_type"
_TABLES = frozenset(
    {
        "HashTable",
        "InitializeTable",
        "InitializeTableFromTextFile",
        "LookupTableExport",
        "LookupTableFind",
        "LookupTableImport",
        "LookupTableInsert",
        "LookupTableSize",
        "MutableHashTable",
        "MutableHashTableOfTensors",
    }
)


def convert(meta_graph: meta_graph_pb2.MetaGraphDef) -> meta_graph_pb2.MetaGraphDef:
    """A copy of a meta graph without reference variables and tables.

    Raises:
        ModuleSpecError: an op takes a reference in a way that resources do not offer.
    """
    result = meta_graph_pb2.MetaGraphDef()
    result.CopyFrom(meta_graph)
    for node in result.graph_def.node:
        if node.op in _TABLES:
            node.op += "V2"
    _References(result.graph_def).replace()
    for _, node in functions.all_nodes(result.graph_def):
        node.attr.pop(_GRADIENT, None)
    library = result.graph_def.library
    for function in library.function:
        function.attr.pop("_noinline", None)  # the gradient of a call that stays a call needs TensorFlow 1
    if library.gradient:
        library.ClearField("gradient")
    for collection in format.VARIABLE_COLLECTIONS:
        if collection in result.collection_def:
            values = result.collection_def[collection].bytes_list.value
            values[:] = [_as_resource(value) for value in values]
    return result


def own_gradients(graph_def: graph_pb2.GraphDef) -> set[str]:
    """Names of the nodes with gradients that are not those of their ops, such as that of tf.custom_gradient."""
    owners = {gradient.function_name for gradient in graph_def.library.gradient}
    while True:
        found = [
            (function, node.name)
            for function, node in functions.all_nodes(graph_def)
            if _GRADIENT in node.attr or not owners.isdisjoint(functions.called(node))
        ]
        callers = {function for function, _ in found if function}
        if callers <= owners:
            return {name for function, name in found if not function}
        owners |= callers


def _as_resource(serialized: bytes) -> bytes:
    definition = variable_pb2.VariableDef.FromString(serialized)
    if definition.is_resource:
        return serialized
    definition.is_resource = True
    return definition.SerializeToString(deterministic=True)


class _References:
    """The reference variables of a graph, and what takes them."""

    def __init__(self, graph_def: graph_pb2.GraphDef):
        self._graph_def = graph_def
        self._nodes = {node.name: node for node in graph_def.node}
        self._dtypes = {
            node.name: node.attr["dtype"].type for node in graph_def.node if node.op in _VARIABLES
        }

    def replace(self) -> None:
        """Makes resources of them, in place."""
        if not self._dtypes:
            return
        takers = [(node, self._sources(node)) for node in self._graph_def.node]
        for node, sources in takers:
            for index, (variable, update) in sources.items():
                self._replace_input(node, index, variable, update)
        for node, sources in takers:
            if node.op in _UPDATES and 0 in sources:
                node.op = _UPDATES[node.op]
                dtype = node.attr["T"].type
                kept = {name: node.attr[name] for name in ("Tindices", "_class") if name in node.attr}
                _set_attributes(node, kept | {"dtype": attr_value_pb2.AttrValue(type=dtype)})
        for name in self._dtypes:
            node = self._nodes[name]
            node.op = "VarHandleOp"
            kept = ("dtype", "shape", "container", "shared_name", "_class")
            _set_attributes(node, {key: node.attr[key] for key in kept if key in node.attr})

    def _sources(self, node: node_def_pb2.NodeDef) -> dict[int, tuple[str, str | None]]:
        """Position of an input that is a reference -> its variable, and the update it comes from or None."""
        sources = {}
        for index, name in enumerate(node.input):
            found = None if graph_lib.is_control(name) else self._variable(graph_lib.node_name(name))
            if found:
                update = graph_lib.node_name(name)
                sources[index] = (found, None if update == found else update)
        return sources

    def _variable(self, name: str) -> str | None:
        """The variable that a node puts out a reference to."""
        while name not in self._dtypes:
            node = self._nodes.get(name)
            if node is None or node.op not in _UPDATES or not node.input:
                return None
            name = graph_lib.node_name(node.input[0])
        return name

    def _replace_input(
        self, node: node_def_pb2.NodeDef, index: int, variable: str, update: str | None
    ) -> None:
        if node.op in _UPDATES and index == 0:
            node.input[0] = variable
            _add_control(node, update)
        elif node.op == "IsVariableInitialized":
            node.op = "VarIsInitializedOp"
            node.input[0] = variable
            _set_attributes(node, {})
        elif node.op == "Identity":
            node.op = "ReadVariableOp"
            node.input[0] = variable
            _add_control(node, update)
            self._set_dtype(node, variable)
        elif _takes_reference(node.op, index):
            raise errors.ModuleSpecError(
                f"Node {node.name!r} ({node.op}) takes a reference to the variable {variable!r}; of such ops "
                f"{', '.join(sorted(_UPDATES))} can be kept."
            )
        else:
            node.input[index] = self._add_read(node, index, variable, update)

    def _add_read(self, node: node_def_pb2.NodeDef, index: int, variable: str, update: str | None) -> str:
        name = f"{node.name}/read_input_{index}"
        read = self._graph_def.node.add(name=name, op="ReadVariableOp", input=[variable])
        read.input.extend(filter(graph_lib.is_control, node.input))
        _add_control(read, update)
        self._set_dtype(read, variable)
        return name

    def _set_dtype(self, node: node_def_pb2.NodeDef, variable: str) -> None:
        _set_attributes(node, {"dtype": attr_value_pb2.AttrValue(type=self._dtypes[variable])})


def _add_control(node: node_def_pb2.NodeDef, other: str | None) -> None:
    if other is not None and f"^{other}" not in node.input:
        node.input.append(f"^{other}")


def _set_attributes(node: node_def_pb2.NodeDef, attributes: dict[str, attr_value_pb2.AttrValue]) -> None:
    facts = {"name": node.name, "op": node.op, "input": node.input, "device": node.device}
    node.CopyFrom(node_def_pb2.NodeDef(**facts, attr=attributes))


def _takes_reference(op: str, index: int) -> bool:
    definition = compat_ops.definition(op)
    if definition is None or len(definition.input_arg) == 0:
        return False
    # A list stands last or takes no references, so that positions up to the first list agree.
    return definition.input_arg[min(index, len(definition.input_arg) - 1)].is_ref
