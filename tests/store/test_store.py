"""Tests of hubpipe.store.store."""

import dataclasses
import os

import pytest

from hubpipe import errors
from hubpipe.files import owner, records
from hubpipe.store import current, leases, predecessor, store
from tests.store.conftest import fail, history, numbers, selected

# Which version is current.


def test_a_failing_disk_keeps_the_chosen_version(tmp_path, monkeypatch, publish):
    versions = store.Store(tmp_path, "text")
    first, *_ = [publish(versions) for _ in range(3)]
    versions.promote(1)
    monkeypatch.setattr(os, "rename", fail)
    for change in (lambda: versions.promote(2), lambda: versions.collect(1), lambda: versions.yank(1)):
        with pytest.raises(OSError, match="the disk failed"):
            change()
    assert versions.current() == first
    assert numbers(versions) == [1, 2, 3]


def test_current_is_what_was_chosen(stores, publish):
    versions = stores.open()
    first = publish(versions)
    publish(versions)
    assert versions.current() is None
    assert versions.promote(1, why="the first")
    assert versions.current() == first
    assert publish(versions).number == 3
    assert versions.current() == first
    assert versions.promote(1)
    (move,) = versions.record().history
    assert (move.action, move.version, move.previous, move.why) == ("promote", 1, None, "the first")


def test_an_unknown_version_cannot_be_current(tmp_path, publish):
    versions = store.Store(tmp_path, "text")
    with pytest.raises(errors.StoreError, match="text: no such directory"):
        versions.promote(1)
    assert os.listdir(tmp_path) == []
    publish(versions)
    versions.promote(1)
    for change in (versions.promote, versions.rollback, versions.pin, versions.yank):
        with pytest.raises(errors.StoreError, match="there is no version 2; published versions: 1"):
            change(2)
    assert versions.current_number() == 1
    assert len(versions.record().history) == 1


def test_a_job_leaves_a_pinned_current_alone(stores, publish):
    versions = stores.open()
    for _ in range(3):
        publish(versions)
    versions.promote(1)
    versions.pin(1, why="the audited one")
    assert not versions.promote(2)
    assert versions.promote(1)
    assert versions.current_number() == 1
    versions.unpin(1)
    assert versions.promote(2)
    versions.pin(1)  # a pin of another version than the current holds nothing back
    assert versions.promote(3)


def test_a_job_does_not_promote_what_was_yanked(tmp_path, publish):
    versions = store.Store(tmp_path, "text")
    publish(versions)
    publish(versions)
    versions.promote(1)
    versions.yank(2)
    assert not versions.promote(2)
    assert versions.current_number() == 1


# By hand.


def test_rollback_to_a_version_refuses_yanked_and_broken_ones(stores):
    versions = stores.open()
    history(versions, 1, 2, 3)
    versions.yank(1, why="leaks")
    stores.files.write(f"{versions.path}/2/new", b"")
    stores.files.write(f"{versions.path}/2/newer", b"")
    with pytest.raises(errors.StoreError, match=r"version 1 is yanked \('leaks', .*\); choose another, or unyank"):
        versions.rollback(1)
    with pytest.raises(errors.StoreError, match="version 2 is broken: new: unexpected and 1 more; choose another"):
        versions.rollback(2)
    assert versions.current_number() == 3
    versions.unyank(1)
    assert versions.rollback(1) == store.Moved(3, 1)
    assert versions.rollback(3) == store.Moved(1, 3)


def test_rollback_can_pin(tmp_path):
    versions = store.Store(tmp_path, "text")
    history(versions, 1, 2, 3)
    versions.rollback(pin=True, why="audit")
    assert versions.record().pinned == (2,)
    assert not versions.promote(3)
    moves = [(move.action, move.version) for move in versions.record().history[3:]]
    assert moves == [("rollback", 2), ("pin", 2)]


def test_rollback_refuses_when_current_moved_meanwhile(tmp_path, monkeypatch):
    versions = store.Store(tmp_path, "text")
    history(versions, 1, 2, 3)
    find = predecessor.find

    def slowly(record, its_versions):
        found = find(record, its_versions)
        store.Store(tmp_path, "text").promote(1)
        return found

    monkeypatch.setattr(predecessor, "find", slowly)
    with pytest.raises(errors.StoreError, match="the current version became 1 meanwhile, it was 3; nothing was"):
        versions.rollback()
    assert versions.current_number() == 1


