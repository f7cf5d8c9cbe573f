"""Tests of hubpipe.retraining.lock."""

import os
import subprocess
import sys

import pytest

from hubpipe import errors
from hubpipe.retraining import lock


def test_one_job_at_a_time(tmp_path):
    with lock.held(str(tmp_path)):
        with pytest.raises(errors.BusyError, match="is retraining it") as caught, lock.held(str(tmp_path)):
            pass
        assert str(os.getpid()) in str(caught.value)
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


@pytest.mark.process
def test_a_killed_job_blocks_nobody(tmp_path):
    code = (
        "import os, signal, sys\n"
        "from hubpipe.retraining import lock\n"
        "with lock.held(sys.argv[1]):\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)])
    assert done.returncode < 0
    with lock.held(str(tmp_path)):
        pass
