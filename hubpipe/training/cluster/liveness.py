"""Who of a cluster is there: TensorFlow's server of a task listens for as long as its process lives."""

import contextlib
import socket
import time
from collections.abc import Callable, Iterable

from hubpipe import errors
from hubpipe.training.cluster import tf_config

POLL_SECS = 0.5  # between two looks at the disk
_CONNECT_SECS = 2.0
_PROBE_EVERY_SECS = 5.0


def listens(address: str) -> bool:
    """Whether something listens at "host:port"."""
    host, _, port = address.rpartition(":")
    with contextlib.suppress(OSError), socket.create_connection((host.strip("[]"), int(port)), _CONNECT_SECS):
        return True
    return False


def any_listens(addresses: Iterable[str]) -> bool:
    """Whether something listens at one of several addresses."""
    return any(map(listens, addresses))


class ChiefWatch:
    """Tells when the chief has been away for too long.

    Args:
        task: of this process.
        timeout_secs: training.chief_timeout_secs.
        clock: seconds, for tests.
    """

    def __init__(
        self, task: tf_config.Task, *, timeout_secs: float, clock: Callable[[], float] = time.monotonic
    ):
        self._task = task
        self._timeout_secs = timeout_secs
        self._clock = clock
        self._probed, self._seen = -_PROBE_EVERY_SECS, clock()

    def is_there(self) -> bool:
        """Whether the chief listens."""
        return listens(self._task.chief_address)

    def check(self) -> None:
        """Looks for the chief, not oftener than every few seconds.

        Raises:
            TrainingError: it has been away for the timeout, or was never there.
        """
        now = self._clock()
        if now - self._probed < _PROBE_EVERY_SECS:
            return
        self._probed = now
        if self.is_there():
            self._seen = now
        elif now - self._seen >= self._timeout_secs:
            raise errors.TrainingError(
                f"{self._task.name}: no chief at {self._task.chief_address} for {self._timeout_secs:.0f} seconds "
                "(training.chief_timeout_secs). Start both again; training goes on from the last checkpoint."
            )
