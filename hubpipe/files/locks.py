"""File locks, which end with the process that holds them, however it ends."""

import contextlib
import fcntl
import os
from collections.abc import Iterator


@contextlib.contextmanager
def locked(path: str | os.PathLike[str], *, wait: bool) -> Iterator[None]:
    """Holds the lock of a file, which is made if it is absent and stays.

    Args:
        path: the file; its directory exists.
        wait: whether to wait for another holder.
    Raises:
        BlockingIOError: another process holds it, and wait is False.
        OSError: the directory does not exist, or the file system has no locks.
    """
    with open(path, "ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        try:
            yield
        finally:
            fcntl.flock(file, fcntl.LOCK_UN)  # a forked child may hold the file open
