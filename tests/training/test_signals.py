"""Tests of hubpipe.training.signals."""

import os
import signal
import threading

import pytest

from hubpipe.training import signals


class Received(Exception):
    """Raised by the handler that was there before."""


@pytest.fixture(params=[signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def number(request):
    def handle(received, frame):
        raise Received(received)

    before = {each: signal.signal(each, handle) for each in (signal.SIGTERM, signal.SIGINT)}
    yield request.param
    for each, handler in before.items():
        signal.signal(each, handler)


def send(number):
    os.kill(os.getpid(), number)


def test_the_first_sets_the_event(number):
    with signals.caught() as preempted:
        assert not preempted.is_set()
        send(number)
        assert preempted.is_set()


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
def test_the_second_acts_as_before(number, second):
    with signals.caught():
        send(number)
        with pytest.raises(Received):
            send(second)


def test_after_the_block_all_is_as_before(number):
    with signals.caught():
        pass
    with pytest.raises(Received):
        send(number)


def test_off_the_main_thread_nothing_is_caught(number):
    found = []

    def run():
        with signals.caught() as preempted:
            found.append((signal.getsignal(number), preempted.is_set()))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert found == [(signal.getsignal(number), False)]
