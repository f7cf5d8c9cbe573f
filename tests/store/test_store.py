"""Tests of hubpipe.store.store."""

import dataclasses
import os
import pathlib
import re
import shutil

import pytest

from hubpipe import errors
from hubpipe.files import owner, records
from hubpipe.store import current, file_system, leases, store

# Publishes versions that each hold one line, twice: root, who publishes, how many.
_PUBLISHER = """
import os, sys
from hubpipe import store
root, who, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
for i in range(count):
    with store.Store(root, "text").new_version() as draft:
        for name in ("a", "b", "tfhub_module.pb"):
            with open(os.path.join(draft.path, name), "w") as file:
                file.write(f"{who} {i}")
    print(draft.version.number, who, i)
"""

# Ends without a word at the n-th step that touches the disk of what a person or a job does: root, n, what.
_KILLED = """
import os, sys
from hubpipe import store
root, steps_left, action = sys.argv[1], int(sys.argv[2]), sys.argv[3]

def counted(function):
    def step(*args, **kwargs):
        global steps_left
        if steps_left == 0:
            os._exit(9)
        steps_left -= 1
        return function(*args, **kwargs)
    return step

for name in ("fsync", "rename", "mkdir", "unlink", "remove", "rmdir"):
    setattr(os, name, counted(getattr(os, name)))
versions = store.Store(root, "text")
if action == "publish":
    with versions.new_version() as draft:
        for name in ("saved_model.pb", "tfhub_module.pb"):
            with open(os.path.join(draft.path, name), "w") as file:
                file.write("new")
    versions.promote(draft.version.number)
    versions.collect(1)
elif action == "rollback":
    versions.rollback(pin=True)
else:
    versions.yank(2)
    versions.unyank(2)
"""

# Reads every byte of the current version, again and again, until the file appears: module folder, file.
_CONSUMER = """
import os, sys
from hubpipe import store
path, end = sys.argv[1:]
versions = store.Store(*os.path.split(path))
seen, rounds = set(), 0
print("ready", flush=True)
while not os.path.exists(end):
    with versions.lease() as version:
        problems = version.problems()
        assert problems == [], (version, problems)
        seen.add(version.number)
        rounds += 1
print(rounds, len(seen))
"""


def _fail(*args, **kwargs):
    raise OSError(5, "the disk failed")


def _numbers(versions):
    return [version.number for version in versions.versions()]


def _selected(value, run_id="a", higher_is_better=True):
    return {"run_id": run_id, "selection": {"value": value, "higher_is_better": higher_is_better}}


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


def test_versions_sort_as_numbers_and_other_names_are_left_alone(tmp_path, publish):
    versions = store.Store(tmp_path, "text")
    for name in ("10", "9", "0", "007", "-3", "1.5", "best", ".staging-x", "١"):
        os.makedirs(os.path.join(versions.path, name))
        pathlib.Path(versions.path, name, "tfhub_module.pb").write_text("")
    os.makedirs(os.path.join(versions.path, "14"))
    for name in ("11", "notes.txt"):
        pathlib.Path(versions.path, name).write_text("a file")
    os.symlink("10", os.path.join(versions.path, "12"))
    assert _numbers(versions) == [9, 10]
    before = os.listdir(versions.path)
    assert publish(versions).number == 15
    assert versions.collect(1) == [9, 10]
    assert {*os.listdir(versions.path)} == {*before, "15", "current.json", ".current.lock"} - {"9", "10"}


def test_an_unknown_version_is_refused_with_those_there_are(stores, publish):
    versions = stores.open()
    with pytest.raises(errors.StoreError, match=r"text: there is no version 1; published versions: none\."):
        versions.version(1)
    publish(versions)
    publish(versions)
    with pytest.raises(errors.StoreError, match=r"text: there is no version 3; published versions: 1, 2\."):
        versions.version(3)


