"""Tests of hubpipe.hub.handles.tar."""

import io
import re
import string
import tarfile

import hypothesis
import hypothesis.strategies as st
import pytest

from hubpipe import errors
from hubpipe.hub.handles import tar

_FORMATS = [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]


def _tar(*members, tar_format=tarfile.PAX_FORMAT):
    """Packs (name, bytes, or None for a directory, or a tarfile type)."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tar_format) as archive:
        for name, contents in members:
            header = tarfile.TarInfo(name)
            if contents is None:
                header.type = tarfile.DIRTYPE
                archive.addfile(header)
            else:
                header.size = len(contents)
                archive.addfile(header, io.BytesIO(contents))
    return packed.getvalue()


def _header(name="a", size=0, kind=b"0"):
    header = tarfile.TarInfo(name)
    header.size, header.type = size, kind
    return header.tobuf(tarfile.GNU_FORMAT)


def _read(data):
    return [(member, b"".join(contents)) for member, contents in tar.members(io.BytesIO(data), "m.tar")]


_END = bytes(2 * tar.BLOCK_BYTES)
_NAMES = st.text(string.ascii_letters + "ü字.-_ /", min_size=1, max_size=300)


@pytest.mark.parametrize("tar_format", _FORMATS)
@hypothesis.given(st.lists(st.tuples(_NAMES, st.one_of(st.none(), st.binary(max_size=1500))), max_size=5))
@hypothesis.settings(max_examples=40)
def test_reads_what_tarfile_writes(tar_format, members):
    try:
        data = _tar(*members, tar_format=tar_format)
    except ValueError:  # ustar takes names of 256 bytes at most
        hypothesis.reject()
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        expected = [(m.name, m.isdir(), archive.extractfile(m).read() if m.isfile() else b"") for m in archive]
    got = [(m.name.rstrip("/"), m.is_directory, contents) for m, contents in _read(data)]
    assert got == [(name.rstrip("/"), is_directory, contents) for name, is_directory, contents in expected]


def test_contents_may_be_skipped():
    data = _tar(("a", b"x" * 1000), ("b", b""), ("c", b"y" * 512))
    assert [member.name for member, _ in tar.members(io.BytesIO(data), "m.tar")] == ["a", "b", "c"]


def test_gnu_writes_large_sizes_in_base_256():
    size = 9 << 33
    data = _header(size=size)
    assert data[124] == 0x80
    member, _ = next(tar.members(io.BytesIO(data), "m.tar"))
    assert member == tar.Member("a", False, size)


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (b"1", r"a hard link \(GNU tar --hard-dereference stores files in their place\)"),
        (b"2", "a symbolic link"),
        (b"3", "a character device"),
        (b"4", "a block device"),
        (b"6", "a named pipe"),
        (b"S", "a sparse file"),
        (b"Z", r"of type b'Z'"),
    ],
)
def test_other_members_are_refused(kind, name):
    with pytest.raises(errors.FormatError, match=f"m.tar: .* at byte 512, has the member 'a', which is {name};"):
        _read(_header(kind=kind) + _END)


def test_sparse_files_of_pax_are_refused():
    header = tarfile.TarInfo("a")
    header.pax_headers = {"GNU.sparse.major": "1"}
    with pytest.raises(errors.FormatError, match="'a', which is a sparse file"):
        _read(header.tobuf(tarfile.PAX_FORMAT) + _END)


@pytest.mark.parametrize("size", [1, 511, 512, 700, 1024, 1500])
def test_a_truncated_archive_is_refused(size):
    data = _tar(("a", b"x" * 600), ("b", b"y"))[:size]
    with pytest.raises(errors.FormatError, match="m.tar: .* ends .* bytes too early"):
        _read(data)


def test_no_end_mark_is_refused():
    data = _header(size=3) + b"abc".ljust(512, b"\0")
    with pytest.raises(errors.FormatError, match="at byte 1024, ends 512 bytes too early"):
        _read(data)


def test_a_flipped_bit_of_a_header_is_refused():
    data = bytearray(_tar(("a", b"x"), ("b", b"y")))
    data[1024] ^= 4
    with pytest.raises(errors.FormatError, match="at byte 1536, has a broken header"):
        _read(bytes(data))


def test_enormous_extended_headers_are_not_read():
    data = _header(size=1 << 40, kind=b"x")
    with pytest.raises(errors.FormatError, match=f"of {1 << 40} bytes, accepted are {tar.MAX_EXTENSION_BYTES}"):
        _read(data)


def test_chains_of_extended_headers_are_refused():
    with pytest.raises(errors.FormatError, match=f"more than {tar.MAX_EXTENSIONS} extended headers in a row"):
        _read(_header(kind=b"g") * 100)
    with pytest.raises(errors.FormatError, match="ends behind an extended header"):
        _read(_header(kind=b"L", size=1) + b"n".ljust(512, b"\0") + _END)


@pytest.mark.parametrize(
    "record", [b"99 path=a\n", b"x path=a\n", b"7 path\n", b"0 path=a\n", b"11 path=abc", b"-1 a=b\n"]
)
def test_malformed_pax_headers_are_refused(record):
    with pytest.raises(errors.FormatError, match="pax header"):
        _read(_header(kind=b"x", size=len(record)) + record.ljust(512, b"\0") + _header() + _END)


@pytest.mark.parametrize("field", [b"12x".ljust(12, b"\0"), b"\xff" * 10 + b"\xfe\0"], ids=["text", "negative"])
def test_a_size_that_is_none_is_refused(field):
    data = bytearray(_header())
    data[124:136] = field
    data[148:156] = b" " * 8
    data[148:156] = b"%06o\0 " % sum(data)
    with pytest.raises(errors.FormatError, match=re.escape(f"has the number {field!r}, expected octal digits")):
        _read(bytes(data))


def test_only_zeros_may_follow():
    assert _read(_END + bytes(10_000)) == []
    for rest in (b"\1", bytes(tar.MAX_PADDING_BYTES + 1)):
        with pytest.raises(errors.FormatError, match=f"by more than {tar.MAX_PADDING_BYTES} bytes of zeros"):
            _read(_END + rest)


@hypothesis.given(st.data())
@hypothesis.settings(max_examples=200)
def test_mutations_give_format_errors_only(data):
    mutated = bytearray(_tar(("a" * 120, b"x" * 600), ("d", None), ("ü", b"y")))
    for _ in range(data.draw(st.integers(1, 4))):
        mutated[data.draw(st.integers(0, len(mutated) - 1))] = data.draw(st.integers(0, 255))
    try:
        _read(bytes(mutated))
    except errors.FormatError as error:
        assert "m.tar" in str(error)


def test_headers_are_recognised():
    assert tar.is_header(_header())
    for block in (b"", _header()[:-1], bytes(512), b"<!DOCTYPE html>".ljust(512)):
        assert not tar.is_header(block)
