"""SHA-256 digests of files and directory trees."""

import hashlib
import os
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import TypedDict

from hubpipe import errors

_BLOCK_BYTES = 1 << 20


class FileDigest(TypedDict):
    """What is recorded of one file."""

    sha256: str  # 64 lower-case hexadecimal digits
    size: int  # bytes


def sha256_file(path: str | os.PathLike[str]) -> str:
    """Returns the SHA-256 of a file's bytes as 64 lower-case hexadecimal digits; reads in blocks of 1 MiB."""
    digest = hashlib.sha256()
    block = memoryview(bytearray(_BLOCK_BYTES))
    with open(path, "rb", buffering=0) as file:
        while count := file.readinto(block):
            digest.update(block[:count])
    return digest.hexdigest()


def sha256_tree(root: str | os.PathLike[str], exclude: Collection[str] = ()) -> dict[str, FileDigest]:
    """Digests every file of a tree.

    Args:
        root: the directory.
        exclude: relative names of files to leave out.
    Returns:
        dict "/"-separated relative name -> {"sha256": ..., "size": bytes}, sorted by name. Empty directories leave
        no trace in it.
    Raises:
        FormatError: something in the tree is neither a file nor a directory, for example a symbolic link.
        OSError: the tree cannot be read.
    """
    digests: dict[str, FileDigest] = {}
    for name, entry in _listing(root, exclude).items():
        if not entry.is_file(follow_symlinks=False):
            raise errors.FormatError(f"{entry.path}: is neither a file nor a directory; only these are accepted.")
        digests[name] = {"sha256": sha256_file(entry.path), "size": os.path.getsize(entry.path)}
    return digests


def differences(
    root: str | os.PathLike[str], expected: Mapping[str, FileDigest], exclude: Collection[str] = ()
) -> list[str]:
    """Compares a tree with the digests it had.

    Args:
        root: the directory.
        expected: as returned by sha256_tree.
        exclude: relative names of files to leave out.
    Returns:
        one line per file that is missing, changed or unexpected, sorted by name; empty when the tree is the same.
    Raises:
        OSError: the tree cannot be read.
    """
    found = _listing(root, exclude)
    sizes = {
        name: os.path.getsize(entry.path) if entry.is_file(follow_symlinks=False) else None
        for name, entry in found.items()
    }
    return compared(expected, sizes, lambda name: sha256_file(found[name].path))


def compared(
    expected: Mapping[str, FileDigest], sizes: Mapping[str, int | None], sha256: Callable[[str], str]
) -> list[str]:
    """Compares a tree of any file system with the digests it had.

    Args:
        expected: as returned by sha256_tree.
        sizes: dict relative name -> bytes, None for what is no file.
        sha256: from a relative name to the digest of the file; called when the size is right.
    Returns:
        as `differences`.
    """
    lines = []
    for name in sorted({*sizes, *expected}):
        if name not in sizes:
            lines.append(f"{name}: missing")
        elif name not in expected:
            lines.append(f"{name}: unexpected")
        elif sizes[name] is None:
            lines.append(f"{name}: changed, is no longer a file")
        elif sizes[name] != expected[name]["size"]:
            lines.append(f"{name}: changed, {sizes[name]} bytes instead of {expected[name]['size']}")
        elif (found := sha256(name)) != expected[name]["sha256"]:
            lines.append(f"{name}: changed, sha256 {found} instead of {expected[name]['sha256']}")
    return lines


def _listing(root: str | os.PathLike[str], exclude: Collection[str]) -> dict[str, os.DirEntry]:
    """Everything in a tree but directories and the excluded: relative name -> entry, sorted by name."""
    listing = dict(_walk(root, ""))
    return {name: listing[name] for name in sorted(listing.keys() - set(exclude))}


def _walk(directory: str | os.PathLike[str], prefix: str) -> Iterator[tuple[str, os.DirEntry]]:
    with os.scandir(directory) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                yield from _walk(entry.path, f"{prefix}{entry.name}/")
            else:
                yield prefix + entry.name, entry
