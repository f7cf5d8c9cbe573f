"""The record of one module's versions, current.json.

    {"format": 1, "current": 7, "highest": 9}

`current` is the version that consumers should take, null when none was chosen. `highest` is the highest number
ever given: it is not given again even when its version was deleted since. Keys that this release does not know are
kept. Readers take the file as it is; whoever changes it, or gives a number, holds the lock.
"""

import contextlib
import os
from collections.abc import Iterator
from typing import Any

from hubpipe import errors
from hubpipe.files import locks, records

FILE_NAME = "current.json"
LOCK_NAME = ".current.lock"


def read(module_path: str) -> dict[str, Any]:
    """Reads the record.

    Args:
        module_path: the folder of the module's versions.
    Returns:
        dict with `format`, `current` (int >= 1 or None), `highest` (int >= 0) and whatever else the file holds.
    Raises:
        FormatError: the file is broken.
    """
    path = os.path.join(module_path, FILE_NAME)
    record = {"format": records.FORMAT, "current": None, "highest": 0}
    with contextlib.suppress(FileNotFoundError):
        record.update(records.read(path))
    current, highest = record["current"], record["highest"]
    if current is not None and (not records.is_integer(current) or current < 1):
        raise errors.FormatError(f"{path}: current is {current!r}; expected a version number or null.")
    if not records.is_integer(highest) or highest < 0:
        raise errors.FormatError(f"{path}: highest is {highest!r}; expected a version number or 0.")
    return record


def write(module_path: str, record: dict[str, Any]) -> None:
    """Replaces the record; the caller holds the lock and changed what `read` returned under it.

    Raises:
        OSError: it cannot be written; the old record is intact.
    """
    records.write(os.path.join(module_path, FILE_NAME), record)


@contextlib.contextmanager
def locked(module_path: str) -> Iterator[None]:
    """Holds the lock of a module's versions; waits for it. It is free as soon as its holder ends, however it ends.

    Args:
        module_path: the folder of the module's versions.
    Raises:
        StoreError: the folder does not exist, or its file system has no locks.
    """
    path = os.path.join(module_path, LOCK_NAME)
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(locks.locked(path, wait=True))
        except FileNotFoundError as error:
            raise errors.StoreError(f"{module_path}: no such directory; no version is there.") from error
        except OSError as error:
            raise errors.StoreError(
                f"{path}: cannot be locked ({error}); a store needs a file system that has file locks."
            ) from error
        yield
