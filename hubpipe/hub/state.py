"""A module's state in a graph, and the application of its signatures to it."""

import contextlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping

import tensorflow as tf
from tensorflow.compat import v1 as tf1
from tensorflow.core.framework import variable_pb2

from hubpipe import errors
from hubpipe.compat import checkpoints as compat_checkpoints
from hubpipe.compat import graph as compat_graph
from hubpipe.hub import colocation, importing, spec
from hubpipe.hub import graph as graph_lib
from hubpipe.hub import variables as variables_lib
from hubpipe.hub import variant as variant_lib

_NOT_IN_SCOPE_NAMES = re.compile(r"[^A-Za-z0-9_.\-/]")


class State:
    """The variables and tables of one module in a graph.

    Attributes:
        variable_scope: before the names of its variables, without the last slash.
        variable_map: dict name relative to the module -> variable, or the list of a partitioned variable's parts.
    """

    def __init__(self, module_spec: spec.ModuleSpec, variant: variant_lib.Variant, name: str, trainable: bool):
        self._variant = variant
        self._trainable = trainable
        with _outside_of_functions() as is_outside, _scope(name) as self._scope:
            self.variable_scope = self._scope
            self._graph = tf1.get_default_graph()
            with variant.blamed("its state cannot be imported"):
                # Ops that only order others do not get into a function; outside of it they can be looked up.
                part = variant.whole_part() if is_outside else variant.state_part(trainable)
                imported = importing.import_part(part, {}, self._scope)
                for name in imported.nodes:
                    compat_graph.prefix_shared_name(imported.operation(name), self._scope)
                self._fill_collections(imported)
                if module_spec.checkpoint_path and self.variable_map:
                    self._initialize_from(variables_lib.Checkpoint(module_spec.checkpoint_path))

    def _initialize_from(self, checkpoint: variables_lib.Checkpoint) -> None:
        checkpoint.check({name: name for name in self.variable_map}, self._variant.variable_shapes)
        for name, variable in self.variable_map.items():
            for part in variables_lib.parts(variable):
                compat_checkpoints.initialize(part, checkpoint.path, name)

    def _fill_collections(self, imported: importing.Imported) -> None:
        variables = {
            definition.variable_name: compat_graph.restore_variable(definition, self._scope)
            for definition in self._variant.variables
        }
        self.variable_map = _variable_map(variables.values(), self._scope)
        variable_keys = [tf1.GraphKeys.GLOBAL_VARIABLES, tf1.GraphKeys.MODEL_VARIABLES]
        node_keys = [tf1.GraphKeys.TABLE_INITIALIZERS, tf1.GraphKeys.ASSET_FILEPATHS]
        if self._trainable:
            variable_keys.append(tf1.GraphKeys.TRAINABLE_VARIABLES)
            node_keys.append(tf1.GraphKeys.REGULARIZATION_LOSSES)
        for key in variable_keys:
            for serialized in self._variant.serialized(key):
                name = variable_pb2.VariableDef.FromString(serialized).variable_name
                self._graph.add_to_collection(key, variables[name])
        for key in node_keys:
            for name in self._variant.names(key):
                self._graph.add_to_collection(key, imported.element(name))

    def apply(self, signature: str, feeds: Mapping[str, tf.Tensor]) -> Callable[[str], tf.Tensor]:
        """Adds what computes a signature's outputs to the current graph.

        Args:
            signature: its name.
            feeds: dict tensor of the module's graph -> what takes its place.
        Returns:
            A function from the name of a tensor of the module's graph to the tensor.
        """
        graph = tf1.get_default_graph()
        part = self._variant.application_part(signature, self._trainable)

        def replacement(name: str) -> tf.Tensor:
            if graph_lib.is_control(name):  # of a fed node; each of its tensors will do
                node = graph_lib.node_name(name)
                name = next(fed for fed in feeds if graph_lib.node_name(fed) == node)
            name = graph_lib.tensor_name(name)
            tensor = feeds[name] if name in feeds else self._tensor(name)
            return compat_graph.capture(graph, tensor)

        scope_name = f"{self._scope.rsplit('/', 1)[-1]}_apply_{signature}"
        with tf1.name_scope(_NOT_IN_SCOPE_NAMES.sub("_", scope_name)) as scope:
            replacements = {name: replacement(name) for name in part.inputs}
            imported = importing.import_part(part, replacements, scope.rstrip("/"))
        colocation.restore(imported, part.colocations, feeds, replacement)
        for name in self._variant.names(tf1.GraphKeys.ASSET_FILEPATHS):
            if graph_lib.node_name(name) in imported.nodes:
                graph.add_to_collection(tf1.GraphKeys.ASSET_FILEPATHS, imported.element(name))
        if self._trainable:
            for name in self._variant.updates(signature):
                graph.add_to_collection(tf1.GraphKeys.UPDATE_OPS, imported.element(name))

        def output(name: str) -> tf.Tensor:
            if graph_lib.node_name(name) in imported.nodes and name not in feeds:
                return imported.element(graph_lib.tensor_name(name))
            return replacement(name)

        return output

    def _tensor(self, name: str) -> tf.Tensor:
        """The tensor of the state that has a name in the module's graph."""
        return self._graph.get_tensor_by_name(f"{self._scope}/{name}")


@contextlib.contextmanager
def _outside_of_functions() -> Iterator[bool]:
    """Leaves functions and control flow: state lives in the outermost graph.

    A wrap_function that is traced from eager execution is such a graph itself.

    Yields:
        Whether a function was left.
    """
    graph = tf1.get_default_graph()
    if compat_graph.is_function_graph(graph) and not compat_graph.outermost_is_eager():
        with tf.init_scope():
            yield True
    else:
        with tf.control_dependencies(None):
            yield False


@contextlib.contextmanager
def _scope(name: str) -> Iterator[str]:
    """Enters a new module's scope: fresh as a variable scope, the same as an absolute name scope."""
    with tf1.variable_scope(None, default_name=name, auxiliary_name_scope=False) as variable_scope:
        scope = variable_scope.name
        if not _take_name_scope(scope):
            raise errors.ModuleStateError(
                f"variable_scope {scope!r} was unused but the corresponding name_scope was already taken, perhaps "
                "by a module that was made in the same variable scope. Make one module and call it several times, "
                "or make each in a scope of its own."
            )
        yield scope


def _take_name_scope(scope: str) -> bool:
    """Marks an absolute name scope as used; False if it is so already.

    Raises:
        ValueError: TensorFlow's own: no scope can have the name.
    """
    graph = tf1.get_default_graph()
    with tf1.name_scope(None):
        with tf1.name_scope(scope + "/"):  # checks the name
            pass
        is_free = graph.unique_name(scope, mark_as_used=False) == scope
        if is_free:
            graph.unique_name(scope)
    return is_free


def _variable_map(variables: Iterable, scope: str) -> dict:
    whole, parts = {}, {}
    for variable in variables:
        slice_info = variable._get_save_slice_info()
        if slice_info is None:
            whole[variable.op.name.removeprefix(scope + "/")] = variable
        else:
            parts.setdefault(slice_info.full_name.removeprefix(scope + "/"), []).append(variable)
    ordered = {
        name: sorted(members, key=lambda part: list(part._get_save_slice_info().var_offset))
        for name, members in parts.items()
    }
    return {**whole, **ordered}
