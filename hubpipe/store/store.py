"""A store directory: one folder per module, in it one folder per version, named by its number.

    <root>/<name>/7/            a version, complete as soon as it has its name, never changed after
    <root>/<name>/current.json  which version consumers should take
    <root>/<name>/.current.lock held while a number is given or current.json changes
    <root>/<name>/.staging-*    in progress

Every other name is left alone.
"""

import contextlib
import dataclasses
import itertools
import os
import re
from collections.abc import Collection, Iterator
from typing import Any

from hubpipe import errors
from hubpipe.files import atomic, digest
from hubpipe.store import current, manifest, retention

_MODULE_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*")
_VERSION_NAME = re.compile(r"[1-9][0-9]*")


@dataclasses.dataclass(frozen=True)
class Version:
    """One published version.

    Attributes:
        number: at least 1; higher is newer.
        path: its directory, which is a TF1 Hub module.
    """

    number: int
    path: str

    def manifest(self) -> dict[str, Any]:
        """Reads the manifest, as described at manifest.build.

        Raises:
            StoreError: it is missing.
            FormatError: it is broken.
        """
        return manifest.read(self.path)

    def problems(self) -> list[str]:
        """Compares the files with the manifest.

        Returns:
            one line per file that is missing, changed or unexpected, or for the manifest itself; empty when whole.
        Raises:
            OSError: a file cannot be read.
        """
        try:
            contents = self.manifest()
        except errors.HubpipeError as error:
            return [str(error)]
        lines = digest.differences(self.path, contents["files"], exclude=[manifest.PATH])
        if contents["version"] != self.number:
            lines.insert(0, f"{manifest.PATH}: version is {contents['version']}, the directory's is {self.number}")
        return lines


class Draft:
    """A version that is being written.

    Attributes:
        path: the staging directory to fill.
        version: the published Version; None before.
    """

    def __init__(self, path: str):
        self.path = path
        self.version: Version | None = None
        self._fields: dict[str, Any] = {}

    @property
    def fields(self) -> dict[str, Any]:
        """What was described so far: dict key -> JSON value."""
        return dict(self._fields)

    def describe(self, **fields: Any) -> None:
        """Records facts in the manifest: config, metrics, step, seed, data, run_id, parent and the like.

        Args:
            **fields: JSON values; a later value of a key replaces the earlier.
        Raises:
            StoreError: the key is the store's own, the value is not JSON, or the version is already published.
        """
        if self.version is not None:
            raise errors.StoreError(
                f"{self.version.path}: is published; {', '.join(fields)} must be described before the block ends."
            )
        self._fields.update(manifest.checked_fields(fields))


class Store:
    """The versions of one module.

    Attributes:
        name: of the module.
        path: the folder of its versions, `<root>/<name>`; created by the first version.
    """

    def __init__(self, root: str | os.PathLike[str], name: str):
        """Opens the versions of a module; touches no file.

        Args:
            root: the store directory, local.
            name: of the module.
        Raises:
            StoreError: the name cannot be a folder's.
        """
        if not _MODULE_NAME.fullmatch(name):
            raise errors.StoreError(
                f"{os.fspath(root)}: the module name {name!r} is not valid; accepted are letters, digits, "
                "'.', '_' and '-', not starting with '.'."
            )
        self.name = name
        self.path = os.path.join(root, name)

    def versions(self) -> list[Version]:
        """Lists the versions, oldest first."""
        if not os.path.isdir(self.path):
            return []
        with os.scandir(self.path) as entries:
            numbers = [
                int(entry.name)
                for entry in entries
                if _VERSION_NAME.fullmatch(entry.name) and entry.is_dir(follow_symlinks=False)
            ]
        return [self._at(number) for number in sorted(numbers)]

    def version(self, number: int) -> Version:
        """Returns the version of a number.

        Raises:
            StoreError: there is none.
        """
        versions = self.versions()
        for version in versions:
            if version.number == number:
                return version
        known = ", ".join(str(version.number) for version in versions) or "none"
        raise errors.StoreError(f"{self.path}: there is no version {number!r}; published versions: {known}.")

    def latest(self) -> Version | None:
        """Returns the newest version, None when there is none."""
        versions = self.versions()
        return versions[-1] if versions else None

    def current(self) -> Version | None:
        """Returns the version that consumers should take, None when none was chosen.

        Raises:
            StoreError: the chosen version is gone.
            FormatError: current.json is broken.
        """
        number = self.current_number()
        return None if number is None else self.version(number)

    def current_number(self) -> int | None:
        """Returns the number of the version that was chosen for consumers, whether it is still there or not."""
        return current.read(self.path)["current"]

    def set_current(self, number: int) -> None:
        """Chooses the version that consumers should take.

        Raises:
            StoreError: there is no such version.
            FormatError: current.json is broken.
        """
        with current.locked(self.path):
            chosen = self.version(number)
            current.write(self.path, {**current.read(self.path), "current": chosen.number})

    @contextlib.contextmanager
    def new_version(self) -> Iterator[Draft]:
        """Yields a draft, which is published under the next number when the block ends.

            with store.new_version() as draft:
                spec.export(draft.path, checkpoint_path)
                draft.describe(step=1200, metrics={"accuracy": 0.81})
            print(draft.version.number)

        The number is one above every number ever given. An exception in the block publishes nothing and removes
        what was staged. Several processes may publish at once.

        Yields:
            Draft, whose `version` is set after the block.
        Raises:
            StoreError: no lock can be had.
            FormatError: current.json is broken, or something staged is neither a file nor a directory.
            OSError: the disk failed. Nothing is published, or the whole version if that was after the rename.
        """
        with atomic.staging_dir(self.path, "version") as staging:
            draft = Draft(staging)
            yield draft
            contents = manifest.build(staging, draft.fields)
            atomic.fsync_tree(staging)
            with current.locked(self.path):
                draft.version = self._publish(staging, contents)

    def collect(self, keep_latest: int, protected: Collection[int] = ()) -> list[int]:
        """Deletes old versions and the remains of killed processes; never the current version.

        Args:
            keep_latest: how many of the newest stay; at least 1.
            protected: numbers that stay as well, for example the best.
        Returns:
            numbers of the versions deleted, ascending.
        Raises:
            StoreError: keep_latest is below 1.
            FormatError: current.json is broken.
        """
        if not os.path.isdir(self.path):
            return []
        with current.locked(self.path):
            numbers = [version.number for version in self.versions()]
            kept = {*protected, current.read(self.path)["current"]}
            doomed = retention.to_delete(numbers, keep_latest=keep_latest, protected=kept)
            for number in doomed:
                atomic.remove_dir(self._at(number).path)
        atomic.sweep_staging(self.path)
        return doomed

    def _publish(self, staging: str, contents: dict[str, Any]) -> Version:
        """Gives a synced staging directory the next number; the caller holds the lock."""
        record = current.read(self.path)
        highest = max([record["highest"], *(version.number for version in self.versions())])
        for number in itertools.count(highest + 1):
            manifest.write(staging, number, contents)
            with contextlib.suppress(errors.ExportExistsError):  # taken by someone who does not know the lock
                atomic.rename_dir(staging, self._at(number).path)
                break
        current.write(self.path, {**record, "highest": number})
        return self._at(number)

    def _at(self, number: int) -> Version:
        return Version(number, os.path.join(self.path, str(number)))
