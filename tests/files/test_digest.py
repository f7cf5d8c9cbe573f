"""Tests of hubpipe.files.digest."""

import hashlib
import os
import tracemalloc

import pytest

from hubpipe import errors
from hubpipe.files import digest


def _tree(root):
    (root / "assets").mkdir()
    (root / "empty").mkdir()
    (root / "assets" / "vocab.txt").write_bytes(b"a\nb\n")
    (root / "saved_model.pb").write_bytes(b"graph")
    (root / "assets.bin").write_bytes(b"")


def test_sha256_file_is_that_of_its_bytes(tmp_path):
    data = bytes(range(256)) * 5000  # more than one block
    (tmp_path / "file").write_bytes(data)
    assert digest.sha256_file(tmp_path / "file") == hashlib.sha256(data).hexdigest()


def test_sha256_file_needs_little_memory(tmp_path):
    with open(tmp_path / "big", "wb") as file:
        file.truncate(64 << 20)
    tracemalloc.start()
    digest.sha256_file(tmp_path / "big")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 << 20


def test_sha256_tree_lists_every_file_sorted(tmp_path):
    _tree(tmp_path)
    digests = digest.sha256_tree(tmp_path)
    assert list(digests) == ["assets.bin", "assets/vocab.txt", "saved_model.pb"]
    assert digests["assets/vocab.txt"] == {"sha256": hashlib.sha256(b"a\nb\n").hexdigest(), "size": 4}


def test_sha256_tree_leaves_out_the_excluded(tmp_path):
    _tree(tmp_path)
    assert list(digest.sha256_tree(tmp_path, exclude=["assets/vocab.txt", "absent"])) == [
        "assets.bin",
        "saved_model.pb",
    ]


def test_sha256_tree_refuses_a_link(tmp_path):
    _tree(tmp_path)
    (tmp_path / "assets" / "link").symlink_to(tmp_path / "saved_model.pb")
    with pytest.raises(errors.FormatError, match="assets/link: is neither a file nor a directory"):
        digest.sha256_tree(tmp_path)


def test_a_tree_does_not_differ_from_itself(tmp_path):
    _tree(tmp_path)
    assert digest.differences(tmp_path, digest.sha256_tree(tmp_path)) == []


def test_differences_names_what_changed(tmp_path):
    _tree(tmp_path)
    (tmp_path / "linked").write_bytes(b"x")
    expected = digest.sha256_tree(tmp_path)
    (tmp_path / "assets.bin").unlink()
    (tmp_path / "assets" / "vocab.txt").write_bytes(b"a\n")
    (tmp_path / "saved_model.pb").write_bytes(b"grapH")
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "file").write_bytes(b"")
    os.rename(tmp_path / "linked", tmp_path / "target")
    (tmp_path / "linked").symlink_to("target")
    assert digest.differences(tmp_path, expected, exclude=["target"]) == [
        "assets.bin: missing",
        "assets/vocab.txt: changed, 2 bytes instead of 4",
        "linked: changed, is no longer a file",
        "new/file: unexpected",
        f"saved_model.pb: changed, sha256 {hashlib.sha256(b'grapH').hexdigest()} instead of "
        f"{hashlib.sha256(b'graph').hexdigest()}",
    ]
