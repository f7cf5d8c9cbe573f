"""Tests of hubpipe.embeddings.reader."""

import gzip

import numpy as np
import pytest

from hubpipe import errors
from hubpipe.embeddings import reader, text

VECTOR = np.array([0.5, -1.25], "<f4").tobytes()
GLOVE = b"the 0.5 -1.25\na 0.5 -1.25\n"
BINARY = b"2 2\nthe " + VECTOR + b"\na " + VECTOR + b"\n"


def read(path, **options):
    with reader.Reader(path, **options) as file:
        batches = list(file.batches())
    tokens = [token for batch in batches for token in batch.tokens]
    assert file.count == len(tokens)
    return tokens, np.concatenate([batch.vectors for batch in batches]).tolist(), file.bad.shown


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (GLOVE, "text"),
        (b"2 2\n" + GLOVE, "text"),
        (b"2 2\nthe 0.5 -1.25 \na 0.5 -1.25 \n", "text"),
        (BINARY, "binary"),
    ],
    ids=["glove", "word2vec", "fasttext", "binary"],
)
def test_every_kind(tmp_path, data, kind, pack):
    path = tmp_path / "vectors"
    path.write_bytes(pack(data))
    assert read(path) == (["the", "a"], [[0.5, -1.25]] * 2, [])
    with reader.Reader(path) as file:
        assert (file.kind, file.dim, file.size) == (kind, 2, path.stat().st_size)


def test_progress_ends_at_the_size(tmp_path):
    path = tmp_path / "vectors.txt"
    path.write_bytes(GLOVE)
    seen = []
    with reader.Reader(path) as file:
        for _ in file.batches(seen.append):
            pass
    assert seen[-1] == len(GLOVE)


@pytest.mark.parametrize("block_bytes", [8, text.BLOCK_BYTES])
@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"the 1 2\na 1 2\nthe 3 4\n", "line 3: the token 'the' occurs a second time"),
        (b"the 1 2\na 1 2\nx y\n", "line 3: 1 columns after the token, expected 2"),
        (b"the 1 2\na 1 2\nx\ry 1 2\n", r"line 3: the token 'x\\ry' has a line end in it"),
        (b"3 2\nthe 1 2\na 1 2\n", "line 1: the header says 3 tokens, the file has 2"),
        (b"1 2\nthe 1 2\na 1 2\n", "line 1: the header says 1 tokens, the file has 2"),
        (b"2 2\nthe " + VECTOR + b"the " + VECTOR, "entry 2: the token 'the' occurs a second time"),
        (b"2 2\nthe " + VECTOR + b"\na " + VECTOR[:-1], "entry 2: the file ends inside of it"),
        (b"1 2\nx\ny " + VECTOR, r"entry 1: the token 'x\\ny' has a line end in it"),
    ],
)
def test_bad_lines_are_errors_or_skipped(tmp_path, monkeypatch, data, problem, block_bytes):
    monkeypatch.setattr(text.read, "__kwdefaults__", {"block_bytes": block_bytes})
    path = tmp_path / "vectors"
    path.write_bytes(data)
    with pytest.raises(errors.InputError, match=f"vectors: {problem}"):
        read(path)
    if problem.startswith("entry 1"):
        with pytest.raises(errors.InputError, match=r"vectors: no line is a token with 2 numbers\."):
            read(path, skip_bad_lines=True)
        return
    tokens, vectors, bad = read(path, skip_bad_lines=True)
    assert tokens == ["the", "a"][: len(tokens)] and len(vectors) == len(tokens)
    assert len(bad) == 1


def test_the_first_of_two_stays(tmp_path):
    path = tmp_path / "vectors.txt"
    path.write_bytes(b"the 1 2\nthe 3 4\na 5 6\nthe 7 8\n")
    tokens, vectors, bad = read(path, skip_bad_lines=True)
    assert (tokens, vectors, len(bad)) == (["the", "a"], [[1, 2], [5, 6]], 2)


def test_truncated_gzip(tmp_path):
    path = tmp_path / "vectors.gz"
    lines = b"".join(b"w%d %d 1\n" % (i, i * i * 7919 % 10007) for i in range(5000))
    path.write_bytes(gzip.compress(lines)[:-2000])
    with pytest.raises(errors.InputError, match=r"vectors.gz: line \d+: the gzip data is truncated"):
        read(path)
    tokens, _, (problem,) = read(path, skip_bad_lines=True)
    assert 0 < len(tokens) < 5000
    assert problem.startswith(f"line {len(tokens) + 1}: the gzip data is truncated")


def test_binary_needs_a_header(tmp_path):
    path = tmp_path / "vectors"
    path.write_bytes(GLOVE)
    with pytest.raises(errors.InputError, match="a binary file begins with the number of tokens"):
        reader.Reader(path, kind="binary")


def test_the_kind_can_be_told(tmp_path):
    path = tmp_path / "vectors"
    numbers = b" 1.0 2.0"  # what text might be, as two float32
    path.write_bytes(b"1 2\nthe " + numbers)
    assert read(path, kind="binary")[:2] == (["the"], [np.frombuffer(numbers, "<f4").tolist()])
