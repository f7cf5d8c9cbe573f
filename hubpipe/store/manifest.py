"""The manifest of one version: its files' digests, where it comes from, what made it."""

import datetime
import importlib.metadata
import json
import os
import platform
from collections.abc import Mapping
from typing import Any

from hubpipe import errors, version
from hubpipe.files import atomic, digest, records
from hubpipe.store import file_system, layout

PATH = os.path.join(layout.EXTRA, "manifest.json")
RESERVED = ("format", "version", "created", "environment", "files")

# Name in the manifest -> distributions that supply it, the first one installed counts.
_PACKAGES = {
    "tensorflow": ("tensorflow", "tensorflow-cpu", "tensorflow-intel", "tensorflow-macos"),
    "tensorflow-estimator": ("tensorflow-estimator",),
    "numpy": ("numpy",),
    "protobuf": ("protobuf",),
}


def checked_fields(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Copies what the caller wants to record, as it will be read back.

    Args:
        fields: dict key -> JSON value, for example {"step": 1200, "metrics": {"accuracy": 0.81}}.
    Returns:
        a deep copy in which tuples have become lists and keys strings.
    Raises:
        StoreError: a key is one of RESERVED, or a value is not JSON.
    """
    copies = {}
    for key, value in fields.items():
        if key in RESERVED:
            raise errors.StoreError(
                f"manifest: {key!r} is written by the store; choose a key other than {', '.join(RESERVED)}."
            )
        try:
            copies[key] = json.loads(json.dumps(value, allow_nan=False))
        except (TypeError, ValueError, RecursionError) as error:
            raise errors.StoreError(
                f"manifest: {key} is {value!r}, which is not JSON ({error}); accepted are None, bool, int, finite "
                "float, str, and lists and dicts of them."
            ) from error
    return copies


def build(version_dir: str | os.PathLike[str], fields: Mapping[str, Any]) -> dict[str, Any]:
    """Digests the files of a version and describes it; its number comes later.

    Args:
        version_dir: the directory, complete but for the manifest.
        fields: as returned by checked_fields.
    Returns:
        dict of `created` (UTC, ISO 8601), the fields, `environment` (as returned by environment) and `files` (as
        returned by digest.sha256_tree).
    Raises:
        FormatError: something in the tree is neither a file nor a directory.
    """
    return {
        "created": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        **fields,
        "environment": environment(),
        "files": digest.sha256_tree(version_dir, exclude=[PATH]),
    }


def write(version_dir: str | os.PathLike[str], number: int, contents: Mapping[str, Any]) -> None:
    """Writes the manifest of a version that is still being staged, durably.

    Args:
        version_dir: the staging directory.
        number: of the version.
        contents: as returned by build.
    """
    path = os.path.join(version_dir, PATH)
    atomic.make_dirs(os.path.dirname(path))
    records.write(path, {"version": number, **contents})


def read(
    version_dir: str | os.PathLike[str], files: file_system.FileSystem = file_system.LOCAL
) -> dict[str, Any]:
    """Reads and checks a manifest.

    Args:
        version_dir: the directory of the version.
        files: its file system.
    Returns:
        dict as returned by build, and `format` and `version` (int >= 1).
    Raises:
        StoreError: there is none.
        FormatError: it is broken.
    """
    path = os.path.join(version_dir, PATH)
    try:
        contents = records.decode(files.read(path), path)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise errors.StoreError(f"{path}: missing; hubpipe writes one into every version it publishes.") from error
    number, digests = contents.get("version"), contents.get("files")
    if not records.is_integer(number) or number < 1:
        raise errors.FormatError(f"{path}: version is {number!r}; expected an integer of at least 1.")
    if not isinstance(digests, dict):
        raise errors.FormatError(f"{path}: files is {digests!r}; expected an object.")
    for name, entry in digests.items():
        if (
            not isinstance(entry, dict)
            or not isinstance(entry.get("sha256"), str)
            or not records.is_integer(entry.get("size"))
        ):
            raise errors.FormatError(
                f"{path}: files: {name!r} is {entry!r}; expected an object of sha256 (string), size (integer)."
            )
    return contents


def environment() -> dict[str, str | None]:
    """Describes what runs: versions of Python, the platform, hubpipe and the packages that shape a module.

    Nothing is imported for it; a package that is not installed has the version None.
    """
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "hubpipe": version.__version__,
        **{name: _installed_version(distributions) for name, distributions in _PACKAGES.items()},
    }


def _installed_version(distributions: tuple[str, ...]) -> str | None:
    for distribution in distributions:
        try:
            return importlib.metadata.version(distribution)
        except importlib.metadata.PackageNotFoundError:
            continue
    return None
