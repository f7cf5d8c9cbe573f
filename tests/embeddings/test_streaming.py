"""Tests of hubpipe.embeddings.streaming."""

import numpy as np
import pytest

from hubpipe import errors
from hubpipe.embeddings import reader, streaming, text
from hubpipe.files import crc32c

ROWS = 300
LINES = b"".join(b"w%d %d.5 -%de-3\n" % (i, i, i * 7) for i in range(ROWS))
VECTORS = np.array([[i + 0.5, float(f"-{i * 7}e-3")] for i in range(ROWS)], np.float32)


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "vectors.txt"
    path.write_bytes(LINES)
    return path


@pytest.fixture(params=[100, text.BLOCK_BYTES])
def block_bytes(request, monkeypatch):
    monkeypatch.setattr(text.read, "__kwdefaults__", {"block_bytes": request.param})
    return request.param


def start(path, directory):
    """The file, and the other arguments of `started`."""
    options = {"variable": "table", "oov_buckets": 2, "progress": lambda position: None}
    return reader.Reader(path), {"directory": str(directory), **options}


def test_values_and_tokens(path, tmp_path, block_bytes):
    file, options = start(path, tmp_path)
    with file, streaming.started(file, **options) as running:
        first = running.first.result()
        stored = running.stored.result()
    assert first.tokens[:2] == ["w0", "w1"]
    assert first.vectors.tobytes() == VECTORS[: len(first.tokens)].tobytes()
    with open(stored.vocabulary_path, "rb") as vocabulary:
        assert vocabulary.read() == b"".join(b"w%d\n" % i for i in range(ROWS))
    data = VECTORS.tobytes() + bytes(2 * 2 * 4)
    with open(stored.bundle.shard_path(0), "rb") as values:
        assert values.read() == data
    (entry,) = stored.bundle.entries.values()
    assert (stored.size, entry.shape, entry.dtype_name) == (ROWS, (ROWS + 2, 2), "float32")
    assert entry.crc32c == crc32c.mask(crc32c.checksum(data))


def test_an_error_comes_to_who_waits(path, tmp_path, block_bytes):
    path.write_bytes(LINES + b"w1 2 3\n")
    file, options = start(path, tmp_path)
    with file, streaming.started(file, **options) as running, pytest.raises(errors.InputError, match="line 301"):
        running.stored.result()
    path.write_bytes(b"w1 2 3\nw1 2 3\n")
    (tmp_path / "other").mkdir()
    file, options = start(path, tmp_path / "other")
    with file, streaming.started(file, **options) as running, pytest.raises(errors.InputError, match="line 2"):
        running.first.result()


class Endless:
    """A file that never ends: who reads it on hangs."""

    dim = 2

    def batches(self, progress):
        while True:
            yield text.Batch(["a"], np.zeros([1, 2], np.float32), np.ones(1, np.int64))


def test_reading_ends_where_the_block_fails(tmp_path):
    options = {"variable": "table", "oov_buckets": 1, "progress": print}
    with pytest.raises(KeyError), streaming.started(Endless(), str(tmp_path), **options) as running:
        assert running.first.result().tokens == ["a"]
        raise KeyError
    assert running.stored.exception() is not None
    assert not (tmp_path / "values.index").exists()
