"""A Keras model, or a piece of one, as a Reusable SavedModel.

    __call__(inputs, training=False)    the model
    variables, trainable_variables      lists of tf.Variable
    regularization_losses               list of functions without arguments, [] each
    signatures                          "serving_default", without training

Source: "Exporting a SavedModel" and "Reusable SavedModels" of the TensorFlow Hub documentation.
"""

import contextlib
from collections.abc import Callable, Iterator, Mapping

import tensorflow as tf

from hubpipe import errors
from hubpipe.compat import keras
from hubpipe.hub import write

SERVING_DEFAULT = "serving_default"
_ONLY_OUTPUT = "default"


def export_keras(model_or_piece, path: str, *, inputs=None) -> list[str]:
    """Writes a Keras model, or a piece of one, as a Reusable SavedModel.

        encoder = keras.Model(text, hidden)            # or any layer of full_model
        full_model = keras.Sequential([encoder, keras.layers.Dense(2)])
        full_model.fit(...)
        hubpipe.saved_model.export_keras(encoder, "/models/encoder/1")

    It has the weights and what computes with them, traced for training=True and False; nothing of the optimizer.
    Loading it needs no Keras and no Python code of the model. What `trainable` of the layers says now is kept:
    frozen weights are among `variables` and not among `trainable_variables`. The model itself is not changed.

    Args:
        model_or_piece: a model or layer of Keras 2 or of Keras 3 on TensorFlow, built.
        path: directory of the SavedModel; it must not exist or be empty.
        inputs: what it takes, a tf.TypeSpec or a list or dict of them; None for a model that knows, as functional
            and sequential ones do.
    Returns:
        What of the model the SavedModel lacks, a line each.
    Raises:
        ExportExistsError: the directory is not empty; nothing was written.
        ExportError: no built Keras model, no inputs known, or code that cannot be traced; nothing was written.
    """
    specs = _checked_specs(model_or_piece, inputs)
    with write.directory(path) as directory:
        with _blamed(model_or_piece, "cannot be traced"):
            root, lost = _build(model_or_piece, specs)
            signatures = _signatures(root, specs, lost)
        with _blamed(model_or_piece, "cannot be saved"):
            tf.saved_model.save(root, directory, signatures=signatures)
    keras.forget_losses(model_or_piece)  # tensors of the traces
    return lost


def _checked_specs(model, inputs):
    """What the model takes."""
    if keras.generation(model) is None:
        raise errors.ExportError(f"{model!r} is a {type(model).__name__}; expected a model or layer of Keras.")
    if not tf.executing_eagerly():
        raise errors.ExportError(
            f"{_name(model)}: a Keras model is exported while executing eagerly, not in a tf.Graph. In graphs of "
            "TensorFlow 1 use hub.create_module_spec."
        )
    if not model.built:
        raise errors.ExportError(f"{_name(model)}: not built, it has no weights yet. Call it on a batch first.")
    wrong = [weight for weight in keras.weights(model)[0] if not isinstance(weight, tf.Variable)]
    if wrong:
        raise errors.ExportError(
            f"{_name(model)}: its weights are of type {type(wrong[0]).__name__}, not tf.Variable. "
            "Run Keras on TensorFlow: KERAS_BACKEND=tensorflow."
        )
    specs = keras.input_specs(model) if inputs is None else inputs
    if specs is None:
        raise errors.ExportError(
            f"{_name(model)}: a {type(model).__name__} does not say what it takes. Give it: "
            "export_keras(..., inputs=tf.TensorSpec([None, 16], tf.float32))"
        )
    return specs


def _build(model, specs) -> tuple[tf.train.Checkpoint, list[str]]:
    """The object to save, and what it lacks."""
    losses = keras.regularization_losses(model)
    of_inputs = 0

    def call(inputs, training=False):
        nonlocal of_inputs
        outputs = model(inputs, training=training)
        of_inputs = max(of_inputs, len(model.losses) - len(losses))
        return outputs

    root = tf.train.Checkpoint()
    root.__call__ = tf.function(call)
    traces = [root.__call__.get_concrete_function(specs, training=training) for training in (False, True)]
    root.regularization_losses = [_loss(loss) for loss in losses]
    variables, trainable = keras.weights(model)
    known = {id(variable) for variable in variables}
    used = {id(variable): variable for trace in traces for variable in trace.graph.variables}
    # Such as the states of random generators.
    root.variables = variables + [variable for key, variable in used.items() if key not in known]
    root.trainable_variables = trainable
    root.tables = [
        part
        for part in tf.train.TrackableView(model).descendants()
        if isinstance(part, tf.saved_model.experimental.TrackableResource)
    ]
    if not of_inputs:
        return root, []
    return root, [
        f"{of_inputs} of the losses of {_name(model)}: they depend on inputs (activity_regularizer, add_loss), a "
        "Reusable SavedModel has losses of weights alone"
    ]


def _loss(loss: Callable[[], tf.Tensor]):
    def scalar() -> tf.Tensor:
        value = tf.convert_to_tensor(loss())
        if value.shape.rank != 0:
            raise ValueError(f"a regularizer returns the shape {value.shape}, not a scalar")
        return value

    function = tf.function(scalar, input_signature=[], autograph=False)
    function.get_concrete_function()
    return function


def _signatures(root: tf.train.Checkpoint, specs, lost: list[str]) -> dict[str, Callable]:
    """What TensorFlow Serving calls: dense tensors by name in, dense tensors by name out."""
    flat = tf.nest.flatten(specs)
    if not all(isinstance(spec, tf.TensorSpec) for spec in flat):
        lost.append("the signature serving_default: it takes dense tensors, the model takes sparse or ragged ones")
        return {}
    names = _input_names(specs)

    def serve(**tensors: tf.Tensor) -> dict[str, tf.Tensor]:
        inputs = tf.nest.pack_sequence_as(specs, [tensors[name] for name in names])
        outputs = root.__call__(inputs, training=False)
        if isinstance(outputs, tf.Tensor):
            return {_ONLY_OUTPUT: outputs}
        return _by_name(outputs, "" if isinstance(outputs, Mapping) else "output")

    arguments = {name: tf.TensorSpec(spec.shape, spec.dtype, name) for name, spec in zip(names, flat, strict=True)}
    return {SERVING_DEFAULT: tf.function(serve).get_concrete_function(**arguments)}


def _input_names(specs) -> list[str]:
    """A name for each tensor of the input, in the order of tf.nest."""
    if isinstance(specs, Mapping):
        return list(_by_name(specs, ""))
    names = [spec.name for spec in tf.nest.flatten(specs)]
    return names if all(names) and len(set(names)) == len(names) else list(_by_name(specs, "inputs"))


def _by_name(value, name: str) -> dict:
    """The leaves of a nest of dicts and lists by their path, such as "name_key_0", in the order of tf.nest."""
    if isinstance(value, Mapping):
        parts = sorted(value.items())
    elif isinstance(value, list | tuple):
        parts = list(enumerate(value))
    else:
        return {name: value}
    leaves: dict = {}
    for key, part in parts:
        leaves.update(_by_name(part, f"{name}_{key}" if name else str(key)))
    return leaves


@contextlib.contextmanager
def _blamed(model, what: str) -> Iterator[None]:
    """Whatever the model's own code raises says which model it was."""
    try:
        yield
    except (errors.HubpipeError, OSError):
        raise
    except Exception as error:
        raise errors.ExportError(f"{_name(model)}: it {what}: {error}") from error


def _name(model) -> str:
    return f"{type(model).__name__} {model.name!r}"
