"""The record of one module's versions, current.json: the one file that says which version consumers should take.

    {"format": 1, "current": 7, "highest": 9, "pinned": [7], "yanked": [8], "deleting": [],
     "history": [{"action": "rollback", "version": 7, "from": 8, "who": "ann@trainer-3",
                  "when": "2026-11-20T03:12:45+00:00", "why": "wrong labels"}, ...]}

`current` is the version that consumers should take, null when none was chosen. `highest` is the highest number
ever given: it is not given again even when its version was deleted since. `pinned` versions are never deleted,
and while the current one is pinned, publications leave it current. `yanked` versions do not become current.
`deleting` are about to be deleted; nobody starts to use them. `history` has the moves, the oldest first. Keys that
this release does not know are kept. Readers take the file as it is; whoever changes it, or gives a number, holds
the lock.
"""

import contextlib
import dataclasses
import datetime
import errno
import getpass
import os
from collections.abc import Iterator, Mapping
from typing import Any

from hubpipe import errors
from hubpipe.files import records
from hubpipe.store import claims, file_system

FILE_NAME = "current.json"
_LOOKS = 10  # at a file that is listed, but cannot be opened
HISTORY_LENGTH = 1000  # the oldest moves beyond are forgotten


@dataclasses.dataclass(frozen=True)
class Move:
    """A change of which version counts.

    Attributes:
        action: promote, rollback, pin, unpin, yank or unyank.
        version: whose; for a change of the current version the new one, None if there is none now.
        previous: the version that was current, of moves that change it; else None.
        who: user and host.
        when: UTC, ISO 8601.
        why: as given, "" if not.
    """

    action: str
    version: int | None
    previous: int | None
    who: str
    when: str
    why: str


@dataclasses.dataclass(frozen=True)
class Record:
    """What current.json holds; see the module's docstring.

    Attributes:
        others: keys that this release does not know.
    """

    current: int | None = None
    highest: int = 0
    pinned: tuple[int, ...] = ()
    yanked: tuple[int, ...] = ()
    deleting: tuple[int, ...] = ()
    history: tuple[Move, ...] = ()
    others: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def is_held(self) -> bool:
        """Whether the current version is pinned, so that publications leave it current."""
        return self.current is not None and self.current in self.pinned

    @property
    def ever_current(self) -> frozenset[int]:
        """The versions that are or were current, as far as the history tells."""
        numbers = {self.current}
        for move in self.history:
            if move.action not in _MARKS:
                numbers |= {move.version, move.previous}
        return frozenset(numbers - {None})

    def moved(self, number: int | None, *, action: str, why: str) -> "Record":
        """The record with another current version; a move to the one that is current is none."""
        if number == self.current:
            return self
        move = _move(action, number, self.current, why)
        return dataclasses.replace(self, current=number, history=(*self.history, move))

    def marked(self, number: int, *, action: str, why: str) -> "Record":
        """The record with one mark more or less.

        Args:
            number: of the version.
            action: pin, unpin, yank or unyank; what is so already stays so, and is no move.
            why: for the history.
        """
        key, adds = _MARKS[action]
        numbers = set(getattr(self, key))
        if (number in numbers) == adds:
            return self
        numbers ^= {number}
        history = (*self.history, _move(action, number, None, why))
        return dataclasses.replace(self, history=history, **{key: tuple(sorted(numbers))})

    def reason_for(self, number: int, action: str) -> str:
        """Why, by whom and when a mark was set: text in brackets for messages, "" when history does not tell."""
        for move in reversed(self.history):
            if (move.action, move.version) == (action, number):
                why = f"{move.why!r}, " if move.why else ""
                return f" ({why}{move.who}, {move.when})"
        return ""


_MARKS = {  # action -> (the marked versions, whether it adds one)
    "pin": ("pinned", True),
    "unpin": ("pinned", False),
    "yank": ("yanked", True),
    "unyank": ("yanked", False),
}


class Lock:
    """The lock of a module's versions, and its record."""

    def __init__(self, files: file_system.FileSystem, module_path: str, claim: claims.Claim):
        self._files = files
        self._path = module_path
        self._claim = claim

    @property
    def is_held(self) -> bool:
        """Whether nobody has given the holder up."""
        return self._claim.is_held

    def read(self) -> Record:
        """Reads the record; see `read`."""
        return read(self._path, self._files)

    def write(self, record: Record) -> None:
        """Replaces the record.

        Raises:
            StoreError: the lock was lost; the old record is intact.
            OSError: it cannot be written; the old record is intact.
        """
        if not self.is_held:
            raise errors.StoreError(
                f"{self._path}: the lock was held for more than {claims.STALE_SECS:.0f} seconds and is another "
                f"process's now; {FILE_NAME} was not changed. Run the same command again."
            )
        self._files.write(os.path.join(self._path, FILE_NAME), records.encode(_to_json(record)))


