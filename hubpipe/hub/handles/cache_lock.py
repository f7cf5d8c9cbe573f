"""The lock of a cache entry while it is downloaded, as tensorflow_hub keeps it, so that both respect each other.

    <entry>.lock        who downloads: "<host>.<process id>.<random hex digits>"
    <entry>.<hex>.tmp   what there is so far; that it grows tells that the holder lives

Unlike hubpipe.files.locks it outlives its holder's death, and is then taken over.

Source: tensorflow_hub r0.15 resolver.py, atomic_download (the protocol).
"""

import contextlib
import fcntl
import os
import re
import shutil
import socket
import time
import uuid
from collections.abc import Iterator

from absl import logging

POLL_SECS = 0.5
STALLED_SECS = 600.0  # without progress, after which the holder is given up; tensorflow_hub's value
DEAD_SECS = 5.0  # the same for a process of this machine that has ended

_HOLDER = re.compile(r"(?P<host>.+)\.(?P<pid>[1-9][0-9]{0,8})\.(?P<token>[0-9a-f]+)")


@contextlib.contextmanager
def held(entry: str) -> Iterator[str]:
    """Holds the lock of an entry, waiting for another holder as long as its download grows.

    Args:
        entry: path of the entry; its parent exists.
    Yields:
        path of a fresh, empty directory beside the entry, so on the same file system; removed when the block ends.
    Raises:
        OSError: the lock or the directory cannot be created.
    """
    token = uuid.uuid4().hex
    holder = f"{socket.gethostname()}.{os.getpid()}.{token}"
    lock, staging = f"{entry}.lock", _staging(entry, token)
    try:
        while not _create(lock, holder):
            _wait(entry, lock)
        os.mkdir(staging)
        yield staging
    finally:
        shutil.rmtree(staging, ignore_errors=True)
        if _read(lock) == holder:
            _remove(lock)


def _wait(entry: str, lock: str) -> None:
    """Returns when the lock is gone, or was taken from a holder that makes no progress."""
    seen, since, is_told = None, time.monotonic(), False
    while (holder := _read(lock)) is not None:
        staging = _staging_of(entry, holder)
        state = holder, _tree_bytes(staging)
        if state != seen:
            seen, since = state, time.monotonic()
        if time.monotonic() - since >= (DEAD_SECS if _is_dead(holder) else STALLED_SECS):
            _take_over(lock, holder, staging)
            return
        if not is_told:
            is_told = True
            logging.info("Waiting for '%s', which downloads %s.", holder, entry)
        time.sleep(POLL_SECS)


def _take_over(lock: str, holder: str, staging: str | None) -> None:
    """Removes a lock and what its holder has left, unless another process was faster."""
    try:
        with open(lock, encoding="utf-8", errors="replace") as file:
            with contextlib.suppress(OSError):  # a file system without locks, where two may be equally fast
                fcntl.flock(file, fcntl.LOCK_EX)
            if file.read() != holder or not os.path.samestat(os.fstat(file.fileno()), os.stat(lock)):
                return
            logging.warning("Deleting the lock %s of '%s', which makes no progress.", lock, holder)
            os.remove(lock)
    except FileNotFoundError:
        return
    if staging is not None:
        shutil.rmtree(staging, ignore_errors=True)


def _is_dead(holder: str) -> bool:
    match = _HOLDER.fullmatch(holder)
    if match is None or match["host"] != socket.gethostname():
        return False
    try:
        os.kill(int(match["pid"]), 0)
    except ProcessLookupError:
        return True
    except PermissionError:  # it lives, as another user's
        pass
    return False


def _staging(entry: str, token: str) -> str:
    return f"{entry}.{token}.tmp"


def _staging_of(entry: str, holder: str) -> str | None:
    match = _HOLDER.fullmatch(holder)
    return _staging(entry, match["token"]) if match else None


def _tree_bytes(root: str | None) -> int:
    size = 0
    for directory, _, files in os.walk(root) if root else ():
        for name in files:
            with contextlib.suppress(OSError):  # it may be removed at any time
                size += os.lstat(os.path.join(directory, name)).st_size
    return size


def _create(lock: str, holder: str) -> bool:
    try:
        descriptor = os.open(lock, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
    except FileExistsError:
        return False
    try:
        with open(descriptor, "w", encoding="utf-8") as file:
            file.write(holder)
    except BaseException:  # such as a full disk; nobody could tell whose lock it is
        _remove(lock)
        raise
    return True


def _read(lock: str) -> str | None:
    try:
        with open(lock, encoding="utf-8", errors="replace") as file:
            return file.read()
    except FileNotFoundError:
        return None


def _remove(lock: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.remove(lock)