def test_a_draft_that_is_no_module_publishes_nothing(stores):
    versions = stores.open()
    message = r"the draft has no tfhub_module\.pb; a version is a TF1 Hub module"
    with pytest.raises(errors.StoreError, match=message), versions.new_version() as draft:
        pathlib.Path(draft.path, "saved_model.pb").write_text("graph")
    assert stores.visible(versions) == []


def test_later_descriptions_replace_earlier_ones(tmp_path, publish):
    versions = store.Store(tmp_path, "text")
    with versions.new_version() as draft:
        pathlib.Path(draft.path, "tfhub_module.pb").write_text("")
        draft.describe(step=1, seed=42)
        draft.describe(step=2)
        assert draft.fields == {"step": 2, "seed": 42}
        assert draft.version is None
    assert draft.version.manifest()["step"] == 2
    with pytest.raises(errors.StoreError, match="text/1: is published; step, seed must be described before"):
        draft.describe(step=1, seed=42)


def test_a_description_that_is_not_json_publishes_nothing(stores, publish):
    versions = stores.open()
    with pytest.raises(errors.StoreError, match="manifest: metrics is {'loss': nan}, which is not JSON"):
        publish(versions, metrics={"loss": float("nan")})
    assert stores.visible(versions) == []


def test_problems_tells_what_changed_since(stores, publish):
    version = publish(stores.open())
    stores.files.write(f"{version.path}/saved_model.pb", b"graphs")
    stores.files.write(f"{version.path}/new", b"")
    stores.files.remove(f"{version.path}/tfhub_module.pb")
    assert version.problems() == [
        "new: unexpected",
        "saved_model.pb: changed, 6 bytes instead of 5",
        "tfhub_module.pb: missing",
    ]
    stores.files.write(f"{version.path}/saved_model.pb", b"grapH")
    assert "saved_model.pb: changed, sha256" in version.problems()[1]


def test_problems_tells_a_copy_under_another_number(tmp_path, publish):
    version = publish(store.Store(tmp_path, "text"))
    shutil.copytree(version.path, tmp_path / "text" / "5")
    problems = store.Store(tmp_path, "text").version(5).problems()
    assert problems == ["assets.extra/hubpipe/manifest.json: version is 1, the directory's is 5"]


def test_problems_tells_a_missing_manifest(stores, publish):
    version = publish(stores.open())
    stores.files.remove(f"{version.path}/assets.extra/hubpipe/manifest.json")
    (problem,) = version.problems()
    assert problem.startswith(f"{version.path}/assets.extra/hubpipe/manifest.json: missing")
    with pytest.raises(errors.StoreError, match=re.escape(problem)):
        version.manifest()


# Numbers.


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
        patch.setattr(os, step, _fail)
    assert _numbers(versions) == [1]
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
    versions._files = Full(tf.io.gfile)
    with pytest.raises(OSError, match="No space left"):
        publish(versions)
    assert versions._files.names(versions.path) == ["current.json"]


def test_a_failing_disk_keeps_the_chosen_version(tmp_path, monkeypatch, publish):
    versions = store.Store(tmp_path, "text")
    first, *_ = [publish(versions) for _ in range(3)]
    versions.promote(1)
    monkeypatch.setattr(os, "rename", _fail)
    for change in (lambda: versions.promote(2), lambda: versions.collect(1), lambda: versions.yank(1)):
        with pytest.raises(OSError, match="the disk failed"):
            change()
    assert versions.current() == first
    assert _numbers(versions) == [1, 2, 3]


def test_a_broken_record_publishes_nothing(stores, publish):
    versions = stores.open()
    publish(versions)
    stores.files.write(f"{versions.path}/current.json", b"{")
    with pytest.raises(errors.FormatError, match="text/current.json: is not JSON"):
        publish(versions)
    assert _numbers(versions) == [1]


