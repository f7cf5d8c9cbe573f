"""Files and directories that appear under their name whole or not at all.

What is being written has a staging name beside its final one, `.staging-<name>-<host>-<pid>-<random>`; it is
synced and then renamed once. Whoever ignores names that start with `.staging-` never meets anything incomplete.
The paths are local: an object store has no such rename.
"""

import contextlib
import errno
import os
import shutil
import time
from collections.abc import Iterator

from hubpipe import errors
from hubpipe.files import faults, owner

STAGING_PREFIX = ".staging-"

_NAME_LENGTH = 40  # of the final name; the staging name stays below 255 bytes
_RENAME_TARGET_TAKEN = {errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR}


def write_file(path: str | os.PathLike[str], data: bytes) -> None:
    """Writes a file, or replaces it, so that a reader finds the old bytes or the new ones.

    Args:
        path: the file; its directory exists.
        data: all of its bytes.
    Raises:
        OSError: it cannot be written; the old file is intact unless only the last sync, after the rename, failed.
    """
    parent, name = os.path.split(os.path.abspath(path))
    staging = os.path.join(parent, staging_name(name))
    try:
        with open(staging, "xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        faults.reach("file.synced")
        os.rename(staging, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.remove(staging)
        raise
    faults.reach("file.renamed")
    _fsync(parent)


def make_dirs(path: str | os.PathLike[str]) -> None:
    """Creates a directory and its missing parents, each synced into its parent; an existing one is left as it is.

    Raises:
        FileExistsError: the path, or a parent, is not a directory.
    """
    path = os.path.abspath(path)
    if os.path.isdir(path):
        return
    parent = os.path.dirname(path)
    make_dirs(parent)
    try:
        os.mkdir(path)
    except FileExistsError:  # or another process was faster
        if not os.path.isdir(path):
            raise
    _fsync(parent)


@contextlib.contextmanager
def publish_dir(path: str | os.PathLike[str]) -> Iterator[str]:
    """Yields a staging directory to fill, which gets its final name when the block ends.

        with atomic.publish_dir(export_path) as staging:
            write_everything(staging)

    An exception in the block removes the staging directory and leaves everything as it was, but for parents of the
    path that had to be created.

    Args:
        path: the final name: absent, or an empty directory, or a link to such a directory.
    Yields:
        path of a fresh, empty directory on the same file system.
    Raises:
        ExportExistsError: the final name is taken, before the block or when it ends.
        OSError: a write, sync or rename failed; nothing has the final name unless only the last sync failed.
    """
    path = os.path.abspath(path)
    if os.path.islink(path) and os.path.isdir(path):
        path = os.path.realpath(path)
    if os.path.lexists(path) and (not os.path.isdir(path) or os.listdir(path)):
        raise _taken(path)
    parent, name = os.path.split(path)
    with staging_dir(parent, name) as staging:
        yield staging
        fsync_tree(staging)
        rename_dir(staging, path)


@contextlib.contextmanager
def staging_dir(parent: str | os.PathLike[str], name: str) -> Iterator[str]:
    """Yields a fresh staging directory, removed at the end of the block unless it was renamed.

    Args:
        parent: where to create it; created if missing.
        name: a word for people to recognise it by, usually the final name.
    Yields:
        path of the directory.
    """
    make_dirs(parent)
    staging = os.path.join(os.path.abspath(parent), staging_name(name))
    os.mkdir(staging)
    try:
        yield staging
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def rename_dir(staging: str | os.PathLike[str], path: str | os.PathLike[str]) -> None:
    """Gives a complete and synced directory its final name, durably.

    Args:
        staging: the directory, beside `path`.
        path: the final name: absent, or an empty directory.
    Raises:
        ExportExistsError: the final name is taken.
        OSError: the rename failed, or the sync after it.
    """
    faults.reach("dir.synced")
    try:
        os.rename(staging, path)
    except OSError as error:
        if error.errno in _RENAME_TARGET_TAKEN and os.path.lexists(path):
            raise _taken(path) from error
        raise
    faults.reach("dir.renamed")
    _fsync(os.path.dirname(os.path.abspath(path)))


def remove_dir(path: str | os.PathLike[str]) -> None:
    """Removes a directory and all it holds; it loses its name at once, so that nobody finds a part of it.

    Raises:
        OSError: the directory cannot be renamed; it is intact.
    """
    parent, name = os.path.split(os.path.abspath(path))
    staging = os.path.join(parent, staging_name(f"deleted-{name}"))
    os.rename(path, staging)
    _fsync(parent)
    # A network file system keeps files that a reader has open; sweep_staging takes such a rest later.
    shutil.rmtree(staging, ignore_errors=True)


def fsync_tree(root: str | os.PathLike[str]) -> None:
    """Syncs every file and directory of a tree to disk, the root last; symbolic links are not followed.

    Raises:
        OSError: a sync failed, or an entry cannot be opened.
    """
    with os.scandir(root) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                fsync_tree(entry.path)
            elif entry.is_file(follow_symlinks=False):
                _fsync(entry.path)
    _fsync(root)


def sweep_staging(parent: str | os.PathLike[str], older_than_secs: float = 86400) -> list[str]:
    """Removes the staging directories and files that killed processes left behind.

    Those of a process of this machine go as soon as it has ended, and stay as long as it lives. Whether a process
    of another machine lives cannot be known: its staging goes when nothing in it has changed for a while.

    Args:
        parent: the directory to sweep, itself only; may be absent.
        older_than_secs: seconds without a change after which the staging of an unknown owner is stale.
    Returns:
        paths that were removed, sorted.
    """
    removed = []
    for entry in _staging_entries(parent):
        with contextlib.suppress(OSError):  # another sweeper was faster, or it is not ours to remove
            if not _is_stale(entry, older_than_secs):
                continue
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path, ignore_errors=True)
            else:
                os.remove(entry.path)
            if not os.path.lexists(entry.path):
                removed.append(entry.path)
    return sorted(removed)


def _staging_entries(parent: str | os.PathLike[str]) -> list[os.DirEntry]:
    if not os.path.isdir(parent):
        return []
    with os.scandir(parent) as entries:
        staging = [entry for entry in entries if entry.name.startswith(STAGING_PREFIX)]
    return [entry for entry in staging if not entry.is_symlink()]


def _is_stale(entry: os.DirEntry, older_than_secs: float) -> bool:
    process = owner.of(entry.name)
    if process and process.is_here:
        return process.has_ended
    changes = [os.lstat(entry.path).st_mtime]
    for directory, _, files in os.walk(entry.path):
        changes += [os.lstat(path).st_mtime for path in (directory, *(os.path.join(directory, f) for f in files))]
    return time.time() - max(changes) > older_than_secs


def staging_name(name: str) -> str:
    """Returns a fresh staging name of this process for what shall be called `name`."""
    return owner.marked(f"{STAGING_PREFIX}{name[:_NAME_LENGTH]}")


def _taken(path: str | os.PathLike[str]) -> errors.ExportExistsError:
    return errors.ExportExistsError(
        f"{os.fspath(path)}: exists and is not an empty directory; choose a path that is absent or empty."
    )


def _fsync(path: str | os.PathLike[str]) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
