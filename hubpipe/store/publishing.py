"""Giving a staged version its number and its name, with the lock of the versions held as briefly as possible."""

import contextlib
import dataclasses
import itertools
import os
from typing import Any

from hubpipe import errors
from hubpipe.files import atomic
from hubpipe.store import file_system, manifest
from hubpipe.store import folder as folder_lib
from hubpipe.store.version import Version

_WRITTEN_LAST = (manifest.PATH, file_system.COMMIT_MARK)


def publish(folder: folder_lib.Folder, staging: str, fields: dict[str, Any]) -> Version:
    """Publishes a staging directory of the folder's file system under the next number.

    Args:
        folder: of the module's versions.
        staging: local, complete but for the manifest.
        fields: for the manifest, as returned by manifest.checked_fields.
    Raises:
        StoreError: it is no module, or the lock was lost.
        FormatError: current.json is broken, or something staged is neither a file nor a directory.
    """
    if not os.path.isfile(os.path.join(staging, file_system.COMMIT_MARK)):
        raise errors.StoreError(
            f"{folder.path}: the draft has no {file_system.COMMIT_MARK}; a version is a TF1 Hub module."
        )
    contents = manifest.build(staging, fields)
    return (_rename if folder.files.renames else _upload)(folder, staging, contents)


def _rename(folder: folder_lib.Folder, staging: str, contents: dict[str, Any]) -> Version:
    """Gives a staging directory the next number at once."""
    atomic.fsync_tree(staging)
    with folder.locked() as lock:
        record = lock.read()
        for number in itertools.count(folder.highest_number(record) + 1):
            manifest.write(staging, number, contents)
            with contextlib.suppress(errors.ExportExistsError):  # taken by someone who does not know the lock
                folder.files.publish_dir(staging, folder.at(number).path, last=_WRITTEN_LAST)
                break
        if lock.is_held:  # if not, the version is published all the same, and its name tells the number
            lock.write(dataclasses.replace(record, highest=number))
    return folder.at(number)


def _upload(folder: folder_lib.Folder, staging: str, contents: dict[str, Any]) -> Version:
    """Reserves the next number, then copies the staging directory, which may take long."""
    folder.files.make_dirs(folder.path)
    while True:
        with folder.locked() as lock:
            record = lock.read()
            number = folder.highest_number(record) + 1
            lock.write(dataclasses.replace(record, highest=number))
        manifest.write(staging, number, contents)
        with contextlib.suppress(errors.ExportExistsError):
            folder.files.publish_dir(staging, folder.at(number).path, last=_WRITTEN_LAST)
            return folder.at(number)
