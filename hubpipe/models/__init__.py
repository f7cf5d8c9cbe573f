"""Features to an EstimatorSpec; the encoder is what becomes the module."""

import functools
from collections.abc import Mapping
from typing import Any

from hubpipe import errors, hub
from hubpipe.config import schema
from hubpipe.models import custom, fit, image, imported, keras, metrics, pretrained, tabular, text, warm_start
from hubpipe.models.heads import custom as own_head

# What makes the module of each kind of model.
MODELS = {
    schema.TextModel: text.create_spec,
    schema.ImageModel: image.create_spec,
    schema.TabularModel: tabular.create_spec,
    schema.KerasModel: keras.create_spec,
    schema.CustomModel: custom.create_spec,
    schema.ImportedModel: imported.create_spec,
}
# Those who read the kind's config for the regularizers of variables; other kinds have them in their own code.
_REGULARIZERS = {
    schema.TextModel: text.regularizers,
    schema.ImageModel: image.regularizers,
    schema.CustomModel: custom.regularizers,
    schema.ImportedModel: imported.regularizers,
}
_VOCABULARY_TABLE = "embedding"  # the variable of the words of texts
# What is judged before data are read, of the kinds that bring something from outside; and the key that names it.
_CHECKS = {
    schema.KerasModel: keras.check,
    schema.CustomModel: custom.check,
    schema.ImportedModel: imported.check,
}
_FEATURES = "features"
_KEYS = {schema.KerasModel: keras.KEY, schema.CustomModel: custom.KEY, schema.ImportedModel: imported.KEY}


def check(config: schema.Config) -> None:
    """Judges what a config brings from outside for its model, as far as that needs no data.

    Args:
        config: of the run.
    Raises:
        ConfigError: a function or a module that is not there, or does not take what the config gives it.
        TrainingError: Keras 2 is not installed.
    """
    model, inputs = config.model_fn, config.inputs
    if type(model) in _CHECKS:
        _CHECKS[type(model)](model, (*schema.MODULE_ARGUMENTS[type(inputs)], _FEATURES))
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
    if isinstance(model, schema.TabularModel):
        return tabular.regularizers(model, arguments["table"])
    return _REGULARIZERS[type(model)](model) if type(model) in _REGULARIZERS else None


def parts(model: schema.Model) -> dict[str, schema.Optimizer]:
    """The optimizer of each scope of the module that the config trains with one of its own."""
    return tabular.optimizers(model) if isinstance(model, schema.TabularModel) else {}


def vocabularies(model: schema.Model, arguments: Mapping[str, Any]) -> dict[str, warm_start.Vocabulary]:
    """The variables whose rows are tokens, which a warm start takes over token by token.

    Args:
        model: the model's config.
        arguments: what the data tell; see create_spec.
    Returns:
        dict name of a variable in the module -> the tokens.
    """
    if isinstance(model, schema.TabularModel):
        return tabular.vocabularies(model, arguments["table"])
    path = arguments.get("vocabulary_path")
    found = {} if path is None else {_VOCABULARY_TABLE: warm_start.Vocabulary(path)}
    embeddings = arguments.get("embeddings")
    if embeddings is not None and pretrained.is_trained(model.encoder.embeddings):
        of_new_words = functools.partial(pretrained.of_new_words, embeddings)
        found[pretrained.VARIABLE] = warm_start.Vocabulary(embeddings.vocabulary_path, of_new_words)
    return found


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
    if type(model) in _CHECKS:
        arguments = {**arguments, _FEATURES: features}
    spec = MODELS[type(model)](model, export, **arguments)
    problems = fit.problems(spec, features)
    if problems:
        raise errors.ConfigError([f"{_KEYS.get(type(model), 'model_fn')}: {problem}" for problem in problems])
    return spec
