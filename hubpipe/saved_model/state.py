"""What the graph variants of a module share in TensorFlow 2: variables, tables, files."""

import dataclasses
import hashlib
import uuid
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import NamedTuple

import tensorflow as tf
from tensorflow.compat import v1 as tf1
from tensorflow.core.framework import graph_pb2, node_def_pb2, variable_pb2

from hubpipe import errors
from hubpipe.compat import variables as compat_variables
from hubpipe.hub import graph as graph_lib
from hubpipe.hub import importing
from hubpipe.hub import variant as variant_lib

_IMMUTABLE_TABLE = "HashTableV2"
_MUTABLE_TABLES = ("MutableHashTableV2", "MutableHashTableOfTensorsV2")
_VARIABLE = "VarHandleOp"
_READS = ("ReadVariableOp", "ResourceGather", "ResourceGatherNd", "LookupTableFindV2", "LookupTableSizeV2")
_DIGEST_DIGITS = 32


class PartOf(NamedTuple):
    """Which part of a partitioned variable a variable is.

    Attributes:
        whole: name of the partitioned variable.
        starts: first index along each axis.
        lengths: number of elements along each axis.
    """

    whole: str
    starts: tuple[int, ...]
    lengths: tuple[int, ...]


class State:
    """The variables, tables and files of some graph variants, each once.

    Variables of the same name are one variable, and tables with the same contents are one table.

    Attributes:
        variables: dict node name -> variable, sorted by name; parts of a partitioned variable are variables.
        parts: dict node name of a part of a partitioned variable -> which part it is.
        tables: the tables.
        assets: dict path -> tf.saved_model.Asset.
    """

    def __init__(self, variants: Iterable[variant_lib.Variant]):
        """Declares the variables and creates the tables; called while executing eagerly.

        Args:
            variants: in the form of resource_form; their assets have paths.
        Raises:
            ModuleSpecError: state that a SavedModel of TensorFlow 2 cannot hold, or variants that differ in it.
        """
        self.assets: dict[str, tf.saved_model.Asset] = {}
        self.tables: list[Table] = []
        self.parts: dict[str, PartOf] = {}
        self._tables_by_contents: dict[str, Table] = {}
        self._handles: dict[frozenset[str], dict[str, object]] = {}
        variants = list(variants)
        self.variables = self._declare(variants)
        for variant in variants:
            self._handles[variant.tags] = self._lift(variant)

    def handles(self, variant: variant_lib.Variant) -> dict[str, tf.Tensor]:
        """dict node of the variant -> the resource or path that takes the place of its output."""
        return self._handles[variant.tags]

    def _declare(self, variants: list[variant_lib.Variant]) -> dict[str, tf.Variable]:
        trainable = {
            variable_pb2.VariableDef.FromString(value).variable_name
            for variant in variants
            for value in variant.serialized(tf1.GraphKeys.TRAINABLE_VARIABLES)
        }
        found: dict[str, tuple] = {}
        for variant in variants:
            for definition in variant.variables:
                name = graph_lib.node_name(definition.variable_name)
                node = variant.nodes[name]
                if node.op != _VARIABLE:
                    raise errors.ModuleSpecError(f"Variable {name!r} is a {node.op}, which cannot be shared.")
                facts = (tf.as_dtype(node.attr["dtype"].type), tf.TensorShape(node.attr["shape"].shape))
                if found.setdefault(name, facts) != facts:
                    raise errors.ModuleSpecError(
                        f"Variable {name!r} is {facts[0].name} {facts[1]} in the {variant.describe()}, "
                        f"{found[name][0].name} {found[name][1]} in another."
                    )
                if definition.HasField("save_slice_info_def"):
                    info = definition.save_slice_info_def
                    self.parts[name] = PartOf(info.full_name, tuple(info.var_offset), tuple(info.var_shape))
        return {
            name: compat_variables.declare_variable(name, dtype, shape, trainable=f"{name}:0" in trainable)
            for name, (dtype, shape) in sorted(found.items())
        }

    def _lift(self, variant: variant_lib.Variant) -> dict[str, tf.Tensor]:
        handles = {name: variable.handle for name, variable in self.variables.items() if name in variant.nodes}
        for name in map(graph_lib.node_name, variant.names(tf1.GraphKeys.ASSET_FILEPATHS)):
            path = tf.make_ndarray(variant.nodes[name].attr["value"].tensor).item().decode()
            asset = self.assets.setdefault(path, tf.saved_model.Asset(path))
            handles[name] = asset.asset_path
        for name in sorted(variant.state_nodes - set(handles)):
            handles[name] = self._table(variant, name, dict(handles)).resource_handle
        return handles

    def _table(self, variant: variant_lib.Variant, name: str, handles: Mapping[str, tf.Tensor]) -> "Table":
        node = variant.nodes[name]
        if node.op not in (_IMMUTABLE_TABLE, *_MUTABLE_TABLES):
            raise errors.ModuleSpecError(
                f"The {variant.describe()} holds state in node {name!r} ({node.op}); a SavedModel of TensorFlow 2 "
                f"can hold variables, {', '.join((_IMMUTABLE_TABLE, *_MUTABLE_TABLES))}."
            )
        initializers = _filling(variant, name)
        contents = _contents(variant, [name, *initializers])
        if contents not in self._tables_by_contents:
            # Loaders of one process share a table by its name: only one that never changes may be named so.
            shared_name = contents if node.op == _IMMUTABLE_TABLE else uuid.uuid4().hex
            table = Table(variant, name, initializers, handles, f"hubpipe_{shared_name}")
            self._tables_by_contents[contents] = table
            self.tables.append(table)
        return self._tables_by_contents[contents]


