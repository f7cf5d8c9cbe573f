"""The text encoder: strings to feature vectors."""

import functools
from typing import NamedTuple

import tensorflow as tf
from tensorflow.compat import v1 as tf1

from hubpipe import hub
from hubpipe.config import schema
from hubpipe.models import labels, layers

# RE2. The vocabulary is counted by the same rule, see hubpipe.inputs.vocab.
_SEPARATORS = r"[^\p{L}\p{N}']+"


def create_spec(
    model: schema.TextModel, export: schema.Export, *, vocabulary_path: str, labels_path: str | None
) -> hub.ModuleSpec:
    """The encoder as a module, in the variants {} for inference and {"train"} for fine-tuning.

    Args:
        model: encoder, regularizers, dropout and batch normalization.
        export: which hyperparameters consumers may set.
        vocabulary_path: file of the known n-grams, one per line.
        labels_path: file of the classes that the encoder is trained to tell apart, one per line; None for none.
    """
    build = functools.partial(
        module_fn, model, export.hyperparameters, vocabulary_path=vocabulary_path, labels_path=labels_path
    )
    return hub.create_module_spec(
        build, tags_and_args=[((), {"is_training": False}), (("train",), {"is_training": True})]
    )


def regularizers(model: schema.TextModel) -> dict[str, schema.Regularizer]:
    """The regularizer of each variable of the encoder that may have one, by its name in the module."""
    encoder, configured = model.encoder, model.regularizers
    tables = ["embedding", *(["char_embedding"] if encoder.char_ngrams else [])]
    kernels = [f"hidden_{index}/kernel" for index, _ in enumerate(encoder.hidden_units, start=1)]
    return {**dict.fromkeys(tables, configured.embedding), **dict.fromkeys(kernels, configured.kernel)}


def module_fn(
    model: schema.TextModel,
    hyperparameters: tuple[str, ...],
    *,
    vocabulary_path: str,
    labels_path: str | None,
    is_training: bool,
) -> None:
    """Builds the encoder: mean embeddings of words and n-grams, and of characters, then dense layers.

    Signatures:
        default: text, string [batch] -> default, float32 [batch, last hidden_units]; pooled, float32
            [batch, embedding_dim], or [batch, 2 * embedding_dim] with char_ngrams.
        hyperparameters: text and the scalars of `hyperparameters`, float32 [] -> the same.
        labels: nothing -> default, string [classes]; none without classes.
    """
    text = tf1.placeholder(tf.string, [None], name="text")
    defaults = {"dropout_rate": model.dropout.rate, "batch_norm_momentum": model.batch_norm.momentum}
    scalars = {name: tf1.placeholder_with_default(value, [], name=name) for name, value in defaults.items()}
    word_dropout = _word_dropout(model, scalars["dropout_rate"]) if is_training else None
    pooled = _pool(text, model, vocabulary_path, word_dropout)
    encoded = pooled
    for index, units in enumerate(model.encoder.hidden_units, start=1):
        with tf1.variable_scope(f"hidden_{index}"):
            encoded = _hidden(encoded, units, model, scalars, is_training=is_training)
    outputs = {"default": encoded, "pooled": pooled}
    hub.add_signature(inputs={"text": text}, outputs=outputs)
    if hyperparameters:
        inputs = {"text": text, **{name: scalars[name] for name in hyperparameters}}
        hub.add_signature("hyperparameters", inputs=inputs, outputs=outputs)
    labels.add_signature(labels_path)


def _word_dropout(model: schema.TextModel, dropout_rate: tf.Tensor) -> tf.Tensor:
    """The fraction of words to leave out, float32 []; dropout_rate 0 turns it off, so that a consumer can."""
    return model.encoder.word_dropout * tf.cast(dropout_rate > 0.0, tf.float32)


def _pool(
    text: tf.Tensor, model: schema.TextModel, vocabulary_path: str, word_dropout: tf.Tensor | None
) -> tf.Tensor:
    """The pooled embeddings of each text, float32 [batch, dim], or [batch, 2 * dim] with char_ngrams.

    Args:
        text: string [batch].
        model: the encoder and its regularizers.
        vocabulary_path: file of the known n-grams, one per line.
        word_dropout: fraction of n-grams to leave out, float32 []; None for none.
    """
    encoder = model.encoder
    if encoder.lowercase:
        text = tf.strings.regex_replace(text, "\\x00", " ")  # strings.lower ends a string there
        text = tf.strings.lower(text, encoding="utf-8")
    words, rows = _words(tf.strings.regex_replace(text, _SEPARATORS, " "))
    batch = tf.shape(text)[0]
    grams, gram_rows = _ngrams(words, rows, batch, encoder.ngrams)
    lookups = [_lookup_words(grams, gram_rows, model, vocabulary_path)]
    if encoder.char_ngrams:
        lookups.append(_lookup_chars(words, rows, model))
    return tf.concat([_mix(lookup, batch, word_dropout, encoder.pooling) for lookup in lookups], axis=1)


class _Lookup(NamedTuple):
    """What to pool.

    Attributes:
        table: float32 [ids, dim].
        ids: integer [n], lines of the table.
        rows: int32 [n], the text that each belongs to, ascending.
    """

    table: tf.Variable
    ids: tf.Tensor
    rows: tf.Tensor


