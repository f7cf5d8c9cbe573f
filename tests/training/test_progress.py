"""Tests of hubpipe.training.progress."""

import contextlib
import fcntl
import io
import os
import pty
import re
import struct
import termios
import threading
import types

import pytest
import tensorflow as tf
from tensorflow.compat import v1 as tf1

from hubpipe.training import progress as progress_lib


class Clock:
    """Time that goes on by a second per step."""

    def __init__(self):
        self.now = 100.0

    def monotonic(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(progress_lib, "time", types.SimpleNamespace(monotonic=clock.monotonic))
    return clock


def train(progress, clock, *, start=0, steps, during=None):
    """A loop as Estimator runs it, with losses 1.5, 2.5, ... of the steps."""
    with tf.Graph().as_default():
        step = tf1.train.get_or_create_global_step()
        add = step.assign_add(1)
        with tf.control_dependencies([add]):
            loss = tf.cast(step.read_value(), tf.float32) + 0.5
        tf1.add_to_collection(tf1.GraphKeys.LOSSES, tf.constant(-1.0))
        tf1.add_to_collection(tf1.GraphKeys.LOSSES, loss)
        scaffold = tf1.train.Scaffold(init_fn=lambda _, session: step.load(start, session))
        with tf1.train.MonitoredSession(tf1.train.ChiefSessionCreator(scaffold), hooks=[progress]) as session:
            for number in range(steps):
                clock.now += 1.0
                session.run(add)
                if during:
                    during(number)


def create(file, *, max_steps=40, every_steps=5):
    return progress_lib.Progress(max_steps=max_steps, batch_size=8, every_steps=every_steps, file=file)


def test_a_log_file_gets_a_line_now_and_then(clock):
    file = io.StringIO()
    progress = create(file)

    def during(step):
        if step == 12:
            progress.set_best("accuracy 0.75")

    train(progress, clock, steps=25, during=during)
    assert file.getvalue().splitlines() == [
        "step 10/40, 8 examples/s, loss 10.5000, 00:30 left",
        "step 20/40, 8 examples/s, loss 20.5000, best accuracy 0.75, 00:20 left",
    ]


def test_a_resumed_run_counts_from_where_it_was(clock):
    file = io.StringIO()
    train(create(file), clock, start=20, steps=10)
    assert file.getvalue() == "step 30/40, 8 examples/s, loss 30.5000, 00:10 left\n"


def test_the_data_may_end_before_max_steps(clock):
    file = io.StringIO()
    progress = create(file, max_steps=1000)
    progress.set_last_step(15)
    train(progress, clock, steps=10)
    assert file.getvalue() == "step 10/15, 8 examples/s, loss 10.5000, 00:05 left\n"


def test_notes_are_lines_of_their_own(clock):
    file = io.StringIO()
    progress = create(file)
    progress.note("before training")
    train(progress, clock, steps=2, during=lambda step: progress.note(f"during {step}"))
    progress.close()
    progress.note("after it")
    assert file.getvalue().splitlines() == ["before training", "during 0", "during 1", "after it"]


def written_to_terminal(columns, write):
    """What a function writes to a terminal of so many columns."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50 if columns else 0, columns, 0, 0))
    found = []

    def read():
        with contextlib.suppress(OSError):  # the other end was closed
            while data := os.read(ours, 1024):
                found.append(data)

    reader = threading.Thread(target=read)
    reader.start()
    with os.fdopen(theirs, "w") as file:
        write(file)
    reader.join()
    os.close(ours)
    return b"".join(found).decode()


def test_a_terminal_shows_a_bar(clock):
    def write(file):
        progress = create(file, max_steps=10)
        progress.set_best("accuracy 0.75")
        train(progress, clock, steps=10, during=lambda step: progress.note("a note") if step == 6 else None)

    text = written_to_terminal(150, write)
    assert "a note\r\n" in text
    last = re.split("[\r\n]+", text.rstrip())[-1]
    assert last.startswith("train: 100%|") and "10/10" in last
    assert "8 examples/s, loss 10.5000, best accuracy 0.75" in last
    assert text.endswith("\n")


def test_a_terminal_without_a_width_gets_lines(clock):
    text = written_to_terminal(0, lambda file: train(create(file), clock, steps=10))
    assert text == "step 10/40, 8 examples/s, loss 10.5000, 00:30 left\r\n"


def test_the_bar_ends_when_training_breaks_off(clock):
    def fail(step):
        raise ValueError("broken")

    def write(file):
        progress = create(file)
        with pytest.raises(ValueError, match="broken"):
            train(progress, clock, steps=10, during=fail)
        progress.close()
        file.write("message")

    assert re.split("[\r\n]+", written_to_terminal(150, write))[-1] == "message"


def test_close_before_training():
    create(io.StringIO()).close()
