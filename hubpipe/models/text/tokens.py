"""Texts to words and n-grams, in ops that TensorFlow 1.15 has; those behind RaggedTensor are younger.

hubpipe.inputs.vocab counts the tokens of the training texts by the same rules.
"""

import tensorflow as tf

_SEPARATORS = r"[^\p{L}\p{N}']+"  # RE2
# The ends of a text, as words of its n-grams; no word has these characters.
_START, _END = "<", ">"


def words(text: tf.Tensor, *, lowercase: bool) -> tuple[tf.Tensor, tf.Tensor]:
    """Splits texts at everything that is not a letter, a number or an apostrophe.

    Args:
        text: string [batch].
        lowercase: whether to turn them to lower case.
    Returns:
        The words of all texts, string [words]; the text of each, int32 [words], ascending.
    """
    if lowercase:
        text = tf.strings.regex_replace(text, "\\x00", " ")  # strings.lower ends a string there
        text = tf.strings.lower(text, encoding="utf-8")
    text = tf.strings.regex_replace(text, _SEPARATORS, " ")
    indices, found, _ = tf.raw_ops.StringSplitV2(input=text, sep="")
    return found, tf.cast(indices[:, 0], tf.int32)


def first(
    found: tf.Tensor, rows: tf.Tensor, batch: tf.Tensor, *, max_words: int
) -> tuple[tf.Tensor, tf.Tensor]:
    """The first `max_words` words of each text; arguments and results as those of ngrams."""
    starts = tf.cumsum(_lengths(rows, batch), exclusive=True)
    kept = tf.range(tf.size(rows)) - tf.gather(starts, rows) < max_words
    return tf.boolean_mask(found, kept), tf.boolean_mask(rows, kept)


def ngrams(
    found: tf.Tensor, rows: tf.Tensor, batch: tf.Tensor, *, longest: int, boundaries: bool
) -> tuple[tf.Tensor, tf.Tensor]:
    """Joins up to `longest` neighbouring words of a text.

    Args:
        found: string [words].
        rows: the text of each word, int32 [words], ascending.
        batch: number of texts, int32 [].
        longest: words in the longest n-gram.
        boundaries: whether the ends of a text are words of its n-grams, too, though none by themselves.
    Returns:
        The n-grams of all texts, string [n-grams]; the text of each, int32 [n-grams], ascending.
    """
    if longest == 1:
        return found, rows
    lengths = _lengths(rows, batch)
    grams, splits = tf.raw_ops.StringNGrams(
        data=found,
        data_splits=tf.concat([[0], tf.cumsum(lengths)], axis=0),
        separator=" ",
        ngram_widths=list(range(1, longest + 1)),
        left_pad=_START if boundaries else "",
        right_pad=_END if boundaries else "",
        pad_width=1 if boundaries else 0,
        preserve_short_sequences=False,
    )
    gram_rows = rows_of(splits, tf.size(grams))
    if not boundaries:
        return grams, gram_rows
    has_words = tf.gather(lengths, gram_rows) > 0  # else its two ends would be an n-gram
    return tf.boolean_mask(grams, has_words), tf.boolean_mask(gram_rows, has_words)


def characters(found: tf.Tensor, *, widths: tuple[int, ...]) -> tuple[tf.Tensor, tf.Tensor]:
    """The n-grams of characters of words; the ends of a word count: "<a>" is a trigram of "a".

    Args:
        found: string [words].
        widths: lengths of the n-grams.
    Returns:
        The n-grams of all words, string [n-grams]; where those of each word end, [words + 1].

    Source: https://arxiv.org/abs/1607.04606.
    """
    decoded = tf.raw_ops.UnicodeDecode(input=found, input_encoding="UTF-8")
    chars = tf.raw_ops.UnicodeEncode(
        input_values=decoded.char_values,
        input_splits=tf.range(tf.size(decoded.char_values, out_type=tf.int64) + 1),
        output_encoding="UTF-8",
    )
    return tf.raw_ops.StringNGrams(
        data=chars,
        data_splits=decoded.row_splits,
        separator="",
        ngram_widths=list(widths),
        left_pad=_START,
        right_pad=_END,
        pad_width=1,
        preserve_short_sequences=False,
    )


def rows_of(splits: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
    """Where rows end -> the row of each of the values, int32 [size]."""
    return tf.searchsorted(splits[1:], tf.range(tf.cast(size, splits.dtype)), side="right")


def _lengths(rows: tf.Tensor, batch: tf.Tensor) -> tf.Tensor:
    """How many words each text has, int32 [batch]."""
    return tf.math.unsorted_segment_sum(tf.ones_like(rows), rows, batch)