def test_a_publisher_that_lost_the_lock_has_published_all_the_same(tmp_path, monkeypatch, publish):
    versions = store.Store(tmp_path, "text")
    publish(versions)
    monkeypatch.setattr(current.Lock, "is_held", False)
    assert publish(versions).number == 2
    assert versions.record().highest == 1
    assert publish(versions).number == 3


# Which version is current.


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


def test_a_current_version_that_is_gone_is_told(tmp_path, publish):
    versions = store.Store(tmp_path, "text")
    first = publish(versions)
    versions.promote(1)
    shutil.rmtree(first.path)
    with pytest.raises(errors.StoreError, match="text: there is no version 1; published versions: none"):
        versions.current()


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


# Going back.


def _history(versions, *moves):
    """Publishes as many versions as the moves need, then promotes each."""
    for _ in range(max(moves)):
        with versions.new_version() as draft:
            pathlib.Path(draft.path, "tfhub_module.pb").write_bytes(b"\x08\x03")
    for number in moves:
        versions.promote(number)


def test_rollback_goes_to_the_version_before_and_on(stores):
    versions = stores.open()
    _history(versions, 1, 2, 3)
    assert versions.rollback(why="wrong labels") == store.Moved(3, 2)
    assert versions.rollback() == store.Moved(2, 1)
    with pytest.raises(errors.StoreError, match="text: there is no version to go back to from 1. Name one: --to"):
        versions.rollback()
    assert versions.current_number() == 1
    assert [(move.action, move.version, move.why) for move in versions.record().history[3:]] == [
        ("rollback", 2, "wrong labels"),
        ("rollback", 1, ""),
    ]


def test_rollback_takes_no_version_that_never_was_current(tmp_path):
    versions = store.Store(tmp_path, "text")
    _history(versions, 1, 2, 4)
    assert versions.rollback() == store.Moved(4, 2)


def test_rollback_takes_versions_older_than_the_history(tmp_path):
    versions = store.Store(tmp_path, "text")
    _history(versions, 1, 2, 3)
    records.write(f"{versions.path}/current.json", {"current": 3, "highest": 3})  # as the first release did
    assert versions.rollback() == store.Moved(3, 2)
    assert versions.rollback() == store.Moved(2, 1)


def test_rollback_passes_over_yanked_and_broken_versions(tmp_path):
    versions = store.Store(tmp_path, "text")
    _history(versions, 1, 2, 3, 4)
    versions.yank(3, why="leaks")
    pathlib.Path(versions.version(2).path, "tfhub_module.pb").write_text("xx")
    moved = versions.rollback()
    assert (moved.previous, moved.current, list(moved.skipped)) == (4, 1, [3, 2])
    assert moved.skipped[3].startswith("is yanked ('leaks', ")
    assert moved.skipped[2].startswith("is broken: tfhub_module.pb: changed, sha256 ")


def test_rollback_to_a_version_refuses_yanked_and_broken_ones(stores):
    versions = stores.open()
    _history(versions, 1, 2, 3)
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
    _history(versions, 1, 2, 3)
    versions.rollback(pin=True, why="audit")
    assert versions.record().pinned == (2,)
    assert not versions.promote(3)
    moves = [(move.action, move.version) for move in versions.record().history[3:]]
    assert moves == [("rollback", 2), ("pin", 2)]


def test_rollback_refuses_when_current_moved_meanwhile(tmp_path, monkeypatch):
    versions = store.Store(tmp_path, "text")
    _history(versions, 1, 2, 3)
    whole = store.Store._predecessor

    def slowly(self, record):
        found = whole(self, record)
        store.Store(tmp_path, "text").promote(1)
        return found

    monkeypatch.setattr(store.Store, "_predecessor", slowly)
    with pytest.raises(errors.StoreError, match="the current version became 1 meanwhile, it was 3; nothing was"):
        versions.rollback()
    assert versions.current_number() == 1


