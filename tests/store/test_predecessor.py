"""Tests of hubpipe.store.predecessor, by rollback."""

import pathlib

import pytest

from hubpipe import errors
from hubpipe.files import records
from hubpipe.store import store
from tests.store.conftest import history


def test_rollback_goes_to_the_version_before_and_on(stores):
    versions = stores.open()
    history(versions, 1, 2, 3)
    assert versions.rollback(why="wrong labels") == store.Moved(3, 2)
    assert versions.rollback() == store.Moved(2, 1)
    with pytest.raises(errors.StoreError, match="text: there is no version to go back to from 1. Name one: --to"):
        versions.rollback()
    assert versions.current_number() == 1
    assert [(move.action, move.version, move.why) for move in versions.record().history[3:]] == [
        ("rollback", 2, "wrong labels"),
        ("rollback", 1, ""),
    ]


def test_rollback_where_there_are_no_versions(tmp_path):
    with pytest.raises(errors.UnknownVersionError, match="txet: there are no versions; is it the right store"):
        store.Store(tmp_path, "txet").rollback()


def test_rollback_takes_no_version_that_never_was_current(tmp_path):
    versions = store.Store(tmp_path, "text")
    history(versions, 1, 2, 4)
    assert versions.rollback() == store.Moved(4, 2)


def test_rollback_takes_versions_older_than_thehistory(tmp_path):
    versions = store.Store(tmp_path, "text")
    history(versions, 1, 2, 3)
    records.write(f"{versions.path}/current.json", {"current": 3, "highest": 3})  # as the first release did
    assert versions.rollback() == store.Moved(3, 2)
    assert versions.rollback() == store.Moved(2, 1)


def test_rollback_passes_over_yanked_and_broken_versions(tmp_path):
    versions = store.Store(tmp_path, "text")
    history(versions, 1, 2, 3, 4)
    versions.yank(3, why="leaks")
    pathlib.Path(versions.version(2).path, "tfhub_module.pb").write_text("xx")
    moved = versions.rollback()
    assert (moved.previous, moved.current, list(moved.skipped)) == (4, 1, [3, 2])
    assert moved.skipped[3].startswith("is yanked ('leaks', ")
    assert moved.skipped[2].startswith("is broken: tfhub_module.pb: changed, sha256 ")
