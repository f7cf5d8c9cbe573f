"""SIGTERM and SIGINT ask a run to save a checkpoint and leave."""

import contextlib
import signal
import threading
from collections.abc import Iterator

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


@contextlib.contextmanager
def caught() -> Iterator[threading.Event]:
    """Sets an event at the first signal; a second one, of either kind, acts as if nothing was caught.

    Off the main thread, where Python cannot catch signals, the event is never set.
    """
    preempted = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield preempted
        return

    previous = {number: signal.getsignal(number) for number in _SIGNALS}

    def handle(number: int, frame: object) -> None:
        preempted.set()
        restore()

    def restore() -> None:
        for number, handler in previous.items():
            signal.signal(number, handler)

    try:
        for number in _SIGNALS:
            signal.signal(number, handle)
        yield preempted
    finally:
        restore()
