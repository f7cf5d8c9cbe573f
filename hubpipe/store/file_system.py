"""What a store needs of a file system, for the local one and for those of a module like tf.io.gfile."""

import abc
import contextlib
import hashlib
import os
import re
import tempfile
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from hubpipe import errors
from hubpipe.files import atomic, digest, locks, owner, paths

COMMIT_MARK = "tfhub_module.pb"  # a directory without it is no module

_BLOCK_BYTES = 4 << 20
_STALE_SECS = 86400.0  # as atomic.sweep_staging
# Beside a directory that is being filled file by file: who fills it.
_UPLOAD = re.compile(r"\.staging-upload-(?P<name>.+?)-[^-]+-[0-9]+-[0-9a-f]+")


class FileSystem(abc.ABC):
    """The operations of a store. Every OSError says that the file system failed.

    Attributes:
        renames: whether a directory gets its name at once. If not, it is filled under its name, and its
            COMMIT_MARK, the last file written and the first removed, says that the rest is there.
    """

    renames: bool

    @abc.abstractmethod
    def names(self, path: str) -> list[str]:
        """Lists a directory, sorted; an absent one is empty."""

    @abc.abstractmethod
    def is_dir(self, path: str) -> bool:
        """Whether there is a directory; a symbolic link is none."""

    @abc.abstractmethod
    def is_file(self, path: str) -> bool:
        """Whether there is a file."""

    @abc.abstractmethod
    def read(self, path: str) -> bytes:
        """Reads a file.

        Raises:
            FileNotFoundError: there is none.
        """

    @abc.abstractmethod
    def create(self, path: str) -> None:
        """Creates an empty file of a name that nobody else gives."""

    @abc.abstractmethod
    def write(self, path: str, data: bytes) -> None:
        """Writes or replaces a file, at once where the file system can."""

    @abc.abstractmethod
    def remove(self, path: str) -> None:
        """Removes a file; an absent one is fine."""

    @abc.abstractmethod
    def make_dirs(self, path: str) -> None:
        """Creates a directory and its parents; an existing one is fine."""

    @abc.abstractmethod
    def staging_dir(self, parent: str) -> contextlib.AbstractContextManager[str]:
        """Yields a fresh local directory to fill for `publish_dir`, which is removed at the end of the block."""

    @abc.abstractmethod
    def publish_dir(self, staging: str, path: str, *, last: Sequence[str]) -> None:
        """Makes a filled and synced staging directory appear under its name.

        Args:
            staging: as yielded by staging_dir.
            path: the name.
            last: relative names of the files that come after all others, in this order.
        Raises:
            ExportExistsError: the name is taken.
        """

    @abc.abstractmethod
    def remove_dir(self, path: str) -> None:
        """Removes a directory; an absent one is fine."""

    @abc.abstractmethod
    def differences(
        self, path: str, expected: Mapping[str, digest.FileDigest], exclude: Collection[str]
    ) -> list[str]:
        """Compares a directory with the digests it had, as digest.differences."""

    @abc.abstractmethod
    def locked(self, path: str) -> contextlib.AbstractContextManager[bool]:
        """Waits for a file lock; yields whether it keeps the others of this machine out, which it need not."""

    @abc.abstractmethod
    def sweep(self, path: str) -> None:
        """Removes what killed processes left in a directory, as atomic.sweep_staging."""