@contextlib.contextmanager
def locked(module_path: str, files: file_system.FileSystem = file_system.LOCAL) -> Iterator[Lock]:
    """Holds the lock of a module's versions; waits for it. See hubpipe.store.claims.

    Args:
        module_path: the folder of the module's versions.
        files: its file system.
    Yields:
        Lock, by which the record is changed.
    Raises:
        StoreError: the folder does not exist.
    """
    with claims.held(files, module_path) as claim:
        yield Lock(files, module_path, claim)


def read(module_path: str, files: file_system.FileSystem = file_system.LOCAL) -> Record:
    """Reads the record.

    Args:
        module_path: the folder of the module's versions.
        files: its file system.
    Returns:
        Record; an empty one if there is none.
    Raises:
        FormatError: the file is broken.
    """
    path = os.path.join(module_path, FILE_NAME)
    found = _bytes(path, files)
    if found is None:
        return Record()
    contents = records.decode(found, path)
    record = {key: contents.pop(key) for key in _CHECKS if key in contents}
    for key, value in record.items():
        is_fine, expected = _CHECKS[key]
        if not is_fine(value):
            raise errors.FormatError(f"{path}: {key} is {value!r}; expected {expected}.")
    for key in ("pinned", "yanked", "deleting"):
        record[key] = tuple(sorted(set(record.get(key, []))))
    record["history"] = tuple(
        Move(entry["action"], entry["version"], entry["from"], entry["who"], entry["when"], entry["why"])
        for entry in record.get("history", [])
    )
    del contents["format"]
    return Record(**record, others=contents)


def _bytes(path: str, files: file_system.FileSystem) -> bytes | None:
    """Reads the file; None if there is none.

    While another client of a network file system replaces it, it may seem to be gone, or be stale, for a moment.
    """
    for _ in range(_LOOKS):
        try:
            return files.read(path)
        except OSError as error:
            if not isinstance(error, FileNotFoundError) and error.errno != errno.ESTALE:
                raise
            if FILE_NAME not in files.names(os.path.dirname(path)):
                return None
    return files.read(path)


def _to_json(record: Record) -> dict[str, Any]:
    history = [
        {
            "action": move.action,
            "version": move.version,
            "from": move.previous,
            "who": move.who,
            "when": move.when,
            "why": move.why,
        }
        for move in record.history[-HISTORY_LENGTH:]
    ]
    return {
        "current": record.current,
        "highest": record.highest,
        "pinned": list(record.pinned),
        "yanked": list(record.yanked),
        "deleting": list(record.deleting),
        "history": history,
        **record.others,
    }


def _is_number(value: object) -> bool:
    return records.is_integer(value) and value >= 1


def _is_numbers(value: object) -> bool:
    return isinstance(value, list) and all(map(_is_number, value))


def _is_number_or_none(value: object) -> bool:
    return value is None or _is_number(value)


def _is_history(value: object) -> bool:
    return isinstance(value, list) and all(map(_is_move, value))


def _is_move(value: object) -> bool:
    return (
        isinstance(value, dict)
        and all(isinstance(value.get(key), str) for key in ("action", "who", "when", "why"))
        and all(key in value and _is_number_or_none(value[key]) for key in ("version", "from"))
    )


_NUMBERS = (_is_numbers, "a list of version numbers")
_CHECKS = {
    "current": (_is_number_or_none, "a version number or null"),
    "highest": (lambda value: records.is_integer(value) and value >= 0, "a version number or 0"),
    "pinned": _NUMBERS,
    "yanked": _NUMBERS,
    "deleting": _NUMBERS,
    "history": (_is_history, "a list of objects of action, version, from, who, when and why"),
}


def _move(action: str, version: int | None, previous: int | None, why: str) -> Move:
    when = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
    return Move(action, version, previous, who(), when, why)


def who() -> str:
    """The user and the host of this process, e.g. "ann@trainer-3"."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError, ImportError):  # a container whose user has no name
        user = str(os.getuid())
    return f"{user}@{os.uname().nodename}"
