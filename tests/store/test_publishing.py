"""Tests of hubpipe.store.publishing."""

import os
import pathlib

import pytest

from hubpipe import errors
from hubpipe.store import current, file_system, store
from tests.store.conftest import fail, numbers


def test_versions_are_numbered_and_described(stores, publish):
    versions = stores.open()
    first = publish(versions, step=100)
    second = publish(versions, step=200, metrics={"accuracy": 0.5})
    assert versions.versions() == [first, second]
    assert versions.latest() == versions.version(2) == second
    assert second == store.Version(2, f"{stores.root}/text/2")
    contents = second.manifest()
    assert (contents["version"], contents["step"], contents["metrics"]) == (2, 200, {"accuracy": 0.5})
    assert list(contents["files"]) == ["saved_model.pb", "tfhub_module.pb"]
    assert second.problems() == []
    assert stores.visible(versions) == ["1", "2", "current.json"]


def test_a_draft_that_is_no_module_publishes_nothing(stores):
    versions = stores.open()
    message = r"the draft has no tfhub_module\.pb; a version is a TF1 Hub module"
    with pytest.raises(errors.StoreError, match=message), versions.new_version() as draft:
        pathlib.Path(draft.path, "saved_model.pb").write_text("graph")
    assert stores.visible(versions) == []


def test_a_number_is_never_given_twice(stores, publish):
    versions = stores.open()
    for _ in range(3):
        last = publish(versions)
    stores.files.remove_dir(last.path)
    assert publish(versions).number == 4
    stores.files.make_dirs(f"{versions.path}/9")
    stores.files.write(f"{versions.path}/9/notes", b"")
    assert publish(versions).number == 10


def test_a_number_taken_meanwhile_is_passed_over(stores, monkeypatch, publish):
    versions = stores.open()
    names = type(stores.files).names

    def names_too_early(files, path):
        """What a listing said before others, who know nothing of our locks, took 1 and 2."""
        return [name for name in names(files, path) if path != versions.path or name not in ("1", "2")]

    for number in (1, 2):
        stores.files.make_dirs(f"{versions.path}/{number}")
        stores.files.write(f"{versions.path}/{number}/theirs", b"")
    monkeypatch.setattr(type(stores.files), "names", names_too_early)
    version = publish(versions)
    assert version.number == version.manifest()["version"] == 3
    assert version.problems() == []
    assert stores.files.names(f"{versions.path}/1") == ["theirs"]


# Failures of the block and of the disk.


def test_an_exception_in_the_block_publishes_nothing(stores, publish):
    versions = stores.open()
    publish(versions)
    before = stores.visible(versions)
    with pytest.raises(KeyboardInterrupt, match="half way"), versions.new_version() as draft:
        pathlib.Path(draft.path, "saved_model.pb").write_text("half")
        raise KeyboardInterrupt("half way")
    assert draft.version is None
    assert not os.path.exists(draft.path)
    assert stores.visible(versions) == before
    assert publish(versions).number == 2


@pytest.mark.parametrize("step", ["fsync", "rename"])
def test_a_failing_disk_publishes_nothing(tmp_path, monkeypatch, step, publish):
    versions = store.Store(tmp_path, "text")
    first = publish(versions)
    failure = pytest.raises(OSError, match="the disk failed")
    with monkeypatch.context() as patch, failure, versions.new_version() as draft:
        pathlib.Path(draft.path, "tfhub_module.pb").write_text("")
        patch.setattr(os, step, fail)
    assert numbers(versions) == [1]
    assert first.problems() == []
    assert publish(versions).number == 2


def test_a_failing_upload_leaves_nothing(publish):
    class Full(file_system.GfileFileSystem):
        def _upload(self, source, target):
            if target.endswith("tfhub_module.pb"):
                raise OSError(28, "No space left on device")
            super()._upload(source, target)

    import tensorflow as tf

    versions = store.Store("ram://full", "text", gfile=tf.io.gfile)
    versions.files = Full(tf.io.gfile)
    with pytest.raises(OSError, match="No space left"):
        publish(versions)
    assert versions.files.names(versions.path) == ["current.json"]


def test_a_broken_record_publishes_nothing(stores, publish):
    versions = stores.open()
    publish(versions)
    stores.files.write(f"{versions.path}/current.json", b"{")
    with pytest.raises(errors.FormatError, match="text/current.json: is not JSON"):
        publish(versions)
    assert numbers(versions) == [1]


def test_a_publisher_that_lost_the_lock_has_published_all_the_same(tmp_path, monkeypatch, publish):
    versions = store.Store(tmp_path, "text")
    publish(versions)
    monkeypatch.setattr(current.Lock, "is_held", False)
    assert publish(versions).number == 2
    assert versions.record().highest == 1
    assert publish(versions).number == 3
