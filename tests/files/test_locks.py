"""Tests of hubpipe.files.locks."""

import os
import pathlib
import subprocess
import sys
import threading

import pytest

import hubpipe
from hubpipe.files import locks

_HOLDER = """
import sys, time
from hubpipe.files import locks
with locks.locked(sys.argv[1], wait=True):
    print("held", flush=True)
    time.sleep(60)
"""


def test_second_holder_is_refused(tmp_path):
    path = tmp_path / "lock"
    with (
        locks.locked(path, wait=False),
        pytest.raises(BlockingIOError),
        locks.locked(path, wait=False),
    ):
        pass


def test_lock_is_free_after_the_block_and_after_an_error(tmp_path):
    path = tmp_path / "lock"
    with locks.locked(path, wait=False):
        pass
    with pytest.raises(KeyError), locks.locked(path, wait=False):
        raise KeyError
    with locks.locked(path, wait=False):
        assert path.read_bytes() == b""


def test_content_of_the_file_stays(tmp_path):
    path = tmp_path / "lock"
    path.write_text("mine")
    with locks.locked(path, wait=False):
        pass
    assert path.read_text() == "mine"


def test_waits_for_the_other_holder(tmp_path):
    path, order = tmp_path / "lock", []

    def wait():
        with locks.locked(path, wait=True):
            order.append("second")

    with locks.locked(path, wait=False):
        waiting = threading.Thread(target=wait)
        waiting.start()
        waiting.join(0.2)
        assert waiting.is_alive()
        order.append("first")
    waiting.join(10)
    assert order == ["first", "second"]


def test_missing_directory(tmp_path):
    with pytest.raises(FileNotFoundError), locks.locked(tmp_path / "absent" / "lock", wait=False):
        pass


@pytest.mark.process
def test_lock_ends_with_a_killed_process(tmp_path):
    path = tmp_path / "lock"
    root = str(pathlib.Path(hubpipe.__file__).parent.parent)
    holder = subprocess.Popen(
        [sys.executable, "-c", _HOLDER, str(path)],
        env={**os.environ, "PYTHONPATH": root},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(BlockingIOError), locks.locked(path, wait=False):
        pass
    holder.kill()
    holder.communicate()
    with locks.locked(path, wait=False):
        pass
