"""Tests of hubpipe.models.text.tokens."""

import pytest
import tensorflow as tf
from tensorflow.compat import v1 as tf1

from hubpipe.inputs import vocab
from hubpipe.models.text import tokens
from tests.models.text.applied import HARD_TEXTS


def _run(build, texts=HARD_TEXTS):
    """What a function of (words, rows, batch) makes, as the tokens of each text."""
    with tf.Graph().as_default(), tf1.Session() as session:
        words, rows = tokens.words(tf.constant(texts), lowercase=True)
        found, places = session.run(build(words, rows, tf.constant(len(texts))))
    assert list(places) == sorted(places)
    return [[token.decode() for token, place in zip(found, places, strict=True) if place == row]
            for row in range(len(texts))]  # fmt: skip


@pytest.mark.parametrize("boundaries", [False, True])
@pytest.mark.parametrize("longest", [1, 2, 3, 4])
def test_ngrams_are_those_that_the_vocabulary_counts(longest, boundaries):
    found = _run(lambda *words: tokens.ngrams(*words, longest=longest, boundaries=boundaries))
    rules = {"ngrams": longest, "lowercase": True, "boundaries": boundaries}
    assert found == [vocab.tokenize(text, **rules) for text in HARD_TEXTS]


@pytest.mark.parametrize("max_words", [1, 3, 1000])
def test_the_first_words_of_each_text(max_words):
    found = _run(lambda *words: tokens.first(*words, max_words=max_words))
    assert found == [vocab.tokenize(text, ngrams=1, lowercase=True)[:max_words] for text in HARD_TEXTS]


def test_characters_know_the_ends_of_a_word():
    with tf.Graph().as_default(), tf1.Session() as session:
        found, splits = session.run(tokens.characters(tf.constant(["schön", "a", ""]), widths=(3, 4)))
    grams = [gram.decode() for gram in found]
    words = [grams[start:end] for start, end in zip(splits, splits[1:], strict=False)]
    assert words == [
        ["<sc", "sch", "chö", "hön", "ön>", "<sch", "schö", "chön", "hön>"], ["<a>"], []
    ]  # fmt: skip
