"""A module as an object of TensorFlow 2: the interface of a Reusable SavedModel.

    __call__(inputs, training=False, <hyperparameters>)   the signature "default"
    <signature>(inputs, training=False)                   each other signature
    serve(inputs), train(inputs)                          __call__ in one mode, for TFSMLayer of Keras 3
    variables, trainable_variables                        lists of tf.Variable
    regularization_losses                                 list of functions without arguments, float32 [] each
    signatures                                            those of the module, for serving; and "serving_default"

`inputs` is the value of the only input, or a dict name -> value; a result is the tensor of the only output if it
is called "default", else a dict. Without a train variant, training=True runs the one for inference, with its
update ops.

Source: "Exporting a SavedModel" and "Reusable SavedModels" of the TensorFlow Hub documentation.
"""

import dataclasses
import inspect
import keyword
import re
from collections.abc import Callable, Collection, Mapping

import tensorflow as tf
from tensorflow.compat import v1 as tf1

from hubpipe import errors
from hubpipe.hub import format, functions, spec
from hubpipe.hub import graph as graph_lib
from hubpipe.hub import signature as signature_lib
from hubpipe.hub import variant as variant_lib
from hubpipe.saved_model import resource_form, state

SERVING_DEFAULT = "serving_default"
HYPERPARAMETERS = "hyperparameters"
_TRAIN = "train"
_ENDPOINTS = {"serve": False, "train": True}  # name -> mode
_V1_CONTROL_FLOW = ("Exit", "Merge")
# Attributes of the twin that a signature cannot be called by.
_RESERVED = frozenset(
    {
        "assets",
        "fingerprint",
        "graph_debug_info",
        "regularization_losses",
        "save_counter",
        "signatures",
        "tables",
        "trainable_variables",
        "variables",
    }
)


@dataclasses.dataclass(frozen=True)
class Twin:
    """What tf.saved_model.save writes of a module, and what it cannot.

    Attributes:
        root: the object to save.
        signatures: dict name -> concrete function, for serving.
        state: variables, tables and files.
        hyperparameters: dict name -> default, a Python number or bool.
        losses: names of the regularization losses.
        messages: dict key -> bytes, the attached messages of the inference variant.
        lost: what the twin lacks, a line each; empty for a true twin.
    """

    root: tf.train.Checkpoint
    signatures: dict[str, Callable]
    state: state.State
    hyperparameters: dict[str, float | int | bool]
    losses: list[str]
    messages: dict[str, bytes]
    lost: list[str]


def build(module_spec: spec.ModuleSpec) -> Twin:
    """Makes the twin of a module; its variables are declared and have no values.

    Called while executing eagerly.

    Args:
        module_spec: the module, read from disk.
    Raises:
        ModuleSpecError: the module holds state that a SavedModel of TensorFlow 2 cannot hold, or has ops that this
            TensorFlow does not know.
    """
    return _Builder(module_spec).build()


