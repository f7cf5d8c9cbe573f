"""hubpipe.inputs.stdlib_docs"""

import collections
import re

import pytest

from hubpipe import errors
from hubpipe.inputs import stdlib_docs


def test_size_and_labels():
    train, evaluation = list(stdlib_docs.read_rows("train")), list(stdlib_docs.read_rows("eval"))
    assert len(train) > 3000
    assert 0.17 < len(evaluation) / (len(train) + len(evaluation)) < 0.23
    counts = collections.Counter(row.label for row in train)
    assert len(counts) == 17
    assert min(counts.values()) > 60
    assert max(counts.values()) < 0.2 * len(train)
    assert counts.keys() == {row.label for row in evaluation}


def test_splits_share_no_text_and_no_text_repeats():
    texts = [row.text for split in stdlib_docs.SPLITS for row in stdlib_docs.read_rows(split)]
    assert len(texts) == len(set(texts))


def test_order_is_stable():
    stdlib_docs._all_rows.cache_clear()
    first = list(stdlib_docs.read_rows("train"))
    stdlib_docs._all_rows.cache_clear()
    assert list(stdlib_docs.read_rows("train")) == first


def test_pairs():
    labels = {row.text: row.label for row in stdlib_docs.read_rows("eval")}
    pairs = list(stdlib_docs.read_pairs("eval"))
    assert [row.text for row in pairs[::2]] == [row.text for row in pairs[1::2]] == list(labels)
    for row in pairs:
        assert row.text_pair != row.text
        assert (labels[row.text_pair] == labels[row.text]) == (row.label == stdlib_docs.SAME)
    assert len({row.text_pair for row in pairs}) > 0.5 * len(pairs) / 2
    assert list(stdlib_docs.read_pairs("eval")) == pairs


def test_split_depends_on_the_text_alone():
    texts = ("one", "two", "three", "four", "five", "six")
    assert [stdlib_docs._split(text) for text in texts] == ["train", "train", "train", "eval", "eval", "train"]


def test_texts_are_prose():
    for row in stdlib_docs.read_rows("train"):
        assert ">>>" not in row.text
        assert "\n" not in row.text
        assert 6 <= len(re.findall(r"[^\W\d_]+", row.text)) <= 200


def test_label_is_rarely_in_the_text():
    found = list(stdlib_docs.read_rows("eval"))
    assert sum(row.label in re.findall(r"\w+", row.text.lower()) for row in found) < 0.15 * len(found)


def test_rows_know_their_place():
    row = next(stdlib_docs.read_rows("train"))
    assert row.path in stdlib_docs.files()
    with open(row.path, encoding="utf-8") as file:
        place = file.read().split("\n")[row.line - 1 :]
    assert row.text.split()[0] in " ".join(place)


def test_unknown_split():
    with pytest.raises(ValueError, match="split 'test' is not one of train, eval"):
        stdlib_docs.read_rows("test")


def test_library_without_sources(tmp_path, monkeypatch):
    monkeypatch.setattr(stdlib_docs.sysconfig, "get_path", lambda name: str(tmp_path))
    with pytest.raises(
        errors.InputError, match="asyncio: not there; the sample stdlib_docs needs the source files"
    ):
        stdlib_docs.files()
