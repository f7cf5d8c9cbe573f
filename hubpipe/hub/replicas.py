"""A module's state under a distribution strategy that trains copies of a model together, one on each device."""

import tensorflow as tf
from tensorflow.compat import v1 as tf1
from tensorflow.core.framework import variable_pb2

from hubpipe import errors
from hubpipe.hub import graph as graph_lib
from hubpipe.hub import importing, spec, state
from hubpipe.hub import variant as variant_lib


def create_state(
    module_spec: spec.ModuleSpec, variant: variant_lib.Variant, name: str, trainable: bool
) -> state.State:
    """The state of a new module in the current graph: with one copy of the model, or as one of several."""
    if tf.distribute.has_strategy() and not tf.distribute.in_cross_replica_context():
        return ReplicaState(module_spec, variant, name, trainable)
    return state.State(module_spec, variant, name, trainable)


class ReplicaState(state.State):
    """The variables are the strategy's, made by get_variable; the tables are the replica's own.

    Attributes:
        variable_scope: as of State.
        variable_map: dict name relative to the module -> the strategy's variable, the same for all replicas.
    """

    def __init__(self, module_spec: spec.ModuleSpec, variant: variant_lib.Variant, name: str, trainable: bool):
        if module_spec.checkpoint_path:
            raise errors.ModuleStateError(
                f"{module_spec}: a module with values of its own cannot be used under a distribution strategy. "
                "Train without one, or over parameter servers."
            )
        self._variant = variant
        self._trainable = trainable
        self._graph = tf1.get_default_graph()
        with tf1.variable_scope(None, default_name=name, auxiliary_name_scope=False) as scope:
            self.variable_scope = scope.name
            self.variable_map = self._create_variables(scope.name)
        self._handles = {
            graph_lib.node_name(definition.variable_name): self._variable(definition).handle
            for definition in variant.variables
        }
        # Beside what the replica adds when it applies the module: absolute names, told apart by its name scope.
        self._scope = self._unique_scope(f"{scope.name}_state")
        part = variant.part(self._targets(), graph_lib.Cut(frozenset(self._handles)))
        handles = {name: self._handles[graph_lib.node_name(name)] for name in part.inputs}
        imported = importing.import_part(part, handles, self._scope)
        node_keys = [tf1.GraphKeys.TABLE_INITIALIZERS, tf1.GraphKeys.ASSET_FILEPATHS]
        if trainable:
            node_keys.append(tf1.GraphKeys.REGULARIZATION_LOSSES)
        for key in node_keys:
            for element in variant.names(key):
                self._graph.add_to_collection(key, imported.element(element))

    def _create_variables(self, scope: str) -> dict[str, tf.Variable]:
        definitions = {graph_lib.node_name(one.variable_name): one for one in self._variant.variables}
        if any(definition.HasField("save_slice_info_def") for definition in definitions.values()):
            raise errors.ModuleStateError(
                f"{scope}: has variables in parts, which only parameter servers share out. Under this strategy "
                "every device holds all of each; make them in one part."
            )
        initial_names = [definition.initial_value_name for definition in definitions.values()]
        part = self._variant.part(initial_names, graph_lib.Cut())
        initial = importing.import_part(part, {}, self._unique_scope(f"{scope}_initial"))
        trainable = self._in_collection(tf1.GraphKeys.TRAINABLE_VARIABLES) if self._trainable else set()
        return {
            name: tf1.get_variable(
                name,
                initializer=initial.element(definition.initial_value_name),
                trainable=name in trainable,
                use_resource=True,
                # Each replica updates its own statistics, such as moving averages; those of the first are saved.
                aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
            )
            for name, definition in definitions.items()
        }

    def _unique_scope(self, name: str) -> str:
        outer = self._graph.get_name_scope()
        with tf1.name_scope(None):
            return self._graph.unique_name(f"{outer}/{name}" if outer else name)

    def _in_collection(self, key: str) -> set[str]:
        definitions = map(variable_pb2.VariableDef.FromString, self._variant.serialized(key))
        return {graph_lib.node_name(definition.variable_name) for definition in definitions}

    def _variable(self, definition: variable_pb2.VariableDef) -> tf.Variable:
        return self.variable_map[graph_lib.node_name(definition.variable_name)]

    def _targets(self) -> set[str]:
        """What of the state is no variable."""
        targets = set(self._variant.state_nodes) - set(self._handles)
        targets.update(self._variant.names(tf1.GraphKeys.TABLE_INITIALIZERS))
        targets.update(self._variant.names(tf1.GraphKeys.ASSET_FILEPATHS))
        if self._trainable:
            targets.update(self._variant.names(tf1.GraphKeys.REGULARIZATION_LOSSES))
        return targets

    def _tensor(self, name: str) -> tf.Tensor:
        node = graph_lib.node_name(name)
        return self._handles[node] if node in self._handles else super()._tensor(name)