class _Builder:
    """Builds one twin.

    Attributes:
        lost: what the twin lacks, a line each.
    """

    def __init__(self, module_spec: spec.ModuleSpec):
        tag_sets = module_spec.get_tags()
        inference, train = inference_tags(tag_sets), train_tags(tag_sets)
        self.lost = [
            f"graph variant tags={sorted(tags)!r}: a twin has one variant for inference and one for training"
            for tags in tag_sets
            if tags not in (inference, train)
        ]
        self._inference = _resource_variant(module_spec.variant(inference))
        self._train = _resource_variant(module_spec.variant(train)) if train is not None else self._inference
        given = module_spec.variant(inference if train is None else train)
        self._own_gradients = resource_form.own_gradients(given.meta_graph.graph_def)
        self._state = state.State([self._inference] if train is None else [self._inference, self._train])

    def build(self) -> Twin:
        root = tf.train.Checkpoint()
        variables = self._state.variables.values()
        root.variables = list(variables)
        root.trainable_variables = [variable for variable in variables if variable.trainable]
        root.assets = list(self._state.assets.values())
        root.tables = list(self._state.tables)
        losses = losses_of_weights(self._train)
        self.lost += [
            f"regularization loss {name!r}: it depends on the inputs of a signature"
            for name in sorted(set(self._train.names(tf1.GraphKeys.REGULARIZATION_LOSSES)) - set(losses))
        ]
        root.regularization_losses = [self._loss(name) for name in losses]
        scalars = hyperparameters(self._inference)
        self._check_signatures()
        for name in self._inference.signature_names:
            defaults = scalars if name == signature_lib.DEFAULT else {}
            if attribute(name) is not None:
                setattr(root, attribute(name), self._function(name, defaults))
            else:
                self.lost.append(f"signature {name!r}: a twin has an attribute of that name; only serving has it")
            inputs = self._inference.inputs(name)
            self.lost += [
                f"signature {name!r}: serving calls the input {key!r} {parts[0][0]!r}"
                for key, parts in serving_arguments(inputs).items()
                if parts != serving_components(key, inputs[key])
            ]
        if signature_lib.DEFAULT in self._inference.signature_names:
            for name, training in _ENDPOINTS.items():
                if name not in self._inference.signature_names:
                    setattr(root, name, self._endpoint(training))
        signatures = {name: self._serving_function(name) for name in self._inference.signature_names}
        if signature_lib.DEFAULT in signatures:
            signatures.setdefault(SERVING_DEFAULT, signatures[signature_lib.DEFAULT])
        attached = map(
            format.ModuleAttachment.FromString, self._inference.serialized(format.ATTACHMENTS_COLLECTION)
        )
        messages = {message.key: message.value for message in attached}
        return Twin(root, signatures, self._state, scalars, losses, messages, self.lost)

    # Signatures.

    def _check_signatures(self) -> None:
        inference, train = set(self._inference.signature_names), set(self._train.signature_names)
        for name in sorted(inference ^ train):
            variant = self._train if name in inference else self._inference
            self.lost.append(f"signature {name!r} in both modes: the {variant.describe()} lacks it")
        for name in sorted(inference & train):
            trained = self._trained(name)
            loops = sorted(node for node in trained if self._train.nodes[node].op in _V1_CONTROL_FLOW)
            if loops:
                self.lost.append(
                    f"gradients of signature {name!r}: a SavedModel of TensorFlow 2 has none of control flow of "
                    f"TensorFlow 1, such as that of node {loops[0]!r}; it cannot be fine-tuned"
                )
            others = sorted(trained & self._own_gradients)
            if others:
                self.lost.append(
                    f"gradients of signature {name!r}: node {others[0]!r} has a gradient function of its own, "
                    "which cannot be kept; the twin has the gradient of the ops"
                )
            if self._train.types(name) != self._inference.types(name):
                raise errors.ModuleSpecError(
                    f"Signature {name!r} takes or returns other tensors in the {self._train.describe()} than in "
                    f"the {self._inference.describe()}; a twin has one function for both."
                )

    def _trained(self, name: str) -> set[str]:
        """The nodes that lie between the trainable variables and a signature's outputs."""
        nodes, variables = self._train.nodes, self._state.variables
        trainable = [name for name, variable in variables.items() if variable.trainable and name in nodes]
        infos = self._train.signature_def(name).outputs.values()
        targets = {tensor for info in infos for tensor in signature_lib.component_names(info)}
        cut = graph_lib.Cut(tensors=frozenset(tensor for _, tensor in self._train.feeds(name)))
        return graph_lib.ancestors(nodes, targets, cut) & graph_lib.descendants(nodes, trainable, cut)

    def _variant(self, name: str, training: bool) -> variant_lib.Variant:
        has_it = training and name in self._train.meta_graph.signature_def
        return self._train if has_it else self._inference

    def _function(self, name: str, hyperparameters: Mapping[str, float | int | bool]):
        """The tf.function of a signature, traced for inference and for training."""
        infos = self._inference.inputs(name)
        scalars = self._inference.inputs(HYPERPARAMETERS) if hyperparameters else {}

        def call(*args, **kwargs):
            bound = call.__signature__.bind(*args, **kwargs)
            bound.apply_defaults()
            arguments = bound.arguments
            values = signature_lib.match_inputs(arguments.get("inputs"), infos)
            values.update({key: arguments[key] for key in hyperparameters})
            applied = HYPERPARAMETERS if hyperparameters else name
            return _single(self._apply(applied, values, training=bool(arguments["training"])))

        call.__signature__ = _python_signature(bool(infos), hyperparameters)
        function = tf.function(call, autograph=False)
        inputs = self._argument(name)
        specs = {key: _named(scalars[key].type_spec, key) for key in hyperparameters}
        for training in (False, True):
            function.get_concrete_function(*([inputs] if infos else []), training=training, **specs)
        return function

    def _endpoint(self, training: bool):
        """The tf.function of the signature "default" in one mode."""
        infos = self._inference.inputs(signature_lib.DEFAULT)

        def apply(inputs=None):
            values = signature_lib.match_inputs(inputs, infos)
            return _single(self._apply(signature_lib.DEFAULT, values, training=training))

        function = tf.function(apply, autograph=False)
        function.get_concrete_function(*([self._argument(signature_lib.DEFAULT)] if infos else []))
        return function

    def _argument(self, name: str):
        """The specs of what a signature is called with: of the only input, or dict name -> spec."""
        infos = self._inference.inputs(name)
        if len(infos) == 1:
            return _named(next(iter(infos.values())).type_spec, "inputs")
        return {key: _named(info.type_spec, _argument_name(key)) for key, info in infos.items()}

    def _apply(self, name: str, values: Mapping[str, object], *, training: bool) -> dict:
        """The outputs of a signature, in the function that is being traced."""
        variant = self._variant(name, training)
        definition = variant.signature_def(name)
        feeds = {
            tensor: component
            for key, info in definition.inputs.items()
            for tensor, component in zip(
                signature_lib.component_names(info),
                signature_lib.components(_converted(values[key], variant.inputs(name)[key])),
                strict=True,
            )
        }
        updates = variant.updates(name) if training else []
        outputs = {key: signature_lib.component_names(info) for key, info in definition.outputs.items()}
        targets = [*updates, *(tensor for tensors in outputs.values() for tensor in tensors)]
        with variant.blamed(f"signature {name!r} cannot be imported"):
            imported = state.run(variant, targets, feeds, self._state.handles(variant))
        with tf.control_dependencies([imported(update) for update in updates]):
            return {
                key: signature_lib.compose(
                    definition.outputs[key],
                    [tf.identity(imported(graph_lib.tensor_name(tensor))) for tensor in tensors],
                )
                for key, tensors in sorted(outputs.items())
            }

    def _serving_function(self, name: str):
        """The concrete function that serves a signature: dense tensors in, dict of dense tensors out."""
        definition = self._inference.signature_def(name)
        infos = self._inference.inputs(name)
        flat = serving_arguments(infos)

        def serve(**tensors: tf.Tensor) -> dict[str, tf.Tensor]:
            values = {
                key: signature_lib.compose(definition.inputs[key], [tensors[argument] for argument, _ in parts])
                for key, parts in flat.items()
            }
            outputs = self._apply(name, values, training=False)
            return {
                served: component
                for key, info in self._inference.outputs(name).items()
                for (served, _), component in zip(
                    serving_components(key, info), signature_lib.components(outputs[key]), strict=True
                )
            }

        specs = {
            argument: tf.TensorSpec(spec.shape, spec.dtype, name=argument)
            for parts in flat.values()
            for argument, spec in parts
        }
        return tf.function(serve, autograph=False).get_concrete_function(**specs)

    def _loss(self, name: str):
        def loss() -> tf.Tensor:
            imported = state.run(self._train, [name], {}, self._state.handles(self._train))
            return tf.identity(imported(graph_lib.tensor_name(name)))

        function = tf.function(loss, input_signature=[], autograph=False)
        function.get_concrete_function()
        return function


