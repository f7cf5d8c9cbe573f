"""A store directory: one folder per module, in it one folder per version, named by its number.

    <root>/<name>/7/            a version, complete as soon as it has its name, never changed after
    <root>/<name>/current.json  which version consumers should take, see hubpipe.store.current
    <root>/<name>/.current.lock .claim-*  the lock, held while a number is given or current.json changes
    <root>/<name>/.leases/      who uses which version
    <root>/<name>/.staging-*    in progress

Every other name is left alone. A folder with a number for its name but without a tfhub_module.pb is such a name.

On a local file system, network file systems included, a version gets its name by one rename: of two publishers
that know nothing of each other's lock one fails and takes the next number. Nothing follows from the order of times
of change, and file locks need not reach other machines (hubpipe.store.claims). On file systems without such a
rename a number is reserved in current.json, then the files are copied, tfhub_module.pb last.
"""

import contextlib
import dataclasses
import os
from collections.abc import Collection, Iterator
from typing import Any

from hubpipe import errors
from hubpipe.store import claims, file_system, folder, leases, predecessor, publishing, retention
from hubpipe.store import current as current_lib
from hubpipe.store.draft import Draft
from hubpipe.store.version import Version

__all__ = ["Draft", "Moved", "Store", "Version", "module_names"]


@dataclasses.dataclass(frozen=True)
class Moved:
    """How the current version changed.

    Attributes:
        previous: the version that was current, None if none was.
        current: the version that is, None if none is.
        skipped: dict number -> reason, of versions that were no good on the way.
    """

    previous: int | None
    current: int | None
    skipped: dict[int, str] = dataclasses.field(default_factory=dict)


