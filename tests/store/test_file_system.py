"""Tests of hubpipe.store.file_system; the tests of Store run on both file systems, too."""

import os

import pytest

from hubpipe import errors
from hubpipe.files import owner
from hubpipe.store import file_system


class Broken:
    """A gfile whose file system fails with an exception of its own."""

    class OpError(Exception):
        pass

    def __getattr__(self, name):
        def operation(*args, **kwargs):
            raise self.OpError("the bucket is gone")

        return operation


def _fill(directory, **files):
    for name, text in files.items():
        with open(os.path.join(directory, name), "w") as file:
            file.write(text)


def test_files_come_and_go(stores):
    files, root = stores.files, stores.root
    files.make_dirs(f"{root}/a/b")
    files.make_dirs(f"{root}/a/b")
    files.write(f"{root}/a/file", b"one")
    files.write(f"{root}/a/file", b"\0two")
    files.create(f"{root}/a/empty")
    assert files.read(f"{root}/a/file") == b"\0two"
    assert files.read(f"{root}/a/empty") == b""
    assert files.names(f"{root}/a") == ["b", "empty", "file"]
    assert files.is_dir(f"{root}/a/b") and not files.is_dir(f"{root}/a/file") and not files.is_dir(f"{root}/c")
    assert files.is_file(f"{root}/a/file") and not files.is_file(f"{root}/a/b") and not files.is_file(f"{root}/c")
    files.remove(f"{root}/a/file")
    files.remove(f"{root}/a/file")
    files.remove_dir(f"{root}/a")
    files.remove_dir(f"{root}/a")
    assert files.names(root) == []


def test_what_is_absent(stores):
    assert stores.files.names(f"{stores.root}/absent") == []
    with pytest.raises(FileNotFoundError, match="absent"):
        stores.files.read(f"{stores.root}/absent")


def test_a_directory_is_published_once(stores):
    files, path = stores.files, f"{stores.root}/7"
    files.make_dirs(stores.root)
    for attempt in range(2):
        with files.staging_dir(stores.root) as staging:
            os.mkdir(os.path.join(staging, "assets"))
            _fill(staging, **{"tfhub_module.pb": str(attempt), "assets/a": "a", "z": "z"})
            if attempt:
                with pytest.raises(errors.ExportExistsError, match="7: exists and is not"):
                    files.publish_dir(staging, path, last=["tfhub_module.pb"])
            else:
                files.publish_dir(staging, path, last=["tfhub_module.pb"])
    assert files.read(f"{path}/tfhub_module.pb") == b"0"
    assert files.read(f"{path}/assets/a") == b"a"
    assert files.names(stores.root) == ["7"]


def test_an_upload_ends_with_the_manifest_and_the_mark_and_a_removal_begins_with_it(monkeypatch):
    import tensorflow as tf

    order = []

    class Gfile(file_system.GfileFileSystem):
        def _upload(self, source, target):
            assert self.names("ram://order")[0].startswith(f".staging-upload-7-{owner.host()}-{os.getpid()}-")
            order.append(os.path.basename(target))
            super()._upload(source, target)

        def remove(self, path):
            order.append(f"-{os.path.basename(path)}")
            super().remove(path)

    files = Gfile(tf.io.gfile)
    files.make_dirs("ram://order")
    with files.staging_dir("ram://order") as staging:
        _fill(staging, **{"tfhub_module.pb": "", "manifest.json": "", "a": "", "z": ""})
        files.publish_dir(staging, "ram://order/7", last=["manifest.json", "tfhub_module.pb"])
    files.remove_dir("ram://order/7")
    assert [name for name in order if "upload" not in name] == [
        "a",
        "z",
        "manifest.json",
        "tfhub_module.pb",
        "-tfhub_module.pb",
    ]


@pytest.mark.parametrize("has_mark", [False, True])
def test_sweep_removes_an_upload_that_nobody_goes_on_with(ended_pid, has_mark):
    import tensorflow as tf

    files, root = file_system.GfileFileSystem(tf.io.gfile), f"ram://sweep-{has_mark}"
    files.make_dirs(f"{root}/7")
    for number in (8, 9):
        files.make_dirs(f"{root}/{number}")
    files.write(f"{root}/7/saved_model.pb", b"half")
    if has_mark:
        files.write(f"{root}/7/tfhub_module.pb", b"")
    files.create(f"{root}/.staging-upload-7-{owner.host()}-{ended_pid}-00ff")
    files.create(f"{root}/.staging-upload-8-{owner.host()}-{os.getpid()}-00ff")
    files.create(f"{root}/.staging-upload-9-other.00000000-1-00ff")
    files.sweep(root)
    kept = [f".staging-upload-8-{owner.host()}-{os.getpid()}-00ff", ".staging-upload-9-other.00000000-1-00ff"]
    assert files.names(root) == [*kept, *(["7"] if has_mark else []), "8", "9"]


def test_errors_of_a_gfile_are_oserrors():
    files = file_system.GfileFileSystem(Broken())
    for operation in (files.names, files.is_dir, files.is_file, files.read, files.remove, files.make_dirs):
        with pytest.raises(OSError, match="s3://b/x: the bucket is gone"):
            operation("s3://b/x")
    with pytest.raises(OSError, match="s3://b/x: the bucket is gone"):
        files.write("s3://b/x", b"")


def test_local_paths_need_no_gfile(tmp_path):
    assert file_system.of(f"file://{tmp_path}") == (file_system.LOCAL, str(tmp_path))
    assert file_system.of(tmp_path, Broken()) == (file_system.LOCAL, str(tmp_path))