def test_yanking_the_current_version_goes_back(stores):
    versions = stores.open()
    _history(versions, 1, 2)
    assert versions.yank(2, why="leaks") == store.Moved(2, 1)
    assert versions.yank(1) == store.Moved(1, None, {})
    assert versions.current() is None
    assert versions.record().yanked == (1, 2)
    versions.unyank(2)
    assert versions.current() is None
    assert versions.rollback(2) == store.Moved(None, 2)


def test_yanking_another_version_leaves_current(tmp_path):
    versions = store.Store(tmp_path, "text")
    _history(versions, 1, 2)
    assert versions.yank(1) == store.Moved(2, 2)
    assert versions.record().yanked == (1,)


# Retention.


def test_collect_keeps_newest_protected_current_and_pinned(stores, publish):
    versions = stores.open()
    for _ in range(7):
        publish(versions)
    versions.promote(2)
    versions.pin(3)
    assert versions.collect(2, protected=[4]) == [1, 5]
    assert _numbers(versions) == [2, 3, 4, 6, 7]
    assert versions.record().deleting == ()
    assert versions.collect(2, protected=[4]) == []
    assert stores.visible(versions) == ["2", "3", "4", "6", "7", "current.json"]


def test_collect_keeps_the_best_of_each_run_whoever_calls_it(stores, publish):
    versions = stores.open()
    for value, run_id in ((0.5, "a"), (0.7, "a"), (0.6, "a"), (0.9, "b"), (0.8, "b")):
        publish(versions, **_selected(value, run_id))
    publish(versions)
    assert versions.best_of_runs() == {2, 4}
    assert versions.collect(1) == [1, 3, 5]
    assert versions.collect(1, keep_runs=1) == [2]


def test_collect_understands_a_loss(tmp_path, publish):
    versions = store.Store(tmp_path, "text")
    for value in (0.5, 0.3, 0.4):
        publish(versions, **_selected(value, higher_is_better=False))
    assert versions.best_of_runs() == {2}


@pytest.mark.parametrize(
    "fields",
    [{}, {"run_id": 1, "selection": {}}, {"run_id": "a"}, {"run_id": "a", "selection": {"value": None}}],
)
def test_manifests_of_others_are_no_best(tmp_path, publish, fields):
    versions = store.Store(tmp_path, "text")
    publish(versions, **fields)
    (tmp_path / "text" / "9").mkdir()
    (tmp_path / "text" / "9" / "tfhub_module.pb").write_text("")
    assert versions.best_of_runs() == set()


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
    assert _numbers(versions) == [2, 3]
    assert versions.record().deleting == ()


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
    assert _numbers(versions) == [1]


def test_collect_sweeps_what_killed_processes_left(stores, publish, ended_pid):
    versions = stores.open()
    publish(versions)
    ended = f"{owner.host()}-{ended_pid}-00ff"
    names = [f".staging-current.json-{ended}", f".staging-current.json-{owner.host()}-{os.getpid()}-00ff"]
    for name in names:
        stores.files.write(f"{versions.path}/{name}", b"")
    versions.collect(1)
    assert stores.visible(versions) == [names[1], "1", "current.json"]


# Leases.


def test_a_lease_is_of_the_current_version(stores, publish):
    versions = stores.open()
    with pytest.raises(errors.StoreError, match="text: no version is current"), versions.lease():
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
    with pytest.raises(errors.StoreError, match="there is no version 1"), versions.lease(1):
        pytest.fail("the block must not run")


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


def test_module_names_are_the_modules_of_a_store(stores, publish):
    assert store.module_names(stores.root, gfile=stores.gfile) == []
    for name in ("text", "image"):
        publish(stores.open(name))
    stores.files.make_dirs(f"{stores.root}/empty")
    stores.files.write(f"{stores.root}/notes", b"")
    assert store.module_names(stores.root, gfile=stores.gfile) == ["image", "text"]


# Processes.


