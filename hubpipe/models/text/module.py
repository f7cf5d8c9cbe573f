"""The text encoder as a module."""

import functools
from collections.abc import Mapping
from typing import Any

import tensorflow as tf
from tensorflow.compat import v1 as tf1

from hubpipe import hub
from hubpipe.config import schema
from hubpipe.models import labels, layers, pretrained, warm_start
from hubpipe.models.text import pooling, tables, tokens

# What inputs are called, of the module and of the features: the text, and the second one of a pair.
TEXT, PAIR = "text", "text_b"


def create_spec(
    model: schema.TextModel,
    export: schema.Export,
    *,
    vocabulary_path: str,
    labels_path: str | None,
    embeddings: pretrained.Embeddings | None = None,
) -> hub.ModuleSpec:
    """The encoder as a module, in the variants {} for inference and {"train"} for fine-tuning.

    Args:
        model: encoder, regularizers, dropout and batch normalization.
        export: which hyperparameters consumers may set.
        vocabulary_path: file of the known n-grams, one per line.
        labels_path: file of the classes that the encoder is trained to tell apart, one per line; None for none.
        embeddings: pre-trained embeddings, if the encoder has any.
    """
    build = functools.partial(
        module_fn,
        model,
        export.hyperparameters,
        vocabulary_path=vocabulary_path,
        labels_path=labels_path,
        embeddings=embeddings,
    )
    return hub.create_module_spec(
        build, tags_and_args=[((), {"is_training": False}), (("train",), {"is_training": True})]
    )


def regularizers(model: schema.TextModel, arguments: Mapping[str, Any]) -> dict[str, schema.Regularizer]:
    """The regularizer of each variable of the encoder that may have one, by its name in the module."""
    del arguments
    encoder, configured = model.encoder, model.regularizers
    scopes = [f"conv_{width}" for width in encoder.conv.widths] if encoder.pooling == "conv" else []
    scopes += [f"hidden_{index}" for index, _ in enumerate(encoder.hidden_units, start=1)]
    if encoder.pair:
        scopes += [f"pair_{index}" for index, _ in enumerate(encoder.pair.hidden_units, start=1)]
    return {
        **dict.fromkeys(tables.names(encoder), configured.embedding),
        **dict.fromkeys([f"{scope}/kernel" for scope in scopes], configured.kernel),
    }


def vocabularies(model: schema.TextModel, arguments: Mapping[str, Any]) -> dict[str, warm_start.Vocabulary]:
    """The tokens of the learned embeddings, and the words of those of a file if they are tuned."""
    found = warm_start.vocabularies(model, arguments)
    embeddings = arguments.get("embeddings")
    if embeddings is not None and pretrained.is_trained(model.encoder.embeddings):
        of_new_words = functools.partial(pretrained.of_new_words, embeddings)
        found[pretrained.VARIABLE] = warm_start.Vocabulary(embeddings.vocabulary_path, of_new_words)
    return found


def module_fn(
    model: schema.TextModel,
    hyperparameters: tuple[str, ...],
    *,
    vocabulary_path: str,
    labels_path: str | None,
    embeddings: pretrained.Embeddings | None,
    is_training: bool,
) -> None:
    """Builds the encoder: pooled embeddings of words and n-grams, and of characters, then dense layers.

    Signatures of an encoder of texts:
        default: text, string [batch] -> default, float32 [batch, last hidden_units]; pooled, float32 [batch, dim],
            the tables' embedding_dim together, or with pooling: conv the filters of all widths.
        hyperparameters: text and the scalars of `hyperparameters`, float32 [] -> the same.
        labels: nothing -> default, string [classes]; none without classes.

    Signatures of an encoder of pairs:
        default: text and text_b, string [batch] -> default, float32 [batch, last pair.hidden_units], or all that
            pair.combine makes of the two texts' encodings.
        text: text, string [batch] -> what the default of an encoder of texts has.
        hyperparameters: text, text_b and the scalars -> as default.
        labels: nothing -> default, string [classes]; none without classes.
    """
    text = tf1.placeholder(tf.string, [None], name=TEXT)
    rates = {"dropout_rate": model.dropout.rate, "batch_norm_momentum": model.batch_norm.momentum}
    scalars = layers.scalars(rates)
    encode = functools.partial(
        _encode, model, scalars, vocabulary_path=vocabulary_path, embeddings=embeddings, is_training=is_training
    )
    inputs = {TEXT: text}
    if model.encoder.pair is None:
        outputs = encode(text)
        hub.add_signature(inputs=inputs, outputs=outputs)
    else:
        # Both texts are one batch, so that a step updates the moving averages once; alone, a text is all of it.
        text_b = tf1.placeholder_with_default(tf.constant([], tf.string), [None], name=PAIR)
        both = encode(tf.concat([text, text_b], axis=0))
        size = tf.size(text)
        hub.add_signature(TEXT, inputs=inputs, outputs={name: value[:size] for name, value in both.items()})
        inputs = {TEXT: text, PAIR: text_b}
        encoded = both["default"]
        outputs = {"default": _combine(encoded[:size], encoded[size:], model, scalars, is_training=is_training)}
        hub.add_signature(inputs=inputs, outputs=outputs)
    if hyperparameters:
        inputs = {**inputs, **{name: scalars[name] for name in hyperparameters}}
        hub.add_signature("hyperparameters", inputs=inputs, outputs=outputs)
    labels.add_signature(labels_path)


