"""Encoders made of Keras layers, by a function that the config names."""

import functools
from collections.abc import Callable, Collection, Mapping
from typing import Any

import tensorflow as tf
from tensorflow.compat import v1 as tf1

from hubpipe import errors, hub, own_code
from hubpipe.compat import keras
from hubpipe.config import schema
from hubpipe.models import labels, layers

KEY = "model_fn.build_fn"
_PARAMS_KEY = "model_fn.params"
_DEFAULT = "default"


def check(model: schema.KerasModel, supplied: Collection[str]) -> None:
    """What can be told before data are read: is Keras 2 there, and does the function take its parameters?

    Args:
        model: the function and its parameters.
        supplied: names of what the data tell, for a function that takes it.
    Raises:
        ConfigError: the function cannot be imported, or does not take the parameters.
        TrainingError: Keras 2 is not installed.
    """
    keras.keras_2()
    build_fn = own_code.function(model.build_fn, key=KEY)
    own_code.check_arguments(build_fn, model.params, supplied, path=model.build_fn, key=_PARAMS_KEY)


def create_spec(
    model: schema.KerasModel, export: schema.Export, *, labels_path: str | None, **known: Any
) -> hub.ModuleSpec:
    """The encoder as a module, in the variants {} for inference and {"train"} for fine-tuning.

    Args:
        model: the function and its arguments.
        export: which of the arguments consumers may set.
        labels_path: file of the classes that the encoder is trained to tell apart, one per line; None for none.
        **known: what else the data tell, for a function that takes it: of texts vocabulary_path, the file of the
            known n-grams, one per line; of images image_size, (height, width) in pixels.
    Raises:
        ConfigError: the function cannot be imported, does not take the parameters, raises, or returns what cannot
            become a module.
        TrainingError: Keras 2 is not installed.
    """
    supplied = {"labels_path": labels_path, **known}
    check(model, supplied)
    build_fn = own_code.function(model.build_fn, key=KEY)
    params = own_code.arguments(build_fn, model.params, supplied, path=model.build_fn, key=_PARAMS_KEY)
    hyperparameters = [name for name in export.hyperparameters if name in params]
    build = functools.partial(module_fn, build_fn, params, hyperparameters, labels_path=labels_path)
    variants = [((), {"is_training": False}), (("train",), {"is_training": True})]
    with own_code.blamed(model.build_fn, key=KEY):
        return hub.create_module_spec(build, tags_and_args=variants)


def module_fn(
    build_fn: Callable[..., Any],
    params: Mapping[str, Any],
    hyperparameters: list[str],
    *,
    labels_path: str | None,
    is_training: bool,
) -> None:
    """Builds the model, and makes of it what consumers of a module expect.

    The regularizers of its layers go to REGULARIZATION_LOSSES, updates such as those of moving averages to
    UPDATE_OPS; the weights of frozen layers are not in TRAINABLE_VARIABLES.

    Signatures:
        default: the inputs of the model by their names -> its output as default, or its dict of outputs.
        hyperparameters: the same and the scalars of `hyperparameters`, float32 [] -> the same; if there are any.
        labels: nothing -> default, string [classes].
    """
    keras.fix_training(is_training)
    scalars = layers.scalars({name: float(params[name]) for name in hyperparameters})
    model = build_fn(**{**params, **scalars})
    inputs, outputs = _inputs(model), _outputs(model)
    for loss in _losses(model):
        tf1.add_to_collection(tf1.GraphKeys.REGULARIZATION_LOSSES, loss)
    for update in model.updates:
        tf1.add_to_collection(tf1.GraphKeys.UPDATE_OPS, update)
    _forget_frozen(model)
    hub.add_signature(inputs=inputs, outputs=outputs)
    if scalars:
        hub.add_signature("hyperparameters", inputs={**inputs, **scalars}, outputs=outputs)
    labels.add_signature(labels_path)


def _inputs(model) -> dict[str, tf.Tensor]:
    found = keras.inputs(model) if keras.generation(model) == 2 else None
    if found is None:
        raise errors.ModuleSpecError(
            f"returned a value of type {type(model).__module__}.{type(model).__name__}; expected a "
            "functional or sequential model of tf.keras (Keras 2) with inputs, such as "
            "keras.Model(keras.Input(...), ...)."
        )
    if isinstance(found, Mapping):
        return dict(found)
    return dict(zip(keras.input_names(model), model.inputs, strict=True))


def _outputs(model) -> dict[str, tf.Tensor]:
    found = model.output
    if isinstance(found, Mapping) and _DEFAULT in found:
        return dict(found)
    if not isinstance(found, Mapping | list | tuple):
        return {_DEFAULT: found}
    names = sorted(found) if isinstance(found, Mapping) else f"a list of {len(found)}"
    raise errors.ModuleSpecError(
        f"the outputs of the model are {names}; expected one, or a dict with the key {_DEFAULT!r}, which "
        "the head takes."
    )


def _losses(model) -> list[tf.Tensor]:
    losses = [loss() for loss in keras.regularization_losses(model)]
    others = len(model.losses) - len(losses)
    if others:
        raise errors.ModuleSpecError(
            f"{others} of the losses of the model depend on its inputs (activity_regularizer, add_loss); "
            "a module has losses of weights alone."
        )
    return losses


def _forget_frozen(model) -> None:
    """Takes the weights of frozen layers out of TRAINABLE_VARIABLES, where Keras puts every weight."""
    trained = {id(weight) for weight in keras.weights(model)[1]}
    collection = tf1.get_collection_ref(tf1.GraphKeys.TRAINABLE_VARIABLES)
    collection[:] = [variable for variable in collection if id(variable) in trained]
