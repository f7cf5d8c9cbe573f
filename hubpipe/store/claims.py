"""The lock of a module's versions: one holder at a time among threads, processes and hosts.

Two layers. A file lock, where the file system has them, queues the processes of one machine, and ends with its
holder. It is not relied upon: some network file systems lock on each client by itself, object stores not at all.
What counts is the second: whoever wants the lock puts a file `.claim-<host>-<pid>-<random>` of its own into the
folder, then lists the folder, and holds the lock if no other claim is there; else it takes its claim back and
tries again a little later. Of two that come at once at least one sees the other, whatever their clocks say.

The claim of a process of this machine is removed at once by who has the file lock, so that it cannot have it, and
without file locks when it has ended. Any other is removed by who has waited for it, awake, for STALE_SECS; nobody
holds the lock for so long. As every claim has its own name, nobody removes another claim than the one it has
watched. A holder that was given up by mistake finds its claim gone before it writes.
"""

import contextlib
import os
import random
import time
from collections.abc import Iterator

from hubpipe import errors
from hubpipe.files import owner
from hubpipe.store import file_system

LOCK_NAME = ".current.lock"
PREFIX = ".claim"
STALE_SECS = 60.0

_FIRST_WAIT_SECS, _LONGEST_WAIT_SECS = 0.01, 1.0


class Claim:
    """The lock as its holder has it."""

    def __init__(self, files: file_system.FileSystem, path: str):
        self._files = files
        self._path = path

    @property
    def is_held(self) -> bool:
        """Whether nobody has given the holder up; to be asked just before a write that relies on the lock."""
        return self._files.is_file(self._path)


@contextlib.contextmanager
def held(files: file_system.FileSystem, directory: str) -> Iterator[Claim]:
    """Holds the lock of a folder; waits for it.

    Args:
        files: the file system.
        directory: the folder.
    Yields:
        the claim.
    Raises:
        UnknownVersionError: the folder does not exist.
    """
    if not files.is_dir(directory):
        raise errors.UnknownVersionError(f"{directory}: no such directory; no version is there.")
    with files.locked(os.path.join(directory, LOCK_NAME)) as is_locked:
        path = _claim(files, directory, is_locked)
        try:
            yield Claim(files, path)
        finally:
            files.remove(path)


def sweep(files: file_system.FileSystem, directory: str) -> None:
    """Removes the claims that killed processes left; waits for those of others as `held` does."""
    if any(map(_is_claim, files.names(directory))):
        with held(files, directory):
            pass


def _claim(files: file_system.FileSystem, directory: str, is_locked: bool) -> str:
    """Waits until no other claim than the own is in the folder; returns its path."""
    watched_secs: dict[str, float] = {}  # claims of others -> how long this waiter has waited for them
    longest_wait = _FIRST_WAIT_SECS
    while True:
        name = owner.marked(PREFIX)
        path = os.path.join(directory, name)
        files.create(path)
        try:
            others = [other for other in files.names(directory) if _is_claim(other) and other != name]
            stale = [other for other in others if _is_stale(other, watched_secs, is_locked)]
            for other in stale:
                files.remove(os.path.join(directory, other))
        except BaseException:
            files.remove(path)
            raise
        if len(others) == len(stale):
            return path
        files.remove(path)
        wait_secs = random.uniform(0, longest_wait)
        time.sleep(wait_secs)
        longest_wait = min(2 * longest_wait, _LONGEST_WAIT_SECS)
        watched_secs = {other: watched_secs.get(other, 0.0) + wait_secs for other in others}


def _is_claim(name: str) -> bool:
    return name.startswith(f"{PREFIX}-")


def _is_stale(claim: str, watched_secs: dict[str, float], is_locked: bool) -> bool:
    process = owner.of(claim)
    if process and process.is_here and (is_locked or process.has_ended):
        return True
    return watched_secs.get(claim, 0.0) > STALE_SECS
