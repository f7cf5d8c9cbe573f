"""One published version: its directory, its manifest, and whether it is whole."""

import dataclasses
import math
import os
from typing import Any

from hubpipe import errors
from hubpipe.store import file_system, manifest, retention


@dataclasses.dataclass(frozen=True)
class Version:
    """One published version.

    Attributes:
        number: at least 1; higher is newer.
        path: its directory, which is a TF1 Hub module.
        files: its file system.
    """

    number: int
    path: str
    files: file_system.FileSystem = dataclasses.field(default=file_system.LOCAL, repr=False, compare=False)

    @property
    def is_there(self) -> bool:
        """Whether it is there, and complete."""
        return self.files.is_dir(self.path) and self.files.is_file(
            os.path.join(self.path, file_system.COMMIT_MARK)
        )

    def manifest(self) -> dict[str, Any]:
        """Reads the manifest, as described at manifest.build.

        Raises:
            StoreError: it is missing.
            FormatError: it is broken.
        """
        return manifest.read(self.path, self.files)

    def problems(self) -> list[str]:
        """Compares the files with the manifest; reads all of them.

        Returns:
            one line per file that is missing, changed or unexpected, or for the manifest itself; empty when whole.
        Raises:
            OSError: a file cannot be read.
        """
        try:
            contents = self.manifest()
        except errors.HubpipeError as error:
            return [str(error)]
        lines = self.files.differences(self.path, contents["files"], exclude=[manifest.PATH])
        if contents["version"] != self.number:
            lines.insert(0, f"{manifest.PATH}: version is {contents['version']}, the directory's is {self.number}")
        return lines

    def scored(self) -> retention.Scored | None:
        """What the manifest says of the selection; None if nothing, or nothing that can be understood."""
        try:
            contents = self.manifest()
        except errors.HubpipeError:  # put there by someone else
            return None
        run_id, selection = contents.get("run_id"), contents.get("selection")
        if not isinstance(run_id, str) or not isinstance(selection, dict):
            return None
        value, higher_is_better = selection.get("value"), selection.get("higher_is_better")
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
            return None
        return retention.Scored(self.number, run_id, value, higher_is_better is True)
