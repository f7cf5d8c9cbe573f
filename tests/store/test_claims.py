"""Tests of hubpipe.store.claims."""

import fcntl
import os
import threading
import time

import pytest

from hubpipe.files import owner
from hubpipe.store import claims, file_system


@pytest.fixture(params=["with file locks", "without file locks"])
def directory(request, tmp_path, monkeypatch):
    """A folder on a file system that has locks, or has none."""
    if request.param == "without file locks":

        def flock(file, operation):
            raise OSError(95, "Operation not supported")

        monkeypatch.setattr(fcntl, "flock", flock)
    return str(tmp_path)


def _claims(directory):
    return [name for name in os.listdir(directory) if name.startswith(claims.PREFIX)]


def test_one_holder_at_a_time(directory):
    inside, most, rounds = [], [], []

    def hold():
        for _ in range(5):
            with claims.held(file_system.LOCAL, directory) as claim:
                inside.append(None)
                most.append(len(inside))
                time.sleep(0.001)
                assert claim.is_held
                inside.pop()
                rounds.append(None)

    threads = [threading.Thread(target=hold) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (max(most), len(rounds)) == (1, 20)
    assert _claims(directory) == []


def test_an_exception_frees_the_lock(directory):
    with pytest.raises(ValueError, match="inside"), claims.held(file_system.LOCAL, directory):
        raise ValueError("inside")
    assert _claims(directory) == []


def test_the_claim_of_an_ended_process_is_removed(directory, ended_pid):
    open(os.path.join(directory, f"{claims.PREFIX}-{owner.host()}-{ended_pid}-00ff"), "w").close()
    with claims.held(file_system.LOCAL, directory):
        assert [owner.of(name).pid for name in _claims(directory)] == [os.getpid()]


def test_a_claim_that_could_not_be_removed_holds_nothing(tmp_path, monkeypatch):
    def remove(path):
        raise OSError(5, "the disk failed")

    with monkeypatch.context() as patch:
        patch.setattr(os, "remove", remove)
        with pytest.raises(OSError, match="the disk failed"), claims.held(file_system.LOCAL, str(tmp_path)):
            pass
    assert len(_claims(tmp_path)) == 1
    with claims.held(file_system.LOCAL, str(tmp_path)):
        assert len(_claims(tmp_path)) == 1
    assert _claims(tmp_path) == []


def _of_another_machine(directory, random="00ff"):
    path = os.path.join(directory, f"{claims.PREFIX}-other.00000000-1-{random}")
    open(path, "w").close()
    return path


def test_the_claim_of_another_machine_is_waited_for(directory, monkeypatch):
    path = _of_another_machine(directory)
    waits = []

    def sleep(secs):
        waits.append(secs)
        assert [name for name in _claims(directory) if "other" not in name] == []  # takes its own back meanwhile
        if len(waits) == 3:
            os.remove(path)

    monkeypatch.setattr(time, "sleep", sleep)
    with claims.held(file_system.LOCAL, directory):
        assert len(waits) == 3


def test_a_claim_that_stays_is_removed(directory, monkeypatch):
    path = _of_another_machine(directory)
    waits = []
    monkeypatch.setattr(time, "sleep", waits.append)
    with claims.held(file_system.LOCAL, directory):
        assert not os.path.exists(path)
        assert claims.STALE_SECS < sum(waits) < claims.STALE_SECS + 1


def test_claims_that_change_are_not_stale(directory, monkeypatch):
    path = _of_another_machine(directory)
    waits = []

    def sleep(secs):
        nonlocal path
        waits.append(secs)
        os.remove(path)
        if sum(waits) < 2 * claims.STALE_SECS:
            path = _of_another_machine(directory, f"{len(waits):04x}")

    monkeypatch.setattr(time, "sleep", sleep)
    with claims.held(file_system.LOCAL, directory):
        assert sum(waits) >= 2 * claims.STALE_SECS
