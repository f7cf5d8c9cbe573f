"""The encoder of rows of tables: named features to feature vectors, and to the logits of a wide part."""

import functools
import math
from collections.abc import Mapping
from typing import Any

import tensorflow as tf
from tensorflow.compat import v1 as tf1

from hubpipe import errors, hub
from hubpipe.config import schema
from hubpipe.models import labels, layers, tabular_features, warm_start

WIDE = "wide"  # scope of the variables of the wide part, and name of its output
_LARGEST_DIM = 32  # of embeddings
_INITIAL = 0.05  # bounds of embeddings at the start: those of values never seen in training say little


def create_spec(
    model: schema.TabularModel, export: schema.Export, *, labels_path: str | None, table: schema.Table
) -> hub.ModuleSpec:
    """The encoder as a module, in the variants {} for inference and {"train"} for fine-tuning.

    Args:
        model: encoder, regularizers, dropout and batch normalization.
        export: which hyperparameters consumers may set.
        labels_path: file of the classes that the model is trained to tell apart, one per line; None for none.
        table: what the training data tell of the features.
    Raises:
        ConfigError: a cross of a feature that has no categories.
    """
    _check_crosses(model.encoder, table)
    module_fn = _MODULE_FNS[type(model.encoder)]
    build = functools.partial(module_fn, model, export.hyperparameters, labels_path=labels_path, table=table)
    return hub.create_module_spec(
        build, tags_and_args=[((), {"is_training": False}), (("train",), {"is_training": True})]
    )


def regularizers(model: schema.TabularModel, arguments: Mapping[str, Any]) -> dict[str, schema.Regularizer]:
    """The regularizer of each variable of the deep part that may have one, by its name in the module."""
    if isinstance(model.encoder, schema.WideEncoder):
        return {}
    embeddings = [_embedding(feature) for feature in tabular_features.sizes(arguments["table"])]
    names = [_hidden(index) for index, _ in enumerate(model.encoder.hidden_units)]
    if isinstance(model.encoder, schema.WideAndDeepEncoder):
        names.append("logits")
    return {
        **dict.fromkeys(embeddings, model.regularizers.embedding),
        **dict.fromkeys([f"{name}/kernel" for name in names], model.regularizers.kernel),
    }


def optimizers(model: schema.TabularModel) -> dict[str, schema.Optimizer]:
    """The optimizer of each scope that has one of its own: the wide part's, with L1."""
    return {} if isinstance(model.encoder, schema.DeepEncoder) else {WIDE: model.encoder.wide_optimizer}


def vocabularies(model: schema.TabularModel, arguments: Mapping[str, Any]) -> dict[str, warm_start.Vocabulary]:
    """The tokens that rows of the tables of both parts are for, by the name of the variable in the module."""
    found = {}
    for column in arguments["table"].columns:
        if isinstance(column, schema.CategoricalColumn) and column.vocabulary_path is not None:
            path = column.vocabulary_path
            found[_embedding(column.name)] = warm_start.Vocabulary(path, lambda *_: _embedding_initializer())
            found[f"{WIDE}/{_weights(column.name)}"] = warm_start.Vocabulary(path, lambda *_: _wide_initializer())
    return found


def deep_fn(
    model: schema.TabularModel,
    hyperparameters: tuple[str, ...],
    *,
    labels_path: str | None,
    table: schema.Table,
    is_training: bool,
) -> None:
    """Builds a deep encoder: embeddings and normalized numbers, then dense layers.

    Signatures:
        default: the features, each by its name: float32 [batch], NaN where missing, of numbers; string [batch], ""
            where missing, of categories and dates -> default, float32 [batch, last hidden_units].
        hyperparameters: the features and the scalars of `hyperparameters`, float32 [] -> the same.
        labels: nothing -> default, string [classes].
    """
    inputs = tabular_features.placeholders(table)
    scalars = _scalars(model)
    vectors = _deep(tabular_features.transform(inputs, table), model, scalars, is_training=is_training)
    _add_signatures(inputs, {"default": vectors}, {name: scalars[name] for name in hyperparameters})
    labels.add_signature(labels_path)


def wide_fn(
    model: schema.TabularModel,
    hyperparameters: tuple[str, ...],
    *,
    labels_path: str | None,
    table: schema.Table,
    is_training: bool,
) -> None:
    """Builds a wide encoder: a linear model, sparse where its optimizer has L1.

    Its output means the classes that it was trained to tell apart. It serves who has the same ones, or takes the
    logits as features of another task; there is no vector for any task in it.

    Signatures:
        default, logits: the features as in deep_fn -> default, float32 [batch, classes]; the same as wide.
        labels: nothing -> default, string [classes].
    """
    del hyperparameters, is_training  # it has neither dropout nor batch normalization
    inputs = tabular_features.placeholders(table)
    logits = _wide(tabular_features.transform(inputs, table), model.encoder, _num_logits(labels_path))
    outputs = {"default": logits, "wide": logits}
    _add_signatures(inputs, outputs, {})
    hub.add_signature("logits", inputs=inputs, outputs=outputs)
    labels.add_signature(labels_path)


