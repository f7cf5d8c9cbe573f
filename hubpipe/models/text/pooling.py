"""The embeddings of a text's tokens to one vector.

Tokens of all texts stand one behind the other, with the text of each: there is no padding that could change a
result, and the work is that of the words that are there.
"""

import tensorflow as tf
from tensorflow.compat import v1 as tf1

from hubpipe.config import schema
from hubpipe.models import layers
from hubpipe.models.text import tables


def drop(lookup: tables.Lookup, rate: tf.Tensor | None) -> tables.Lookup:
    """Leaves out each token by itself, with a probability of `rate`, float32 []; none if that is None.

    Source: https://aclanthology.org/P15-1162, section 4.
    """
    if rate is None:
        return lookup
    kept = tf.random.uniform(tf.shape(lookup.rows)) >= rate
    return lookup._replace(ids=tf.boolean_mask(lookup.ids, kept), rows=tf.boolean_mask(lookup.rows, kept))


def mean(lookup: tables.Lookup, batch: tf.Tensor) -> tf.Tensor:
    """The mean of each text's embeddings, float32 [batch, dim]; zeros for a text without tokens."""
    unique, places = tf.unique(lookup.ids)
    embeddings = tf.nn.embedding_lookup(lookup.table, unique)
    return tf1.sparse.segment_mean(embeddings, places, lookup.rows, num_segments=batch)


def sqrtn(lookup: tables.Lookup, batch: tf.Tensor) -> tf.Tensor:
    """The sum of each text's embeddings by the square root of their number; otherwise as mean."""
    unique, places = tf.unique(lookup.ids)
    embeddings = tf.nn.embedding_lookup(lookup.table, unique)
    return tf1.sparse.segment_sqrt_n(embeddings, places, lookup.rows, num_segments=batch)


def attention(lookup: tables.Lookup, batch: tf.Tensor) -> tf.Tensor:
    """The mean of each text's embeddings, weighted by the softmax of their products with a learned query.

    The query starts at 0, where it is the plain mean. The variable is "<table>_query", float32 [dim].

    Args:
        lookup: the tokens.
        batch: number of texts, int32 [].
    Returns:
        float32 [batch, dim]; zeros for a text without tokens.

    Source: https://aclanthology.org/N16-1174, section 2.2, without the layer before the product: the tokens'
    embeddings are trained along with the query.
    """
    query = tf1.get_variable(f"{lookup.name}_query", lookup.table.shape[1:], initializer=tf1.zeros_initializer())
    unique, places = tf.unique(lookup.ids)
    distinct = tf.nn.embedding_lookup(lookup.table, unique)
    scores = tf.gather(tf.linalg.matvec(distinct, query), places)  # [tokens]
    highest = tf.stop_gradient(tf.math.unsorted_segment_max(scores, lookup.rows, batch))
    weights = tf.exp(scores - tf.gather(highest, lookup.rows))
    weighted = weights[:, tf.newaxis] * tf.gather(distinct, places)
    sums = tf.math.unsorted_segment_sum(weighted, lookup.rows, batch)
    totals = tf.math.unsorted_segment_sum(weights, lookup.rows, batch)
    return tf.math.divide_no_nan(sums, totals[:, tf.newaxis])


# What pools tokens whose order does not matter.
OF_TOKENS = {"mean": mean, "sqrtn": sqrtn, "attention": attention}


def conv(
    words: tf.Tensor, rows: tf.Tensor, batch: tf.Tensor, config: schema.Convolution, kernel: schema.Regularizer
) -> tf.Tensor:
    """The most that each filter finds anywhere in a text; beyond its ends there are zeros.

    Args:
        words: float32 [words, dim], a vector for each.
        rows: the text of each word, int32 [words], ascending.
        batch: number of texts, int32 [].
        config: widths and number of filters.
        kernel: regularizer of the filters.
    Returns:
        float32 [batch, widths * filters]; zeros for a text without words.

    Source: https://aclanthology.org/D14-1181, section 2.
    """
    found = []
    for width in config.widths:
        first = -((width - 1) // 2)
        window = [_neighbours(words, rows, offset) for offset in range(first, first + width)]
        with tf1.variable_scope(f"conv_{width}"):
            maps = layers.dense(
                tf.concat(window, axis=1),
                config.filters,
                kernel_regularizer=layers.regularizer(kernel),
                with_bias=True,
            )
        # The greatest of no words is the lowest float; the rectifier makes it 0.
        found.append(tf.nn.relu(tf.math.unsorted_segment_max(maps, rows, batch)))
    return tf.concat(found, axis=1)


def _neighbours(words: tf.Tensor, rows: tf.Tensor, offset: int) -> tf.Tensor:
    """For each word the vector of the one `offset` places further on in its text, zeros beyond the ends."""
    count = tf.size(rows)
    places = tf.range(count) + offset
    inside = tf.clip_by_value(places, 0, tf.maximum(count - 1, 0))
    is_same_text = tf.equal(places, inside) & tf.equal(tf.gather(rows, inside), rows)
    return tf.gather(words, inside) * tf.cast(is_same_text, tf.float32)[:, tf.newaxis]
