"""Module: a module that stands in a graph."""

import os
from collections.abc import Collection, Mapping

import tensorflow as tf
from tensorflow.compat import v1 as tf1

from hubpipe import errors
from hubpipe.compat import graph as compat_graph
from hubpipe.hub import read, replicas, state
from hubpipe.hub import signature as signature_lib
from hubpipe.hub import spec as spec_lib
from hubpipe.hub import variables as variables_lib

# Not a string, so that graph.get_all_collection_keys() does not show it.
_REGISTERED = ("hubpipe.registered_modules",)

_USE_A_GRAPH = (
    "Use it in a graph, such as `with tf.Graph().as_default():` or an Estimator's model_fn; for TensorFlow 2 load "
    "the module's tf2/ twin with tf.saved_model.load."
)


class Module:
    """Part of a model: state that is shared by all its applications, and signatures to apply it by.

        m = Module("/path/to/module")
        embeddings = m(["a sentence", "another"])

    Constructing a module in a graph adds its state there, once:
    - variables to GLOBAL_VARIABLES, and to TRAINABLE_VARIABLES if it is trainable; their initializers give them
      the values on disk, or those that module_fn asked for if the spec has none;
    - tables to TABLE_INITIALIZERS, files to ASSET_FILEPATHS;
    - if it is trainable, its losses to REGULARIZATION_LOSSES.

    Each call adds what computes the outputs, and to UPDATE_OPS the updates (such as those of moving averages) if
    the module is trainable. A module may be constructed and called inside tf.cond, tf.while_loop and tf.function.

    Random ops that the module's publisher gave no seed, those in functions too, follow
    tf.compat.v1.set_random_seed of the graph they come to.

    Source: "TF1 Hub format", Using a TF1 Hub format model.
    """

    def __init__(
        self,
        spec: spec_lib.ModuleSpec | str,
        trainable: bool = False,
        name: str = "module",
        tags: Collection[str] | None = None,
    ):
        """Adds the state of a module to the current graph.

        Args:
            spec: a ModuleSpec, or the handle of a module for load_module_spec.
            trainable: whether the module is to be trained along with the rest of the graph.
            name: scope of the module's variables; made unique.
            tags: the graph variant; None is the variant without tags.
        Raises:
            SignatureError: no such variant, or no module spec.
            ModuleStateError: eager execution, or a function of it and trainable; a name scope that is taken though
                the variable scope is free.
            ValueError: TensorFlow's own, of a name that no scope can have.
            HandleError, FormatError: as load_module_spec; FormatError if the graph cannot be imported, too.
            tf.errors.NotFoundError: the graph has ops that this TensorFlow does not know.
        """
        self._spec = as_module_spec(spec)
        self._trainable = trainable
        self._variant = self._spec.variant(tags)
        if tf.executing_eagerly():
            raise errors.ModuleStateError(
                f"hub.Module is not supported when eager execution is enabled. {_USE_A_GRAPH}"
            )
        self._graph = tf1.get_default_graph()
        is_eager_outside = compat_graph.is_function_graph(self._graph) and compat_graph.outermost_is_eager()
        if trainable and is_eager_outside and compat_graph.runs_all_state_changes(self._graph):
            raise errors.ModuleStateError(
                "hub.Module(trainable=True) in a tf.function that is called eagerly would never train: each call "
                f"gives its variables their first values again. {_USE_A_GRAPH}"
            )
        self._variant.check_ops()
        self._state = replicas.create_state(self._spec, self._variant, name, trainable)

    @property
    def graph(self) -> tf.Graph:
        """The graph that the module was constructed in."""
        return self._graph

    def __call__(self, inputs=None, _sentinel: None = None, signature: str | None = None, as_dict: bool = False):
        """Applies the module.

        Args:
            inputs: dict name -> value, or the value of the only input; values are tensors or convert to them.
            signature: the name of a signature, "default" if None.
            as_dict: return all outputs rather than the one called "default".
        Returns:
            A tensor, or a dict name -> tensor if as_dict.
        Raises:
            SignatureError: unknown signature.
            SignatureInputError: missing, unexpected or unconvertible inputs; no "default" output and not as_dict.
            ModuleStateError: the current graph is not the module's.
            FormatError: the module on disk is broken.
            ValueError: TensorFlow's own, of inputs whose shapes the module's ops cannot take.
        """
        if _sentinel is not None:
            raise TypeError("Module.__call__ takes signature and as_dict by keyword only.")
        self._check_graph("applied")
        signature = signature or signature_lib.DEFAULT
        infos = self._variant.inputs(signature)
        values = signature_lib.convert_inputs(inputs, infos, signature)
        try:
            outputs = self._apply(self._state, signature, values)
        except Exception:
            if self._variant.path is not None:
                self._check_applicable(signature)
            raise
        if as_dict:
            return outputs
        if signature_lib.DEFAULT not in outputs:
            raise errors.SignatureInputError(
                f"There is no output named 'default' in signature {signature!r}, only {sorted(outputs)!r}. "
                "Use as_dict=True."
            )
        return outputs[signature_lib.DEFAULT]

    def _apply(self, module_state: state.State, signature: str, values: Mapping[str, object]) -> dict:
        """The outputs that a signature has for its inputs."""
        signature_def = self._variant.signature_def(signature)
        feeds = {}
        for key, info in sorted(signature_def.inputs.items()):
            names = signature_lib.component_names(info)
            feeds.update(zip(names, signature_lib.components(values[key]), strict=True))
        tensors = module_state.apply(signature, feeds)
        return {
            key: signature_lib.compose(info, [tensors(name) for name in signature_lib.component_names(info)])
            for key, info in sorted(signature_def.outputs.items())
        }

    def _check_applicable(self, signature: str) -> None:
        """Applies a signature to what it declares, in a graph of its own: the caller's inputs have no part in it.

        Raises:
            FormatError: the module on disk is broken.
        """
        with tf.Graph().as_default(), self._variant.blamed(f"signature {signature!r} cannot be applied"):
            module_state = state.State(self._spec, self._variant, "module", self._trainable)
            placeholders = {
                key: tf.nest.map_structure(
                    lambda spec: tf1.placeholder(spec.dtype, spec.shape), info.type_spec, expand_composites=True
                )
                for key, info in self._variant.inputs(signature).items()
            }
            self._apply(module_state, signature, placeholders)

    def get_signature_names(self) -> list[str]:
        """The names of the signatures."""
        return self._variant.signature_names

    def get_input_info_dict(self, signature: str | None = None) -> dict[str, signature_lib.ParsedTensorInfo]:
        """dict name -> info of what a signature takes; see ModuleSpec.get_input_info_dict."""
        return self._variant.inputs(signature or signature_lib.DEFAULT)

    def get_output_info_dict(self, signature: str | None = None) -> dict[str, signature_lib.ParsedTensorInfo]:
        """dict name -> info of what a signature returns; see ModuleSpec.get_input_info_dict."""
        return self._variant.outputs(signature or signature_lib.DEFAULT)

    def get_attached_message(self, key: str, message_type: type, required: bool = False):
        """The message attached under a key to the module's graph variant; see ModuleSpec.get_attached_message."""
        return self._spec.get_attached_message(key, message_type, tags=self._variant.tags, required=required)

    @property
    def variable_map(self) -> dict:
        """dict name relative to the module -> variable, or list of a partitioned variable's parts, in order."""
        return dict(self._state.variable_map)

    @property
    def variables(self) -> list:
        """All variables, parts of partitioned ones included, ordered by name."""
        flat = []
        for _, variable in sorted(self._state.variable_map.items()):
            flat.extend(variable if isinstance(variable, list) else [variable])
        return flat

    def checkpoint_names(self) -> dict[str, str]:
        """dict name of a variable, of other graph variants too -> its name in checkpoints of this graph."""
        return {name: f"{self._state.variable_scope}/{name}" for name in self._spec.variable_shapes()}

    @property
    def tags(self) -> frozenset[str]:
        """The tags of the graph variant that the module was made from."""
        return self._variant.tags

    @property
    def spec(self) -> spec_lib.ModuleSpec:
        """The ModuleSpec that the module was made from."""
        return self._spec

    def export(self, path: str, session: tf1.Session) -> None:
        """Writes the module with the values that its variables have in a session.

        Args:
            path: directory of the module; it must not exist or be empty.
            session: a session of the module's graph, with its variables initialized.
        Raises:
            ModuleStateError: a session of another graph.
            ExportExistsError: the directory is not empty; nothing was written.
            ModuleSpecError: another graph variant has variables that this one lacks.
        """
        if session.graph is not self._graph:
            raise errors.ModuleStateError("Module.export needs a session of the graph that the module belongs to.")
        lacking = sorted(set(self._spec.variable_shapes()) - set(self._state.variable_map))
        if lacking:
            raise errors.ModuleSpecError(
                f"The {self._variant.describe()} lacks variables of other variants: {lacking!r}. "
                "Export an instance of a variant that has them all."
            )
        self._spec.write(
            path, lambda prefix: variables_lib.write_from_session(self._state.variable_map, session, prefix)
        )

    def _check_graph(self, what: str) -> None:
        graph = tf1.get_default_graph()
        while graph is not self._graph and compat_graph.is_function_graph(graph):
            graph = graph.outer_graph
        if graph is not self._graph:
            raise errors.ModuleStateError(f"Module must be {what} in the graph it was instantiated for.")


