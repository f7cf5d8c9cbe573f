"""Tests of hubpipe.retraining.lock."""

import errno
import json
import os
import pathlib
import signal
import subprocess
import sys
import threading

import pytest

from hubpipe import errors
from hubpipe.files import owner, records
from hubpipe.retraining import lock
from hubpipe.store import claims


@pytest.fixture(autouse=True)
def fast(monkeypatch):
    """Beats a hundred times as often, and waits as long as ever for one."""
    monkeypatch.setattr(lock, "BEAT_SECS", lock.BEAT_SECS / 100)


def holders(path):
    return sorted(pathlib.Path(path, ".retrain").glob(".holder-*"))


RECORD = b'{"format": 1, "who": "ann@other", "since": "then", "beats": 7}'


def left_behind(path, contents=RECORD, mark="other.00000000-1-00ff"):
    """The file of a holder, by default of one on another machine, which nobody can ask."""
    found = pathlib.Path(path, ".retrain", f".holder-{mark}")
    found.parent.mkdir(parents=True)
    found.write_bytes(contents)
    return found


def test_one_job_at_a_time(tmp_path):
    with lock.held(str(tmp_path)):
        with pytest.raises(errors.BusyError, match="is retraining it") as caught, lock.held(str(tmp_path)):
            pass
        assert str(os.getpid()) in str(caught.value)
    assert holders(tmp_path) == []
    with lock.held(str(tmp_path)):
        pass


def test_other_modules_are_free(tmp_path):
    with lock.held(str(tmp_path / "a")), lock.held(str(tmp_path / "b")):
        pass


def test_an_exception_frees_it(tmp_path):
    with pytest.raises(ZeroDivisionError), lock.held(str(tmp_path)):
        raise ZeroDivisionError
    with lock.held(str(tmp_path)):
        pass


def test_the_holder_beats_and_tells_who_it_is(tmp_path):
    with lock.held(str(tmp_path)) as holder:
        (path,) = holders(tmp_path)
        assert owner.of(path.name) == owner.Owner(owner.host(), os.getpid())
        while records.read(path)["beats"] < 3:
            pass
        assert set(records.read(path)) == {"format", "who", "since", "beats"}
        assert not holder.is_lost
        holder.check()


class Clock:
    """In the place of time.sleep in the watcher: does something at some of its looks."""

    def __init__(self, monkeypatch):
        self.slept = []
        self.then = lambda looks: None
        monkeypatch.setattr(lock.time, "sleep", self._sleep)

    def _sleep(self, secs):
        self.slept.append(secs)
        self.then(len(self.slept))


@pytest.mark.parametrize("contents", [RECORD, b"", RECORD[:5]])
def test_who_misses_two_beats_is_given_up(tmp_path, monkeypatch, contents):
    path = left_behind(tmp_path, contents)
    clock, told = Clock(monkeypatch), []
    with lock.held(str(tmp_path), tell=told.append):
        assert not path.exists() and len(holders(tmp_path)) == 1
    assert lock.STALE_SECS <= sum(clock.slept) < lock.STALE_SECS + 1
    assert ["waiting for" in told[0], "taken over from" in told[1], len(told)] == [True, True, 2]
    assert all("other.00000000-1-00ff" in line for line in told)
    assert ("ann@other" in told[1]) == ("since" in told[1]) == (contents == RECORD)


def test_who_beats_is_not_given_up(tmp_path, monkeypatch):
    path = left_behind(tmp_path)
    clock = Clock(monkeypatch)

    def beat(looks):
        if sum(clock.slept) > 0.9 * lock.STALE_SECS:
            path.write_text('{"format": 1, "who": "ann@other", "since": "then", "beats": 8}')

    clock.then = beat
    with pytest.raises(errors.BusyError) as caught, lock.held(str(tmp_path)):
        pass
    assert str(caught.value) == (
        f"{tmp_path}: ann@other (.holder-other.00000000-1-00ff, since then) is retraining it."
    )
    assert sum(clock.slept) < lock.STALE_SECS and path.exists()


def test_a_waiter_gets_it_when_the_holder_is_done(tmp_path, monkeypatch):
    path = left_behind(tmp_path)
    clock = Clock(monkeypatch)

    def work(looks):
        path.write_text(json.dumps({"format": 1, "who": "ann@other", "since": "then", "beats": looks}))
        if sum(clock.slept) > 100:
            path.unlink()

    clock.then = work
    with lock.held(str(tmp_path), wait_secs=200):
        assert 100 < sum(clock.slept) < 101


