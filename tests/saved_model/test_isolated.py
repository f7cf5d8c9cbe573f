"""Tests of hubpipe.saved_model.isolated."""

import json
import os
import subprocess
import sys
import threading
import types

import pytest
import tensorflow as tf
from tensorflow.compat import v1 as tf1

from hubpipe import errors
from hubpipe.saved_model import isolated, parity
from tests import forks
from tests.saved_model import modules
from tests.saved_model.modules import VARIANTS

HERE = "tests.saved_model.test_isolated"


def state(name="nobody"):
    """What a function finds where it is called."""
    return {
        "name": name,
        "eager": tf.executing_eagerly(),
        "strategy": type(tf.distribute.get_strategy()).__name__,
        "operations": len(tf1.get_default_graph().get_operations()),
    }


def fail(kind):
    raise getattr(errors, kind)("it is so")


def broken():
    raise ZeroDivisionError("by zero")


def answer(function, **arguments):
    return isolated.call_eagerly(f"{HERE}:{function}", **arguments)


EXPECTED = {"name": "me", "eager": True, "strategy": "_DefaultDistributionStrategy", "operations": 0}


def test_in_a_graph_and_a_session():
    with tf.Graph().as_default() as graph, tf1.Session():
        tf.constant(1.0)
        assert answer("state", name="me") == EXPECTED
        assert tf1.get_default_graph() is graph
        assert len(graph.get_operations()) == 1


def test_in_the_scope_of_a_strategy():
    with tf.distribute.MirroredStrategy(["/cpu:0"]).scope():
        assert answer("state", name="me") == EXPECTED
    with tf.Graph().as_default(), tf.distribute.OneDeviceStrategy("/cpu:0").scope():
        assert answer("state", name="me") == EXPECTED


def test_inside_a_function():
    found = []

    @tf.function
    def traced():
        found.append(answer("state", name="me"))

    traced()
    assert found == [EXPECTED]


def test_errors_reach_the_caller():
    with pytest.raises(errors.ParityError, match="^it is so$"):
        answer("fail", kind="ParityError")
    with pytest.raises(ZeroDivisionError, match="by zero"):
        answer("broken")
    assert not [thread for thread in threading.enumerate() if thread.name == "hubpipe-twin"]


def crash():
    """Ends its process as a failed check in TensorFlow's own code does."""
    os.abort()


@pytest.fixture
def forked(monkeypatch):
    """Processes of their own start at once."""
    monkeypatch.setattr(isolated, "subprocess", types.SimpleNamespace(run=forks.run_isolated))


@pytest.mark.process
def test_a_crash_is_blamed_on_what_was_given(forked):
    with pytest.raises(errors.FormatError) as caught:
        isolated.call_in_process(f"{HERE}:crash")
    assert str(caught.value) == f"{HERE}:crash: what it was given ends its process with SIGABRT, {{}}"


@pytest.mark.process
def test_errors_of_a_process_reach_the_caller(forked):
    with pytest.raises(errors.ModuleSpecError, match="^it is so$"):
        isolated.call_in_process(f"{HERE}:fail", kind="ModuleSpecError")
    with pytest.raises(errors.ResourceError) as caught:
        isolated.call_in_process(f"{HERE}:broken")
    assert str(caught.value).startswith(f"{HERE}:broken: its process ended with 1: ")


@pytest.mark.process
def test_in_a_process_of_its_own():
    assert isolated.call_in_process(f"{HERE}:state", name="me") == EXPECTED
    with pytest.raises(errors.ResourceError, match="its process ended with 1: ZeroDivisionError: by zero$"):
        isolated.call_in_process(f"{HERE}:broken")


WITHOUT_EAGER = """
import json, sys
import tensorflow as tf
tf.compat.v1.disable_eager_execution()
from hubpipe.saved_model import parity, write
lost = write.TwinWriter().write(sys.argv[1], sys.argv[2])
checks = parity.check(sys.argv[1], sys.argv[2])
assert not tf.executing_eagerly()
print(json.dumps([lost, [check.problem for check in checks if check.problem], len(checks)]))
"""


@pytest.mark.process
def test_a_twin_is_written_where_eager_execution_is_off(tmp_path):
    module_dir = modules.export(modules.encoder, tmp_path / "module", VARIANTS)
    twin_dir = str(tmp_path / "module" / "tf2")
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_EAGER, module_dir, twin_dir], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    lost, problems, count = json.loads(done.stdout.splitlines()[-1])
    assert (lost, problems) == ([], []) and count > 8
    assert [check.problem for check in parity.check(module_dir, twin_dir) if check.problem] == []
