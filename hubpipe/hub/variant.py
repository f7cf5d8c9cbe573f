"""One graph variant of a module: a MetaGraphDef and what follows from it, worked out once."""

import contextlib
import dataclasses
import functools
from collections.abc import Collection, Iterable, Iterator, Mapping

import tensorflow as tf
from tensorflow.compat import v1 as tf1
from tensorflow.core.framework import graph_pb2, node_def_pb2, op_def_pb2, types_pb2, variable_pb2
from tensorflow.core.protobuf import meta_graph_pb2

from hubpipe import errors
from hubpipe.compat import ops as compat_ops
from hubpipe.hub import format, functions
from hubpipe.hub import graph as graph_lib
from hubpipe.hub import signature as signature_lib

_SEEDS = ("seed", "seed2")


@dataclasses.dataclass(frozen=True)
class Part:
    """The nodes of a variant that one import adds to a consumer's graph.

    Attributes:
        graph_def: the nodes, on no device, and placeholders that bear the names of replaced nodes where a control
            flow context mentions them; functions have names that those of other variants do not have.
        nodes: names of the nodes, without such placeholders.
        inputs: names of the tensors outside the part that its nodes take; "^a" for a control input.
        colocations: dict node -> nodes of the variant that it must be colocated with, where at least one of them
            is not in graph_def; such constraints are left out of graph_def.
        contexts: pairs (collection, serialized v1 cond or while context) to restore after the import.
        unseeded: pairs (function, node) of the random nodes without a seed; "" for nodes of the graph itself.
    """

    graph_def: graph_pb2.GraphDef
    nodes: frozenset[str]
    inputs: frozenset[str]
    colocations: Mapping[str, list[str]]
    contexts: tuple[tuple[str, bytes], ...]
    unseeded: frozenset[tuple[str, str]]


