"""Tests of hubpipe.compat.quiet."""

import os
import subprocess
import sys

import pytest

from hubpipe.compat import quiet


def test_chatter_is_dropped_and_the_rest_shown(capfd):
    with quiet._filtered_stderr():
        os.write(2, b"I0000 00:00:1795232328.2 21090 cudart_stub.cc:31] Could not find cuda drivers\n")
        os.write(2, b"WARNING: All log messages before absl::InitializeLog() is called are written to STDERR\n")
        os.write(2, b"E0000 00:00:1795232328.2 1 cuda_dnn.cc:83] Unable to register cuDNN factory: Attempting\n")
        os.write(2, b"E0000 00:00:1795232328.2 1 real.cc:31] an error\n")
        os.write(2, b"Traceback: mine\n")
    os.write(2, b"I0000 00:00:1795232328.2 21090 later.cc:31] not held back\n")
    assert capfd.readouterr().err.splitlines() == [
        "E0000 00:00:1795232328.2 1 real.cc:31] an error",
        "Traceback: mine",
        "I0000 00:00:1795232328.2 21090 later.cc:31] not held back",
    ]


def test_what_was_said_before_an_error_is_shown(capfd):
    with pytest.raises(ZeroDivisionError), quiet._filtered_stderr():
        os.write(2, b"before\n")
        _ = 1 / 0
    assert capfd.readouterr().err == "before\n"


@pytest.mark.process
def test_tensorflow_is_imported_in_silence_and_not_searched_for_garbage():
    code = """
import gc
from hubpipe.compat import quiet
quiet.import_tensorflow()
import tensorflow as tf
tf.constant(1)
assert gc.isenabled() and gc.get_freeze_count() > 10 * len(gc.get_objects())
"""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TF_")}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
