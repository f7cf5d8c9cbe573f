"""A strict reader of tar archives that hold files and directories only, in bounded memory.

Python's tarfile takes a broken header for the end of the archive, so that part of a module would pass for the
whole; it reads an extended header of any size into memory, and in many releases it runs in circles over a negative
size. A limit around it mends only the memory. Accepted are the ustar, GNU and pax formats.

Source: POSIX.1-2017, pax, "ustar Interchange Format", "pax Extended Header"; GNU tar manual, "Basic Tar Format".
"""

import dataclasses
from collections.abc import Iterator
from typing import BinaryIO

from hubpipe import errors

BLOCK_BYTES = 512
MAX_EXTENSION_BYTES = 64 << 10  # of one long name or pax header
MAX_EXTENSIONS = 8  # in front of one member
MAX_PADDING_BYTES = 1 << 20  # zeros behind the end; tar fills up a record, 10 KiB unless told otherwise

_CHUNK_BYTES = 1 << 20
_CHECKSUM = slice(148, 156)
_FILE_TYPES = (b"0", b"\0", b"7")
_DIRECTORY_TYPE = b"5"
_LONG_NAME, _LONG_LINK, _PAX, _PAX_GLOBAL = b"L", b"K", b"x", b"g"
_EXTENSION_TYPES = (_LONG_NAME, _LONG_LINK, _PAX, _PAX_GLOBAL)
_REFUSED_TYPES = {
    b"1": "a hard link (GNU tar --hard-dereference stores files in their place)",
    b"2": "a symbolic link",
    b"3": "a character device",
    b"4": "a block device",
    b"6": "a named pipe",
    b"S": "a sparse file",
}


@dataclasses.dataclass(frozen=True)
class Member:
    """One file or directory of an archive.

    Attributes:
        name: as stored, not checked; bytes that are not UTF-8 are surrogates, as in file names of Python.
        is_directory: whether it is a directory.
        size: claimed bytes of contents, not checked; 0 for a directory.
    """

    name: str
    is_directory: bool
    size: int


def members(stream: BinaryIO, where: str) -> Iterator[tuple[Member, Iterator[bytes]]]:
    """Reads an archive to its end.

    Args:
        stream: the archive, decompressed; need not be seekable.
        where: opens the message of each error, e.g. the archive's name.
    Yields:
        (member, chunks of its contents). Contents not read when the next member is asked for are skipped.
    Raises:
        FormatError: truncated, malformed, over a limit, or a member that is neither a file nor a directory.
    """
    source = _Source(stream, where)
    while (member := _next_member(source)) is not None:
        contents = source.chunks(member.size)
        yield member, contents
        for _ in contents:
            pass
        source.read(-member.size % BLOCK_BYTES)
    source.read(BLOCK_BYTES)  # the end is marked by two blocks of zeros
    rest = stream.read(MAX_PADDING_BYTES + 1)
    if len(rest) > MAX_PADDING_BYTES or any(rest):
        raise source.error(f"is followed by more than {MAX_PADDING_BYTES} bytes of zeros")


def is_header(block: bytes) -> bool:
    """Whether an archive may begin with these bytes: a header with a true checksum."""
    if len(block) != BLOCK_BYTES:
        return False
    claimed = block[_CHECKSUM].strip(b" \0")
    blanked = block[: _CHECKSUM.start] + b" " * 8 + block[_CHECKSUM.stop :]
    try:
        return int(claimed, 8) == sum(blanked)
    except ValueError:
        return False


class _Source:
    """Reads exact numbers of bytes and knows where it is."""

    def __init__(self, stream: BinaryIO, where: str):
        self._stream = stream
        self._where = where
        self._position = 0

    def read(self, size: int) -> bytes:
        data = self._stream.read(size)
        self._position += len(data)
        if len(data) != size:
            raise self.error(f"ends {size - len(data)} bytes too early")
        return data

    def chunks(self, size: int) -> Iterator[bytes]:
        while size:
            chunk = self.read(min(size, _CHUNK_BYTES))
            size -= len(chunk)
            yield chunk

    def error(self, problem: str) -> errors.FormatError:
        return errors.FormatError(f"{self._where}: the tar archive, at byte {self._position}, {problem}.")


