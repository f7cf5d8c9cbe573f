"""Files that may be packed by gzip."""

import gzip
import os
from typing import BinaryIO

_MAGIC = b"\x1f\x8b"


def open_unpacked(path: str | os.PathLike) -> BinaryIO:
    """Opens a local file to read its bytes, unpacked if it is a gzip file by how it begins.

    Raises:
        OSError: it cannot be read. Reading broken gzip data raises OSError, EOFError or zlib.error.
    """
    with open(path, "rb") as file:
        is_packed = file.read(len(_MAGIC)) == _MAGIC
    return gzip.open(path, "rb") if is_packed else open(path, "rb")
