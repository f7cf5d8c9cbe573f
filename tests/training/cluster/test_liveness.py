"""Tests of hubpipe.training.cluster.liveness."""

import socket

import pytest

from hubpipe import errors
from hubpipe.training.cluster import liveness, tf_config


@pytest.fixture
def listener():
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def address(server):
    return f"127.0.0.1:{server.getsockname()[1]}"


def test_who_listens(listener):
    where = address(listener)
    assert liveness.listens(where)
    listener.close()
    assert not liveness.listens(where)
    assert not liveness.any_listens([where])
    assert not liveness.listens("no-such-host.invalid:1")


def test_a_chief_that_stays_away(listener):
    now = [0.0]
    where = address(listener)
    task = tf_config.Task("worker", 0, {"chief": (where,), "worker": ("w:1",), "ps": ("p:1",)})
    watch = liveness.ChiefWatch(task, timeout_secs=60.0, clock=lambda: now[0])
    now[0] = 100.0
    watch.check()  # it is there
    listener.close()
    now[0] = 104.0
    watch.check()  # not looked for yet
    now[0] = 159.0
    watch.check()
    now[0] = 165.0
    with pytest.raises(errors.TrainingError) as caught:
        watch.check()
    assert str(caught.value).startswith(f"worker 0: no chief at {where} for 60 seconds (training.chief_timeout")
