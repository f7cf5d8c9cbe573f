"""Tests of hubpipe.embeddings.binary."""

import numpy as np
import pytest

from hubpipe.embeddings import bad_lines, binary, header, source

ROWS = [(f"w{i}" * (i % 5 + 1), np.random.default_rng(i).normal(size=3).astype("<f4")) for i in range(100)]


def entry(token, vector, end=b"\n"):
    token = token.encode() if isinstance(token, str) else token
    return token + b" " + vector.tobytes() + end


def read(path, data, *, declared, block_bytes=200):
    path.write_bytes(data)
    bad = bad_lines.BadLines(path, skip=True)
    head = header.Header("binary", 3, declared, 0, 1)
    with source.Source(path) as file:
        batches = list(binary.read(file, head, bad, block_bytes=block_bytes))
    tokens = [token for batch in batches for token in batch.tokens]
    return tokens, np.concatenate([batch.vectors for batch in batches]), bad.shown


@pytest.mark.parametrize("end", [b"\n", b""], ids=["word2vec", "gensim"])
@pytest.mark.parametrize("block_bytes", [20, 200, 1 << 20])
def test_entries(tmp_path, end, block_bytes):
    data = b"".join(entry(*row, end) for row in ROWS)
    tokens, vectors, bad = read(tmp_path / "v.bin", data, declared=100, block_bytes=block_bytes)
    assert (tokens, bad) == ([token for token, _ in ROWS], [])
    assert vectors.tobytes() == b"".join(vector.tobytes() for _, vector in ROWS)


@pytest.mark.parametrize(
    ("strange", "problem"),
    [
        (entry("", ROWS[0][1]), "the token is empty"),
        (entry(b"\xff", ROWS[0][1]), r"the token '\\xff' is not UTF-8"),
        (entry("x", np.array([1, np.nan, 2], "<f4")), "a number of the token 'x' is not finite"),
    ],
)
def test_bad_entries_are_named(tmp_path, strange, problem):
    data = entry(*ROWS[0]) + strange + entry(*ROWS[1])
    tokens, vectors, bad = read(tmp_path / "v.bin", data, declared=3)
    assert (tokens, bad) == ([ROWS[0][0], ROWS[1][0]], [f"entry 2: {problem}"])
    assert vectors.tobytes() == ROWS[0][1].tobytes() + ROWS[1][1].tobytes()


def test_truncated(tmp_path):
    data = b"".join(entry(*row) for row in ROWS[:5])
    tokens, _, bad = read(tmp_path / "v.bin", data[:-3], declared=5)
    assert (len(tokens), bad) == (
        4, ["entry 5: the file ends inside of it, or its token has more than 65536 bytes"]
    )


@pytest.mark.parametrize("block_bytes", [30, 1 << 20])
def test_more_than_the_header_says(tmp_path, block_bytes):
    data = b"".join(entry(*row) for row in ROWS[:5])
    tokens, _, bad = read(tmp_path / "v.bin", data, declared=4, block_bytes=block_bytes)
    assert (len(tokens), bad) == (4, ["entry 5: more data, the header says that there are 4 entries"])


def test_a_token_without_end(tmp_path, monkeypatch):
    monkeypatch.setattr(binary, "_MAX_TOKEN_BYTES", 100)
    tokens, _, bad = read(tmp_path / "v.bin", entry(*ROWS[0]) + b"x" * 10_000, declared=5)
    assert (len(tokens), bad) == (
        1, ["entry 2: the file ends inside of it, or its token has more than 100 bytes"]
    )
