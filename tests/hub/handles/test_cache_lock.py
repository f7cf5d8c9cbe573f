"""Tests of hubpipe.hub.handles.cache_lock."""

import fcntl
import os
import pathlib
import socket
import subprocess
import sys
import threading
import time

import pytest

from hubpipe.hub.handles import cache_lock


@pytest.fixture(autouse=True)
def _impatience(monkeypatch):
    monkeypatch.setattr(cache_lock, "POLL_SECS", 0.02)
    monkeypatch.setattr(cache_lock, "DEAD_SECS", 0.2)
    monkeypatch.setattr(cache_lock, "STALLED_SECS", 30.0)


@pytest.fixture
def entry(tmp_path):
    return str(tmp_path / "0123")


def _leave_behind(entry, pid, host=None):
    """What a holder leaves when it is killed."""
    with open(f"{entry}.lock", "w") as file:
        file.write(f"{host or socket.gethostname()}.{pid}.abc123")
    os.mkdir(f"{entry}.abc123.tmp")
    with open(f"{entry}.abc123.tmp/archive", "wb") as file:
        file.write(b"half")


def _ended_pid():
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def _acquire_secs(entry):
    started = time.monotonic()
    with cache_lock.held(entry):
        return time.monotonic() - started


def test_names_are_those_of_tensorflow_hub(entry, tmp_path):
    with cache_lock.held(entry) as staging:
        with open(f"{entry}.lock") as file:
            host, pid, token = file.read().rsplit(".", 2)
        assert (host, pid) == (socket.gethostname(), str(os.getpid()))
        assert staging == f"{entry}.{token}.tmp"
        assert sorted(os.listdir(tmp_path)) == sorted([f"0123.{token}.tmp", "0123.lock"])
    assert os.listdir(tmp_path) == []


def test_an_error_leaves_nothing(entry, tmp_path):
    with pytest.raises(KeyboardInterrupt), cache_lock.held(entry) as staging:
        os.mkdir(os.path.join(staging, "module"))
        raise KeyboardInterrupt
    assert os.listdir(tmp_path) == []


def test_one_holds_it_at_a_time(entry):
    inside, most, total = [], [], []

    def hold():
        with cache_lock.held(entry):
            inside.append(1)
            most.append(len(inside))
            time.sleep(0.05)
            inside.pop()
        total.append(1)

    threads = [threading.Thread(target=hold) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (max(most), len(total)) == (1, 4)


def test_a_dead_holder_is_taken_over_with_all_it_left(entry, tmp_path):
    _leave_behind(entry, _ended_pid())
    assert 0.2 <= _acquire_secs(entry) < 10
    assert os.listdir(tmp_path) == []


def test_who_is_late_to_take_over_leaves_the_lock_of_the_faster(entry, monkeypatch):
    _leave_behind(entry, _ended_pid())
    stale = pathlib.Path(f"{entry}.lock").read_text()

    def overtaken(*_):
        os.remove(f"{entry}.lock")
        pathlib.Path(f"{entry}.lock").write_text(stale + "0")

    monkeypatch.setattr(fcntl, "flock", overtaken)
    cache_lock._take_over(f"{entry}.lock", stale, f"{entry}.abc123.tmp")
    assert pathlib.Path(f"{entry}.lock").read_text() == stale + "0"
    os.remove(f"{entry}.lock")
    cache_lock._take_over(f"{entry}.lock", stale, f"{entry}.abc123.tmp")
    assert not os.path.exists(f"{entry}.lock")


@pytest.mark.parametrize(("pid", "host"), [(os.getpid(), None), (1, "elsewhere.example.org")])
def test_a_stalled_holder_is_taken_over_later(entry, monkeypatch, tmp_path, pid, host):
    monkeypatch.setattr(cache_lock, "STALLED_SECS", 0.5)
    _leave_behind(entry, pid, host)
    assert 0.5 <= _acquire_secs(entry) < 10
    assert os.listdir(tmp_path) == []


def test_a_holder_that_makes_progress_is_waited_for(entry, monkeypatch):
    monkeypatch.setattr(cache_lock, "STALLED_SECS", 0.5)
    _leave_behind(entry, os.getpid())

    def grow():
        for _ in range(15):
            with open(f"{entry}.abc123.tmp/archive", "ab") as file:
                file.write(b"more")
            time.sleep(0.1)
        os.remove(f"{entry}.lock")

    thread = threading.Thread(target=grow)
    thread.start()
    assert _acquire_secs(entry) >= 1.3
    thread.join()
    assert os.path.exists(f"{entry}.abc123.tmp/archive")  # its owner's to remove


@pytest.mark.parametrize("content", ["", "nonsense", "host.1./../../elsewhere"])
def test_a_lock_of_unknown_form_is_waited_for_and_names_no_directory(entry, tmp_path, monkeypatch, content):
    monkeypatch.setattr(cache_lock, "STALLED_SECS", 0.3)
    (tmp_path / "0123.lock").write_text(content)
    (tmp_path / "elsewhere.tmp").mkdir()
    assert _acquire_secs(entry) >= 0.3
    assert os.listdir(tmp_path) == ["elsewhere.tmp"]


def test_who_was_taken_over_leaves_the_lock_of_the_other(entry):
    with cache_lock.held(entry):
        pathlib.Path(f"{entry}.lock").write_text("other.1.abc")
    assert pathlib.Path(f"{entry}.lock").read_text() == "other.1.abc"


def test_a_lock_that_cannot_be_written_is_not_left(entry, tmp_path, monkeypatch):
    def full(descriptor, *args, **kwargs):
        os.close(descriptor)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cache_lock, "open", full, raising=False)
    with pytest.raises(OSError, match="No space left"):
        cache_lock._create(f"{entry}.lock", "me")
    assert os.listdir(tmp_path) == []
