"""Copying ranges of bytes from file to file, in the kernel where it can, else through one small buffer."""

import errno
import os
from collections.abc import Callable, Iterator
from typing import BinaryIO

from hubpipe import errors

_KERNEL_STEP_BYTES = 64 << 20  # from one report of progress to the next
_BUFFER_BYTES = 4 << 20
# Other file systems, kernels and sandboxes that do not know copy_file_range, or not between these two files.
_UNSUPPORTED = {errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM}


def append_range(
    source: BinaryIO, offset: int, size: int, target: BinaryIO, progress: Callable[[int], None] | None = None
) -> None:
    """Writes `size` bytes of `source` from `offset` on at the position of `target`.

    Args:
        source: file opened for reading without a buffer (`buffering=0`).
        offset: first byte.
        size: number of bytes.
        target: file opened for writing without a buffer.
        progress: called with the number of bytes after each step.
    Raises:
        FormatError: `source` ends before the range does.
        OSError: the file system failed.
    """
    end = offset + size
    for step in _kernel_steps, _buffer_steps:
        for copied in step(source, offset, end, target):
            offset += copied
            if progress:
                progress(copied)
    if offset < end:
        raise errors.FormatError(f"{source.name}: ends at byte {offset}, expected {end} or more")


def _kernel_steps(source: BinaryIO, offset: int, end: int, target: BinaryIO) -> Iterator[int]:
    """Copies until the end, or as far as copy_file_range goes; yields the number of bytes of each step."""
    if not hasattr(os, "copy_file_range"):  # Linux only
        return
    while offset < end:
        try:
            copied = os.copy_file_range(
                source.fileno(), target.fileno(), min(end - offset, _KERNEL_STEP_BYTES), offset_src=offset
            )
        except OSError as error:
            if error.errno in _UNSUPPORTED:
                return
            raise
        if not copied:  # the end of the file, or a file system that answers so instead of with an error
            return
        offset += copied
        yield copied


def _buffer_steps(source: BinaryIO, offset: int, end: int, target: BinaryIO) -> Iterator[int]:
    """Copies until the end of the range or of the file; yields the number of bytes of each step."""
    if offset == end:
        return
    buffer = memoryview(bytearray(min(end - offset, _BUFFER_BYTES)))
    source.seek(offset)
    while offset < end:
        copied = source.readinto(buffer[: end - offset])
        if not copied:
            return
        written = 0
        while written < copied:
            written += target.write(buffer[written:copied])
        offset += copied
        yield copied
