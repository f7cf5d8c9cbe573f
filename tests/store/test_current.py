"""Tests of hubpipe.store.current."""

import fcntl
import re
import threading

import pytest

from hubpipe import errors
from hubpipe.store import current


def test_an_absent_record_is_empty(tmp_path):
    assert current.read(str(tmp_path)) == {"format": 1, "current": None, "highest": 0}


def test_keys_of_later_releases_are_kept(tmp_path):
    (tmp_path / "current.json").write_text('{"format": 1, "current": 7, "pinned": [3]}')
    record = current.read(str(tmp_path))
    assert record == {"format": 1, "current": 7, "highest": 0, "pinned": [3]}
    current.write(str(tmp_path), {**record, "current": 8})
    assert current.read(str(tmp_path)) == {"format": 1, "current": 8, "highest": 0, "pinned": [3]}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"format": 1, "current": "7"}', "current is '7'; expected a version number or null"),
        ('{"format": 1, "current": 0}', "current is 0; expected a version number or null"),
        ('{"format": 1, "current": true}', "current is True; expected a version number or null"),
        ('{"format": 1, "highest": -1}', "highest is -1; expected a version number or 0"),
        ('{"format": 1, "highest": null}', "highest is None; expected a version number or 0"),
    ],
)
def test_a_broken_record_is_refused(tmp_path, text, message):
    (tmp_path / "current.json").write_text(text)
    with pytest.raises(errors.FormatError, match=re.escape(f"{tmp_path}/current.json: {message}")):
        current.read(str(tmp_path))


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


def test_an_exception_frees_the_lock(tmp_path):
    with pytest.raises(ValueError, match="inside"), current.locked(str(tmp_path)):
        raise ValueError("inside")
    with current.locked(str(tmp_path)):
        pass


def test_the_lock_of_an_absent_folder_is_refused(tmp_path):
    message = "absent: no such directory; no version is there"
    with pytest.raises(errors.StoreError, match=message), current.locked(str(tmp_path / "absent")):
        pytest.fail("the block must not run")


def test_a_file_system_without_locks_is_refused(tmp_path, monkeypatch):
    def flock(file, operation):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(fcntl, "flock", flock)
    message = "cannot be locked .*Operation not supported.*has file locks"
    with pytest.raises(errors.StoreError, match=message), current.locked(str(tmp_path)):
        pytest.fail("the block must not run")
