"""JSON records on disk: one object, whose key `format` says how to read the rest."""

import json
import os
from collections.abc import Mapping
from typing import Any

from hubpipe import errors
from hubpipe.files import atomic

FORMAT = 1


def read(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Reads a record.

    Returns:
        dict key -> value, `format` included; keys that this release does not know are kept.
    Raises:
        FormatError: the file is not a JSON object, or of another format.
        OSError: the file cannot be read; FileNotFoundError when it is absent.
    """
    with open(path, "rb") as file:
        return decode(file.read(), os.fspath(path))


def write(path: str | os.PathLike[str], record: Mapping[str, Any]) -> None:
    """Writes a record, replacing an older one at once.

    Args:
        path: the file; its directory exists.
        record: dict key -> JSON value; `format` is added when absent.
    Raises:
        OSError: it cannot be written.
    """
    atomic.write_file(path, encode(record))


def decode(text: bytes, where: str) -> dict[str, Any]:
    """Reads the bytes of a record; `where` opens the message of each error.

    Raises:
        FormatError: as `read`.
    """
    try:
        record = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise errors.FormatError(f"{where}: is not JSON ({error}).") from error
    if not isinstance(record, dict):
        raise errors.FormatError(f"{where}: holds a JSON {type(record).__name__}; expected an object.")
    if not is_integer(record.get("format")) or record["format"] != FORMAT:
        raise errors.FormatError(
            f"{where}: format is {record.get('format')!r}; this release of hubpipe reads {FORMAT}."
        )
    return record


def encode(record: Mapping[str, Any]) -> bytes:
    """Returns the bytes of a record; `format` is added when absent."""
    text = json.dumps({"format": FORMAT, **record}, indent=2, allow_nan=False)
    return text.encode("ascii") + b"\n"


def is_integer(value: object) -> bool:
    """Whether a JSON value is an integer; true and false are not."""
    return isinstance(value, int) and not isinstance(value, bool)
