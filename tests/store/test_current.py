"""Tests of hubpipe.store.current."""

import dataclasses
import datetime
import errno
import getpass
import json
import os
import re
import threading

import pytest

from hubpipe import errors
from hubpipe.store import claims, current, file_system


def _write(directory, **keys):
    (directory / "current.json").write_text(json.dumps({"format": 1, **keys}))


def test_an_absent_record_is_empty(tmp_path):
    record = current.read(str(tmp_path))
    assert record == current.Record()
    assert (record.current, record.highest, record.ever_current) == (None, 0, frozenset())


def test_a_record_reads_as_it_was_written(tmp_path):
    record = current.Record(current=3, highest=4).marked(3, action="pin", why="good")
    record = record.marked(4, action="yank", why="")
    record = dataclasses.replace(record.moved(2, action="rollback", why="bad"), deleting=(1,))
    with current.locked(str(tmp_path)) as lock:
        lock.write(record)
        assert lock.read() == record
    assert current.read(str(tmp_path)) == record
    text = json.loads((tmp_path / "current.json").read_text())
    assert {key: text[key] for key in ("current", "highest", "pinned", "yanked", "deleting")} == {
        "current": 2,
        "highest": 4,
        "pinned": [3],
        "yanked": [4],
        "deleting": [1],
    }
    assert [(move["action"], move["version"], move["from"], move["why"]) for move in text["history"]] == [
        ("pin", 3, None, "good"),
        ("yank", 4, None, ""),
        ("rollback", 2, 3, "bad"),
    ]


class Replaced(file_system.LocalFileSystem):
    """As a client of a network file system sees it while another one replaces a file.

    Attributes:
        failures: of the reads to come.
    """

    def __init__(self, *failures):
        self.failures = list(failures)

    def read(self, path):
        if self.failures:
            raise self.failures.pop(0)
        return super().read(path)


GONE, STALE = FileNotFoundError(errno.ENOENT, "gone"), OSError(errno.ESTALE, "stale")


def test_a_record_that_is_being_replaced_is_read_again(tmp_path):
    with current.locked(str(tmp_path)) as lock:
        lock.write(current.Record(current=7, highest=7))
    assert current.read(str(tmp_path), Replaced(GONE, STALE, GONE)).current == 7
    for failure in (GONE, STALE):
        with pytest.raises(OSError, match=failure.strerror):
            current.read(str(tmp_path), Replaced(*[failure] * 100))
    with pytest.raises(OSError, match="the disk failed"):
        current.read(str(tmp_path), Replaced(OSError(errno.EIO, "the disk failed")))
    (tmp_path / "current.json").unlink()
    assert current.read(str(tmp_path), Replaced(STALE)) == current.Record()


def test_records_of_the_first_release_are_read(tmp_path):
    _write(tmp_path, current=7, highest=9)
    assert current.read(str(tmp_path)) == current.Record(current=7, highest=9)


def test_keys_of_later_releases_are_kept(tmp_path):
    _write(tmp_path, current=7, canary={"version": 8})
    with current.locked(str(tmp_path)) as lock:
        lock.write(lock.read().moved(8, action="promote", why=""))
    contents = json.loads((tmp_path / "current.json").read_text())
    assert (contents["current"], contents["canary"]) == (8, {"version": 8})


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("current", "7", "a version number or null"),
        ("current", 0, "a version number or null"),
        ("current", True, "a version number or null"),
        ("highest", -1, "a version number or 0"),
        ("highest", None, "a version number or 0"),
        ("pinned", 3, "a list of version numbers"),
        ("yanked", [0], "a list of version numbers"),
        ("deleting", ["1"], "a list of version numbers"),
        ("history", [1], "a list of objects of action, version"),
        ("history", [{"action": "pin", "version": 1, "who": "", "when": "", "why": ""}], "a list of objects of"),
        ("history", [{"action": 1, "version": 1, "from": 1, "who": "", "when": "", "why": ""}], "a list of"),
    ],
)
def test_a_broken_record_is_refused(tmp_path, key, value, expected):
    _write(tmp_path, **{key: value})
    message = f"{tmp_path}/current.json: {key} is {value!r}; expected {expected}"
    with pytest.raises(errors.FormatError, match=re.escape(message)):
        current.read(str(tmp_path))