@pytest.mark.process
def test_publishers_at_once_lose_and_mix_nothing(tmp_path, start):
    publishers = [start(_PUBLISHER, tmp_path, who, 5) for who in "wxyz"]
    lines = [line.split() for publisher in publishers for line in publisher.communicate()[0].splitlines()]
    assert [publisher.returncode for publisher in publishers] == [0, 0, 0, 0]
    told = {int(number): f"{who} {i}" for number, who, i in lines}
    versions = store.Store(tmp_path, "text").versions()
    assert [version.number for version in versions] == list(range(1, 21))
    assert {v.number: pathlib.Path(v.path, "a").read_text() for v in versions} == told
    assert {v.number: pathlib.Path(v.path, "b").read_text() for v in versions} == told
    assert [problem for version in versions for problem in version.problems()] == []
    assert current.read(str(tmp_path / "text")).highest == 20


def _states_after_kills(tmp_path, start, publish, action):
    """What a kill at each step leaves: (versions, current, pinned, yanked), each state once, in order."""
    states, step, returncode = [], 0, None
    while returncode != 0:
        root = tmp_path / str(step)
        versions = store.Store(root, "text")
        for _ in range(2):
            publish(versions)
            versions.promote(versions.latest().number)
        killed = start(_KILLED, root, step, action)
        killed.communicate()
        record = versions.record()
        states.append((tuple(_numbers(versions)), record.current, record.pinned, record.yanked))
        assert [problem for version in versions.versions() for problem in version.problems()] == []
        assert versions.version(record.current)
        next_number = publish(versions).number
        assert next_number == max(states[-1][0]) + 1
        versions.collect(1)
        kept = {str(record.current), str(next_number), *map(str, record.pinned), "current.json", ".current.lock"}
        assert {*os.listdir(versions.path)} - {leases.DIRECTORY} == kept
        returncode = killed.returncode
        assert returncode in (0, 9)
        step += 1
    return list(dict.fromkeys(states))


@pytest.mark.process
def test_a_kill_at_any_step_of_publishing_leaves_the_old_state_or_the_new(tmp_path, start, publish):
    assert _states_after_kills(tmp_path, start, publish, "publish") == [
        ((1, 2), 2, (), ()),
        ((1, 2, 3), 2, (), ()),
        ((1, 2, 3), 3, (), ()),
        ((2, 3), 3, (), ()),
        ((3,), 3, (), ()),
    ]


@pytest.mark.process
def test_a_kill_at_any_step_of_a_rollback_leaves_the_old_state_or_the_new(tmp_path, start, publish):
    assert _states_after_kills(tmp_path, start, publish, "rollback") == [
        ((1, 2), 2, (), ()),
        ((1, 2), 1, (1,), ()),
    ]


@pytest.mark.process
def test_a_kill_at_any_step_of_a_yank_leaves_the_old_state_or_the_new(tmp_path, start, publish):
    assert _states_after_kills(tmp_path, start, publish, "yank") == [
        ((1, 2), 2, (), ()),
        ((1, 2), 1, (), (2,)),
        ((1, 2), 1, (), ()),
    ]


@pytest.mark.process
def test_a_consumer_never_meets_a_broken_or_missing_version(tmp_path, start, publish):
    versions = store.Store(tmp_path, "text")
    publish(versions)
    versions.promote(1)
    end = tmp_path / "end"
    consumers = [start(_CONSUMER, versions.path, end) for _ in range(2)]
    for consumer in consumers:
        assert consumer.stdout.readline() == "ready\n"
    for number in range(2, 52):
        publish(versions, text=f"graph {number}" * 10000)
        versions.promote(number)
        versions.collect(1)
    end.touch()
    for consumer in consumers:
        rounds, seen = map(int, consumer.communicate()[0].split())
        assert consumer.returncode == 0
        assert rounds >= seen >= 2
    versions.collect(1)
    assert _numbers(versions) == [51]