def wide_and_deep_fn(
    model: schema.TabularModel,
    hyperparameters: tuple[str, ...],
    *,
    labels_path: str | None,
    table: schema.Table,
    is_training: bool,
) -> None:
    """Builds a deep encoder and a linear model beside it, trained as one.

    The feature vectors of the deep part are for any task. The wide part knows only the classes that it was trained
    to tell apart: it comes as a further output, for those who have the same ones, as do the logits of both parts.

    Signatures:
        default: the features as in deep_fn -> default, float32 [batch, last hidden_units]; wide, the logits of the
            wide part, float32 [batch, classes].
        hyperparameters: the features and the scalars of `hyperparameters`, float32 [] -> the same.
        logits: the features -> default, the logits of both parts added up, float32 [batch, classes].
        labels: nothing -> default, string [classes].

    Source: https://arxiv.org/abs/1606.07792.
    """
    inputs = tabular_features.placeholders(table)
    features = tabular_features.transform(inputs, table)
    scalars = _scalars(model)
    vectors = _deep(features, model, scalars, is_training=is_training)
    wide = _wide(features, model.encoder, _num_logits(labels_path))
    dropped = layers.dropout(vectors, rate=scalars["dropout_rate"], is_training=is_training)
    with tf1.variable_scope("logits"):
        kernel_regularizer = layers.regularizer(model.regularizers.kernel)
        deep = layers.dense(dropped, wide.shape[-1], kernel_regularizer=kernel_regularizer, with_bias=False)
    outputs = {"default": vectors, "wide": wide}
    _add_signatures(inputs, outputs, {name: scalars[name] for name in hyperparameters})
    hub.add_signature("logits", inputs=inputs, outputs=deep + wide)
    labels.add_signature(labels_path)


_MODULE_FNS = {
    schema.DeepEncoder: deep_fn,
    schema.WideEncoder: wide_fn,
    schema.WideAndDeepEncoder: wide_and_deep_fn,
}


def _check_crosses(
    encoder: schema.DeepEncoder | schema.WideEncoder | schema.WideAndDeepEncoder, table: schema.Table
) -> None:
    if isinstance(encoder, schema.DeepEncoder):
        return
    sizes = tabular_features.sizes(table)
    known = [column.column for column in table.columns if column.name in sizes]
    unknown = sorted({name for names in encoder.crosses for name in names} - set(known))
    if unknown:
        raise errors.ConfigError(
            [
                f"model_fn.encoder.crosses: {unknown[0]!r} is no feature with categories, those are "
                f"{', '.join(known) or 'none'}. A numeric one has some if inputs.features gives it buckets"
            ]
        )


def _scalars(model: schema.TabularModel) -> dict[str, tf.Tensor]:
    return layers.scalars({"dropout_rate": model.dropout.rate, "batch_norm_momentum": model.batch_norm.momentum})


def _add_signatures(
    inputs: dict[str, tf.Tensor], outputs: dict[str, tf.Tensor], scalars: dict[str, tf.Tensor]
) -> None:
    hub.add_signature(inputs=inputs, outputs=outputs)
    if scalars:
        hub.add_signature("hyperparameters", inputs={**inputs, **scalars}, outputs=outputs)


def _deep(
    features: tabular_features.Features,
    model: schema.TabularModel,
    scalars: dict[str, tf.Tensor],
    *,
    is_training: bool,
) -> tf.Tensor:
    """The feature vectors of rows, float32 [batch, last hidden_units]."""
    encoder = model.encoder
    inputs = [] if features.numbers is None else [features.numbers]
    for name, categories in features.categories.items():
        dim = encoder.embedding_dim or _dim(categories.size)
        embeddings = tf1.get_variable(
            _embedding(name),
            [categories.size, dim],
            initializer=_embedding_initializer(),
            regularizer=layers.regularizer(model.regularizers.embedding),
        )
        inputs.append(tf.nn.embedding_lookup(embeddings, categories.ids))
    outputs = tf.concat(inputs, axis=1)
    for index, units in enumerate(encoder.hidden_units):
        with tf1.variable_scope(_hidden(index)):
            outputs = layers.hidden(
                outputs,
                units,
                activation=encoder.activation,
                kernel_regularizer=layers.regularizer(model.regularizers.kernel),
                norm=model.batch_norm,
                rates=scalars,
                is_training=is_training,
            )
    return outputs


def _wide(
    features: tabular_features.Features, encoder: schema.WideEncoder | schema.WideAndDeepEncoder, units: int
) -> tf.Tensor:
    """The logits of a linear model, float32 [batch, classes]."""
    zeros = _wide_initializer()
    with tf1.variable_scope(WIDE):
        logits = []
        if features.numbers is not None:
            kernel = tf1.get_variable("kernel", [features.numbers.shape[-1], units], initializer=zeros)
            logits.append(tf.matmul(features.numbers, kernel))
        for name, categories in features.categories.items():
            weights = tf1.get_variable(_weights(name), [categories.size, units], initializer=zeros)
            logits.append(tf.nn.embedding_lookup(weights, categories.ids))
        for columns in encoder.crosses:
            names = tuple(map(schema.input_name, columns))
            ids = tabular_features.cross([features.categories[name] for name in names], encoder.cross_buckets)
            weights = tf1.get_variable(_cross(names), [encoder.cross_buckets, units], initializer=zeros)
            logits.append(tf.nn.embedding_lookup(weights, ids))
        bias = tf1.get_variable("bias", [units], initializer=zeros)
        return tf.nn.bias_add(tf.add_n(logits), bias)


def _num_logits(labels_path: str | None) -> int:
    """One for each class; one if labels are numbers."""
    return 1 if labels_path is None else labels.count(labels_path)


def _dim(size: int) -> int:
    """Columns of an embedding table: a power of 2 near the square root, so that a few more rows change nothing."""
    return min(1 << round(math.log2(size) / 2), _LARGEST_DIM)


def _embedding_initializer():
    return tf1.random_uniform_initializer(-_INITIAL, _INITIAL)


def _wide_initializer():
    return tf1.zeros_initializer()


def _embedding(feature: str) -> str:
    return f"embedding/{feature}"


def _weights(feature: str) -> str:
    return f"weights/{feature}"


def _cross(crossed: tuple[str, ...]) -> str:
    return "cross/" + "/".join(crossed)


def _hidden(index: int) -> str:
    return f"hidden_{index + 1}"
