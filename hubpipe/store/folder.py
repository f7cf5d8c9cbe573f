"""The folder of a module's versions: what is there, and how it is read while others delete."""

import contextlib
import os
import re
from collections.abc import Iterator
from typing import Any

from hubpipe import errors
from hubpipe.store import current as current_lib
from hubpipe.store import file_system, leases, retention
from hubpipe.store.version import Version

_MODULE_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*")
_VERSION_NAME = re.compile(r"[1-9][0-9]*")


class Folder:
    """The versions of one module, to be read.

    Attributes:
        name: of the module.
        path: the folder of its versions, `<root>/<name>`; created by the first version.
        files: its file system.
    """

    def __init__(self, root: str | os.PathLike[str], name: str, *, gfile: Any = None):
        """Opens the versions of a module; touches no file.

        Args:
            root: the store directory.
            name: of the module.
            gfile: tf.io.gfile, or a module like it, for a root on another than the local file system.
        Raises:
            UnknownVersionError: the name cannot be a module's.
            StoreError: the root is not local and there is no gfile.
        """
        if not is_module_name(name):
            raise errors.UnknownVersionError(
                f"{os.fspath(root)}: the module name {name!r} is not valid; accepted are letters, digits, "
                "'.', '_' and '-', not starting with '.'."
            )
        self.files, root = file_system.of(root, gfile)
        self.name = name
        self.path = os.path.join(root, name)

    def versions(self) -> list[Version]:
        """Lists the versions, oldest first."""
        return [version for version in map(self.at, self.numbers_given()) if version.is_there]

    def version(self, number: int) -> Version:
        """Returns the version of a number.

        Raises:
            UnknownVersionError: there is none.
        """
        version = self.at(number)
        if not version.is_there:
            raise errors.UnknownVersionError(f"{self.path}: there is no version {number!r}; {self._told()}.")
        return version

    def latest(self) -> Version | None:
        """Returns the newest version, None when there is none."""
        versions = self.versions()
        return versions[-1] if versions else None

    def record(self) -> current_lib.Record:
        """Reads current.json.

        Raises:
            FormatError: it is broken.
        """
        return current_lib.read(self.path, self.files)

    def current(self) -> Version | None:
        """Returns the version that consumers should take, None when none was chosen.

        Raises:
            StoreError: the chosen version is gone.
            FormatError: current.json is broken.
        """
        while True:
            number = self.current_number()
            if number is None:
                return None
            version = self.at(number)
            if version.is_there:
                return version
            if number == self.current_number():  # else it was deleted since it is current no more
                raise errors.StoreError(f"{self.path}: version {number} is current and not there; {self._told()}.")

    def current_number(self) -> int | None:
        """Returns the number of the version that was chosen for consumers, whether it is still there or not."""
        return self.record().current

    def best_of_runs(self, keep_runs: int | None = None) -> set[int]:
        """Finds the best version of each run by what the manifests say.

        Args:
            keep_runs: of how many runs, those that published last; None for all.
        Raises:
            StoreError: keep_runs is below 1.
        """
        scored = [score for version in self.versions() if (score := version.scored())]
        return retention.best_of_runs(scored, keep_runs=keep_runs)

    def leased(self) -> dict[int, list[leases.Lease]]:
        """The leases that hold versions: dict number -> leases."""
        found: dict[int, list[leases.Lease]] = {}
        for lease in leases.all_of(self.path, self.files):
            if not lease.has_ended:
                found.setdefault(lease.number, []).append(lease)
        return found

    @contextlib.contextmanager
    def lease(self, number: int | None = None) -> Iterator[Version]:
        """Yields a version that is not deleted before the block ends.

        Args:
            number: of the version; None for the current one.
        Raises:
            UnknownVersionError: there is no such version, or none is current.
            StoreError: it is about to be deleted; no lease can be written.
            FormatError: current.json is broken.
        """
        while True:
            version = self.current() if number is None else self.version(number)
            if version is None:
                raise errors.UnknownVersionError(f"{self.path}: no version is current.")
            with leases.taken(self.path, version.number, self.files):
                # Written before this look, as `deleting` is before collect looks at leases: one sees the other.
                record = self.record()
                # The current version is never deleted. That another one is there the client of a network file
                # system may only remember.
                is_kept = version.number not in record.deleting and version.is_there
                if record.current == version.number or (number is not None and is_kept):
                    yield version
                    return
            if number is not None:
                raise errors.StoreError(f"{self.path}: version {number} is being deleted; choose another.")

    def _told(self) -> str:
        """The versions, for messages."""
        return f"published versions: {', '.join(str(version.number) for version in self.versions()) or 'none'}"

    # For those who change it.

    def at(self, number: int) -> Version:
        """The version of a number, whether it is there or not."""
        return Version(number, os.path.join(self.path, str(number)), self.files)

    def numbers_given(self) -> list[int]:
        """The numbers that are taken by a folder, a version or not."""
        return sorted(int(name) for name in self.files.names(self.path) if is_version_name(name))

    def highest_number(self, record: current_lib.Record | None = None) -> int:
        """The highest number that a version has or had; 0 if there was none.

        Args:
            record: as it was read; None to read it.
        """
        return max([(record or self.record()).highest, *self.numbers_given()])

    def locked(self) -> contextlib.AbstractContextManager[current_lib.Lock]:
        """Holds the lock of the versions; see current.locked."""
        return current_lib.locked(self.path, self.files)

    def check_usable(self, record: current_lib.Record, number: int) -> None:
        """Refuses a version that is not there, or about to be deleted.

        Raises:
            StoreError: it is so.
        """
        self.version(number)
        if number in record.deleting:
            raise errors.StoreError(f"{self.path}: version {number} is being deleted; choose another.")


def is_module_name(name: str) -> bool:
    """Whether a module can have this name."""
    return _MODULE_NAME.fullmatch(name) is not None


def is_version_name(name: str) -> bool:
    """Whether a folder of this name in a module's folder may be a version."""
    return _VERSION_NAME.fullmatch(name) is not None