class LocalFileSystem(FileSystem):
    """The file system of the machine, network file systems included."""

    renames = True

    def names(self, path: str) -> list[str]:
        """Lists a directory."""
        try:
            return sorted(os.listdir(path))
        except (FileNotFoundError, NotADirectoryError):
            return []

    def is_dir(self, path: str) -> bool:
        """Whether there is a directory."""
        return os.path.isdir(path) and not os.path.islink(path)

    def is_file(self, path: str) -> bool:
        """Whether there is a file."""
        return os.path.isfile(path)

    def read(self, path: str) -> bytes:
        """Reads a file."""
        with open(path, "rb") as file:
            return file.read()

    def create(self, path: str) -> None:
        """Creates an empty file, which need not outlive the machine."""
        with open(path, "xb"):
            pass

    def write(self, path: str, data: bytes) -> None:
        """Replaces a file by a rename."""
        atomic.write_file(path, data)

    def remove(self, path: str) -> None:
        """Removes a file."""
        with contextlib.suppress(FileNotFoundError):
            os.remove(path)

    def make_dirs(self, path: str) -> None:
        """Creates a directory."""
        atomic.make_dirs(path)

    def staging_dir(self, parent: str) -> contextlib.AbstractContextManager[str]:
        """Yields a directory beside the final name."""
        return atomic.staging_dir(parent, "version")

    def publish_dir(self, staging: str, path: str, *, last: Sequence[str]) -> None:
        """Renames the directory."""
        atomic.rename_dir(staging, path)

    def remove_dir(self, path: str) -> None:
        """Renames the directory, then removes it."""
        with contextlib.suppress(FileNotFoundError):
            atomic.remove_dir(path)

    def differences(
        self, path: str, expected: Mapping[str, digest.FileDigest], exclude: Collection[str]
    ) -> list[str]:
        """Compares a directory with the digests it had."""
        return digest.differences(path, expected, exclude)

    @contextlib.contextmanager
    def locked(self, path: str) -> Iterator[bool]:
        """Holds a file lock if the file system has them; it is free as soon as its holder ends."""
        with contextlib.ExitStack() as stack:
            try:
                stack.enter_context(locks.locked(path, wait=True))
                is_locked = True
            except FileNotFoundError:
                raise
            except OSError:  # a network file system without locks
                is_locked = False
            yield is_locked

    def sweep(self, path: str) -> None:
        """Removes staging directories and files."""
        atomic.sweep_staging(path)


