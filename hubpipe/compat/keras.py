"""What hubpipe asks of Keras models, of Keras 2 (tf.keras of TensorFlow 2.15, later tf_keras) and of Keras 3."""

import functools
import sys
import types
import warnings
from collections.abc import Callable

import tensorflow as tf

from hubpipe import errors
from hubpipe.compat import estimator  # noqa: F401  makes tf.keras Keras 2, if tf_keras is installed

_PACKAGES = ("keras", "tf_keras")


def generation(layer: object) -> int | None:
    """2 or 3 for a layer or model of that Keras, None for anything else."""
    return _generation(type(layer))


def _generation(layer_type: type) -> int | None:
    for base in layer_type.__mro__:
        package = base.__module__.partition(".")[0]
        if base.__name__ == "Layer" and package in _PACKAGES:
            return int(sys.modules[package].__version__.partition(".")[0])
    return None


def keras_2() -> types.ModuleType:
    """Keras 2, by the name tf.keras.

    Raises:
        TrainingError: tf.keras is another Keras here.
    """
    try:
        if _generation(tf.keras.layers.Layer) == 2:
            return tf.keras
    except ImportError:  # TF_USE_LEGACY_KERAS asks for tf_keras, which is not there
        pass
    raise errors.TrainingError(
        "tf.keras is not Keras 2, and no other trains in a graph of TensorFlow 1. "
        "Install it: pip install 'hubpipe[keras]'; and leave TF_USE_LEGACY_KERAS unset."
    )


def fix_training(is_training: bool) -> None:
    """Makes layers of Keras 2 that are called in the current graph, from now on, train or not."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*set_learning_phase. is deprecated", category=UserWarning)
        keras_2().backend.set_learning_phase(int(is_training))


def weights(layer) -> tuple[list[tf.Variable], list[tf.Variable]]:
    """The variables of all weights, and those of the weights that Keras would train."""
    if generation(layer) == 2:
        # Lookup layers list their tables among their weights.
        variables = [weight for weight in layer.weights if isinstance(weight, tf.Variable)]
        return variables, list(layer.trainable_weights)
    return [weight.value for weight in layer.weights], [weight.value for weight in layer.trainable_weights]


def regularization_losses(layer) -> list[Callable[[], tf.Tensor]]:
    """A function for each of `layer.losses` that depends on weights alone."""
    if generation(layer) == 2:
        return [loss for part in layer._flatten_layers() for loss in part._callable_losses]
    return [
        functools.partial(weight.regularizer, weight)
        for weight in layer.trainable_weights
        if weight.regularizer is not None
    ]


def forget_losses(layer) -> None:
    """Takes out of `layer.losses` what the last call put there."""
    layer._clear_losses()


def inputs(model):
    """The symbolic inputs of a functional or sequential model: one, or a list or dict; None for other models."""
    if not getattr(model, "inputs", None):
        return None
    found = getattr(model, "input", model.inputs)  # a sequential model of Keras 3 may have the latter alone
    return found[0] if isinstance(found, list | tuple) and len(found) == 1 else found


def input_names(model) -> list[str]:
    """The names of `model.inputs`."""
    return list(getattr(model, "input_names", None) or [tensor.name for tensor in model.inputs])


def input_specs(model):
    """What a model takes: a tf.TypeSpec, or a list or dict of them, with the batch left open.

    Returns:
        None for a model that does not say.
    """
    symbolic = inputs(model)
    if symbolic is not None:
        names = {id(tensor): name for tensor, name in zip(model.inputs, input_names(model), strict=True)}
        return tf.nest.map_structure(lambda tensor: _spec(tensor, names[id(tensor)]), symbolic)
    saved = model.save_spec() if hasattr(model, "save_spec") else None  # Keras 2 knows what a model was called on
    return saved[0][0] if saved is not None and len(saved[0]) == 1 else None


def _spec(tensor, name: str) -> tf.TypeSpec:
    shape = tf.TensorShape(tensor.shape)
    if shape.rank:
        shape = tf.TensorShape([None, *shape[1:]])
    known = getattr(tensor, "type_spec", None)
    if isinstance(known, tf.SparseTensorSpec) or getattr(tensor, "sparse", False):
        return tf.SparseTensorSpec(shape, tensor.dtype)
    if isinstance(known, tf.RaggedTensorSpec):
        return tf.RaggedTensorSpec(shape, known.dtype, known.ragged_rank, known.row_splits_dtype)
    if getattr(tensor, "ragged", False):
        return tf.RaggedTensorSpec(shape, tensor.dtype, tensor.ragged_rank, tensor.row_splits_dtype)
    return tf.TensorSpec(shape, tensor.dtype, name)
