"""Tests of hubpipe.files.packed."""

import gzip

import pytest

from hubpipe.files import packed


@pytest.mark.parametrize("content", [b"", b"a", b"a\nb\n", b"\x1f"])
def test_bytes_are_the_same_packed_or_not(content, tmp_path):
    for name, written in (("plain", content), ("packed", gzip.compress(content))):
        (tmp_path / name).write_bytes(written)
        with packed.open_unpacked(tmp_path / name) as file:
            assert file.read() == content