class Variant:
    """One graph variant of a module.

    Attributes:
        meta_graph: the MetaGraphDef; not to be changed.
        path: the file it was read from, None if it was not.
        tags: frozenset of str.
    """

    def __init__(self, meta_graph: meta_graph_pb2.MetaGraphDef, path: str | None = None):
        self.meta_graph = meta_graph
        self.path = path
        self.tags = frozenset(meta_graph.meta_info_def.tags)
        self._state_parts: dict[bool, Part] = {}
        self._applications: dict[tuple[str, bool], Part] = {}
        self._updates: dict[str, list[str]] = {}

    def describe(self) -> str:
        """The variant's name in messages."""
        return f"graph variant tags={sorted(self.tags)!r}"

    @contextlib.contextmanager
    def blamed(self, what: str) -> Iterator[None]:
        """Turns TensorFlow's errors in a block that depends on the graph alone into ones that name its file.

        Args:
            what: what cannot be done, for the message.
        Raises:
            FormatError: the block raised; a graph that was not read from a file is not blamed.
        """
        try:
            yield
        except Exception as error:
            if self.path is None or isinstance(error, errors.HubpipeError):
                raise
            raise errors.FormatError(f"{self.path}: {self.describe()}: {what}: {error}") from error

    # Nodes.

    @functools.cached_property
    def nodes(self) -> dict[str, node_def_pb2.NodeDef]:
        """dict name -> NodeDef."""
        return {node.name: node for node in self.meta_graph.graph_def.node}

    @functools.cached_property
    def _functions(self) -> dict[str, op_def_pb2.OpDef]:
        functions = self.meta_graph.graph_def.library.function
        return {function.signature.name: function.signature for function in functions}

    @functools.cached_property
    def _function_names(self) -> dict[str, str]:
        return functions.own_names(self.meta_graph.graph_def.library)

    def check_ops(self) -> None:
        """Checks that the running TensorFlow knows all ops of the graph and its functions.

        Raises:
            tf.errors.NotFoundError: as TensorFlow does itself, naming those that it does not know.
        """
        if self._unknown_ops:
            raise tf.errors.NotFoundError(
                None,
                None,
                f"The module's {self.describe()} has ops that this TensorFlow does not know: "
                f"{', '.join(self._unknown_ops)}. Load the library that registers them first.",
            )

    @functools.cached_property
    def _unknown_ops(self) -> list[str]:
        graph_def = self.meta_graph.graph_def
        bodies = (function.node_def for function in graph_def.library.function)
        used = {node.op for nodes in (graph_def.node, *bodies) for node in nodes}
        return sorted(op for op in used if op not in self._functions and compat_ops.definition(op) is None)

    def _definition(self, node: node_def_pb2.NodeDef) -> op_def_pb2.OpDef:
        definition = self._functions.get(node.op) or compat_ops.definition(node.op)
        if definition is None:
            self.check_ops()
        return definition

    def num_outputs(self, name: str) -> int:
        """Number of the tensors that a node puts out."""
        node = self.nodes[name]
        count = 0
        for output in self._definition(node).output_arg:
            if output.number_attr:
                count += node.attr[output.number_attr].i
            elif output.type_list_attr:
                count += len(node.attr[output.type_list_attr].list.type)
            else:
                count += 1
        return count

    def has_tensor(self, name: str) -> bool:
        """True if the graph has a tensor of this full name, such as "a:0".

        Of ops that TensorFlow does not know, any output may be there: check_ops is what tells of them.
        """
        node, _, index = name.partition(":")
        if node not in self.nodes or not (index.isascii() and index.isdigit()):
            return False
        op = self.nodes[node].op
        return op in self._unknown_ops or int(index) < self.num_outputs(node)

    @functools.cached_property
    def state_nodes(self) -> frozenset[str]:
        """Names of the nodes that hold state: stateful ops without inputs (variables, tables)."""
        return frozenset(
            name
            for name, node in self.nodes.items()
            if all(map(graph_lib.is_control, node.input)) and self._definition(node).is_stateful
        )

    # Collections.

    def names(self, collection: str) -> list[str]:
        """The names of nodes or tensors in a collection."""
        if collection not in self.meta_graph.collection_def:
            return []
        return list(self.meta_graph.collection_def[collection].node_list.value)

    def serialized(self, collection: str) -> list[bytes]:
        """The serialized messages in a collection."""
        if collection not in self.meta_graph.collection_def:
            return []
        return list(self.meta_graph.collection_def[collection].bytes_list.value)

    @functools.cached_property
    def variables(self) -> list[variable_pb2.VariableDef]:
        """The variables of all collections, each once; a partitioned variable has one entry a part."""
        found = {}
        for collection in format.VARIABLE_COLLECTIONS:
            for value in self.serialized(collection):
                definition = variable_pb2.VariableDef.FromString(value)
                found.setdefault(definition.variable_name, definition)
        return list(found.values())

    @functools.cached_property
    def variable_shapes(self) -> dict[str, tuple[tf.DType, tf.TensorShape]]:
        """dict name relative to the module -> (dtype, shape), that of the whole for a partitioned variable."""
        shapes = {}
        for definition in self.variables:
            node = self.nodes[graph_lib.node_name(definition.variable_name)]
            dtype = tf.as_dtype(node.attr["dtype"].type)
            if definition.HasField("save_slice_info_def"):
                slice_info = definition.save_slice_info_def
                shapes[slice_info.full_name] = (dtype, tf.TensorShape(list(slice_info.full_shape)))
            else:
                shapes[node.name] = (dtype, tf.TensorShape(node.attr["shape"].shape))
        return shapes

    # Signatures.

    @property
    def signature_names(self) -> list[str]:
        """Names of the signatures, sorted."""
        return sorted(self.meta_graph.signature_def)

    def signature_def(self, name: str) -> meta_graph_pb2.SignatureDef:
        """One signature.

        Raises:
            SignatureError: there is none of that name.
        """
        if name not in self.meta_graph.signature_def:
            raise errors.SignatureError(
                f"Signature {name!r} is missing from meta graph ({self.describe()}); "
                f"it has {self.signature_names!r}."
            )
        return self.meta_graph.signature_def[name]

    def inputs(self, name: str) -> dict[str, signature_lib.ParsedTensorInfo]:
        """dict name -> ParsedTensorInfo of a signature's inputs."""
        return self._parsed(name, self.signature_def(name).inputs)

    def outputs(self, name: str) -> dict[str, signature_lib.ParsedTensorInfo]:
        """dict name -> ParsedTensorInfo of a signature's outputs."""
        return self._parsed(name, self.signature_def(name).outputs)

    def types(self, name: str) -> dict[tuple[str, str], tuple[tf.DType, type[tf.TypeSpec]]]:
        """dtypes and kinds of what a signature takes and returns, by ("input" or "output", name); no shapes."""
        return {
            (side, key): (info.dtype, type(info.type_spec))
            for side, infos in (("input", self.inputs(name)), ("output", self.outputs(name)))
            for key, info in infos.items()
        }

    def _parsed(
        self, signature: str, infos: Mapping[str, meta_graph_pb2.TensorInfo]
    ) -> dict[str, signature_lib.ParsedTensorInfo]:
        with self.blamed(f"signature {signature!r} cannot be read"):
            return {key: signature_lib.ParsedTensorInfo.from_proto(infos[key]) for key in sorted(infos)}

    def feeds(self, name: str) -> list[tuple[str, str]]:
        """Pairs (input, tensor) of a signature; a sparse or ragged input has several tensors."""
        infos = self.signature_def(name).inputs
        return [(key, tensor) for key in sorted(infos) for tensor in signature_lib.component_names(infos[key])]

    # Parts to import.

    def state_part(self, with_losses: bool) -> Part:
        """The state, its initializers, and the regularization losses if asked for."""
        if with_losses not in self._state_parts:
            self._state_parts[with_losses] = self.part(self._state_targets(with_losses), graph_lib.Cut())
        return self._state_parts[with_losses]

    def _state_targets(self, with_losses: bool) -> set[str]:
        targets = set(self.state_nodes)
        for definition in self.variables:
            targets.update(variable_tensors(definition, self.nodes))
        targets.update(self.names(tf1.GraphKeys.TABLE_INITIALIZERS))
        targets.update(self.names(tf1.GraphKeys.ASSET_FILEPATHS))
        if with_losses:
            targets.update(self.names(tf1.GraphKeys.REGULARIZATION_LOSSES))
        return targets

    def whole_part(self) -> Part:
        """All nodes."""
        return self.part(self.nodes, graph_lib.Cut())

    def application_part(self, signature: str, with_updates: bool) -> Part:
        """What computes a signature's outputs from its inputs and the state.

        Args:
            signature: its name.
            with_updates: add the update ops that the signature's inputs suffice for.
        """
        key = (signature, with_updates)
        if key not in self._applications:
            targets = {
                tensor
                for info in self.signature_def(signature).outputs.values()
                for tensor in signature_lib.component_names(info)
            }
            # Few and small; a module that is made of this application carries the files on.
            targets.update(self.names(tf1.GraphKeys.ASSET_FILEPATHS))
            if with_updates:
                targets.update(self.updates(signature))
            self._applications[key] = self.part(targets, self._cut(signature))
        return self._applications[key]

    def updates(self, signature: str) -> list[str]:
        """The UPDATE_OPS that a call of the signature can run: they need no input of another signature."""
        if signature not in self._updates:
            cut = self._cut(signature)
            missing = {name for name, node in self.nodes.items() if node.op == "Placeholder"} - cut.touched
            unable = graph_lib.descendants(self.nodes, missing, cut)
            names = self.names(tf1.GraphKeys.UPDATE_OPS)
            self._updates[signature] = [name for name in names if graph_lib.node_name(name) not in unable]
        return self._updates[signature]

    def _cut(self, signature: str) -> graph_lib.Cut:
        return graph_lib.Cut(self.state_nodes, frozenset(tensor for _, tensor in self.feeds(signature)))

    def part(self, targets: Iterable[str], cut: graph_lib.Cut) -> Part:
        """The nodes that some targets need.

        Args:
            targets: names of nodes or tensors.
            cut: what the importer replaces.
        """
        keep = graph_lib.ancestors(self.nodes, targets, cut)
        contexts, mentioned = self._contexts(keep, cut)
        stand_ins = mentioned - keep
        colocations = {}

        def rewrite(node: node_def_pb2.NodeDef) -> None:
            node.device = ""
            if node.name in stand_ins:
                _make_placeholder(node, self._output_type(node))
            elif cut.touched.isdisjoint(graph_lib.colocated_with(node)):
                graph_lib.keep_colocations(node, keep)
            else:
                others = graph_lib.colocated_with(node)
                colocations[node.name] = [name for name in others if name in keep or name in cut.touched]
                del node.attr["_class"]

        fed = cut.touched - cut.nodes
        graph_def = graph_lib.subgraph(self.meta_graph.graph_def, keep | stand_ins, fed, rewrite)
        present = {node.name for node in graph_def.node}
        inputs = frozenset(
            name if graph_lib.is_control(name) else graph_lib.tensor_name(name)
            for node in graph_def.node
            for name in node.input
            if cut.covers(name) and not (graph_lib.is_control(name) and graph_lib.node_name(name) in present)
        )
        unseeded = frozenset(
            (self._function_names.get(function, ""), node.name)
            for function, node in functions.all_nodes(graph_def)
            if self._is_unseeded(node)
        )
        functions.rename(graph_def, self._function_names)
        return Part(graph_def, frozenset(keep), inputs, colocations, contexts, unseeded)

    def _contexts(self, keep: set[str], cut: graph_lib.Cut) -> tuple[tuple[tuple[str, bytes], ...], set[str]]:
        """The v1 control flow contexts of kept nodes; adds what they need to `keep`.

        Returns:
            The contexts, and the names of all nodes they mention: the importer looks each of them up.
        """
        waiting = [
            (collection, value, set(map(graph_lib.node_name, graph_lib.inner_tensors(collection, value))))
            for collection in format.CONTROL_FLOW_COLLECTIONS
            for value in self.serialized(collection)
        ]
        contexts, mentioned = [], set()
        found = waiting
        while found:
            found = [entry for entry in waiting if not keep.isdisjoint(entry[2])]
            waiting = [entry for entry in waiting if entry not in found]
            for collection, value, _ in found:
                contexts.append((collection, value))
                tensors = graph_lib.control_flow_tensors(collection, value)
                keep |= graph_lib.ancestors(self.nodes, tensors, cut)
                mentioned |= set(map(graph_lib.node_name, tensors))
        return tuple(contexts), mentioned

    def _is_unseeded(self, node: node_def_pb2.NodeDef) -> bool:
        attributes = {attribute.name for attribute in self._definition(node).attr}
        if not attributes.issuperset(_SEEDS):
            return False
        given = [node.attr[seed] for seed in _SEEDS if seed in node.attr]
        return not any(value.i or value.placeholder for value in given)  # the caller of a function may seed it

    def _output_type(self, node: node_def_pb2.NodeDef) -> int:
        output = self._definition(node).output_arg[0]
        return output.type or node.attr[output.type_attr].type


def tag_set(tags: Collection[str] | None) -> frozenset[str]:
    """Tags as a set; None is the empty one.

    Raises:
        SignatureError: a str, whose letters would be the tags.
    """
    if isinstance(tags, str):
        raise errors.SignatureError(f"tags={tags!r}: expected a set of tags, such as {{{tags!r}}}.")
    return frozenset(tags or ())


def _make_placeholder(node: node_def_pb2.NodeDef, dtype: int) -> None:
    name = node.name
    node.Clear()
    node.name, node.op = name, "Placeholder"
    node.attr["dtype"].type = dtype
    node.attr["shape"].shape.unknown_rank = dtype != types_pb2.DT_RESOURCE


def variable_tensors(
    definition: variable_pb2.VariableDef, nodes: Mapping[str, node_def_pb2.NodeDef]
) -> list[str]:
    """The tensors and ops that make up a variable, of those that are among the nodes."""
    names = [
        definition.variable_name,
        definition.initializer_name,
        definition.initial_value_name,
        # Older files name no snapshot of a resource variable: it has this name.
        definition.snapshot_name or graph_lib.node_name(definition.variable_name) + "/Read/ReadVariableOp",
    ]
    return [name for name in names if graph_lib.node_name(name) in nodes]