def test_a_waiter_gives_up(tmp_path, monkeypatch):
    path = left_behind(tmp_path)
    clock = Clock(monkeypatch)
    clock.then = lambda looks: path.write_text(json.dumps({"format": 1, "beats": looks}))
    with pytest.raises(errors.BusyError, match=r": somebody \("), lock.held(str(tmp_path), wait_secs=100):
        pass
    assert 100 <= sum(clock.slept) < 101


def test_a_holder_that_dies_while_it_is_waited_for_is_followed_by_the_waiter(tmp_path, monkeypatch):
    path = left_behind(tmp_path)
    clock = Clock(monkeypatch)

    def work(looks):
        if sum(clock.slept) <= 95:
            path.write_text(json.dumps({"format": 1, "beats": looks}))

    clock.then = work
    with lock.held(str(tmp_path), wait_secs=100):
        assert 94 + lock.STALE_SECS < sum(clock.slept) < 97 + lock.STALE_SECS


def test_who_is_stopped_waits_no_longer(tmp_path, monkeypatch):
    left_behind(tmp_path)
    clock = Clock(monkeypatch)

    def is_stopped():
        return len(clock.slept) >= 3

    with pytest.raises(errors.BusyError), lock.held(str(tmp_path), wait_secs=100, should_stop=is_stopped):
        pass
    assert len(clock.slept) == 3


def test_of_two_takers_one_wins(tmp_path):
    left_behind(tmp_path, mark=f"{owner.host()}-999999999-00ff")  # no process has such an id
    both, inside, won, busy = threading.Barrier(4), [], [], []
    done = threading.Event()

    def take():
        both.wait()
        try:
            with lock.held(str(tmp_path)) as holder:
                inside.append(holder)
                won.append(len(inside))
                done.wait()
                holder.check()
                inside.remove(holder)
        except errors.BusyError as error:
            busy.append(str(error))
        if len(busy) == 3:
            done.set()

    threads = [threading.Thread(target=take) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (won, len(busy)) == ([1], 3)
    assert all(str(os.getpid()) in line for line in busy)
    assert holders(tmp_path) == []


def test_a_taker_that_was_slower_watches_the_new_holder(tmp_path, monkeypatch):
    dead = left_behind(tmp_path)
    new = dead.with_name(".holder-third.00000000-1-00ff")
    held, clock = claims.held, Clock(monkeypatch)

    def taken_before(files, directory):
        if dead.exists():
            dead.rename(new)
        return held(files, directory)

    monkeypatch.setattr(claims, "held", taken_before)
    clock.then = lambda looks: new.exists() and new.write_text(json.dumps({"format": 1, "beats": looks}))
    with pytest.raises(errors.BusyError, match="third.00000000"), lock.held(str(tmp_path)):
        pass
    assert new.exists() and sum(clock.slept) >= lock.STALE_SECS


def test_who_was_given_up_by_mistake_finds_out(tmp_path):
    with lock.held(str(tmp_path)) as holder:
        (path,) = holders(tmp_path)
        path.unlink()
        while not holder.is_lost:
            pass
        with pytest.raises(errors.LockLostError, match="no sign of life for 30 seconds, and another one took"):
            holder.check()
    assert holders(tmp_path) == []  # a holder that is given up makes no new file


def test_a_check_needs_no_beat_to_find_out(tmp_path, monkeypatch):
    monkeypatch.setattr(lock, "BEAT_SECS", 1e6)
    with lock.held(str(tmp_path)) as holder:
        holders(tmp_path)[0].unlink()
        assert not holder.is_lost
        with pytest.raises(errors.LockLostError):
            holder.check()
        assert holder.is_lost


def test_a_beat_that_fails_is_not_the_last(tmp_path, monkeypatch):
    failed = []

    def failing(path, mode):
        if len(failed) < 3:
            failed.append(path)
            raise OSError(errno.EIO, "the disk failed")
        return open(path, mode)

    monkeypatch.setattr(lock, "open", failing, raising=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lock, "open", open, raising=False)
        holding = lock.held(str(tmp_path))
        holder = holding.__enter__()
    (path,) = holders(tmp_path)
    while records.read(path)["beats"] < 5:
        pass
    assert len(failed) == 3 and not holder.is_lost
    holding.__exit__(None, None, None)


@pytest.mark.process
def test_a_killed_job_blocks_nobody(tmp_path, monkeypatch):
    code = (
        "import os, signal, sys\n"
        "from hubpipe.retraining import lock\n"
        "with lock.held(sys.argv[1]):\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)])
    assert done.returncode == -signal.SIGKILL
    clock = Clock(monkeypatch)
    with lock.held(str(tmp_path)):
        assert clock.slept == []  # its process has ended, which is known at once