def _next_member(source: _Source) -> Member | None:
    """Reads a header with its extensions; None at the end of the archive."""
    extended: dict[str, bytes] = {}
    for _ in range(MAX_EXTENSIONS + 1):
        block = source.read(BLOCK_BYTES)
        if not any(block):
            if extended:
                raise source.error("ends behind an extended header")
            return None
        if not is_header(block):
            raise source.error("has a broken header")
        kind = block[156:157]
        if kind not in _EXTENSION_TYPES:
            return _member(block, extended, source)
        extended.update(_read_extension(kind, _number(block[124:136], source), source))
    raise source.error(f"has more than {MAX_EXTENSIONS} extended headers in a row")


def _member(block: bytes, extended: dict[str, bytes], source: _Source) -> Member:
    name = _text(extended.get("path") or _stored_name(block))
    kind = block[156:157]
    if any(key.startswith("GNU.sparse.") for key in extended):
        kind = b"S"
    if kind == b"\0" and name.endswith("/"):  # as before POSIX
        kind = _DIRECTORY_TYPE
    if kind == _DIRECTORY_TYPE:
        return Member(name, True, 0)
    if kind not in _FILE_TYPES:
        refused = _REFUSED_TYPES.get(kind, f"of type {kind!r}")
        raise source.error(f"has the member {name!r}, which is {refused}; accepted are files and directories")
    size = _decimal(extended["size"], source) if "size" in extended else _number(block[124:136], source)
    return Member(name, False, size)


def _stored_name(block: bytes) -> bytes:
    name, prefix = _until_nul(block[:100]), _until_nul(block[345:500])
    is_ustar = block[257:263] == b"ustar\0"  # GNU's own format has times in place of the prefix
    return prefix + b"/" + name if is_ustar and prefix else name


def _read_extension(kind: bytes, size: int, source: _Source) -> dict[str, bytes]:
    """Returns what an extended header says of the next member: pax keys, "path" for a long name."""
    if size > MAX_EXTENSION_BYTES:
        raise source.error(f"has an extended header of {size} bytes, accepted are {MAX_EXTENSION_BYTES}")
    data = source.read(size)
    source.read(-size % BLOCK_BYTES)
    if kind == _LONG_NAME:
        return {"path": _until_nul(data)}
    if kind == _PAX:
        return _pax_records(data, source)
    return {}  # targets of links, which are refused, and comments


def _pax_records(data: bytes, source: _Source) -> dict[str, bytes]:
    """Parses records "<length of the record> <key>=<value>\\n"."""
    records = {}
    while data:
        length, _, _ = data[:20].partition(b" ")
        end = _decimal(length, source)
        key, equals, value = data[len(length) + 1 : end].partition(b"=")
        if not equals or not value.endswith(b"\n") or end > len(data):
            raise source.error("has a malformed pax header")
        records[_text(key)] = value[:-1]
        data = data[end:]
    return records


def _number(field: bytes, source: _Source) -> int:
    """A numeric field: octal digits, or GNU's big-endian form, which is marked by the highest bit."""
    if field[0] == 0x80:
        return int.from_bytes(field[1:], "big")
    digits = field.strip(b" \0")
    if not digits:
        return 0
    if not digits.isdigit() or any(digit in b"89" for digit in digits):
        raise source.error(f"has the number {field!r}, expected octal digits")
    return int(digits, 8)


def _decimal(digits: bytes, source: _Source) -> int:
    if not digits.isdigit() or len(digits) > 20:
        raise source.error(f"has a pax header with the number {digits[:20]!r}")
    return int(digits)


def _until_nul(field: bytes) -> bytes:
    return field.split(b"\0", 1)[0]


def _text(name: bytes) -> str:
    return name.decode("utf-8", "surrogateescape")
