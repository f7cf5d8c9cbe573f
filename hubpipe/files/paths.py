"""Safe joins of names that were read from a file."""

import os

from hubpipe import errors


def inside(root: str | os.PathLike[str], name: str) -> str:
    """Joins a directory and the name of something in it, refusing names that lead out of it.

    Only names are looked at, so `root` may be of any file system; a symbolic link on disk is the caller's matter.

    Args:
        root: the directory.
        name: "/"-separated relative name, as found in a module, manifest or archive; "." parts are dropped.
    Returns:
        root, then the parts of the name.
    Raises:
        FormatError: the name is empty, absolute, or has a ".." part, a backslash or a NUL.
    """
    parts = [part for part in name.split("/") if part not in ("", ".")]
    problem = None
    if not parts:
        problem = "names nothing"
    elif name.startswith("/"):
        problem = "is absolute"
    elif ".." in parts:
        problem = "has a '..' part"
    elif "\\" in name:
        problem = "has a backslash"
    elif "\0" in name:
        problem = "has a NUL"
    if problem:
        raise errors.FormatError(
            f"{os.fspath(root)}: the name {name!r} {problem}; accepted are relative names inside the directory, "
            "like 'assets/vocab.txt'."
        )
    return os.path.join(root, *parts)


def local(path: str | os.PathLike[str]) -> str | None:
    """The path on the local file system, None for one of another file system, such as ram:// or gs://."""
    path = os.fspath(path).removeprefix("file://")
    return None if "://" in path else path
