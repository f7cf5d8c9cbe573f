"""Features to an EstimatorSpec; the encoder is what becomes the module."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from hubpipe import errors, hub
from hubpipe.config import schema
from hubpipe.models import custom, fit, image, imported, keras, metrics, tabular, text, warm_start
from hubpipe.models.heads import custom as own_head

_FEATURES = "features"


@dataclasses.dataclass(frozen=True)
class Kind:
    """What hubpipe knows of a kind of model; `arguments` are what the data tell, see hubpipe.inputs.

    Attributes:
        create_spec: function (model, export, **arguments) -> hub.ModuleSpec.
        regularizers: function (model, arguments) -> dict, see regularizers.
        vocabularies: function (model, arguments) -> dict, see vocabularies.
        optimizers: function (model) -> dict, see parts.
        check: function (model, names of arguments), of kinds that bring something from outside: judges it before
            data are read. Their create_spec is given the features, too.
        key: of the config, that names what comes from outside.
    """

    create_spec: Callable[..., hub.ModuleSpec]
    regularizers: Callable[..., dict[str, schema.Regularizer] | None] = lambda model, arguments: None
    vocabularies: Callable[..., dict[str, warm_start.Vocabulary]] = warm_start.vocabularies
    optimizers: Callable[..., dict[str, schema.Optimizer]] = lambda model: {}
    check: Callable[..., None] | None = None
    key: str = "model_fn"


MODELS = {
    schema.TextModel: Kind(text.create_spec, regularizers=text.regularizers, vocabularies=text.vocabularies),
    schema.ImageModel: Kind(image.create_spec, regularizers=image.regularizers),
    schema.TabularModel: Kind(
        tabular.create_spec,
        regularizers=tabular.regularizers,
        vocabularies=tabular.vocabularies,
        optimizers=tabular.optimizers,
    ),
    schema.KerasModel: Kind(keras.create_spec, check=keras.check, key=keras.KEY),
    schema.CustomModel: Kind(
        custom.create_spec, regularizers=custom.regularizers, check=custom.check, key=custom.KEY
    ),
    schema.ImportedModel: Kind(
        imported.create_spec, regularizers=imported.regularizers, check=imported.check, key=imported.KEY
    ),
}


def check(config: schema.Config) -> None:
    """Judges what a config brings from outside for its model, as far as that needs no data.

    Args:
        config: of the run.
    Raises:
        ConfigError: a function or a module that is not there, or does not take what the config gives it.
        TrainingError: Keras 2 is not installed.
    """
    model, inputs = config.model_fn, config.inputs
    kind = MODELS[type(model)]
    if kind.check:
        kind.check(model, (*schema.MODULE_ARGUMENTS[type(inputs)], _FEATURES))
    if isinstance(model.head, schema.CustomHead):
        own_head.check(model.head)
    metrics.check(config.metrics)


def regularizers(model: schema.Model, arguments: Mapping[str, Any]) -> dict[str, schema.Regularizer] | None:
    """The regularizers that the config gives to variables.

    Args:
        model: the model's config.
        arguments: what the data tell; see create_spec.
    Returns:
        dict name of a variable in the module -> its regularizer; None if the config does not say.
    """
    return MODELS[type(model)].regularizers(model, arguments)


def parts(model: schema.Model) -> dict[str, schema.Optimizer]:
    """The optimizer of each scope of the module that the config trains with one of its own."""
    return MODELS[type(model)].optimizers(model)


def vocabularies(model: schema.Model, arguments: Mapping[str, Any]) -> dict[str, warm_start.Vocabulary]:
    """The variables whose rows are tokens, which a warm start takes over token by token.

    Args:
        model: the model's config.
        arguments: what the data tell; see create_spec.
    Returns:
        dict name of a variable in the module -> the tokens.
    """
    return MODELS[type(model)].vocabularies(model, arguments)


def create_spec(
    model: schema.Model, export: schema.Export, *, features: fit.Features, arguments: Mapping[str, Any]
) -> hub.ModuleSpec:
    """The encoder as a module, in the variants {} for inference and {"train"} for fine-tuning.

    Args:
        model: the model's config.
        export: which hyperparameters consumers may set.
        features: dict name -> tf.TensorSpec, what input_fn supplies.
        arguments: what the data tell the function that makes the module; see hubpipe.inputs.
    Raises:
        ConfigError: the module cannot be made, or does not fit the features or the head.
    """
    kind = MODELS[type(model)]
    if kind.check:
        arguments = {**arguments, _FEATURES: features}
    spec = kind.create_spec(model, export, **arguments)
    problems = fit.problems(spec, features)
    if problems:
        raise errors.ConfigError([f"{kind.key}: {problem}" for problem in problems])
    return spec
