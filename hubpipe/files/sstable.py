"""Sorted tables of bytes, as TensorFlow's checkpoints use them for their index.

A table is data blocks, an empty metaindex block, an index block that says where the data blocks are, and a
footer that says where these two are. Each block ends in its compression (a byte; always none) and a checksum.
Inside a block a key shares its beginning with the key before, except at restart points.

Source: https://github.com/google/leveldb/blob/main/doc/table_format.md; TensorFlow's own writer
(tensorflow/core/lib/io/table_builder.cc), whose bytes `encode` gives.
"""

from collections.abc import Iterator, Mapping

from hubpipe import errors
from hubpipe.files import crc32c, wire

MAX_KEY_BYTES = 1 << 14  # of one key
MAX_ALL_KEYS_BYTES = 1 << 28  # of all keys, written out: three bytes can repeat a long key
_SHOWN_BYTES = 100  # of a key, in error messages
_BLOCK_BYTES = 1 << 18  # a data block is closed when it reaches this size
_RESTART_INTERVAL = 16  # keys from one restart point of a data block to the next
_TRAILER_BYTES = 5  # compression and checksum
_FOOTER_BYTES = 48
_MAGIC = bytes.fromhex("57fb808b247547db")


def decode(table: bytes, where: str) -> list[tuple[bytes, bytes]]:
    """Reads a whole table; time and memory are bounded by its size and MAX_ALL_KEYS_BYTES.

    Args:
        table: the content of the file.
        where: the file, for error messages.
    Returns:
        list of (key, value), strictly ascending by key.
    Raises:
        FormatError: not a table, truncated, damaged, compressed, unsorted or oversized.
    """
    return _Reader(table, where).items()


def encode(items: Mapping[bytes, bytes]) -> bytes:
    """Returns the table of `items`, byte for byte as TensorFlow's TableBuilder writes it uncompressed."""
    table = bytearray()
    index = _BlockWriter(restart_interval=1)
    block = _BlockWriter(_RESTART_INTERVAL)
    last_key, closed_handle = b"", b""
    for key in sorted(items):
        if closed_handle:
            index.add(_separator(last_key, key), closed_handle)
            closed_handle = b""
        block.add(key, items[key])
        last_key = key
        if block.size >= _BLOCK_BYTES:
            closed_handle = _append_block(table, block)
            block = _BlockWriter(_RESTART_INTERVAL)
    if block.num_entries:
        closed_handle = _append_block(table, block)
    if closed_handle:
        index.add(_successor(last_key), closed_handle)
    handles = _append_block(table, _BlockWriter(_RESTART_INTERVAL)) + _append_block(table, index)
    return bytes(table) + handles.ljust(_FOOTER_BYTES - len(_MAGIC), b"\0") + _MAGIC


