"""A module_fn of one's own, for configs/custom.yaml: words weigh themselves in the mean of their embeddings."""

import tensorflow as tf
from tensorflow.compat import v1 as tf1

from hubpipe import hub


def encoder(
    vocabulary_path: str,
    is_training: bool,
    *,
    embedding_dim: int = 64,
    oov_buckets: int = 1000,
    word_dropout: float = 0.5,
    dropout_rate: float | tf.Tensor = 0.0,
) -> None:
    """Adds the signature `default`: text, string [batch] -> default, float32 [batch, 2 * embedding_dim].

    Args:
        vocabulary_path: file of the words of the training texts, one per line, given by hubpipe.
        is_training: given by hubpipe, which calls the function once with True and once with False.
        embedding_dim: columns of the embedding table.
        oov_buckets: embeddings that all other words share, by hash.
        word_dropout: fraction of the words that training leaves out of each text.
        dropout_rate: fraction of the embeddings' entries that training drops; a scalar that consumers may set.
    """
    text = tf1.placeholder(tf.string, [None], name="text")
    plain = tf.strings.regex_replace(tf.strings.lower(text, encoding="utf-8"), r"[^\p{L}\p{N}']+", " ")
    places, words, _ = tf.raw_ops.StringSplitV2(input=plain, sep="")
    rows = tf.cast(places[:, 0], tf.int32)  # the text of each word, ascending
    if is_training:
        kept = tf.random.uniform(tf.shape(rows)) >= word_dropout
        words, rows = tf.boolean_mask(words, kept), tf.boolean_mask(rows, kept)
    lines = tf.lookup.TextFileInitializer(
        vocabulary_path,
        tf.string,
        tf.lookup.TextFileIndex.WHOLE_LINE,
        tf.int64,
        tf.lookup.TextFileIndex.LINE_NUMBER,
    )
    ids = tf.lookup.StaticVocabularyTable(lines, num_oov_buckets=oov_buckets).lookup(words)
    with tf.io.gfile.GFile(vocabulary_path) as file:
        size = sum(1 for _ in file) + oov_buckets
    table = tf1.get_variable(
        "embedding", [size, embedding_dim], initializer=tf1.random_uniform_initializer(-0.05, 0.05)
    )
    gates = tf1.get_variable("gates", [size], initializer=tf1.zeros_initializer())
    vectors = tf.nn.embedding_lookup(table, ids)  # [words, embedding_dim]
    if is_training:
        vectors = tf.nn.dropout(vectors, rate=dropout_rate)
    weights = tf.sigmoid(tf.nn.embedding_lookup(gates, ids))[:, tf.newaxis]
    batch = tf.shape(text)[0]
    total = tf.math.unsorted_segment_sum(vectors * weights, rows, batch)
    mean = tf.math.divide_no_nan(total, tf.math.unsorted_segment_sum(weights, rows, batch))
    # A text without words has the lowest number of float32 for its maximum.
    highest = tf.maximum(tf.math.unsorted_segment_max(vectors, rows, batch), -1.0)
    hub.add_signature(inputs={"text": text}, outputs=tf.concat([mean, highest], axis=1))