def test_yanking_the_current_version_goes_back(stores):
    versions = stores.open()
    history(versions, 1, 2)
    assert versions.yank(2, why="leaks") == store.Moved(2, 1)
    assert versions.yank(1) == store.Moved(1, None, {})
    assert versions.current() is None
    assert versions.record().yanked == (1, 2)
    versions.unyank(2)
    assert versions.current() is None
    assert versions.rollback(2) == store.Moved(None, 2)


def test_yanking_another_version_leaves_current(tmp_path):
    versions = store.Store(tmp_path, "text")
    history(versions, 1, 2)
    assert versions.yank(1) == store.Moved(2, 2)
    assert versions.record().yanked == (1,)


# Deleting.


def test_collect_keeps_newest_protected_current_and_pinned(stores, publish):
    versions = stores.open()
    for _ in range(7):
        publish(versions)
    versions.promote(2)
    versions.pin(3)
    assert versions.collect(2, protected=[4]) == [1, 5]
    assert numbers(versions) == [2, 3, 4, 6, 7]
    assert versions.record().deleting == ()
    assert versions.collect(2, protected=[4]) == []
    assert stores.visible(versions) == ["2", "3", "4", "6", "7", "current.json"]


def test_collect_keeps_the_best_of_each_run_whoever_calls_it(stores, publish):
    versions = stores.open()
    for value, run_id in ((0.5, "a"), (0.7, "a"), (0.6, "a"), (0.9, "b"), (0.8, "b")):
        publish(versions, **selected(value, run_id))
    publish(versions)
    assert versions.best_of_runs() == {2, 4}
    assert versions.collect(1) == [1, 3, 5]
    assert versions.collect(1, keep_runs=1) == [2]


def test_collect_understands_a_loss(tmp_path, publish):
    versions = store.Store(tmp_path, "text")
    for value in (0.5, 0.3, 0.4):
        publish(versions, **selected(value, higher_is_better=False))
    assert versions.best_of_runs() == {2}


def test_collect_deletes_no_leased_version(stores, publish):
    versions = stores.open()
    for _ in range(4):
        publish(versions)
    with versions.lease(2) as version:
        assert list(versions.leased()) == [2]
        assert versions.collect(1) == [1, 3]
        assert version.problems() == []
    assert versions.collect(1) == [2]


def test_a_lease_taken_while_collect_decides_is_seen(tmp_path, monkeypatch, publish):
    versions = store.Store(tmp_path, "text")
    for _ in range(3):
        publish(versions)
    write = current.Lock.write
    with leases.taken(str(tmp_path / "other"), 1):  # the thread and the folder of leases are there
        pass

    def write_late(lock, record):
        write(lock, record)
        if record.deleting == (1, 2):
            records.write(tmp_path / "text" / ".leases" / "2-other.00000000-1-00ff", {"who": "a", "expires": 9e9})

    (tmp_path / "text" / ".leases").mkdir()
    monkeypatch.setattr(current.Lock, "write", write_late)
    assert versions.collect(1) == [1]
    assert numbers(versions) == [2, 3]
    assert versions.record().deleting == ()


def test_collect_ends_what_a_killed_one_began(stores, publish):
    versions = stores.open()
    for _ in range(4):
        publish(versions)
    with current.locked(versions.path, stores.files) as lock:
        lock.write(dataclasses.replace(lock.read(), deleting=(1, 2)))
    stores.files.remove_dir(f"{versions.path}/1")
    stores.files.remove(f"{versions.path}/2/tfhub_module.pb")
    assert versions.collect(2) == []
    assert stores.visible(versions) == ["3", "4", "current.json"]
    assert versions.record().deleting == ()


def test_collect_refuses_to_keep_nothing(stores, publish):
    versions = stores.open()
    publish(versions)
    with pytest.raises(errors.StoreError, match="keep_latest is 0"):
        versions.collect(0)
    assert numbers(versions) == [1]


def test_collect_sweeps_what_killed_processes_left(stores, publish, ended_pid):
    versions = stores.open()
    publish(versions)
    ended = f"{owner.host()}-{ended_pid}-00ff"
    names = [f".staging-current.json-{ended}", f".staging-current.json-{owner.host()}-{os.getpid()}-00ff"]
    for name in names:
        stores.files.write(f"{versions.path}/{name}", b"")
    versions.collect(1)
    assert stores.visible(versions) == [names[1], "1", "current.json"]


# All modules.


def test_module_names_are_the_modules_of_a_store(stores, publish):
    assert store.module_names(stores.root, gfile=stores.gfile) == []
    for name in ("text", "image"):
        publish(stores.open(name))
    stores.files.make_dirs(f"{stores.root}/empty")
    stores.files.write(f"{stores.root}/notes", b"")
    assert store.module_names(stores.root, gfile=stores.gfile) == ["image", "text"]