def _mix(lookup: _Lookup, batch: tf.Tensor, word_dropout: tf.Tensor | None, pooling: str) -> tf.Tensor:
    """Pools the embeddings of each text, float32 [batch, dim]; 0 for a text without words.

    Word dropout leaves out each occurrence by itself: https://aclanthology.org/P15-1162, section 4.
    """
    ids, rows = lookup.ids, lookup.rows
    if word_dropout is not None:
        kept = tf.random.uniform(tf.shape(rows)) >= word_dropout
        ids, rows = tf.boolean_mask(ids, kept), tf.boolean_mask(rows, kept)
    unique, places = tf.unique(ids)
    pool = {"mean": tf1.sparse.segment_mean, "sqrtn": tf1.sparse.segment_sqrt_n}[pooling]
    return pool(tf.nn.embedding_lookup(lookup.table, unique), places, rows, num_segments=batch)


def _lookup_words(grams: tf.Tensor, rows: tf.Tensor, model: schema.TextModel, vocabulary_path: str) -> _Lookup:
    """Words and n-grams by the vocabulary; others share buckets."""
    buckets = model.encoder.oov_buckets
    vocabulary = tf.lookup.StaticVocabularyTable(
        tf.lookup.TextFileInitializer(
            vocabulary_path,
            tf.string,
            tf.lookup.TextFileIndex.WHOLE_LINE,
            tf.int64,
            tf.lookup.TextFileIndex.LINE_NUMBER,
        ),
        num_oov_buckets=buckets,
    )
    with tf.io.gfile.GFile(vocabulary_path) as file:
        size = sum(1 for _ in file)
    return _Lookup(_table("embedding", size + buckets, model), vocabulary.lookup(grams), rows)


def _lookup_chars(words: tf.Tensor, rows: tf.Tensor, model: schema.TextModel) -> _Lookup:
    """The character n-grams of words by their hash; the ends of a word count: "<a>" is a trigram of "a".

    Source: https://arxiv.org/abs/1607.04606.
    """
    encoder = model.encoder
    unique, places = tf.unique(words)  # each word of a batch is cut up once
    decoded = tf.raw_ops.UnicodeDecode(input=unique, input_encoding="UTF-8")
    chars = tf.raw_ops.UnicodeEncode(
        input_values=decoded.char_values,
        input_splits=tf.range(tf.size(decoded.char_values, out_type=tf.int64) + 1),
        output_encoding="UTF-8",
    )
    grams, splits = tf.raw_ops.StringNGrams(
        data=chars,
        data_splits=decoded.row_splits,
        separator="",
        ngram_widths=list(encoder.char_ngrams),
        left_pad="<",
        right_pad=">",
        pad_width=1,
        preserve_short_sequences=False,
    )
    ids = tf.strings.to_hash_bucket_fast(grams, encoder.char_buckets)
    (splits,), ids = tf.raw_ops.RaggedGather(
        params_nested_splits=[splits], params_dense_values=ids, indices=places, OUTPUT_RAGGED_RANK=1
    )
    word_of_each = _rows(splits, tf.size(ids))
    return _Lookup(_table("char_embedding", encoder.char_buckets, model), ids, tf.gather(rows, word_of_each))


def _table(name: str, lines: int, model: schema.TextModel) -> tf.Variable:
    dim, partitions = model.encoder.embedding_dim, min(model.encoder.partitions, lines)
    return tf1.get_variable(
        name,
        [lines, dim],
        initializer=tf1.random_uniform_initializer(-0.5 / dim, 0.5 / dim),
        regularizer=layers.regularizer(model.regularizers.embedding),
        partitioner=tf1.fixed_size_partitioner(partitions) if partitions > 1 else None,
    )


def _words(text: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Splits texts at spaces, in ops that TensorFlow 1.15 has; those behind RaggedTensor are younger.

    Args:
        text: string [batch].
    Returns:
        The words of all texts, string [words]; the text of each, int32 [words], ascending.
    """
    indices, words, _ = tf.raw_ops.StringSplitV2(input=text, sep="")
    return words, tf.cast(indices[:, 0], tf.int32)


def _ngrams(words: tf.Tensor, rows: tf.Tensor, batch: tf.Tensor, longest: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Joins up to `longest` neighbouring words of a text.

    Args:
        words: string [words].
        rows: the text of each word, int32 [words], ascending.
        batch: number of texts, int32 [].
        longest: words in the longest n-gram.
    Returns:
        The n-grams of all texts, string [n-grams]; the text of each, int32 [n-grams], ascending.
    """
    if longest == 1:
        return words, rows
    lengths = tf.math.unsorted_segment_sum(tf.ones_like(rows), rows, batch)
    grams, splits = tf.raw_ops.StringNGrams(
        data=words,
        data_splits=tf.concat([[0], tf.cumsum(lengths)], axis=0),
        separator=" ",
        ngram_widths=list(range(1, longest + 1)),
        left_pad="",
        right_pad="",
        pad_width=0,
        preserve_short_sequences=False,
    )
    return grams, _rows(splits, tf.size(grams))


def _rows(splits: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
    """Where rows end -> the row of each of the values, int32 [size]."""
    return tf.searchsorted(splits[1:], tf.range(tf.cast(size, splits.dtype)), side="right")


def _hidden(
    inputs: tf.Tensor, units: int, model: schema.TextModel, scalars: dict[str, tf.Tensor], *, is_training: bool
) -> tf.Tensor:
    """Dropout, a dense layer, batch normalization and the activation; float32 [batch, units]."""
    norm = model.batch_norm
    outputs = layers.dropout(inputs, rate=scalars["dropout_rate"], is_training=is_training)
    kernel_regularizer = layers.regularizer(model.regularizers.kernel)
    outputs = layers.dense(outputs, units, kernel_regularizer=kernel_regularizer, with_bias=not norm.enabled)
    if norm.enabled:
        outputs = layers.batch_norm(
            outputs, momentum=scalars["batch_norm_momentum"], epsilon=norm.epsilon, is_training=is_training
        )
    return layers.ACTIVATIONS[model.encoder.activation](outputs)
