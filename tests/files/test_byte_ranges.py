import errno
import os

import pytest

from hubpipe import errors
from hubpipe.files import byte_ranges

_DATA = bytes(i * 31 % 251 for i in range(100_000))


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "source"
    path.write_bytes(_DATA)
    with open(path, "rb", buffering=0) as file:
        yield file


@pytest.fixture
def target(tmp_path):
    with open(tmp_path / "target", "xb", buffering=0) as file:
        yield file


def _append_twice(source, target):
    steps = []
    byte_ranges.append_range(source, 10, 90_000, target, steps.append)
    byte_ranges.append_range(source, 0, 5, target)
    assert sum(steps) == 90_000
    with open(target.name, "rb") as file:
        assert file.read() == _DATA[10:90_010] + _DATA[:5]


def test_ranges_are_appended_in_the_kernel(source, target, monkeypatch):
    monkeypatch.setattr(byte_ranges, "_KERNEL_STEP_BYTES", 1 << 14)
    _append_twice(source, target)


def test_without_copy_file_range_a_buffer_serves(source, target, monkeypatch):
    monkeypatch.delattr(os, "copy_file_range", raising=False)
    monkeypatch.setattr(byte_ranges, "_BUFFER_BYTES", 1 << 12)
    _append_twice(source, target)


@pytest.mark.parametrize("code", [errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM])
def test_where_copy_file_range_is_not_supported_a_buffer_serves(source, target, monkeypatch, code):
    def unsupported(*args, **kwargs):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "copy_file_range", unsupported, raising=False)
    _append_twice(source, target)


def test_a_copy_that_stops_halfway_is_finished_with_a_buffer(source, target, monkeypatch):
    calls = []

    def half(src, dst, count, *, offset_src):
        calls.append(count)
        if len(calls) % 2 == 0:
            return 0
        return os.write(dst, os.pread(src, max(count // 2, 1), offset_src))

    monkeypatch.setattr(os, "copy_file_range", half, raising=False)
    _append_twice(source, target)
    assert len(calls) >= 3


def test_other_errors_are_not_hidden(source, target, monkeypatch):
    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "copy_file_range", full, raising=False)
    with pytest.raises(OSError, match="No space left"):
        byte_ranges.append_range(source, 0, 10, target)


def test_a_source_that_ends_early_is_named(source, target):
    with pytest.raises(errors.FormatError, match="source: ends at byte 100000, expected 100001 or more"):
        byte_ranges.append_range(source, 99_990, 11, target)


def test_an_empty_range_writes_nothing(source, target):
    byte_ranges.append_range(source, 0, 0, target)
    assert os.path.getsize(target.name) == 0