def as_module_spec(spec: spec_lib.ModuleSpec | str) -> spec_lib.ModuleSpec:
    """A ModuleSpec as it is, or the one that load_module_spec loads from a handle.

    Raises:
        SignatureError: it is neither.
        HandleError, NotAModuleError, FormatError: as load_module_spec.
    """
    if isinstance(spec, spec_lib.ModuleSpec):
        return spec
    if isinstance(spec, (str, bytes, os.PathLike)):
        return read.load_module_spec(os.fsdecode(spec))
    raise errors.SignatureError(f"Unknown module spec type: {type(spec)}")


def register_module_for_export(module: Module, export_name: str) -> None:
    """Registers a module to be exported under a name by LatestModuleExporter and BestModuleExporter.

    Call it in an Estimator's model_fn, in the mode PREDICT at least.

    Args:
        module: a Module in the current graph.
        export_name: name of its directory.
    Raises:
        ModuleSpecError: the name is taken, or no path below the directory that is exported to.
    """
    if os.path.isabs(export_name) or not set(export_name.split("/")).isdisjoint({"", ".", ".."}):
        raise errors.ModuleSpecError(f"The export name {export_name!r} is not the name of a directory.")
    for name, _ in tf1.get_collection(_REGISTERED):
        if name == export_name:
            raise errors.ModuleSpecError(
                f"There is already a module registered to be exported as {export_name!r}; give each its own name."
            )
    tf1.add_to_collection(_REGISTERED, (export_name, module))


def registered_modules(graph: tf.Graph) -> list[tuple[str, Module]]:
    """Pairs (export name, module) registered in a graph."""
    return graph.get_collection(_REGISTERED)