def inference_tags(tag_sets: Collection[frozenset[str]]) -> frozenset[str]:
    """Which of a module's graph variants a twin runs for inference: {}, else {"serve"}, else the first."""
    for tags in (frozenset(), frozenset({"serve"})):
        if tags in tag_sets:
            return tags
    return min(tag_sets, key=lambda tags: (_TRAIN in tags, sorted(tags)))


def train_tags(tag_sets: Collection[frozenset[str]]) -> frozenset[str] | None:
    """Which of a module's graph variants a twin runs for training: {"train"}, else the only one with that tag."""
    with_train = [tags for tags in tag_sets if _TRAIN in tags]
    if frozenset({_TRAIN}) in with_train:
        return frozenset({_TRAIN})
    return with_train[0] if len(with_train) == 1 and len(tag_sets) > 1 else None


def attribute(name: str) -> str | None:
    """What a signature is called as an attribute of a twin; None if that is taken."""
    if name == signature_lib.DEFAULT:
        return "__call__"
    return None if name in _RESERVED or name in dir(tf.train.Checkpoint) else name


def losses_of_weights(variant: variant_lib.Variant) -> list[str]:
    """Names of the regularization losses that depend on no input: those that a twin can have."""
    placeholders = {name for name, node in variant.nodes.items() if node.op == "Placeholder"}
    return [
        name
        for name in variant.names(tf1.GraphKeys.REGULARIZATION_LOSSES)
        if placeholders.isdisjoint(graph_lib.ancestors(variant.nodes, [name], graph_lib.Cut()))
    ]


def hyperparameters(variant: variant_lib.Variant) -> dict[str, float | int | bool]:
    """The scalars that the signature "hyperparameters" takes beyond the inputs of "default", and their defaults.

    Empty if there is no such signature, or if one of its further inputs must be given.
    """
    if not {signature_lib.DEFAULT, HYPERPARAMETERS} <= set(variant.signature_names):
        return {}
    default, full = variant.signature_def(signature_lib.DEFAULT), variant.signature_def(HYPERPARAMETERS)
    extra = sorted(set(full.inputs) - set(default.inputs))
    values = {key: _default(variant, full.inputs[key].name) for key in extra}
    fits = set(default.inputs) <= set(full.inputs) and set(full.outputs) == set(default.outputs)
    return values if fits and None not in values.values() else {}


