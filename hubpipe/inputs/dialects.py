"""Files of rows: which they are, their format, how they are opened; imports no TensorFlow.

- UTF-8, with or without a byte order mark, unless a Dialect says otherwise. A row with bytes that are not of the
  encoding is a bad one.
- Files may be packed by gzip; the ending of their format stands before .gz.
- Lines end in "\\n" or "\\r\\n" and in nothing else.
"""

import codecs
import glob
import io
import os
import zlib
from collections.abc import Iterable
from typing import Any, NamedTuple, TextIO

from hubpipe import errors
from hubpipe.files import packed
from hubpipe.inputs import bad_rows

FORMATS = ("csv", "tsv", "jsonl")
# What reading a file may raise.
UNREADABLE = (OSError, EOFError, zlib.error)

_SUFFIXES = {".csv": "csv", ".tsv": "tsv", ".jsonl": "jsonl", ".ndjson": "jsonl"}
_GZIP_ENDING = ".gz"
_SEPARATORS = {"csv": ",", "tsv": "\t"}

# What bytes become that the encoding does not have; half of a surrogate pair, which no decoded text holds.
UNDECODED = "\udcff"
codecs.register_error("hubpipe.undecoded", lambda error: (UNDECODED, error.end))


class Dialect(NamedTuple):
    """How files are written.

    Attributes:
        delimiter: between the fields of csv and tsv; None for a comma, a tab.
        encoding: of the text, as Python calls it; "utf-8-sig" is UTF-8 with a byte order mark or without.
    """

    delimiter: str | None = None
    encoding: str = "utf-8-sig"

    @classmethod
    def of(cls, section: Any) -> "Dialect":
        """That of the files of a section of inputs."""
        return cls(section.delimiter, section.encoding)

    def separator(self, kind: str) -> str:
        """What stands between the fields of csv or tsv."""
        return self.delimiter or _SEPARATORS[kind]

    def open(self, path: str) -> TextIO:
        """Opens a file to read it, with bytes that the encoding does not have marked; OSError if it cannot be."""
        file = packed.open_unpacked(path)
        return io.TextIOWrapper(file, encoding=self.encoding, errors="hubpipe.undecoded", newline="\n")


COMMON = Dialect()


def expand(paths: str | os.PathLike | Iterable[str | os.PathLike]) -> list[str]:
    """Lists the files that paths and glob patterns mean.

    Args:
        paths: one or several; `**` matches any depth of folders.
    Returns:
        The paths in the order given, what a pattern matches sorted, each file once.
    Raises:
        InputError: a path that does not exist, a folder, or a pattern that matches no file.
    """
    if isinstance(paths, str | os.PathLike):
        paths = [paths]
    files = []
    for path in map(os.fspath, paths):
        if os.path.isfile(path):
            files.append(path)
            continue
        if os.path.isdir(path):
            raise errors.InputError(f"{path}: a folder, not a file. A pattern takes its files: {path}/*.csv")
        matches = sorted(match for match in glob.glob(path, recursive=True) if os.path.isfile(match))
        if not matches:
            raise errors.InputError(f"{path}: no such file, and no file matches it as a pattern")
        files += matches
    return list(dict.fromkeys(files))


def format_of(path: str) -> str:
    """Tells a file's format by the ending of its name.

    Returns:
        one of FORMATS.
    Raises:
        InputError: an ending that is not known.
    """
    suffix = os.path.splitext(path.lower().removesuffix(_GZIP_ENDING))[1]
    if suffix not in _SUFFIXES:
        raise errors.InputError(
            f"{path}: the ending {suffix!r} does not tell the format. Endings known: {', '.join(_SUFFIXES)}, "
            f"also with {_GZIP_ENDING} behind; or set the format to one of {', '.join(FORMATS)}"
        )
    return _SUFFIXES[suffix]


def unreadable(path: str, error: Exception) -> errors.InputError:
    """What to raise in the place of one of UNREADABLE."""
    return errors.InputError(f"{path}: cannot be read ({getattr(error, 'strerror', None) or error})")


def undecoded(file: TextIO, held: str) -> str:
    """What is wrong with a row that has bytes that are none of the file's encoding, and what to do."""
    place = held.index(UNDECODED)
    around = held[max(place - bad_rows.MAX_SHOWN_CHARS // 3, 0) : place + bad_rows.MAX_SHOWN_CHARS // 3]
    found = bad_rows.shown(around.replace(UNDECODED, "\ufffd"))
    encoding = file.encoding.removesuffix("-sig")
    return f"bytes that are not {encoding} ({found}); set inputs.encoding to that of the file, such as latin-1"
