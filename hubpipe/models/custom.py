"""Encoders made by a module_fn of the user's own, which the config names."""

import functools
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import tensorflow as tf
from tensorflow.compat import v1 as tf1

from hubpipe import errors, hub, own_code
from hubpipe.config import schema
from hubpipe.hub import graph
from hubpipe.hub import signature as signature_lib
from hubpipe.models import labels, layers

KEY = "model_fn.module_fn"
_PARAMS_KEY = "model_fn.params"
_IS_TRAINING = "is_training"
_TRAIN = ("train",)
_ASSIGN_OPS = ("AssignVariableOp", "AssignAddVariableOp", "AssignSubVariableOp")
_HYPERPARAMETERS = "hyperparameters"
_LABELS = "labels"


def check(model: schema.CustomModel, supplied: Collection[str]) -> None:
    """What can be told before data are read: can the function be imported, and does it take its parameters?

    Args:
        model: the function and its parameters.
        supplied: names of what the data tell, for a function that takes it.
    Raises:
        ConfigError: all that is wrong.
    """
    module_fn = own_code.function(model.module_fn, key=KEY)
    if _IS_TRAINING in model.params:
        raise errors.ConfigError(
            [f"{_PARAMS_KEY}.{_IS_TRAINING}: set by hubpipe, once to true and once to false; leave it out"]
        )
    own_code.check_arguments(
        module_fn, model.params, [*supplied, _IS_TRAINING], path=model.module_fn, key=_PARAMS_KEY
    )


def create_spec(
    model: schema.CustomModel, export: schema.Export, *, labels_path: str | None, **known: Any
) -> hub.ModuleSpec:
    """The encoder as a module, in the variants {} for inference and {"train"} for fine-tuning.

    Args:
        model: the function and its parameters.
        export: which of the parameters consumers may set.
        labels_path: file of the classes that the encoder is trained to tell apart, one per line; None for none.
        **known: what else the data tell, for a function that takes it: of texts vocabulary_path, of images
            image_size.
    Raises:
        ConfigError: the function cannot be imported or called so, raises, or does not make a module.
    """
    supplied = {"labels_path": labels_path, **known}
    check(model, supplied)
    called = own_code.function(model.module_fn, key=KEY)
    arguments = own_code.arguments(
        called, model.params, {**supplied, _IS_TRAINING: None}, path=model.module_fn, key=_PARAMS_KEY
    )
    hyperparameters = [name for name in export.hyperparameters if name in model.params]
    build = functools.partial(
        module_fn, called, arguments, hyperparameters, regularizers=model.regularizers, labels_path=labels_path
    )
    variants = [((), {"is_training": False}), (_TRAIN, {"is_training": True})]
    with own_code.blamed(model.module_fn, key=KEY):
        spec = hub.create_module_spec(build, tags_and_args=variants)
        _check_variants(spec)
    return spec


def _check_variants(spec: hub.ModuleSpec) -> None:
    """Raises ModuleSpecError for what the function does with is_training that its module cannot do."""
    training, inference = spec.variant(_TRAIN), spec.variant()
    shapes = training.variable_shapes, inference.variable_shapes
    for name in sorted(shapes[0].keys() | shapes[1].keys()):
        with_training, without = (_described(found.get(name)) for found in shapes)
        if with_training != without:
            raise errors.ModuleSpecError(
                f"the variable {name!r} is {with_training} with is_training and {without} without; make the same "
                "variables in both"
            )
    for name in sorted({*training.signature_names} & {*inference.signature_names}):
        types = training.types(name), inference.types(name)
        others = sorted(key for key in types[0].keys() | types[1].keys() if types[0].get(key) != types[1].get(key))
        if others:
            raise errors.ModuleSpecError(
                f"the {others[0][0]} {others[0][1]!r} of signature {name!r} is another with is_training than "
                "without; give a signature the same inputs and outputs in both"
            )
    assigned = {name for name, node in training.nodes.items() if node.op in _ASSIGN_OPS}
    assigned -= {graph.node_name(variable.initializer_name) for variable in training.variables}
    if assigned and not training.names(tf1.GraphKeys.UPDATE_OPS):
        raise errors.ModuleSpecError(
            f"node {min(assigned)!r} assigns to a variable with is_training, but tf1.GraphKeys.UPDATE_OPS is "
            "empty, so that nobody would run it; add the op to that collection"
        )


def _described(variable: tuple[tf.DType, tf.TensorShape] | None) -> str:
    return "absent" if variable is None else f"{variable[0].name} {variable[1]}"


def module_fn(
    called: Callable[..., None],
    arguments: Mapping[str, Any],
    hyperparameters: Sequence[str],
    *,
    regularizers: Mapping[str, schema.Regularizer],
    labels_path: str | None,
    is_training: bool,
) -> None:
    """Calls the function, and adds what consumers of a module expect.

    Signatures, beside those that the function adds:
        hyperparameters: the inputs of `default` and the scalars of `hyperparameters`, float32 [] -> its outputs;
            if there are any.
        labels: nothing -> default, string [classes].
    """
    scalars = layers.scalars({name: float(arguments[name]) for name in hyperparameters})
    phase = {_IS_TRAINING: is_training} if _IS_TRAINING in arguments else {}
    called(**{**arguments, **scalars, **phase})
    _regularize(regularizers)
    signatures = signature_lib.added()
    if signature_lib.DEFAULT not in signatures:
        found = ", ".join(map(repr, signatures)) or "none"
        raise errors.ModuleSpecError(
            f"adds no signature 'default' (it adds {found}); call hub.add_signature(inputs=..., outputs=...) of "
            "hubpipe.hub"
        )
    if scalars and _HYPERPARAMETERS not in signatures:
        inputs, outputs = signatures[signature_lib.DEFAULT]
        hub.add_signature(_HYPERPARAMETERS, inputs={**inputs, **scalars}, outputs=outputs)
    if _LABELS not in signatures:
        labels.add_signature(labels_path)


def regularizers(model: schema.CustomModel, arguments: Mapping[str, Any]) -> dict[str, schema.Regularizer] | None:
    """The regularizer of each variable that has one, if the config gives them; None if module_fn may."""
    del arguments
    return dict(model.regularizers) or None


def _regularize(regularizers: Mapping[str, schema.Regularizer]) -> None:
    """Adds the penalties of the config to REGULARIZATION_LOSSES."""
    if not regularizers:
        return
    own = len(tf1.get_collection(tf1.GraphKeys.REGULARIZATION_LOSSES))
    if own:
        raise errors.ModuleSpecError(
            f"adds {own} regularization losses of its own beside those of model_fn.regularizers; have them in one "
            "place"
        )
    variables = {variable.op.name: variable for variable in tf1.trainable_variables()}
    unknown = [name for name in regularizers if name not in variables]
    if unknown:
        raise errors.ModuleSpecError(
            f"makes no trainable variable {', '.join(map(repr, unknown))} of model_fn.regularizers. It makes "
            f"{', '.join(map(repr, variables)) or 'none'}"
        )
    for name, weights in regularizers.items():
        penalty = layers.regularizer(weights)
        if penalty is not None:
            tf1.add_to_collection(tf1.GraphKeys.REGULARIZATION_LOSSES, penalty(variables[name]))
