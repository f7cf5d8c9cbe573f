"""Tests of hubpipe.store.folder."""

import dataclasses
import os
import pathlib
import re
import shutil

import pytest

from hubpipe import errors
from hubpipe.store import current, folder, leases, store
from tests.store.conftest import numbers


@pytest.mark.parametrize("name", ["docs-text", "v1.2_x", "7", "-a"])
def test_a_store_is_a_folder_per_module(tmp_path, name):
    assert store.Store(tmp_path, name).path == str(tmp_path / name)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("name", ["", ".", "..", ".hidden", "a/b", "a\\b", "a b", "é", "a\n"])
def test_a_name_that_is_no_folder_is_refused(tmp_path, name):
    with pytest.raises(errors.StoreError, match=re.escape(f"{tmp_path}: the module name {name!r} is not valid;")):
        store.Store(tmp_path, name)


def test_a_store_elsewhere_needs_a_gfile():
    with pytest.raises(errors.StoreError, match="gs://bucket/modules: is not on a local file system; pass gfile="):
        store.Store("gs://bucket/modules", "text")


def test_a_new_store_has_no_versions(stores):
    versions = stores.open()
    assert versions.versions() == []
    assert versions.latest() is None
    assert versions.current() is None
    assert versions.collect(1) == []
    assert versions.leased() == {}
    assert not stores.files.is_dir(versions.path)


def test_versions_sort_as_numbers_and_other_names_are_left_alone(tmp_path, publish):
    versions = store.Store(tmp_path, "text")
    for name in ("10", "9", "0", "007", "-3", "1.5", "best", ".staging-x", "١"):
        os.makedirs(os.path.join(versions.path, name))
        pathlib.Path(versions.path, name, "tfhub_module.pb").write_text("")
    os.makedirs(os.path.join(versions.path, "14"))
    for name in ("11", "notes.txt"):
        pathlib.Path(versions.path, name).write_text("a file")
    os.symlink("10", os.path.join(versions.path, "12"))
    assert numbers(versions) == [9, 10]
    before = os.listdir(versions.path)
    assert publish(versions).number == 15
    assert versions.collect(1) == [9, 10]
    assert {*os.listdir(versions.path)} == {*before, "15", "current.json", ".current.lock"} - {"9", "10"}


def test_an_unknown_version_is_refused_with_those_there_are(stores, publish):
    versions = stores.open()
    with pytest.raises(errors.UnknownVersionError, match=r"text: .* version 1; published versions: none\."):
        versions.version(1)
    publish(versions)
    publish(versions)
    with pytest.raises(errors.UnknownVersionError, match=r"text: .* version 3; published versions: 1, 2\."):
        versions.version(3)


def test_a_current_version_that_is_gone_is_told(tmp_path, publish):
    versions = store.Store(tmp_path, "text")
    first = publish(versions)
    versions.promote(1)
    shutil.rmtree(first.path)
    with pytest.raises(errors.StoreError, match="version 1 is current and not there; published") as caught:
        versions.current()
    assert not isinstance(caught.value, errors.UnknownVersionError)  # nobody named it


def test_current_is_read_again_when_it_moved_and_its_version_went(tmp_path, monkeypatch, publish):
    versions = store.Store(tmp_path, "text")
    for _ in range(3):
        publish(versions)
    versions.promote(1)
    read = folder.Folder.current_number
    moves = [2, 3]

    def read_early(self):
        """Current moves on, and the version goes, as soon as somebody has read its number."""
        number = read(self)
        if moves and number < moves[0]:
            versions.promote(moves[0])
            (doomed,) = (version for version in versions.versions() if version.number == number)
            shutil.rmtree(doomed.path)
            moves.pop(0)
        return number

    monkeypatch.setattr(folder.Folder, "current_number", read_early)
    assert versions.current().number == 3
    moves.append(4)
    publish(versions)
    with versions.lease() as version:
        assert version.number == 4


# Leases.


def test_a_lease_is_of_the_current_version(stores, publish):
    versions = stores.open()
    with pytest.raises(errors.UnknownVersionError, match="text: no version is current"), versions.lease():
        pytest.fail("the block must not run")
    publish(versions)
    versions.promote(1)
    with versions.lease() as version:
        assert version.number == 1
        assert [lease.who for lease in versions.leased()[1]] == [current.who()]
    assert versions.leased() == {}


def test_a_lease_follows_a_current_that_moves(tmp_path, monkeypatch, publish):
    versions = store.Store(tmp_path, "text")
    for _ in range(2):
        publish(versions)
    versions.promote(1)
    taken = leases.taken

    def taken_late(path, number, files):
        if number == 1:
            versions.promote(2)
            versions.collect(1)
        return taken(path, number, files)

    monkeypatch.setattr(leases, "taken", taken_late)
    with versions.lease() as version:
        assert version.number == 2
    with pytest.raises(errors.UnknownVersionError, match="there is no version 1"), versions.lease(1):
        pytest.fail("the block must not run")


def test_a_version_that_is_being_deleted_is_not_used_any_more(tmp_path, publish):
    versions = store.Store(tmp_path, "text")
    publish(versions)
    publish(versions)
    with current.locked(versions.path) as lock:
        lock.write(dataclasses.replace(lock.read(), deleting=(1,)))
    message = "text: version 1 is being deleted; choose another"
    for use in (versions.promote, versions.rollback, versions.pin):
        with pytest.raises(errors.StoreError, match=message):
            use(1)
    with pytest.raises(errors.StoreError, match=message), versions.lease(1):
        pytest.fail("the block must not run")
    assert versions.leased() == {}


def test_a_crashed_readers_lease_ends_by_itself(tmp_path, publish, start):
    versions = store.Store(tmp_path, "text")
    for _ in range(2):
        publish(versions)
    script = (
        "import sys, os; from hubpipe import store\n"
        "with store.Store(sys.argv[1], 'text').lease(1): os._exit(9)"
    )
    start(script, tmp_path).wait()
    assert len(leases.all_of(versions.path)) == 1
    assert versions.leased() == {}
    assert versions.collect(1) == [1]
    assert leases.all_of(versions.path) == []
