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
import itertools
import math
import os
import re
from collections.abc import Collection, Iterator
from typing import Any

from hubpipe import errors
from hubpipe.files import atomic
from hubpipe.store import claims, file_system, leases, manifest, retention
from hubpipe.store import current as current_lib
from hubpipe.store.draft import Draft
from hubpipe.store.version import Version

_MODULE_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*")
_VERSION_NAME = re.compile(r"[1-9][0-9]*")
_WRITTEN_LAST = (manifest.PATH, file_system.COMMIT_MARK)


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


class Store:
    """The versions of one module.

    Attributes:
        name: of the module.
        path: the folder of its versions, `<root>/<name>`; created by the first version.
    """

    def __init__(self, root: str | os.PathLike[str], name: str, *, gfile: Any = None):
        """Opens the versions of a module; touches no file.

        Args:
            root: the store directory.
            name: of the module.
            gfile: tf.io.gfile, or a module like it, for a root on another than the local file system.
        Raises:
            StoreError: the name cannot be a folder's, or the root is not local and there is no gfile.
        """
        if not _MODULE_NAME.fullmatch(name):
            raise errors.StoreError(
                f"{os.fspath(root)}: the module name {name!r} is not valid; accepted are letters, digits, "
                "'.', '_' and '-', not starting with '.'."
            )
        self._files, root = file_system.of(root, gfile)
        self.name = name
        self.path = os.path.join(root, name)

    # What is there.

    def versions(self) -> list[Version]:
        """Lists the versions, oldest first."""
        numbers = sorted(int(name) for name in self._files.names(self.path) if _VERSION_NAME.fullmatch(name))
        return [version for version in map(self._at, numbers) if version.is_there]

    def version(self, number: int) -> Version:
        """Returns the version of a number.

        Raises:
            StoreError: there is none.
        """
        version = self._at(number)
        if not version.is_there:
            known = ", ".join(str(other.number) for other in self.versions()) or "none"
            raise errors.StoreError(f"{self.path}: there is no version {number!r}; published versions: {known}.")
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
        return current_lib.read(self.path, self._files)

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
        for lease in leases.all_of(self.path, self._files):
            if not lease.has_ended:
                found.setdefault(lease.number, []).append(lease)
        return found

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
        with self._files.staging_dir(self.path) as staging:
            draft = Draft(staging)
            yield draft
            if not os.path.isfile(os.path.join(staging, file_system.COMMIT_MARK)):
                raise errors.StoreError(
                    f"{self.path}: the draft has no {file_system.COMMIT_MARK}; a version is a TF1 Hub module."
                )
            contents = manifest.build(staging, draft.fields)
            if self._files.renames:
                draft.version = self._rename(staging, contents)
            else:
                draft.version = self._upload(staging, contents)

    def promote(self, number: int, *, why: str = "") -> bool:
        """Makes a version current on behalf of a job, which has nobody to ask.

        A current version that is pinned stays, and a yanked version does not become current.

        Args:
            number: of the version.
            why: for the history.
        Returns:
            whether the version is current now.
        Raises:
            StoreError: there is no such version.
            FormatError: current.json is broken.
        """
        with self._locked() as lock:
            record = lock.read()
            self._usable(record, number)
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
            StoreError: the version is yanked, broken or not there; there is none to go back to; current moved
                meanwhile.
            FormatError: current.json is broken.
        """
        seen = self.record()
        if to is None:
            target, skipped = self._predecessor(seen)
            if target is None:
                raise errors.StoreError(
                    f"{self.path}: there is no version to go back to from {seen.current}{_listed(skipped)}. "
                    "Name one: --to N."
                )
        else:
            target, skipped = to, {}
            self._whole(to)
        with self._locked() as lock:
            record = lock.read()
            self._same_current(seen, record)
            self._usable(record, target)
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
            StoreError: there is no such version.
            FormatError: current.json is broken.
        """
        self._mark(number, action="pin", why=why)

    def unpin(self, number: int, *, why: str = "") -> None:
        """Takes a pin back.

        Raises:
            StoreError: there is no such version.
            FormatError: current.json is broken.
        """
        self._mark(number, action="unpin", why=why)

    def yank(self, number: int, *, why: str = "") -> Moved:
        """Bars a version from being current. If it is, the one that rollback would choose becomes it, or none.

        Args:
            number: of the version.
            why: for the history.
        Raises:
            StoreError: there is no such version, or current moved meanwhile.
            FormatError: current.json is broken.
        """
        seen = self.record()
        target, skipped = self._predecessor(seen) if number == seen.current else (seen.current, {})
        with self._locked() as lock:
            record = lock.read()
            self._same_current(seen, record)
            self._usable(record, number)
            changed = record.marked(number, action="yank", why=why)
            if number == record.current:
                if target is not None:
                    self._usable(record, target)
                changed = changed.moved(target, action="rollback", why=why)
            if changed != record:
                lock.write(changed)
        return Moved(record.current, target, skipped)

    def unyank(self, number: int, *, why: str = "") -> None:
        """Lets a yanked version be current again; it does not become so by this.

        Raises:
            StoreError: there is no such version.
            FormatError: current.json is broken.
        """
        self._mark(number, action="unyank", why=why)

    # Reading while others delete.

    @contextlib.contextmanager
    def lease(self, number: int | None = None) -> Iterator[Version]:
        """Yields a version that is not deleted before the block ends.

        Args:
            number: of the version; None for the current one.
        Raises:
            StoreError: there is no such version, or it is about to be deleted; none is current; no lease can be
                written.
            FormatError: current.json is broken.
        """
        wanted = number
        while True:
            chosen = self.current_number() if wanted is None else wanted
            if chosen is None:
                raise errors.StoreError(f"{self.path}: no version is current.")
            version = self.version(chosen)
            with leases.taken(self.path, chosen, self._files):
                # Written before this look, as `deleting` is before collect looks at leases: one sees the other.
                record = self.record()
                if chosen not in record.deleting and version.is_there:
                    yield version
                    return
            if wanted is not None or record.current == chosen:
                raise errors.StoreError(f"{self.path}: version {chosen} is being deleted; choose another.")

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
        if not self._files.is_dir(self.path):
            return []
        with self._locked() as lock:
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
            self._files.remove_dir(self._at(number).path)
        if doomed:
            with self._locked() as lock:
                record = lock.read()
                left = tuple(number for number in record.deleting if number not in doomed)
                lock.write(dataclasses.replace(record, deleting=left))
        self.sweep()
        return [number for number in doomed if number in numbers]

    def sweep(self) -> None:
        """Removes what killed processes left: leases, claims on the lock, staging."""
        leases.remove_ended(self.path, self._files)
        claims.sweep(self._files, self.path)
        self._files.sweep(self.path)

    # Parts.

    def _rename(self, staging: str, contents: dict[str, Any]) -> Version:
        """Gives a staging directory the next number at once."""
        atomic.fsync_tree(staging)
        with self._locked() as lock:
            record = lock.read()
            for number in itertools.count(self._next_number(record)):
                manifest.write(staging, number, contents)
                with contextlib.suppress(errors.ExportExistsError):  # taken by someone who does not know the lock
                    self._files.publish_dir(staging, self._at(number).path, last=_WRITTEN_LAST)
                    break
            if lock.is_held:  # if not, the version is published all the same, and its name tells the number
                lock.write(dataclasses.replace(record, highest=number))
        return self._at(number)

    def _upload(self, staging: str, contents: dict[str, Any]) -> Version:
        """Reserves the next number, then copies the staging directory, which may take long."""
        self._files.make_dirs(self.path)
        while True:
            with self._locked() as lock:
                record = lock.read()
                number = self._next_number(record)
                lock.write(dataclasses.replace(record, highest=number))
            manifest.write(staging, number, contents)
            with contextlib.suppress(errors.ExportExistsError):
                self._files.publish_dir(staging, self._at(number).path, last=_WRITTEN_LAST)
                return self._at(number)

    def _next_number(self, record: current_lib.Record) -> int:
        given = (int(name) for name in self._files.names(self.path) if _VERSION_NAME.fullmatch(name))
        return max([record.highest, *given]) + 1

    def _mark(self, number: int, *, action: str, why: str) -> None:
        with self._locked() as lock:
            record = lock.read()
            self._usable(record, number)
            changed = record.marked(number, action=action, why=why)
            if changed != record:
                lock.write(changed)

    def _predecessor(self, record: current_lib.Record) -> tuple[int | None, dict[int, str]]:
        """The newest whole version below the current that was current before; and those passed over, with reasons.

        Of versions older than all in the history nothing is known; they were current, for all it tells.
        """
        was_current = record.ever_current
        oldest_known = min(was_current, default=math.inf)
        skipped = {}
        for version in reversed(self.versions()):
            number = version.number
            if record.current is not None and number >= record.current:
                continue
            if number in record.deleting or not (number in was_current or number < oldest_known):
                continue
            if number in record.yanked:
                skipped[number] = f"is yanked{record.reason_for(number, 'yank')}"
            elif problems := version.problems():
                skipped[number] = f"is broken: {problems[0]}"
            else:
                return number, skipped
        return None, skipped

    def _whole(self, number: int) -> None:
        problems = self.version(number).problems()
        if problems:
            more = f" and {len(problems) - 1} more" if len(problems) > 1 else ""
            raise errors.StoreError(
                f"{self.path}: version {number} is broken: {problems[0]}{more}; choose another."
            )

    def _usable(self, record: current_lib.Record, number: int) -> None:
        self.version(number)
        if number in record.deleting:
            raise errors.StoreError(f"{self.path}: version {number} is being deleted; choose another.")

    def _same_current(self, seen: current_lib.Record, record: current_lib.Record) -> None:
        if seen.current != record.current:
            raise errors.StoreError(
                f"{self.path}: the current version became {record.current} meanwhile, it was {seen.current}; "
                "nothing was changed. Look, and run the command again."
            )

    def _locked(self) -> contextlib.AbstractContextManager[current_lib.Lock]:
        return current_lib.locked(self.path, self._files)

    def _at(self, number: int) -> Version:
        return Version(number, os.path.join(self.path, str(number)), self._files)


def is_version_name(name: str) -> bool:
    """Whether a folder of this name in a module's folder may be a version."""
    return _VERSION_NAME.fullmatch(name) is not None


def module_names(root: str | os.PathLike[str], *, gfile: Any = None) -> list[str]:
    """Lists the modules of a store, those that have a version or a current.json, sorted.

    Args:
        root: the store directory; an absent one is empty.
        gfile: as for Store.
    """
    files, root = file_system.of(root, gfile)
    stores = [Store(root, name, gfile=gfile) for name in files.names(root) if _MODULE_NAME.fullmatch(name)]
    return [
        store.name
        for store in stores
        if files.is_file(os.path.join(store.path, current_lib.FILE_NAME)) or store.versions()
    ]


def _listed(skipped: dict[int, str]) -> str:
    return "".join(f"; {number} {reason}" for number, reason in skipped.items())