def _encode(
    model: schema.TextModel,
    scalars: dict[str, tf.Tensor],
    text: tf.Tensor,
    *,
    vocabulary_path: str,
    embeddings: pretrained.Embeddings | None,
    is_training: bool,
) -> dict[str, tf.Tensor]:
    """Texts, string [batch], to their encodings and what these are made of, dict default, pooled."""
    word_dropout = _word_dropout(model, scalars["dropout_rate"]) if is_training else None
    pooled = _pool(text, model, vocabulary_path, embeddings, word_dropout)
    encoded = pooled
    for index, units in enumerate(model.encoder.hidden_units, start=1):
        with tf1.variable_scope(f"hidden_{index}"):
            encoded = _hidden(
                encoded, units, model, scalars, normalized=model.batch_norm.enabled, is_training=is_training
            )
    return {"default": encoded, "pooled": pooled}


def _word_dropout(model: schema.TextModel, dropout_rate: tf.Tensor) -> tf.Tensor:
    """The fraction of words to leave out, float32 []; dropout_rate 0 turns it off, so that a consumer can."""
    return model.encoder.word_dropout * tf.cast(dropout_rate > 0.0, tf.float32)


def _pool(
    text: tf.Tensor,
    model: schema.TextModel,
    vocabulary_path: str,
    embeddings: pretrained.Embeddings | None,
    word_dropout: tf.Tensor | None,
) -> tf.Tensor:
    """The pooled embeddings of each text, float32 [batch, dim of all tables, or filters of all widths].

    Args:
        text: string [batch].
        model: the encoder and its regularizers.
        vocabulary_path: file of the known n-grams, one per line.
        embeddings: pre-trained embeddings, if there are any.
        word_dropout: fraction of tokens to leave out, float32 []; None for none.
    """
    encoder = model.encoder
    batch = tf.shape(text)[0]
    words, rows = tokens.words(text, lowercase=encoder.lowercase)
    if encoder.pooling == "conv":
        words, rows = tokens.first(words, rows, batch, max_words=encoder.conv.max_words)
        count = tf.size(words)
        lookups = _lookups(words, tf.range(count), count, model, vocabulary_path, embeddings)
        vectors = tf.concat([pooling.mean(lookup, count) for lookup in lookups], axis=1)
        if word_dropout is not None:
            vectors *= tf.cast(tf.random.uniform([count, 1]) >= word_dropout, tf.float32)
        return pooling.conv(vectors, rows, batch, encoder.conv, model.regularizers.kernel)
    lookups = _lookups(words, rows, batch, model, vocabulary_path, embeddings)
    pool = pooling.OF_TOKENS[encoder.pooling]
    return tf.concat([pool(pooling.drop(lookup, word_dropout), batch) for lookup in lookups], axis=1)


def _lookups(
    words: tf.Tensor,
    rows: tf.Tensor,
    count: tf.Tensor,
    model: schema.TextModel,
    vocabulary_path: str,
    embeddings: pretrained.Embeddings | None,
) -> list[tables.Lookup]:
    """The tokens of each table, for each of `count` rows: texts, or words alone."""
    encoder = model.encoder
    grams = tokens.ngrams(words, rows, count, longest=encoder.ngrams, boundaries=encoder.boundaries)
    found = [tables.words(*grams, model, vocabulary_path)]
    if encoder.char_ngrams:
        found.append(tables.characters(words, rows, model))
    if embeddings is not None:
        found.append(tables.known_words(words, rows, model, embeddings))
    return found


def _combine(
    text: tf.Tensor,
    text_b: tf.Tensor,
    model: schema.TextModel,
    scalars: dict[str, tf.Tensor],
    *,
    is_training: bool,
) -> tf.Tensor:
    """The encodings of two texts, float32 [batch, dim] each, to one of the pair.

    Without batch normalization: the signature of one text would have no pairs to update its averages with.

    Source: https://arxiv.org/abs/1705.02364, section 3.1.
    """
    ways = {
        "concat": lambda: tf.concat([text, text_b], axis=1),
        "difference": lambda: tf.abs(text - text_b),
        "product": lambda: text * text_b,
    }
    pair = model.encoder.pair
    combined = tf.concat([ways[way]() for way in pair.combine], axis=1)
    for index, units in enumerate(pair.hidden_units, start=1):
        with tf1.variable_scope(f"pair_{index}"):
            combined = _hidden(combined, units, model, scalars, normalized=False, is_training=is_training)
    return combined


def _hidden(
    inputs: tf.Tensor,
    units: int,
    model: schema.TextModel,
    scalars: dict[str, tf.Tensor],
    *,
    normalized: bool,
    is_training: bool,
) -> tf.Tensor:
    """Dropout, a dense layer, batch normalization if `normalized`, and the activation; float32 [batch, units]."""
    return layers.hidden(
        inputs,
        units,
        activation=model.encoder.activation,
        kernel_regularizer=layers.regularizer(model.regularizers.kernel),
        norm=model.batch_norm.model_copy(update={"enabled": normalized}),
        rates=scalars,
        is_training=is_training,
    )