class _Reader:
    """One table being read, and how many bytes of keys it has had so far."""

    def __init__(self, table: bytes, where: str):
        self._table = table
        self._where = where
        self._key_bytes = 0

    def items(self) -> list[tuple[bytes, bytes]]:
        size = len(self._table)
        if size < _FOOTER_BYTES:
            raise errors.FormatError(f"{self._where}: {size} bytes, a table has at least {_FOOTER_BYTES}")
        if not self._table.endswith(_MAGIC):
            magic = self._table[-len(_MAGIC) :].hex()
            raise errors.FormatError(f"{self._where}: ends in {magic}, a table ends in {_MAGIC.hex()}")
        footer = self._table[-_FOOTER_BYTES : -len(_MAGIC)]
        metaindex, position = self._handle(footer, 0)
        index, _ = self._handle(footer, position)
        for _ in self._entries(*metaindex):
            pass  # checked, but of no meaning in a table without filters
        return self._data(*index)

    def _data(self, index_offset: int, index_size: int) -> list[tuple[bytes, bytes]]:
        items = []
        last_key, last_end = None, 0
        for separator, handle in self._entries(index_offset, index_size):
            (offset, size), _ = self._handle(handle, 0)
            if offset < last_end:
                raise errors.FormatError(
                    f"{self._where}: the block at byte {offset} begins before the last one ends, at {last_end}"
                )
            for key, value in self._entries(offset, size):
                if last_key is not None and key <= last_key:
                    raise errors.FormatError(
                        f"{self._where}: key {_shown(key)} follows {_shown(last_key)}, keys ascend"
                    )
                items.append((key, value))
                last_key = key
            if last_key is not None and separator < last_key:
                raise errors.FormatError(
                    f"{self._where}: the block at byte {offset} is listed up to {_shown(separator)}, "
                    f"its last key is {_shown(last_key)}"
                )
            last_key, last_end = separator, offset + size + _TRAILER_BYTES
        return items

    def _handle(self, data: bytes, start: int) -> tuple[tuple[int, int], int]:
        where = f"{self._where}: place of a block"
        offset, start = wire.decode_varint(data, start, where)
        size, start = wire.decode_varint(data, start, where)
        return (offset, size), start

    def _block(self, offset: int, size: int) -> bytes:
        end = offset + size
        room = len(self._table) - _FOOTER_BYTES - _TRAILER_BYTES
        if end > room:
            raise errors.FormatError(
                f"{self._where}: a block claims bytes {offset} to {end}, blocks end by {max(room, 0)}"
            )
        stored = int.from_bytes(self._table[end + 1 : end + _TRAILER_BYTES], "little")
        actual = crc32c.mask(crc32c.checksum(self._table[offset : end + 1]))
        if stored != actual:
            raise errors.FormatError(
                f"{self._where}: the block at byte {offset} is damaged: "
                f"its checksum is {actual:#010x}, stored is {stored:#010x}"
            )
        if self._table[end]:
            raise errors.FormatError(
                f"{self._where}: the block at byte {offset} has compression {self._table[end]}, "
                "accepted is 0 (none)"
            )
        return self._table[offset:end]

    def _entries(self, offset: int, size: int) -> Iterator[tuple[bytes, bytes]]:
        where = f"{self._where}: block at byte {offset}"
        block = self._block(offset, size)
        # Restart points serve random access; reading in order needs only to know where their list begins.
        num_restarts = int.from_bytes(block[-4:], "little")
        end = size - 4 * (num_restarts + 1)
        if end < 0:
            raise errors.FormatError(f"{where}: claims {num_restarts} restart points in {size} bytes")
        position, key = 0, b""
        while position < end:
            shared, position = wire.decode_varint(block, position, where)
            added, position = wire.decode_varint(block, position, where)
            value_size, position = wire.decode_varint(block, position, where)
            if shared > len(key):
                raise errors.FormatError(f"{where}: a key shares {shared} bytes with one of {len(key)}")
            if added + value_size > end - position:
                raise errors.FormatError(
                    f"{where}: an entry claims {added} + {value_size} bytes, {max(end - position, 0)} are left"
                )
            if shared + added > MAX_KEY_BYTES:
                raise errors.FormatError(f"{where}: a key of {shared + added} bytes, accepted are {MAX_KEY_BYTES}")
            self._key_bytes += shared + added
            if self._key_bytes > MAX_ALL_KEYS_BYTES:
                raise errors.FormatError(f"{where}: all keys have more than {MAX_ALL_KEYS_BYTES} bytes")
            key = key[:shared] + block[position : position + added]
            position += added
            yield key, block[position : position + value_size]
            position += value_size


class _BlockWriter:
    """One block being built."""

    def __init__(self, restart_interval: int):
        self.num_entries = 0
        self._restart_interval = restart_interval
        self._data = bytearray()
        self._restarts = [0]
        self._last_key = b""

    @property
    def size(self) -> int:
        return len(self._data) + 4 * (len(self._restarts) + 1)

    def add(self, key: bytes, value: bytes) -> None:
        shared = 0
        if self.num_entries % self._restart_interval:
            shared = _shared_size(self._last_key, key)
        elif self.num_entries:
            self._restarts.append(len(self._data))
        for number in (shared, len(key) - shared, len(value)):
            self._data += wire.encode_varint(number)
        self._data += key[shared:] + value
        self._last_key = key
        self.num_entries += 1

    def content(self) -> bytes:
        numbers = [*self._restarts, len(self._restarts)]
        return bytes(self._data) + b"".join(number.to_bytes(4, "little") for number in numbers)


def _append_block(table: bytearray, block: _BlockWriter) -> bytes:
    """Adds a block to the end of the table; returns its handle."""
    content = block.content()
    handle = wire.encode_varint(len(table)) + wire.encode_varint(len(content))
    table += content + b"\0"
    table += crc32c.mask(crc32c.checksum(content + b"\0")).to_bytes(4, "little")
    return handle


def _shown(key: bytes) -> str:
    return repr(key[:_SHOWN_BYTES])


def _shared_size(first: bytes, second: bytes) -> int:
    limit = min(len(first), len(second))
    return next((i for i in range(limit) if first[i] != second[i]), limit)


def _separator(last_key: bytes, next_key: bytes) -> bytes:
    """A short key that is at least `last_key` and less than `next_key`, chosen as TensorFlow does."""
    shared = _shared_size(last_key, next_key)
    if shared < len(last_key) and last_key[shared] + 1 < next_key[shared]:
        return last_key[:shared] + bytes([last_key[shared] + 1])
    return last_key


def _successor(last_key: bytes) -> bytes:
    """A short key that is at least `last_key`, chosen as TensorFlow does."""
    for i, byte in enumerate(last_key):
        if byte != 0xFF:
            return last_key[:i] + bytes([byte + 1])
    return last_key
