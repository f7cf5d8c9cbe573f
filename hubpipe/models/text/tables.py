"""Tokens to lines of embedding tables."""

from typing import NamedTuple

import tensorflow as tf
from tensorflow.compat import v1 as tf1

from hubpipe.config import schema
from hubpipe.models import labels, layers, pretrained
from hubpipe.models.text import tokens

WORDS, CHARACTERS = "embedding", "char_embedding"


class Lookup(NamedTuple):
    """What to pool.

    Attributes:
        name: of the table.
        table: float32 [lines, dim].
        ids: integer [n], lines of the table.
        rows: int32 [n], the text, or the word, that each belongs to, ascending.
    """

    name: str
    table: tf.Variable
    ids: tf.Tensor
    rows: tf.Tensor


def names(encoder: schema.TextEncoder) -> list[str]:
    """The tables of an encoder that regularizers are for: those that can be trained."""
    found = [WORDS]
    if encoder.char_ngrams:
        found.append(CHARACTERS)
    if pretrained.is_trained(encoder.embeddings):
        found.append(pretrained.VARIABLE)
    return found


def words(grams: tf.Tensor, rows: tf.Tensor, model: schema.TextModel, vocabulary_path: str) -> Lookup:
    """Words and n-grams by the vocabulary; others share buckets.

    Args:
        grams: string [n].
        rows: int32 [n], what each belongs to.
        model: the encoder and its regularizers.
        vocabulary_path: file of the known n-grams, one per line.
    """
    buckets = model.encoder.oov_buckets
    vocabulary = tf.lookup.StaticVocabularyTable(_lines(vocabulary_path), num_oov_buckets=buckets)
    table = _table(WORDS, [labels.count(vocabulary_path) + buckets, model.encoder.embedding_dim], model)
    return Lookup(WORDS, table, vocabulary.lookup(grams), rows)


def characters(words: tf.Tensor, rows: tf.Tensor, model: schema.TextModel) -> Lookup:
    """The n-grams of characters of words by their hash; arguments as those of `words`."""
    encoder = model.encoder
    unique, places = tf.unique(words)  # each word of a batch is cut up once
    grams, splits = tokens.characters(unique, widths=encoder.char_ngrams)
    ids = tf.strings.to_hash_bucket_fast(grams, encoder.char_buckets)
    (splits,), ids = tf.raw_ops.RaggedGather(
        params_nested_splits=[splits], params_dense_values=ids, indices=places, OUTPUT_RAGGED_RANK=1
    )
    word_of_each = tokens.rows_of(splits, tf.size(ids))
    table = _table(CHARACTERS, [encoder.char_buckets, encoder.embedding_dim], model)
    return Lookup(CHARACTERS, table, ids, tf.gather(rows, word_of_each))


def known_words(
    words: tf.Tensor, rows: tf.Tensor, model: schema.TextModel, embeddings: pretrained.Embeddings
) -> Lookup:
    """The words that have a vector in the embedding file, else that of their lower case; others are left out.

    Args:
        words: string [n].
        rows: int32 [n], what each belongs to.
        model: the encoder and its regularizers.
        embeddings: the words and vectors of the file.
    """
    vocabulary = tf.lookup.StaticHashTable(_lines(embeddings.vocabulary_path), default_value=-1)
    ids = vocabulary.lookup(words)
    if not model.encoder.lowercase:
        ids = tf.where(ids >= 0, ids, vocabulary.lookup(tf.strings.lower(words, encoding="utf-8")))
    is_known = ids >= 0
    is_trained = pretrained.is_trained(model.encoder.embeddings)
    table = tf1.get_variable(
        pretrained.VARIABLE,
        [labels.count(embeddings.vocabulary_path), embeddings.dim],
        initializer=tf1.zeros_initializer(),  # a run starts with the vectors, see pretrained.initialize
        regularizer=layers.regularizer(model.regularizers.embedding) if is_trained else None,
        trainable=is_trained,
    )
    return Lookup(pretrained.VARIABLE, table, tf.boolean_mask(ids, is_known), tf.boolean_mask(rows, is_known))


def _table(name: str, shape: list[int], model: schema.TextModel) -> tf.Variable:
    limit, partitions = 0.5 / shape[1], min(model.encoder.partitions, shape[0])
    return tf1.get_variable(
        name,
        shape,
        initializer=tf1.random_uniform_initializer(-limit, limit),
        regularizer=layers.regularizer(model.regularizers.embedding),
        partitioner=tf1.fixed_size_partitioner(partitions) if partitions > 1 else None,
    )


def _lines(path: str) -> tf.lookup.TextFileInitializer:
    """A table from the lines of a file to their numbers, from 0."""
    return tf.lookup.TextFileInitializer(
        path, tf.string, tf.lookup.TextFileIndex.WHOLE_LINE, tf.int64, tf.lookup.TextFileIndex.LINE_NUMBER
    )
