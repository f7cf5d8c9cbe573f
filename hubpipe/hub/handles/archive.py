"""Unpacks a module's archive, tar or gzipped tar, trusting nothing in it."""

import errno
import gzip
import os
import zlib
from collections.abc import Iterable, Iterator

from hubpipe import errors
from hubpipe.files import packed, paths
from hubpipe.hub.handles import tar

MAX_UNPACKED_BYTES = 32 << 30
MAX_MEMBERS = 100_000
MAX_DEPTH = 100  # directories around a member
# Zeros shrink to a thousandth, and a fresh module may hold little else; weights hardly shrink.
MAX_RATIO = 200
RATIO_FREE_BYTES = 1 << 30  # up to this size any ratio is accepted

_NAME_PROBLEMS = {errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.EINVAL, errno.EILSEQ}


def is_archive(path: str) -> bool:
    """Whether a local file begins like a tar archive, gzipped or not.

    Raises:
        OSError: it cannot be read.
    """
    try:
        with packed.open_unpacked(path) as stream:
            return tar.is_header(stream.read(tar.BLOCK_BYTES))
    except (EOFError, gzip.BadGzipFile, zlib.error):
        return False


def unpack(path: str, directory: str, *, where: str) -> None:
    """Unpacks an archive; permissions, owners and times in it are ignored. Of a repeated file the last one stays.

    Args:
        path: the archive, a local file.
        directory: an empty local directory. After an error it holds a part, and is the caller's to remove.
        where: opens the message of each error, e.g. the URL that the archive is from.
    Raises:
        FormatError: broken; over a limit of this file; no files at all; or a member that is a link, a device, or
            has a name that leads out of the directory or that no file can have.
        OSError: it cannot be read or written.
    """
    files = 0
    try:
        with packed.open_unpacked(path) as stream:
            for member, contents in _within_limits(tar.members(stream, where), os.path.getsize(path), where):
                _unpack_member(member, contents, directory, where)
                files += not member.is_directory
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise errors.FormatError(f"{where}: the archive is broken: {error}") from error
    if not files:
        raise errors.FormatError(f"{where}: the archive holds no files.")


def _unpack_member(member: tar.Member, contents: Iterable[bytes], directory: str, where: str) -> None:
    target = _target(member, directory, where)
    try:
        if member.is_directory:
            os.makedirs(target, exist_ok=True)
            return
        os.makedirs(os.path.dirname(target), exist_ok=True)
        with open(target, "wb") as file:
            file.writelines(contents)
    except OSError as error:
        if error.errno not in _NAME_PROBLEMS:
            raise
        raise _refused(member, where, f"cannot be created: {error.strerror}") from error


def _within_limits(
    members: Iterator[tuple[tar.Member, Iterator[bytes]]], archive_bytes: int, where: str
) -> Iterator[tuple[tar.Member, Iterator[bytes]]]:
    """Passes members on as long as what they claim to hold is within the limits."""
    unpacked_bytes = 0
    for count, (member, contents) in enumerate(members, 1):
        unpacked_bytes += member.size
        if count > MAX_MEMBERS:
            raise _refused(member, where, f"is one more than the {MAX_MEMBERS} that are accepted")
        if unpacked_bytes > MAX_UNPACKED_BYTES:
            raise _refused(
                member, where, f"brings it to {unpacked_bytes} bytes, accepted are {MAX_UNPACKED_BYTES} unpacked"
            )
        if unpacked_bytes > max(RATIO_FREE_BYTES, MAX_RATIO * archive_bytes):
            raise _refused(
                member,
                where,
                f"brings it to {unpacked_bytes} bytes from {archive_bytes}; above {RATIO_FREE_BYTES} bytes, "
                f"accepted is {MAX_RATIO} times the size of the archive",
            )
        yield member, contents


def _target(member: tar.Member, directory: str, where: str) -> str:
    if member.is_directory and member.name in (".", "./"):
        return directory
    if member.name.count("/") > MAX_DEPTH:
        raise _refused(member, where, f"is more than {MAX_DEPTH} directories deep")
    try:
        return paths.inside(directory, member.name)
    except errors.FormatError as error:
        raise errors.FormatError(f"{where}: the archive cannot be unpacked to {error}") from error


def _refused(member: tar.Member, where: str, problem: str) -> errors.FormatError:
    name = member.name if len(member.name) <= 200 else member.name[:200] + "..."
    return errors.FormatError(f"{where}: the archive's member {name!r} {problem}.")
