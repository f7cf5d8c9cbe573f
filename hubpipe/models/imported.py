"""A TF1 Hub module as the first layer of a new one, frozen or fine-tuned; it travels inside."""

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf
from tensorflow.compat import v1 as tf1

from hubpipe import errors, hub
from hubpipe.config import schema, wording
from hubpipe.hub import image
from hubpipe.models import fit, labels, layers

KEY = "model_fn.module"
_TRAIN = frozenset({"train"})
_SCOPE = "imported"
_HYPERPARAMETERS = "hyperparameters"
_DROPOUT, _MOMENTUM = "dropout_rate", "batch_norm_momentum"


def check(model: schema.ImportedModel, supplied: object = ()) -> None:
    """What can be told before data are read: can the module be loaded, and does it have signature and output?

    Args:
        model: which module, and what of it.
        supplied: not used; a module needs nothing of the data.
    Raises:
        ConfigError: what is wrong.
    """
    del supplied
    _load(model)


def create_spec(
    model: schema.ImportedModel,
    export: schema.Export,
    *,
    features: fit.Features,
    labels_path: str | None,
    **known: Any,
) -> hub.ModuleSpec:
    """The new module, in the variants {} for inference and {"train"} for fine-tuning.

    Args:
        model: which module is imported, and the layers after it.
        export: which hyperparameters consumers may set.
        features: what input_fn supplies. A module with one input takes the only feature, whatever their names are;
            others take the features of their inputs' names.
        labels_path: file of the classes that the encoder is trained to tell apart, one per line; None for none.
        **known: what else the data tell; not used.
    Raises:
        ConfigError: the module cannot be loaded, or lacks what the config asks of it.
    """
    del known
    inner = _load(model)
    infos = inner.get_input_info_dict(model.signature)
    feature_names = features if len(infos) == len(features) == 1 else infos
    names = dict(zip(infos, feature_names, strict=True))
    hyperparameters = _hyperparameters(model, inner, export.hyperparameters)
    build = functools.partial(module_fn, model, inner, names, hyperparameters, labels_path=labels_path)
    return hub.create_module_spec(
        build, tags_and_args=[((), {"is_training": False}), (("train",), {"is_training": True})]
    )


def regularizers(
    model: schema.ImportedModel, arguments: Mapping[str, Any]
) -> dict[str, schema.Regularizer] | None:
    """The regularizer of each kernel after a frozen module; None for a trainable one, which has its own, too."""
    del arguments
    if model.trainable:
        return None
    kernels = [f"hidden_{index}/kernel" for index, _ in enumerate(model.hidden_units, start=1)]
    return dict.fromkeys(kernels, model.regularizers.kernel)


def module_fn(
    model: schema.ImportedModel,
    inner: hub.ModuleSpec,
    names: Mapping[str, str],
    hyperparameters: Sequence[str],
    *,
    labels_path: str | None,
    is_training: bool,
) -> None:
    """Applies the imported module, then dense layers.

    A fine-tuned module brings its trainable variables, regularization losses and update ops along, and is applied
    in its own variant {"train"} in training, if it has one; its signature `hyperparameters`, if it has one, takes
    the same scalars as the layers. A frozen one is the same in both variants.

    Signatures:
        default: what the imported signature takes -> default, float32 [batch, last hidden_units], and with
            hidden_units imported, float32 [batch, dim].
        hyperparameters: the same and the scalars of `hyperparameters`, float32 [] -> the same; if there are any.
        labels: nothing -> default, string [classes].
    """
    tags = _TRAIN if is_training and model.trainable and _TRAIN in inner.get_tags() else None
    module = hub.Module(inner, trainable=model.trainable, name=_SCOPE, tags=tags)
    inputs = {
        names[name]: tf1.placeholder(info.dtype, info.get_shape(), name=names[name])
        for name, info in module.get_input_info_dict(model.signature).items()
    }
    norm = model.batch_norm
    scalars = layers.scalars({_DROPOUT: model.dropout.rate, _MOMENTUM: norm.momentum})
    given = {name: inputs[names[name]] for name in names}
    taken = _taken(model, inner)
    signature = _HYPERPARAMETERS if taken else model.signature
    given.update({name: scalars[name] for name in taken})
    encoded = module(given, signature=signature, as_dict=True)[model.output]
    outputs = {"imported": encoded} if model.hidden_units else {}
    for index, units in enumerate(model.hidden_units, start=1):
        with tf1.variable_scope(f"hidden_{index}"):
            encoded = layers.hidden(
                encoded,
                units,
                activation=model.activation,
                kernel_regularizer=layers.regularizer(model.regularizers.kernel),
                norm=norm,
                rates=scalars,
                is_training=is_training,
            )
    outputs = {"default": encoded, **outputs}
    hub.add_signature(inputs=inputs, outputs=outputs)
    if hyperparameters:
        chosen = {name: scalars[name] for name in hyperparameters}
        hub.add_signature(_HYPERPARAMETERS, inputs={**inputs, **chosen}, outputs=outputs)
    labels.add_signature(labels_path)
    if image.IMAGES_INPUT in names:
        _pass_on_image_size(module, model.signature)


