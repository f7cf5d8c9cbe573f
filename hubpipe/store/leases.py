"""Leases: files by which readers say that they use a version, so that it is not deleted meanwhile.

    <module>/.leases/7-<host>-<pid>-<random>    {"format": 1, "who": "ann@host", "expires": 1795230765.0}

A lease ends when its reader removes it; when its process, of this machine, has ended; and for any other when
nobody has renewed it until it expired. `expires` is in seconds since 1970 by the reader's clock, which may differ
from that of who looks by up to MAX_CLOCK_SKEW_SECS. A lease that cannot be read holds its version: rather one
version too many.
"""

import contextlib
import dataclasses
import os
import re
import threading
import time
from collections.abc import Iterator

from hubpipe import errors
from hubpipe.files import owner, records
from hubpipe.store import current, file_system

DIRECTORY = ".leases"
EXPIRES_SECS = 900.0  # after the last renewal
MAX_CLOCK_SKEW_SECS = 300.0

_VERSION = re.compile(r"(?P<number>[1-9][0-9]*)-.+")


@dataclasses.dataclass(frozen=True)
class Lease:
    """A reader's use of a version.

    Attributes:
        number: of the version.
        path: of the file.
        who: user and host; "" if the file cannot be read.
        expires: seconds since 1970; None if the file cannot be read.
    """

    number: int
    path: str
    who: str
    expires: float | None

    @property
    def has_ended(self) -> bool:
        """Whether it holds its version no longer."""
        process = owner.of(os.path.basename(self.path))
        if process and process.has_ended:
            return True
        return self.expires is not None and time.time() > self.expires + MAX_CLOCK_SKEW_SECS


@contextlib.contextmanager
def taken(
    module_path: str, number: int, files: file_system.FileSystem = file_system.LOCAL
) -> Iterator[None]:
    """Holds a lease, renewed by a thread, until the end of the block.

    Args:
        module_path: the folder of the module's versions.
        number: of the version.
        files: its file system.
    Raises:
        StoreError: the lease cannot be written.
    """
    directory = os.path.join(module_path, DIRECTORY)
    path = os.path.join(directory, owner.marked(str(number)))
    try:
        files.make_dirs(directory)
        _renew(path, files)
    except OSError as error:
        raise errors.StoreError(
            f"{directory}: no lease can be written ({error}); readers need write access to it, or must do without."
        ) from error
    done = threading.Event()
    thread = threading.Thread(target=_keep, args=(path, files, done), name=f"lease of {number}", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        with contextlib.suppress(OSError):  # then it expires
            files.remove(path)


def all_of(module_path: str, files: file_system.FileSystem = file_system.LOCAL) -> list[Lease]:
    """Lists the leases, those that have ended included, sorted by their file names."""
    directory = os.path.join(module_path, DIRECTORY)
    found = []
    for name in files.names(directory):
        version = _VERSION.fullmatch(name)
        if version and owner.of(name):
            path = os.path.join(directory, name)
            with contextlib.suppress(FileNotFoundError):  # its reader is done
                found.append(_read(int(version["number"]), path, files))
    return found


def remove_ended(module_path: str, files: file_system.FileSystem = file_system.LOCAL) -> None:
    """Removes the leases that have ended, and what killed processes left beside them."""
    for lease in all_of(module_path, files):
        if lease.has_ended:
            files.remove(lease.path)
    files.sweep(os.path.join(module_path, DIRECTORY))


def _read(number: int, path: str, files: file_system.FileSystem) -> Lease:
    try:
        contents = records.decode(files.read(path), path)
    except errors.FormatError:
        contents = {}
    who, expires = contents.get("who"), contents.get("expires")
    if not isinstance(who, str) or isinstance(expires, bool) or not isinstance(expires, (int, float)):
        who, expires = "", None
    return Lease(number, path, who, expires)


def _renew(path: str, files: file_system.FileSystem) -> None:
    files.write(path, records.encode({"who": current.who(), "expires": time.time() + EXPIRES_SECS}))


def _keep(path: str, files: file_system.FileSystem, done: threading.Event) -> None:
    while not done.wait(EXPIRES_SECS / 3):
        with contextlib.suppress(OSError):  # the next renewal may do better
            _renew(path, files)
