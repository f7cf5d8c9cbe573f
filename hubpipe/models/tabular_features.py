"""The features of a table, in the graph: named inputs to normalized numbers and to categories.

In ops that TensorFlow 1.15 has; all that the training data tell is in constants and in vocabularies, so that a
module takes values as they stand in a table.
"""

import math
from collections.abc import Mapping
from typing import NamedTuple

import tensorflow as tf
from tensorflow.compat import v1 as tf1

from hubpipe.config import schema
from hubpipe.models import tabular_dates

_MISSING = "<missing>"  # in vocabularies
_MAX_STDS = 10.0  # further from the mean nothing is, so that no single number drowns the others
_SEPARATOR = "\x1f"  # between the values of a cross


class Categories(NamedTuple):
    """A feature of categories, or the buckets of a numeric one.

    Attributes:
        ids: integer [batch], in [0, size).
        size: number of categories, those of unknown and missing values included.
        text: string [batch], the category in words, for crosses.
    """

    ids: tf.Tensor
    size: int
    text: tf.Tensor


class Features(NamedTuple):
    """A batch of rows.

    Attributes:
        numbers: float32 [batch, n], None if there are none.
        categories: dict feature -> Categories.
    """

    numbers: tf.Tensor | None
    categories: dict[str, Categories]


def placeholders(table: schema.Table) -> dict[str, tf.Tensor]:
    """The inputs of the module by feature: float32 [batch] of numbers, string [batch] of others."""
    with tf1.name_scope("features"):
        return {
            column.name: tf1.placeholder(
                tf.float32 if column.kind == "numeric" else tf.string, [None], name=column.name
            )
            for column in table.columns
        }


def transform(inputs: Mapping[str, tf.Tensor], table: schema.Table) -> Features:
    """Numbers and categories of a batch.

    Graph effects: adds the vocabularies to ASSET_FILEPATHS, and their tables to TABLE_INITIALIZERS.

    Args:
        inputs: dict feature -> float32 or string [batch].
        table: what the training data tell of the features.
    """
    columns = {kind: [column for column in table.columns if column.kind == kind] for kind in _KINDS}
    numbers: list[tf.Tensor] = []  # each [batch, n]
    categories: dict[str, Categories] = {}
    if columns["numeric"]:
        values = _with_missing(tf.stack([inputs[column.name] for column in columns["numeric"]], axis=1), table)
        numbers += _normalized(values, columns["numeric"])
        for place, column in enumerate(columns["numeric"]):
            if column.boundaries:
                categories[column.name] = _buckets(values[:, place], column)
    texts = {
        column.name: _cleaned(inputs[column.name], table) for column in columns["date"] + columns["categorical"]
    }
    for column in columns["date"]:
        numbers.append(tf.stack(tabular_dates.numbers(texts[column.name], column), axis=1))
    for column in columns["categorical"]:
        categories[column.name] = _looked_up(texts[column.name], column)
    return Features(tf.concat(numbers, axis=1) if numbers else None, categories)


_KINDS = ("numeric", "date", "categorical")


def sizes(table: schema.Table) -> dict[str, int]:
    """The number of categories of each feature that has some."""
    found = {}
    for column in table.columns:
        if isinstance(column, schema.CategoricalColumn):
            found[column.name] = _size(column)
        elif isinstance(column, schema.NumericColumn) and column.boundaries:
            found[column.name] = len(column.boundaries) + 2
    return found


def cross(categories: list[Categories], buckets: int) -> tf.Tensor:
    """The combination of the categories of some features, by its hash: int64 [batch], in [0, buckets)."""
    joined = tf.strings.join([feature.text for feature in categories], separator=_SEPARATOR)
    return tf.strings.to_hash_bucket_fast(joined, buckets)


def _with_missing(values: tf.Tensor, table: schema.Table) -> tf.Tensor:
    """NaN for numbers that stand for no value, float32 [batch, n]."""
    for text in table.missing:
        try:
            number = float(text)
        except ValueError:
            continue
        if math.isfinite(number):
            values = tf.where(tf.equal(values, number), tf.fill(tf.shape(values), math.nan), values)
    return values


def _normalized(values: tf.Tensor, columns: list[schema.NumericColumn]) -> list[tf.Tensor]:
    """Numbers with mean 0 and standard deviation 1 in training, 0 for missing ones; and indicators of these."""
    is_missing = tf1.is_nan(values)
    known = tf.where(is_missing, tf.zeros_like(values), values)
    logs = tf.sign(known) * tf.math.log1p(tf.abs(known))
    takes_log = tf.constant([[column.log for column in columns]])
    known = tf.where(tf.logical_and(takes_log, tf.ones_like(is_missing)), logs, known)
    means = tf.constant([[column.mean for column in columns]], tf.float32)
    stds = tf.constant([[column.std for column in columns]], tf.float32)
    normal = tf.clip_by_value((known - means) / stds, -_MAX_STDS, _MAX_STDS)
    indicated = [place for place, column in enumerate(columns) if column.missing_indicator]
    normal = tf.where(is_missing, tf.zeros_like(normal), normal)
    if not indicated:
        return [normal]
    return [normal, tf.gather(tf.cast(is_missing, tf.float32), indicated, axis=1)]


def _buckets(values: tf.Tensor, column: schema.NumericColumn) -> Categories:
    """The quantile of each number; missing ones have a bucket of their own, the last."""
    boundaries = tf.constant([column.boundaries], tf.float32)
    ids = tf.reduce_sum(tf.cast(values[:, tf.newaxis] >= boundaries, tf.int32), axis=1)
    last = len(column.boundaries) + 1
    ids = tf.where(tf1.is_nan(values), tf.fill(tf.shape(ids), last), ids)
    return Categories(ids, last + 1, tf.strings.as_string(ids))


def _cleaned(text: tf.Tensor, table: schema.Table) -> tf.Tensor:
    """White space as in the training data, "" for texts that stand for no value; string [batch]."""
    text = tf.strings.strip(tf.strings.regex_replace(text, r"[\t\n\v\f\r ]+", " "))
    stands_for_none = tf.reduce_any(tf.equal(text[:, tf.newaxis], tf.constant([["", *table.missing]])), axis=1)
    return tf.where(stands_for_none, tf.fill(tf.shape(text), ""), text)


def _size(column: schema.CategoricalColumn) -> int:
    return column.size + column.buckets + (column.vocabulary_path is None)


def _looked_up(text: tf.Tensor, column: schema.CategoricalColumn) -> Categories:
    """Categories by vocabulary, or by hash with a further one for missing values."""
    is_missing = tf.equal(text, "")
    if column.vocabulary_path is None:
        ids = tf.strings.to_hash_bucket_fast(text, column.buckets)
        ids = tf.where(is_missing, tf.fill(tf.shape(ids), tf.constant(column.buckets, tf.int64)), ids)
        return Categories(ids, _size(column), text)
    initializer = tf.lookup.TextFileInitializer(
        column.vocabulary_path,
        tf.string,
        tf.lookup.TextFileIndex.WHOLE_LINE,
        tf.int64,
        tf.lookup.TextFileIndex.LINE_NUMBER,
    )
    vocabulary = tf.lookup.StaticVocabularyTable(initializer, num_oov_buckets=column.buckets)
    ids = vocabulary.lookup(tf.where(is_missing, tf.fill(tf.shape(text), _MISSING), text))
    return Categories(ids, _size(column), text)
