"""Tests of hubpipe.embeddings.source."""

import gzip
import re

import pytest

from hubpipe import errors
from hubpipe.embeddings import source

DATA = bytes(range(256)) * 5000


@pytest.fixture(params=["plain", "packed"])
def path(request, tmp_path):
    path = tmp_path / "vectors"
    path.write_bytes(DATA if request.param == "plain" else gzip.compress(DATA))
    return path


def test_what_was_peeked_is_read_again(path):
    with source.Source(path) as file:
        assert file.peek(1000) == DATA[:1000]
        assert file.read(10) == DATA[:10]
        assert file.read(5000) == DATA[10:5010]
        assert file.read(len(DATA)) == DATA[5010:]
        assert file.read(1) == b""
        assert (file.damage, file.size, file.position) == (None, path.stat().st_size, path.stat().st_size)


@pytest.mark.parametrize("cut", [1, 8, 500])
def test_truncated_gzip_data_is_read_as_far_as_it_goes(tmp_path, cut):
    path = tmp_path / "vectors.gz"
    path.write_bytes(gzip.compress(DATA, mtime=0)[:-cut])
    with source.Source(path) as file:
        data = file.read(2 * len(DATA))
        assert DATA.startswith(data)
        assert "truncated or damaged" in file.damage
        assert file.read(1) == b""


def test_damaged_gzip_data(tmp_path):
    path = tmp_path / "vectors.gz"
    packed = bytearray(gzip.compress(DATA))
    packed[-6] ^= 1  # of the checksum
    path.write_bytes(packed)
    with source.Source(path) as file:
        assert file.read(len(DATA) + 1) == DATA
        assert "CRC" in file.damage


@pytest.mark.parametrize(
    ("start", "message"),
    [
        (b"", "is empty."),
        (b"PK\x03\x04", "is a zip archive; unpack it first."),
        (b"\xba\x16\x4f\x2f", "is a model of fastText; save its vectors as .vec (text) first."),
        (b"\x80\x04\x95", "is a pickle, perhaps of gensim; save it with save_word2vec_format first."),
        (b"\x89HDF\r\n", "is an HDF5 file; save its vectors as text first."),
    ],
)
def test_other_files_are_refused(tmp_path, start, message):
    path = tmp_path / "vectors"
    path.write_bytes(start)
    with pytest.raises(errors.InputError, match=f"^{re.escape(str(path))}: {re.escape(message)}$"):
        source.Source(path)


def test_missing_files_and_directories(tmp_path):
    with pytest.raises(errors.InputError, match="nowhere: No such file or directory; expected an embedding file"):
        source.Source(tmp_path / "nowhere")
    with pytest.raises(errors.InputError, match="Is a directory"):
        source.Source(tmp_path)