class Table(tf.saved_model.experimental.TrackableResource):
    """A lookup table of a graph; it is filled when the SavedModel is loaded."""

    def __init__(
        self,
        variant: variant_lib.Variant,
        node: str,
        initializers: list[str],
        handles: Mapping[str, tf.Tensor],
        shared_name: str,
    ):
        """Describes the table.

        Args:
            variant: where it comes from.
            node: name of its node.
            initializers: names of the ops that fill it.
            handles: what takes the place of other nodes in them.
            shared_name: the name that TensorFlow keeps it under.
        """
        super().__init__()
        self._variant = variant
        self._node = node
        self._initializers = initializers
        self._handles = handles
        self._definition = node_def_pb2.NodeDef()
        self._definition.CopyFrom(variant.nodes[node])
        self._shared_name = shared_name

    def _create_resource(self) -> tf.Tensor:
        attributes = {
            "key_dtype": tf.as_dtype(self._definition.attr["key_dtype"].type),
            "value_dtype": tf.as_dtype(self._definition.attr["value_dtype"].type),
            "shared_name": self._shared_name,
        }
        if "value_shape" in self._definition.attr:
            attributes["value_shape"] = tf.TensorShape(self._definition.attr["value_shape"].shape)
        return getattr(tf.raw_ops, self._definition.op)(**attributes)

    def _initialize(self) -> None:
        # Called by tf.saved_model.save inside a function of its own.
        if self._initializers:
            handles = {**self._handles, self._node: self.resource_handle}
            run(self._variant, self._initializers, {}, handles)


def run(
    variant: variant_lib.Variant,
    targets: Iterable[str],
    feeds: Mapping[str, tf.Tensor],
    handles: Mapping[str, tf.Tensor],
) -> Callable[[str], tf.Operation | tf.Tensor]:
    """Imports what some targets need into the function that is being traced.

    Args:
        variant: whose graph it is.
        targets: names of nodes or tensors.
        feeds: dict tensor -> what takes its place.
        handles: dict node -> the resource or path that takes the place of its output.
    Returns:
        Function from the name of a target to its operation or tensor.
    """
    graph = tf1.get_default_graph()
    cut = graph_lib.Cut(frozenset(handles), frozenset(feeds))
    part = variant.part(targets, cut)
    part = dataclasses.replace(part, graph_def=_with_reads_first(part.graph_def, handles))
    replacements: dict[str, tf.Tensor] = {}

    def replacement(name: str) -> tf.Tensor:
        if name not in replacements:
            node = graph_lib.node_name(name)
            if graph_lib.tensor_name(name) in feeds:
                replacements[name] = feeds[graph_lib.tensor_name(name)]
            elif node in handles:
                replacements[name] = graph.capture(handles[node])
            else:  # a control input from a fed node; each of its tensors will do
                replacements[name] = next(feed for key, feed in feeds.items() if graph_lib.node_name(key) == node)
        return replacements[name]

    with tf1.name_scope("module") as scope:
        input_map = {name: replacement(name) for name in part.inputs}
        imported = importing.import_part(part, input_map, scope.rstrip("/"))
    return lambda name: replacement(name) if cut.covers(name) else imported.element(name)


def _with_reads_first(graph_def: graph_pb2.GraphDef, handles: Collection[str]) -> graph_pb2.GraphDef:
    """The graph, in which a resource is read before it is written unless the read depends on a write.

    In a session that order is open; a function of TensorFlow 2 would write first where the writer's node was made
    first. Outputs are those of the values before the step.
    """
    users: dict[str, list[str]] = {}
    nodes = {node.name: node for node in graph_def.node}
    for node in graph_def.node:
        for source in node.input:
            if not graph_lib.is_control(source) and graph_lib.node_name(source) in handles:
                users.setdefault(graph_lib.node_name(source), []).append(node.name)
    writers = {name for names in users.values() for name in names if nodes[name].op not in _READS}
    late = graph_lib.descendants(nodes, writers, graph_lib.Cut())
    result = graph_pb2.GraphDef()
    result.CopyFrom(graph_def)
    for node in result.node:
        if node.name in writers:
            resources = [graph_lib.node_name(source) for source in node.input if not graph_lib.is_control(source)]
            reads = {name for resource in resources for name in users.get(resource, ()) if name not in late}
            node.input.extend(sorted(f"^{name}" for name in reads if f"^{name}" not in node.input))
    return result


def _filling(variant: variant_lib.Variant, table: str) -> list[str]:
    """The TABLE_INITIALIZERS that fill a table."""
    return [
        name
        for name in variant.names(tf1.GraphKeys.TABLE_INITIALIZERS)
        if table in graph_lib.ancestors(variant.nodes, [name], graph_lib.Cut())
    ]


def _contents(variant: variant_lib.Variant, targets: list[str]) -> str:
    """A digest of what makes up a table, the bytes of its files included."""
    digest = hashlib.sha256()
    asset_nodes = set(map(graph_lib.node_name, variant.names(tf1.GraphKeys.ASSET_FILEPATHS)))
    for name in sorted(graph_lib.ancestors(variant.nodes, targets, graph_lib.Cut())):
        node = node_def_pb2.NodeDef()
        node.CopyFrom(variant.nodes[name])
        if name in asset_nodes:
            with tf.io.gfile.GFile(tf.make_ndarray(node.attr["value"].tensor).item(), "rb") as file:
                digest.update(file.read())
            del node.attr["value"]
        if "shared_name" in node.attr:
            del node.attr["shared_name"]  # tells tables of one graph apart; many are random
        digest.update(node.SerializeToString(deterministic=True))
    return digest.hexdigest()[:_DIGEST_DIGITS]