class GfileFileSystem(FileSystem):
    """A file system behind a module like tf.io.gfile: object stores, ram:// and others.

    What it asks of the file system: who lists a directory after writing a file into it finds that file and all
    that were there before (object stores of today do), and a file appears when it is closed.
    """

    renames = False

    def __init__(self, gfile: Any):
        """Wraps the module; its exceptions become OSErrors.

        Args:
            gfile: has GFile, exists, isdir, listdir, makedirs, remove, rename, rmtree, stat and walk.
        """
        self._gfile = gfile

    def names(self, path: str) -> list[str]:
        """Lists a directory."""
        with _as_os_errors(path):
            if not self._gfile.isdir(path):
                return []
            return sorted({name.rstrip("/") for name in self._gfile.listdir(path)})

    def is_dir(self, path: str) -> bool:
        """Whether there is a directory."""
        with _as_os_errors(path):
            return self._gfile.isdir(path)

    def is_file(self, path: str) -> bool:
        """Whether there is a file."""
        with _as_os_errors(path):
            return self._gfile.exists(path) and not self._gfile.isdir(path)

    def read(self, path: str) -> bytes:
        """Reads a file."""
        with _as_os_errors(path):
            if not self._gfile.exists(path):
                raise FileNotFoundError(f"{path}: no such file.")
            with self._gfile.GFile(path, "rb") as file:
                return file.read()

    def create(self, path: str) -> None:
        """Creates an empty file."""
        with _as_os_errors(path), self._gfile.GFile(path, "wb") as file:
            file.write(b"")

    def write(self, path: str, data: bytes) -> None:
        """Replaces a file by a rename, which not every file system does at once."""
        parent, name = os.path.split(path)
        staging = os.path.join(parent, atomic.staging_name(name))
        with _as_os_errors(path):
            try:
                with self._gfile.GFile(staging, "wb") as file:
                    file.write(data)
                self._gfile.rename(staging, path, overwrite=True)
            except BaseException:
                with contextlib.suppress(OSError):
                    self.remove(staging)
                raise

    def remove(self, path: str) -> None:
        """Removes a file."""
        with _as_os_errors(path):
            if self._gfile.exists(path):
                self._gfile.remove(path)

    def make_dirs(self, path: str) -> None:
        """Creates a directory."""
        with _as_os_errors(path):
            self._gfile.makedirs(path)

    def staging_dir(self, parent: str) -> contextlib.AbstractContextManager[str]:
        """Yields a directory of the machine."""
        return tempfile.TemporaryDirectory(prefix="hubpipe-")

    def publish_dir(self, staging: str, path: str, *, last: Sequence[str]) -> None:
        """Copies the files one by one."""
        if self.names(path):
            raise errors.ExportExistsError(f"{path}: exists and is not empty; choose a path that is absent.")
        parent, name = os.path.split(path)
        uploading = os.path.join(parent, owner.marked(f"{atomic.STAGING_PREFIX}upload-{name}"))
        self.create(uploading)
        try:
            for file_name in _in_order(staging, last):
                self._upload(os.path.join(staging, file_name), os.path.join(path, file_name))
        except BaseException:
            with contextlib.suppress(OSError):
                self.remove_dir(path)
                self.remove(uploading)
            raise
        self.remove(uploading)

    def remove_dir(self, path: str) -> None:
        """Removes the commit mark, then the rest."""
        self.remove(os.path.join(path, COMMIT_MARK))
        with _as_os_errors(path):
            if self._gfile.isdir(path):
                self._gfile.rmtree(path)

    def differences(
        self, path: str, expected: Mapping[str, digest.FileDigest], exclude: Collection[str]
    ) -> list[str]:
        """Compares a directory with the digests it had."""
        with _as_os_errors(path):
            sizes = {
                os.path.relpath(os.path.join(directory, name), path): self._gfile.stat(
                    os.path.join(directory, name)
                ).length
                for directory, _, names in self._gfile.walk(path)
                for name in names
            }
            sizes = {name: size for name, size in sizes.items() if name not in exclude}
            return digest.compared(expected, sizes, lambda name: self._sha256(paths.inside(path, name)))

    def locked(self, path: str) -> contextlib.AbstractContextManager[bool]:
        """Does nothing: there are no locks."""
        return contextlib.nullcontext(False)

    def sweep(self, path: str) -> None:
        """Removes staging files, and directories that nobody goes on filling."""
        for name in self.names(path):
            if not name.startswith(atomic.STAGING_PREFIX) or not self._is_stale(os.path.join(path, name)):
                continue
            upload = _UPLOAD.fullmatch(name)
            if upload:
                target = os.path.join(path, upload["name"])
                if not self.is_file(os.path.join(target, COMMIT_MARK)):
                    self.remove_dir(target)
            self.remove(os.path.join(path, name))

    def _upload(self, source: str, target: str) -> None:
        with _as_os_errors(target):
            self._gfile.makedirs(os.path.dirname(target))
            with open(source, "rb") as file, self._gfile.GFile(target, "wb") as copy:
                while block := file.read(_BLOCK_BYTES):
                    copy.write(block)

    def _is_stale(self, path: str) -> bool:
        process = owner.of(os.path.basename(path))
        if process and process.is_here:
            return process.has_ended
        with _as_os_errors(path):
            changed = self._gfile.stat(path).mtime_nsec / 1e9
        return changed > 0 and time.time() - changed > _STALE_SECS  # 0: the file system does not tell

    def _sha256(self, path: str) -> str:
        sha256 = hashlib.sha256()
        with self._gfile.GFile(path, "rb") as file:
            while block := file.read(_BLOCK_BYTES):
                sha256.update(block)
        return sha256.hexdigest()


LOCAL = LocalFileSystem()


def of(path: str | os.PathLike[str], gfile: Any = None) -> tuple[FileSystem, str]:
    """Chooses the file system of a path.

    Args:
        path: local, or with the scheme of another file system, such as ram:// or gs://.
        gfile: a module like tf.io.gfile, needed for other file systems only.
    Returns:
        (file system, the path as it names it).
    Raises:
        StoreError: the path is of another file system, and there is no gfile.
    """
    local = paths.local(path)
    if local is not None:
        return LOCAL, local
    if gfile is None:
        raise errors.StoreError(f"{os.fspath(path)}: is not on a local file system; pass gfile=tf.io.gfile.")
    return GfileFileSystem(gfile), os.fspath(path)


def _in_order(root: str, last: Sequence[str]) -> list[str]:
    """Relative names of the files in a local tree, some of them last."""
    names = sorted(
        os.path.relpath(os.path.join(directory, name), root)
        for directory, _, file_names in os.walk(root)
        for name in file_names
    )
    return [name for name in names if name not in last] + [name for name in last if name in names]


@contextlib.contextmanager
def _as_os_errors(path: str) -> Iterator[None]:
    """Turns the exceptions of a module of unknown kind into OSErrors."""
    try:
        yield
    except (OSError, errors.HubpipeError):
        raise
    except Exception as error:
        raise OSError(f"{path}: {error}") from error
