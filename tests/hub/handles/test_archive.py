"""Tests of hubpipe.hub.handles.archive."""

import gzip
import io
import os
import tarfile
import zlib

import pytest

from hubpipe import errors
from hubpipe.hub.handles import archive


def _tar(*members):
    """Packs (name, bytes, or None for a directory)."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as file:
        for name, contents in members:
            header = tarfile.TarInfo(name)
            if contents is None:
                header.type = tarfile.DIRTYPE
            else:
                header.size = len(contents)
            file.addfile(header, io.BytesIO(contents or b""))
    return packed.getvalue()


@pytest.fixture
def unpack(tmp_path):
    """Unpacks bytes; returns dict path -> bytes of the files."""

    def unpack_bytes(data):
        path, directory = tmp_path / "archive", tmp_path / "module"
        path.write_bytes(data)
        directory.mkdir()
        archive.unpack(str(path), str(directory), where="http://x/m")
        files = (p for p in directory.rglob("*") if p.is_file())
        return {str(p.relative_to(directory)): p.read_bytes() for p in files}

    return unpack_bytes


def _compress_in_two(data):
    return gzip.compress(data[:700]) + gzip.compress(data[700:])


@pytest.mark.parametrize("compress", [bytes, gzip.compress, _compress_in_two])
def test_files_and_directories(unpack, tmp_path, compress):
    members = [("./", None), ("./a", b"1"), ("assets", None), ("assets", None), ("variables/v", b"2" * 3_000_000)]
    assert unpack(compress(_tar(*members))) == {"a": b"1", "variables/v": b"2" * 3_000_000}
    assert (tmp_path / "module" / "assets").is_dir()


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("/etc/passwd", "is absolute"),
        ("../evil", "has a '..' part"),
        ("a/../../evil", "has a '..' part"),
        ("a\\b", "has a backslash"),
        (".", "names nothing"),
        ("d/" * 101 + "f", "is more than 100 directories deep"),
        ("x" * 300, "cannot be created: File name too long"),
    ],
)
def test_names_that_lead_elsewhere_are_refused(unpack, tmp_path, name, problem):
    with pytest.raises(errors.FormatError, match=problem) as raised:
        unpack(_tar(("good", b"1"), (name, b"2")))
    assert "http://x/m" in str(raised.value)
    assert repr(name)[:100] in str(raised.value)
    assert sorted(os.listdir(tmp_path)) == ["archive", "module"]


def test_the_last_of_a_repeated_file_stays(unpack, tmp_path):
    unpack(_tar(("a", b"longer"), ("b", b""), ("./a", b"2")))
    assert (tmp_path / "module" / "a").read_bytes() == b"2"


@pytest.mark.parametrize(
    "members", [[("a", b"1"), ("a/b", b"2")], [("a/b", b"1"), ("a", b"2")], [("a", b"1"), ("a/", None)]]
)
def test_a_file_cannot_be_a_directory(unpack, members):
    with pytest.raises(errors.FormatError, match=f"member '{members[1][0]}' cannot be created: "):
        unpack(_tar(*members))


def test_links_are_refused(unpack, tmp_path):
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as file:
        header = tarfile.TarInfo("link")
        header.type, header.linkname = tarfile.SYMTYPE, str(tmp_path)
        file.addfile(header)
    with pytest.raises(errors.FormatError, match="http://x/m: .* 'link', which is a symbolic link"):
        unpack(packed.getvalue())


def test_too_many_members_are_refused(unpack, monkeypatch):
    monkeypatch.setattr(archive, "MAX_MEMBERS", 2)
    with pytest.raises(errors.FormatError, match="member 'c' is one more than the 2 that are accepted"):
        unpack(_tar(("a", b""), ("b", None), ("c", b"")))


def test_too_many_bytes_are_refused_before_they_are_written(unpack, tmp_path, monkeypatch):
    monkeypatch.setattr(archive, "MAX_UNPACKED_BYTES", 1000)
    with pytest.raises(errors.FormatError, match="member 'b' brings it to 1100 bytes, accepted are 1000 unpacked"):
        unpack(_tar(("a", b"1" * 600), ("b", b"2" * 500)))
    assert os.listdir(tmp_path / "module") == ["a"]


def test_a_high_ratio_is_refused_above_a_size(unpack, tmp_path, monkeypatch):
    packed = gzip.compress(_tar(("zeros", bytes(10_000_000))))
    assert len(packed) * archive.MAX_RATIO < 10_000_000
    assert unpack(packed)["zeros"] == bytes(10_000_000)
    monkeypatch.setattr(archive, "RATIO_FREE_BYTES", 1_000_000)
    (tmp_path / "module" / "zeros").unlink()
    (tmp_path / "module").rmdir()
    problem = f"'zeros' brings it to 10000000 bytes from {len(packed)}; above 1000000 bytes, accepted is 200 times"
    with pytest.raises(errors.FormatError, match=problem):
        unpack(packed)


def test_broken_compression_is_refused(unpack, tmp_path):
    packed = bytearray(gzip.compress(_tar(("a", os.urandom(5000)))))
    packed[-6] ^= 1  # in the checksum
    with pytest.raises(errors.FormatError, match="http://x/m: the archive is broken: CRC check failed"):
        unpack(bytes(packed))


@pytest.mark.parametrize("kept", [0.3, 0.9])
def test_truncated_compression_is_refused(unpack, kept):
    packed = gzip.compress(_tar(("a", os.urandom(5000))))
    with pytest.raises(errors.FormatError, match="http://x/m: the archive is broken: Compressed file ended"):
        unpack(packed[: int(kept * len(packed))])


def test_no_files_are_refused(unpack):
    with pytest.raises(errors.FormatError, match="http://x/m: the archive holds no files"):
        unpack(_tar(("assets", None)))


def test_archives_are_recognised(tmp_path):
    path = tmp_path / "file"
    for data, expected in [
        (_tar(("a", b"1")), True),
        (gzip.compress(_tar(("a", b"1"))), True),
        (b"", False),
        (b"<html></html>" * 100, False),
        (gzip.compress(b"<html></html>" * 100), False),
        (gzip.compress(_tar(("a", b"1")))[:20], False),
        (b"\x1f\x8b" + zlib.compress(b"x" * 1000), False),
    ]:
        path.write_bytes(data)
        assert archive.is_archive(str(path)) == expected
