"""Tests of hubpipe.embeddings.lookup."""

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.compat import v1 as tf1

from hubpipe import hub
from hubpipe.embeddings import lookup

TOKENS = ["the", "cat", "dont", "été", "a b"]
VECTORS = np.random.default_rng(0).normal(size=[len(TOKENS), 3]).astype(np.float32)


@pytest.fixture
def ask(tmp_path):
    """A function that exports a module, loads it and applies it; see `asked`."""
    vocabulary = tmp_path / "tokens.txt"
    vocabulary.write_text("".join(f"{token}\n" for token in TOKENS), encoding="utf-8")

    def asked(inputs, *, oov=None, signature="default", **options):
        """What the module returns, float32 [batch, 3]; `oov` are the vectors of its buckets."""
        oov = np.zeros([0, 3], np.float32) if oov is None else np.float32(oov)
        spec = lookup.create_spec(str(vocabulary), size=len(TOKENS), dim=3, oov_buckets=len(oov), **options)
        assert spec.oldest_reader == "1.15"
        with tf.Graph().as_default(), tf1.Session() as session:
            module = hub.Module(spec, trainable=True)
            outputs = module(inputs, signature=signature)
            assert outputs.shape[1:] == [3]
            session.run(tf1.tables_initializer())
            module.variable_map["embeddings"].load(np.concatenate([VECTORS, oov]), session)
            return session.run(outputs)

    return asked


def combined(*rows):
    rows = [VECTORS[TOKENS.index(row)] if isinstance(row, str) else np.float32(row) for row in rows]
    return np.sum(rows, axis=0) / np.sqrt(np.float32(len(rows)))


@pytest.mark.parametrize("oov", [None, [[7, 8, 9]]])
def test_sentences(ask, oov):
    unknown = [] if oov is None else oov
    nothing = combined(*unknown) if unknown else np.zeros(3)
    sentences = ["the cat", "The,  the. cat!", "don't", "", " ?! ", "été the the", "the\tcat"]
    expected = [
        combined("the", "cat"),
        combined(*unknown, "the", "cat"),
        combined("dont"),
        nothing,
        nothing,
        combined("été", "the", "the"),
        nothing,  # a tab is no space
    ]
    np.testing.assert_allclose(ask(sentences, oov=oov), expected, rtol=1e-6)


def test_no_sentence_has_tokens(ask):
    assert ask(["", " "]).tolist() == [[0, 0, 0]] * 2
    assert ask(["", " "], oov=[[7, 8, 9]]).tolist() == [[7, 8, 9]] * 2


def test_lower_case(ask):
    np.testing.assert_allclose(ask(["THE Cat", "ÉTÉ\0cat"], lowercase=True), [
        combined("the", "cat"), combined("été", "cat")
    ], rtol=1e-6)
    tokens = ask(["THE", "ÉTÉ"], lowercase=True, preprocess_text=False)
    assert tokens.tolist() == VECTORS[[0, 3]].tolist()


@pytest.mark.parametrize("signature", ["default", "tokens"])
def test_tokens_as_they_are(ask, signature):
    words = ["été", "a b", "The", "don't", ""]
    known = VECTORS[[3, 4]].tolist()
    options = {"preprocess_text": False, "signature": signature}
    assert ask(words, **options).tolist() == [*known, *[[0, 0, 0]] * 3]
    assert ask(words, oov=[[7, 8, 9]], **options).tolist() == [*known, *[[7, 8, 9]] * 3]


def test_tokens_beside_sentences(ask):
    assert ask(["a b", "The"], signature="tokens").tolist() == [VECTORS[4].tolist(), [0, 0, 0]]


def test_unknown_tokens_share_buckets(ask):
    buckets = [[1, 1, 1], [2, 2, 2], [3, 3, 3]]
    found = ask([f"unknown{i}" for i in range(50)], oov=buckets, signature="tokens")
    assert {tuple(row) for row in found.tolist()} == {tuple(row) for row in buckets}


@pytest.mark.parametrize("trainable", [True, False])
def test_trainable(tmp_path, trainable):
    vocabulary = tmp_path / "tokens.txt"
    vocabulary.write_text("a\n")
    spec = lookup.create_spec(str(vocabulary), size=1, dim=2, trainable=trainable)
    with tf.Graph().as_default():
        hub.Module(spec, trainable=True)
        assert len(tf1.trainable_variables()) == trainable
        assert len(tf1.global_variables()) == 1