class Store(folder.Folder):
    """The versions of one module, to be read, published, chosen and deleted; see Folder for its attributes."""

    # Publishing.

    @contextlib.contextmanager
    def new_version(self) -> Iterator[Draft]:
        """Yields a draft, which is published under the next number when the block ends.

            with store.new_version() as draft:
                spec.export(draft.path, checkpoint_path)
                draft.describe(step=1200, metrics={"accuracy": 0.81})
            print(draft.version.number)

        The number is one above every number ever given. An exception in the block publishes nothing and removes
        what was staged. Several processes may publish at once. Which version is current does not change.

        Yields:
            Draft, whose `version` is set after the block.
        Raises:
            StoreError: the draft is no module, or the lock was lost.
            FormatError: current.json is broken, or something staged is neither a file nor a directory.
            OSError: the disk failed. Nothing is published, or the whole version if that was after the rename.
        """
        with self.files.staging_dir(self.path) as staging:
            draft = Draft(staging)
            yield draft
            draft.version = publishing.publish(self, staging, draft.fields)

    def promote(self, number: int, *, why: str = "") -> bool:
        """Makes a version current on behalf of a job, which has nobody to ask.

        A current version that is pinned stays, and a yanked version does not become current.

        Args:
            number: of the version.
            why: for the history.
        Returns:
            whether the version is current now.
        Raises:
            UnknownVersionError: there is no such version.
            FormatError: current.json is broken.
        """
        with self.locked() as lock:
            record = lock.read()
            self.check_usable(record, number)
            if record.current != number:
                if record.is_held or number in record.yanked:
                    return False
                lock.write(record.moved(number, action="promote", why=why))
        return True

    # By hand.

    def rollback(self, to: int | None = None, *, why: str = "", pin: bool = False) -> Moved:
        """Makes an earlier version current, after a look at all of its digests.

        Args:
            to: number of the version; None for the newest whole one below the current that was current before.
            why: for the history.
            pin: whether to pin it, so that publications leave it current.
        Raises:
            UnknownVersionError: the version is not there.
            StoreError: it is yanked or broken; there is none to go back to; current moved meanwhile.
            FormatError: current.json is broken.
        """
        seen = self.record()
        if to is None:
            versions = self.versions()
            if not versions:
                raise errors.UnknownVersionError(
                    f"{self.path}: there are no versions; is it the right store and name?"
                )
            target, skipped = predecessor.find(seen, versions)
            if target is None:
                raise errors.StoreError(
                    f"{self.path}: there is no version to go back to from {seen.current}{_listed(skipped)}. "
                    "Name one: --to N."
                )
        else:
            target, skipped = to, {}
            self._check_whole(to)
        with self.locked() as lock:
            record = lock.read()
            self._check_same_current(seen, record)
            self.check_usable(record, target)
            if target in record.yanked:
                raise errors.StoreError(
                    f"{self.path}: version {target} is yanked{record.reason_for(target, 'yank')}; choose another, "
                    "or unyank it first."
                )
            changed = record.moved(target, action="rollback", why=why)
            if pin:
                changed = changed.marked(target, action="pin", why=why)
            if changed != record:
                lock.write(changed)
        return Moved(record.current, target, skipped)

    def pin(self, number: int, *, why: str = "") -> None:
        """Keeps a version whatever its age; while it is current, publications leave it so.

        Raises:
            UnknownVersionError: there is no such version.
            FormatError: current.json is broken.
        """
        self._mark(number, action="pin", why=why)

    def unpin(self, number: int, *, why: str = "") -> None:
        """Takes a pin back.

        Raises:
            UnknownVersionError: there is no such version.
            FormatError: current.json is broken.
        """
        self._mark(number, action="unpin", why=why)

    def yank(self, number: int, *, why: str = "") -> Moved:
        """Bars a version from being current. If it is, the one that rollback would choose becomes it, or none.

        Args:
            number: of the version.
            why: for the history.
        Raises:
            UnknownVersionError: there is no such version.
            StoreError: current moved meanwhile.
            FormatError: current.json is broken.
        """
        seen = self.record()
        target, skipped = seen.current, {}
        if number == seen.current:
            target, skipped = predecessor.find(seen, self.versions())
        with self.locked() as lock:
            record = lock.read()
            self._check_same_current(seen, record)
            self.check_usable(record, number)
            changed = record.marked(number, action="yank", why=why)
            if number == record.current:
                if target is not None:
                    self.check_usable(record, target)
                changed = changed.moved(target, action="rollback", why=why)
            if changed != record:
                lock.write(changed)
        return Moved(record.current, target, skipped)

    def unyank(self, number: int, *, why: str = "") -> None:
        """Lets a yanked version be current again; it does not become so by this.

        Raises:
            UnknownVersionError: there is no such version.
            FormatError: current.json is broken.
        """
        self._mark(number, action="unyank", why=why)

    # Deleting.

    def collect(
        self, keep_latest: int, protected: Collection[int] = (), *, keep_runs: int | None = None
    ) -> list[int]:
        """Deletes old versions and the remains of killed processes.

        Never deleted are the current version, those that are pinned or leased, and the best of a run.

        Args:
            keep_latest: how many of the newest stay; at least 1.
            protected: numbers that stay as well.
            keep_runs: of how many runs, those that published last, the best version stays; None for all.
        Returns:
            numbers of the versions deleted, ascending.
        Raises:
            StoreError: keep_latest or keep_runs is below 1, or the lock was lost.
            FormatError: current.json is broken.
        """
        if not self.files.is_dir(self.path):
            return []
        with self.locked() as lock:
            record = lock.read()
            numbers = [version.number for version in self.versions()]
            kept = {*protected, record.current, *record.pinned, *self.leased(), *self.best_of_runs(keep_runs)}
            doomed = retention.to_delete(numbers, keep_latest=keep_latest, protected=kept)
            # A process may have been killed while it deleted: what it left of a version goes as well.
            doomed = sorted({*doomed, *(number for number in record.deleting if number not in kept)})
            if doomed or record.deleting:
                lock.write(dataclasses.replace(record, deleting=tuple(doomed)))
                leased = self.leased()  # again: see `lease`
                if not leased.keys().isdisjoint(doomed):
                    doomed = [number for number in doomed if number not in leased]
                    lock.write(dataclasses.replace(record, deleting=tuple(doomed)))
        for number in doomed:
            self.files.remove_dir(self.at(number).path)
        if doomed:
            with self.locked() as lock:
                record = lock.read()
                left = tuple(number for number in record.deleting if number not in doomed)
                lock.write(dataclasses.replace(record, deleting=left))
        self.sweep()
        return [number for number in doomed if number in numbers]

    def sweep(self) -> None:
        """Removes what killed processes left: leases, claims on the lock, staging."""
        leases.remove_ended(self.path, self.files)
        claims.sweep(self.files, self.path)
        self.files.sweep(self.path)

    # Parts of these.

    def _mark(self, number: int, *, action: str, why: str) -> None:
        with self.locked() as lock:
            record = lock.read()
            self.check_usable(record, number)
            changed = record.marked(number, action=action, why=why)
            if changed != record:
                lock.write(changed)

    def _check_whole(self, number: int) -> None:
        problems = self.version(number).problems()
        if problems:
            more = f" and {len(problems) - 1} more" if len(problems) > 1 else ""
            raise errors.StoreError(
                f"{self.path}: version {number} is broken: {problems[0]}{more}; choose another."
            )

    def _check_same_current(self, seen: current_lib.Record, record: current_lib.Record) -> None:
        if seen.current != record.current:
            raise errors.StoreError(
                f"{self.path}: the current version became {record.current} meanwhile, it was {seen.current}; "
                "nothing was changed. Look, and run the command again."
            )


def module_names(root: str | os.PathLike[str], *, gfile: Any = None) -> list[str]:
    """Lists the modules of a store, those that have a version or a current.json, sorted.

    Args:
        root: the store directory; an absent one is empty.
        gfile: as for Store.
    """
    files, root = file_system.of(root, gfile)
    stores = [Store(root, name, gfile=gfile) for name in files.names(root) if folder.is_module_name(name)]
    return [
        store.name
        for store in stores
        if files.is_file(os.path.join(store.path, current_lib.FILE_NAME)) or store.versions()
    ]


def _listed(skipped: dict[int, str]) -> str:
    return "".join(f"; {number} {reason}" for number, reason in skipped.items())