def _taken(model: schema.ImportedModel, inner: hub.ModuleSpec) -> list[str]:
    """The scalars that a fine-tuned module takes, beside the inputs of the signature that is applied."""
    if not model.trainable or _HYPERPARAMETERS not in inner.get_signature_names():
        return []
    infos = inner.get_input_info_dict(_HYPERPARAMETERS)
    more = set(infos) - set(inner.get_input_info_dict(model.signature))
    same = set(inner.get_input_info_dict(model.signature)) <= set(infos)
    has_output = model.output in inner.get_output_info_dict(_HYPERPARAMETERS)
    return sorted(more) if same and has_output and more <= {_DROPOUT, _MOMENTUM} else []


def _hyperparameters(model: schema.ImportedModel, inner: hub.ModuleSpec, wanted: Sequence[str]) -> list[str]:
    """Those of the scalars that consumers can set: they take effect in all of the new module, or are left out."""
    taken = _taken(model, inner)
    if model.trainable and _TRAIN in inner.get_tags():  # its dropout and averages may have rates of their own
        return [name for name in wanted if name in taken]
    return [name for name in wanted if name in taken or model.hidden_units]


def _load(model: schema.ImportedModel) -> hub.ModuleSpec:
    """The module, with the signature and the output that the config names.

    Raises:
        ConfigError: it is not there, broken, or lacks one of them.
    """
    try:
        inner = hub.load_module_spec(model.module)
        if frozenset() not in inner.get_tags():
            variants = ", ".join(str(sorted(tags)) for tags in inner.get_tags())
            raise errors.SignatureError(f"{model.module}: has no variant without tags. It has {variants}.")
        inner.variant().check_ops()
    except errors.HubpipeError as error:
        raise errors.ConfigError([f"{KEY}: {error}"]) from error
    signatures = inner.get_signature_names()
    if model.signature not in signatures:
        close = wording.suggestion(model.signature, signatures)
        raise errors.ConfigError(
            [
                f"model_fn.signature: {model.module} has no signature {model.signature!r}{close}. It has "
                f"{', '.join(map(repr, signatures))}"
            ]
        )
    _check_output(model, inner)
    if model.trainable and not inner.variant().serialized(tf1.GraphKeys.TRAINABLE_VARIABLES):
        raise errors.ConfigError([f"model_fn.trainable: {model.module} has no trainable variable; leave it false"])
    return inner


def _check_output(model: schema.ImportedModel, inner: hub.ModuleSpec) -> None:
    outputs = inner.get_output_info_dict(model.signature)
    if model.output not in outputs:
        problem = f"signature {model.signature!r} of {model.module} has no output {model.output!r}" + (
            f"{wording.suggestion(model.output, outputs)}. It has {', '.join(map(repr, outputs))}"
        )
        raise errors.ConfigError([f"model_fn.output: {problem}"])
    info = outputs[model.output]
    shape = info.get_shape()
    if info.is_composite or info.dtype != tf.float32 or shape.rank != 2 or shape[1] is None:
        found = str(info.type_spec) if info.is_composite else fit.describe(shape, info.dtype)
        raise errors.ConfigError(
            [f"model_fn.output: {model.output!r} of {model.module} is {found}; expected float32 [batch, dim]"]
        )


def _pass_on_image_size(module: hub.Module, signature: str) -> None:
    """Tells consumers the size of images, if the imported module tells it."""
    try:
        height, width = hub.get_expected_image_size(module, signature)
    except errors.SignatureError:  # images of any size
        return
    info = hub.ImageModuleInfo()
    info.default_image_size.height, info.default_image_size.width = height, width
    hub.attach_image_module_info(info)