def test_a_move_tells_who_and_when():
    (move,) = current.Record(current=1).moved(2, action="promote", why="better").history
    assert (move.action, move.version, move.previous, move.why) == ("promote", 2, 1, "better")
    assert move.who == f"{getpass.getuser()}@{os.uname().nodename}"
    assert datetime.datetime.fromisoformat(move.when).utcoffset() == datetime.timedelta(0)


def test_a_user_without_a_name_is_a_number(monkeypatch):
    def getuser():
        raise KeyError("getpwuid(): uid not found: 1234")

    monkeypatch.setattr(getpass, "getuser", getuser)
    monkeypatch.setattr(os, "getuid", lambda: 1234)
    assert current.who() == f"1234@{os.uname().nodename}"


def test_what_is_so_already_is_no_move():
    record = current.Record(current=1, pinned=(1,), yanked=(2,))
    assert record.moved(1, action="promote", why="") is record
    for number, action in ((1, "pin"), (2, "unpin"), (2, "yank"), (1, "unyank")):
        assert record.marked(number, action=action, why="") is record


def test_marks_come_and_go():
    record = current.Record(current=1, pinned=(1,), yanked=(2,))
    assert record.is_held
    assert record.marked(5, action="pin", why="").pinned == (1, 5)
    assert not record.marked(1, action="unpin", why="").is_held
    assert record.marked(1, action="yank", why="").yanked == (1, 2)
    assert record.marked(2, action="unyank", why="").yanked == ()


def test_the_reason_is_the_last():
    record = current.Record().marked(3, action="yank", why="slow").marked(3, action="unyank", why="")
    record = record.marked(3, action="yank", why="wrong")
    assert record.reason_for(3, "yank") == f" ('wrong', {record.history[-1].who}, {record.history[-1].when})"
    assert record.reason_for(4, "yank") == ""


def test_ever_current_is_what_was_current_not_what_was_marked():
    record = current.Record(current=2).moved(4, action="promote", why="").marked(3, action="pin", why="")
    record = record.marked(9, action="yank", why="").moved(2, action="rollback", why="")
    assert record.ever_current == {2, 4}


def test_the_oldest_moves_are_forgotten(tmp_path, monkeypatch):
    monkeypatch.setattr(current, "HISTORY_LENGTH", 3)
    record = current.Record()
    for number in range(1, 6):
        record = record.moved(number, action="promote", why="")
    with current.locked(str(tmp_path)) as lock:
        lock.write(record)
    assert [move.version for move in current.read(str(tmp_path)).history] == [3, 4, 5]


def test_the_lock_keeps_others_out_until_it_is_left(tmp_path):
    order = []

    def other():
        with current.locked(str(tmp_path)):
            order.append("second")

    thread = threading.Thread(target=other)
    with current.locked(str(tmp_path)):
        thread.start()
        thread.join(timeout=0.2)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]


def test_who_lost_the_lock_writes_nothing(tmp_path):
    _write(tmp_path, current=7)
    message = "was held for more than 60 seconds and is another process's now; current.json was not changed"
    with pytest.raises(errors.StoreError, match=message), current.locked(str(tmp_path)) as lock:
        record = lock.read()
        assert lock.is_held
        for claim in tmp_path.glob(f"{claims.PREFIX}-*"):
            claim.unlink()
        assert not lock.is_held
        lock.write(record.moved(8, action="promote", why=""))
    assert current.read(str(tmp_path)).current == 7


def test_the_lock_of_an_absent_folder_is_refused(tmp_path):
    message = "absent: no such directory; no version is there"
    with pytest.raises(errors.StoreError, match=message), current.locked(str(tmp_path / "absent")):
        pytest.fail("the block must not run")
