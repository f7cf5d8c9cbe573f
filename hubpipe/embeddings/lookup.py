"""Pre-trained embeddings as a module: tokens, or sentences of tokens, to vectors."""

import functools

import tensorflow as tf
from tensorflow.compat import v1 as tf1

from hubpipe import hub

VARIABLE = "embeddings"
SENTENCES, TOKENS = "sentences", "tokens"
_PUNCTUATION = r"\pP"  # RE2


def create_spec(
    vocabulary_path: str,
    *,
    size: int,
    dim: int,
    oov_buckets: int = 1,
    preprocess_text: bool = True,
    lowercase: bool = False,
    trainable: bool = True,
) -> hub.ModuleSpec:
    """The embeddings as a module without values; see module_fn for the arguments."""
    return hub.create_module_spec(
        functools.partial(
            module_fn,
            vocabulary_path,
            size=size,
            dim=dim,
            oov_buckets=oov_buckets,
            preprocess_text=preprocess_text,
            lowercase=lowercase,
            trainable=trainable,
        )
    )


def module_fn(
    vocabulary_path: str,
    *,
    size: int,
    dim: int,
    oov_buckets: int,
    preprocess_text: bool,
    lowercase: bool,
    trainable: bool,
) -> None:
    """Builds the lookup; the variable "embeddings" is float32 [size + oov_buckets, dim].

    Signatures:
        default, with preprocess_text: sentences, string [batch] -> default, float32 [batch, dim]. Punctuation is
            removed, tokens are what spaces separate, and the vectors of a sentence are summed and divided by the
            square root of their number. A sentence without tokens counts as one unknown token.
        default, without: as tokens.
        tokens: tokens, string [batch] -> default, float32 [batch, dim], looked up as they are.

    Args:
        vocabulary_path: file of the tokens, one per line, in the order of their vectors.
        size: number of tokens.
        dim: numbers per token.
        oov_buckets: vectors that unknown tokens share by their hash; with 0 they are left out of a sentence, and
            a token alone is a vector of zeros.
        preprocess_text: whether "default" takes sentences.
        lowercase: whether sentences, or the tokens of "default", are turned to lower case first.
        trainable: whether consumers may fine-tune the vectors.

    Source: examples/text_embeddings/export.py of tensorflow/hub, whose outputs these are to the last bit.
    """
    table = tf1.get_variable(
        VARIABLE, [size + oov_buckets, dim], initializer=tf1.zeros_initializer(), trainable=trainable
    )
    vocabulary = _vocabulary(vocabulary_path, oov_buckets)
    tokens = tf1.placeholder(tf.string, [None], name=TOKENS)
    hub.add_signature(TOKENS, inputs={TOKENS: tokens}, outputs=_lookup(table, vocabulary, tokens, oov_buckets))
    if preprocess_text:
        sentences = tf1.placeholder(tf.string, [None], name=SENTENCES)
        text = tf.strings.regex_replace(_lowered(sentences) if lowercase else sentences, _PUNCTUATION, "")
        hub.add_signature(inputs={SENTENCES: sentences}, outputs=_combine(table, vocabulary, text, oov_buckets))
    else:
        words = _lowered(tokens) if lowercase else tokens
        hub.add_signature(inputs={TOKENS: tokens}, outputs=_lookup(table, vocabulary, words, oov_buckets))


def _vocabulary(path: str, oov_buckets: int):
    """The table from tokens to lines of the variable; without buckets, -1 for unknown tokens."""
    initializer = tf.lookup.TextFileInitializer(
        path, tf.string, tf.lookup.TextFileIndex.WHOLE_LINE, tf.int64, tf.lookup.TextFileIndex.LINE_NUMBER
    )
    if oov_buckets:
        return tf.lookup.StaticVocabularyTable(initializer, num_oov_buckets=oov_buckets)
    return tf.lookup.StaticHashTable(initializer, default_value=-1)


def _lowered(text: tf.Tensor) -> tf.Tensor:
    text = tf.strings.regex_replace(text, "\\x00", " ")  # strings.lower ends a string there
    return tf.strings.lower(text, encoding="utf-8")


def _lookup(table: tf.Variable, vocabulary, tokens: tf.Tensor, oov_buckets: int) -> tf.Tensor:
    """The vector of each token, float32 [batch, dim]."""
    ids = vocabulary.lookup(tokens)
    if oov_buckets:
        return tf.nn.embedding_lookup(table, ids)
    is_known = tf.cast(ids >= 0, table.dtype)
    return tf.nn.embedding_lookup(table, tf.maximum(ids, tf.zeros_like(ids))) * is_known[:, tf.newaxis]


def _combine(table: tf.Variable, vocabulary, text: tf.Tensor, oov_buckets: int) -> tf.Tensor:
    """The vector of each text, float32 [batch, dim]."""
    # The op of string_split, which TensorFlow 1.15 has; those behind RaggedTensor are younger.
    indices, tokens, shape = tf.raw_ops.StringSplit(input=text, delimiter=" ", skip_empty=True)
    ids = vocabulary.lookup(tokens)
    if oov_buckets:
        sparse = tf.SparseTensor(indices, ids, shape)
        filled, _ = tf.sparse.fill_empty_rows(sparse, vocabulary.lookup(tf.constant("")))
        indices, ids = filled.indices, filled.values
    else:
        known = ids >= 0
        indices, ids = tf.boolean_mask(indices, known), tf.boolean_mask(ids, known)
    unique, places = tf.unique(ids)
    rows = tf.cast(indices[:, 0], tf.int32)
    vectors = tf.nn.embedding_lookup(table, unique)
    return tf1.sparse.segment_sqrt_n(vectors, places, rows, num_segments=tf.shape(text)[0])
