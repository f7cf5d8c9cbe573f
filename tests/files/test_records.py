"""Tests of hubpipe.store.records."""

import re

import pytest

from hubpipe import errors
from hubpipe.files import records


def test_a_record_reads_as_it_was_written(tmp_path):
    path = tmp_path / "record.json"
    records.write(path, {"name": "é\udcff", "later": [1, None]})
    assert records.read(path) == {"format": 1, "name": "é\udcff", "later": [1, None]}
    assert path.read_bytes().endswith(b"}\n")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "is not JSON (Expecting value"),
        (b'{"format": 1', "is not JSON ("),
        (b"\xff\xfe\xff", "is not JSON ("),
        (b"[" * 100_000, "is not JSON ("),
        (b"[1]", "holds a JSON list; expected an object"),
        (b"{}", "format is None; this release of hubpipe reads 1"),
        (b'{"format": 2}', "format is 2; this release of hubpipe reads 1"),
        (b'{"format": true}', "format is True; this release"),
    ],
)
def test_a_broken_record_is_refused(tmp_path, text, message):
    path = tmp_path / "record.json"
    path.write_bytes(text)
    with pytest.raises(errors.FormatError, match=re.escape(f"{path}: {message}")):
        records.read(path)


def test_an_absent_record_is_told_apart(tmp_path):
    with pytest.raises(FileNotFoundError, match="record.json"):
        records.read(tmp_path / "record.json")
