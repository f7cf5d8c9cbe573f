"""Tests of hubpipe.inputs.pretrained."""

import gzip
import os

import numpy as np
import pytest
import tensorflow as tf

from hubpipe import errors
from hubpipe.config import schema
from hubpipe.embeddings import reader as reader_lib
from hubpipe.inputs import pretrained, vocab

pytest.importorskip("polars")

FILE = "the 1 2\nThe 3 4\ndog 5 6\nbit, 7 8\ncat 9 10\n"


@pytest.fixture
def prepare(tmp_path):
    (tmp_path / "glove.txt").write_text(FILE)
    vocab.write(tmp_path / "vocabulary.txt", ["cat", "the", "the cat", "mat"])

    def call(*, lowercase=True, **keys):
        section = schema.Embeddings(**{"file": str(tmp_path / "glove.txt"), **keys})
        return pretrained.prepare(
            section, str(tmp_path / "vocabulary.txt"), lowercase=lowercase, cache_dir=str(tmp_path / "cache")
        )

    return call


def _vectors(found):
    table = tf.train.load_checkpoint(found.values_prefix).get_tensor("pretrained")
    return dict(zip(vocab.read(found.vocabulary_path), table.tolist(), strict=True))


def test_words_of_the_vocabulary_get_their_vectors(prepare, tmp_path):
    found = prepare()
    assert _vectors(found) == {"the": [1, 2], "cat": [9, 10]}
    assert (found.words, found.dim, found.known, found.wanted, found.bad_lines) == (2, 2, 2, 3, 0)
    assert str(found) == (
        f"{tmp_path}/glove.txt: 2 of 3 words of the training texts have a vector of 2 numbers"
    )


def test_vectors_of_lower_case_stand_for_words_of_upper_case(prepare, tmp_path):
    vocab.write(tmp_path / "vocabulary.txt", ["Cat", "The", "Mat"])
    found = prepare(lowercase=False)
    assert _vectors(found) == {"the": [1, 2], "The": [3, 4], "cat": [9, 10]}
    assert (found.words, found.known, found.wanted) == (3, 2, 3)


@pytest.mark.parametrize(
    "lowercase, words", [(True, ["the", "dog", "cat"]), (False, ["the", "The", "dog", "cat"])]
)
def test_all_words_are_those_that_a_text_can_have(prepare, lowercase, words):
    found = prepare(all_words=True, lowercase=lowercase)
    assert list(_vectors(found)) == words
    assert found.known == 2
    assert f"numbers, and {len(words) - 2} other words" in str(found)


def test_the_file_is_not_opened_again_when_nothing_changed(prepare, monkeypatch, tmp_path):
    first = prepare()
    monkeypatch.setattr(reader_lib, "Reader", None)
    assert prepare() == first
    vocab.write(tmp_path / "vocabulary.txt", ["cat"])
    with pytest.raises(TypeError, match="not callable"):
        prepare()


def test_a_changed_file_is_read_again(prepare, tmp_path):
    first = prepare()
    path = tmp_path / "glove.txt"
    path.write_text(FILE.replace("9 10", "9 11"))
    os.utime(path, ns=(1, 1))
    second = prepare()
    assert _vectors(second)["cat"] == [9, 11]
    assert second.fingerprint != first.fingerprint
    path.write_text(FILE.replace("dog 5 6", "dog 0 0"))  # a word that nobody asked for
    os.utime(path, ns=(2, 2))
    assert prepare().fingerprint == first.fingerprint


def test_malformed_lines(prepare, tmp_path):
    (tmp_path / "glove.txt").write_text(FILE + "mat 1\n")
    with pytest.raises(errors.InputError, match="line 6: 1 columns after the token, expected 2"):
        prepare()
    found = prepare(bad_lines="skip")
    assert found.bad_lines == 1
    assert str(found).endswith("; 1 malformed lines left out")
    assert [name for name in os.listdir(tmp_path / "cache") if name.startswith(".staging")] == []


def test_a_file_without_any_of_the_words(prepare, tmp_path):
    (tmp_path / "glove.txt").write_text("THE 1 2\nCAT 3 4\n")
    with pytest.raises(errors.InputError, match="none of its words is among the 3 .*encoder.lowercase is true"):
        prepare()


def test_no_file(prepare):
    with pytest.raises(errors.InputError, match="embeddings.file: nowhere.txt: No such file"):
        prepare(file="nowhere.txt")


def test_a_packed_file_gives_the_same(prepare, tmp_path):
    first = prepare()
    (tmp_path / "glove.txt.gz").write_bytes(gzip.compress(FILE.encode()))
    second = prepare(file=str(tmp_path / "glove.txt.gz"))
    assert second.fingerprint == first.fingerprint
    np.testing.assert_equal(_vectors(second), _vectors(first))
