"""A version that is being written."""

import os
import shutil
from collections.abc import Callable
from typing import Any

from hubpipe import errors
from hubpipe.store import manifest
from hubpipe.store import version as version_lib


class Draft:
    """A version that is being written.

    Attributes:
        path: the staging directory to fill, local.
        version: the published Version; None before.
    """

    def __init__(self, path: str):
        self.path = path
        self.version: version_lib.Version | None = None
        self._fields: dict[str, Any] = {}

    @property
    def fields(self) -> dict[str, Any]:
        """What was described so far: dict key -> JSON value."""
        return dict(self._fields)

    def take(self, directory: str | os.PathLike[str], *, link: bool = False) -> None:
        """Puts all files of a local directory into the draft, without their times and permissions.

        Args:
            directory: of a module. If it has a manifest, the store writes its own in that one's place.
            link: whether a file may be shared with the directory, where the file system can; for directories whose
                files never change, such as those of a version.
        Raises:
            FormatError: something in the directory is neither a file nor a directory.
        """
        _take(os.fspath(directory), self.path, _link if link else shutil.copyfile)

    def describe(self, **fields: Any) -> None:
        """Records facts in the manifest: config, metrics, step, seed, data, run_id, parent and the like.

        A version of a run that selects the best has `run_id` (str) and `selection`, an object of `value` (float)
        and `higher_is_better` (bool): by them retention knows the best of the run.

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


def _take(source: str, target: str, put: Callable[[str, str], object]) -> None:
    with os.scandir(source) as entries:
        for entry in entries:
            path = os.path.join(target, entry.name)
            if entry.is_dir(follow_symlinks=False):
                os.mkdir(path)
                _take(entry.path, path, put)
            elif entry.is_file(follow_symlinks=False):
                put(entry.path, path)
            else:
                raise errors.FormatError(f"{entry.path}: neither a file nor a directory; only these are accepted.")


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # of another file system, or of one without hard links
        shutil.copyfile(source, target)