def _default(variant: variant_lib.Variant, tensor: str) -> float | int | bool | None:
    """What a scalar input is if nobody gives it; None if it must be given."""
    node = variant.nodes.get(graph_lib.node_name(tensor))
    if node is None or node.op != "PlaceholderWithDefault":
        return None
    constant = variant.nodes.get(graph_lib.node_name(node.input[0]))
    if constant is None or constant.op != "Const":
        return None
    value = tf.make_ndarray(constant.attr["value"].tensor)
    if value.shape != () or value.dtype.kind not in "fiub":
        return None
    # 0.9 rather than 0.8999999761581421, which is the same float32.
    return float(str(value)) if value.dtype.kind == "f" else value.item()


def _resource_variant(variant: variant_lib.Variant) -> variant_lib.Variant:
    try:
        variant.check_ops()
    except tf.errors.NotFoundError as error:
        raise errors.ModuleSpecError(error.message) from error
    for _, node in functions.python_nodes(variant.meta_graph.graph_def):
        raise errors.ModuleSpecError(
            f"The module's {variant.describe()} has the node {node.name!r} ({node.op}), which calls a Python "
            "function of the process that made the module, and of no other; no SavedModel can hold that."
        )
    return variant_lib.Variant(resource_form.convert(variant.meta_graph), variant.path)


def _python_signature(has_inputs: bool, hyperparameters: Mapping[str, float | int | bool]) -> inspect.Signature:
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    parameters = [inspect.Parameter("inputs", kind)] if has_inputs else []
    for name, default in {"training": False, **hyperparameters}.items():
        parameters.append(inspect.Parameter(name, kind, default=default))
    return inspect.Signature(parameters)


def _single(outputs: dict):
    """The only output if it is called "default", else all."""
    return outputs[signature_lib.DEFAULT] if set(outputs) == {signature_lib.DEFAULT} else outputs


def _named(type_spec: tf.TypeSpec, name: str) -> tf.TypeSpec:
    """A dense tensor's spec with a name; others have none."""
    if isinstance(type_spec, tf.TensorSpec):
        return tf.TensorSpec(type_spec.shape, type_spec.dtype, name)
    return type_spec


def serving_arguments(
    infos: Mapping[str, signature_lib.ParsedTensorInfo],
) -> dict[str, list[tuple[str, tf.TensorSpec]]]:
    """Pairs (name, spec) of the dense tensors that each input is served as, by the input's key.

    An argument of a function of TensorFlow 2 has letters, digits and "_" in its name, and a letter first; others
    become "_". Python's keywords are no names. Names that would then be the same are numbered; so are those that
    differ in case alone, which TensorFlow does not tell apart.
    """
    found, taken = {}, set()
    for key, info in sorted(infos.items(), key=lambda item: (item[0] != _argument_name(item[0]), item[0])):
        name, number = _argument_name(key), 0
        while any(argument.lower() in taken for argument, _ in serving_components(name, info)):
            number += 1
            name = f"{_argument_name(key)}_{number}"
        found[key] = serving_components(name, info)
        taken.update(argument.lower() for argument, _ in found[key])
    return found


def _argument_name(key: str) -> str:
    name = re.sub(r"[^A-Za-z0-9_]", "_", key)
    if keyword.iskeyword(name):
        return f"{name}_"
    return name if name[:1].isalpha() else f"arg_{name}"


def serving_components(key: str, info: signature_lib.ParsedTensorInfo) -> list[tuple[str, tf.TensorSpec]]:
    """Pairs (name, spec) of the dense tensors that an input or output is served as; hub.load names them so."""
    type_spec = info.type_spec
    if isinstance(type_spec, tf.SparseTensorSpec):
        rank = type_spec.shape.rank
        return [
            (f"{key}_indices", tf.TensorSpec([None, rank], tf.int64)),
            (f"{key}_values", tf.TensorSpec([None], type_spec.dtype)),
            (f"{key}_dense_shape", tf.TensorSpec([rank], tf.int64)),
        ]
    if isinstance(type_spec, tf.TensorSpec):
        return [(key, type_spec)]
    flat = tf.nest.flatten(type_spec, expand_composites=True)
    return [(f"{key}_component_{index}", spec) for index, spec in enumerate(flat)]


def _converted(value, info: signature_lib.ParsedTensorInfo):
    """A value as a tensor: defaults of hyperparameters are Python numbers."""
    return tf.convert_to_tensor(value, info.dtype) if isinstance(value, float | int | bool) else value
