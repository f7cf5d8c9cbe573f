import re

import pytest

from hubpipe import errors
from hubpipe.files import crc32c, sstable, wire


def _block(content, *, compression=0):
    body = content + bytes([compression])
    return body + crc32c.mask(crc32c.checksum(body)).to_bytes(4, "little")


def _entry(shared, added, value):
    return b"".join(wire.encode_varint(n) for n in (shared, len(added), len(value))) + added + value


_NO_RESTARTS = bytes(4)
_EMPTY = bytes(4) + b"\1\0\0\0"


def _table(*data_blocks, handles=None, separators=None, compression=0):
    """A table of given blocks, sound in its frame and checksums whatever they hold."""
    table = bytearray()
    listed = []
    for content in data_blocks:
        listed.append(wire.encode_varint(len(table)) + wire.encode_varint(len(content)))
        table += _block(content, compression=compression)
    separators = separators or [bytes([0xFF, i]) for i in range(len(listed))]
    index = b"".join(_entry(0, key, handle) for key, handle in zip(separators, handles or listed, strict=True))
    footer = b""
    for content in (_EMPTY, index + _NO_RESTARTS):
        footer += wire.encode_varint(len(table)) + wire.encode_varint(len(content))
        table += _block(content)
    return bytes(table) + footer.ljust(40, b"\0") + bytes.fromhex("57fb808b247547db")


def test_items_come_back_sorted():
    items = {b"b": b"2", b"": b"head", b"a": b"", b"\xff\xff": b"last", b"ab": bytes(300)}
    assert sstable.decode(sstable.encode(items), "t") == sorted(items.items())


def test_keys_with_common_beginnings_share_bytes_and_restart():
    items = {b"layers/dense/kernel/%04d" % i: b"v%d" % i for i in range(1000)}
    table = sstable.encode(items)
    assert len(table) < 1000 * 12
    assert sstable.decode(table, "t") == list(items.items())


def test_large_tables_have_several_blocks():
    items = {b"\xff\xff%05d" % i: bytes([i % 256]) * 1000 for i in range(700)}
    table = sstable.encode(items)
    assert sstable.decode(table, "t") == sorted(items.items())
    with pytest.raises(errors.FormatError, match="the block at byte 2[0-9]{5} is damaged"):
        sstable.decode(table[:300_000] + b"!" + table[300_001:], "t")


def test_no_items():
    assert sstable.decode(sstable.encode({}), "t") == []


def test_the_tables_of_these_tests_are_sound():
    assert sstable.decode(_table(_entry(0, b"k", b"v") + _NO_RESTARTS), "t") == [(b"k", b"v")]


@pytest.mark.parametrize(
    ("table", "problem"),
    [
        (b"", "t: 0 bytes, a table has at least 48"),
        (bytes(47), "t: 47 bytes, a table has at least 48"),
        (bytes(48), "t: ends in 0000000000000000, a table ends in 57fb808b247547db"),
        (_table(_entry(0, b"k", b"v") + _NO_RESTARTS, compression=1), "has compression 1, accepted is 0 (none)"),
        (_table(_entry(3, b"k", b"v") + _NO_RESTARTS), "block at byte 0: a key shares 3 bytes with one of 0"),
        (_table(b"\0\5\1k" + _NO_RESTARTS), "block at byte 0: an entry claims 5 + 1 bytes, 1 are left"),
        (_table(b"\0\0\0\0" + b"\2\0\0\0"), "block at byte 0: claims 2 restart points in 8 bytes"),
        (_table(b"\0"), "block at byte 0: claims 0 restart points in 1 bytes"),
        (_table(b"\x80" * 10 + _NO_RESTARTS), "the number at byte 0 has more than 64 bits"),
        (
            _table(_entry(0, b"k", b"v") + _entry(0, b"k", b"w") + _NO_RESTARTS),
            "key b'k' follows b'k', keys ascend",
        ),
        (
            _table(
                _entry(0, b"k", b"") + _NO_RESTARTS, _entry(0, b"j", b"") + _NO_RESTARTS, separators=[b"k", b"l"]
            ),
            "key b'j' follows b'k', keys ascend",
        ),
        (
            _table(_entry(0, b"k", b"v") + _NO_RESTARTS, separators=[b"a"]),
            "the block at byte 0 is listed up to b'a', its last key is b'k'",
        ),
        (
            _table(_EMPTY, _EMPTY, handles=[b"\0\x08", b"\0\x08"]),
            "the block at byte 0 begins before the last one ends, at 13",
        ),
        (_table(_EMPTY, handles=[b"\0\xff\x7f"]), "a block claims bytes 0 to 16383, blocks end by"),
        (_table(_EMPTY, handles=[b"\0"]), "place of a block: ends inside the number at byte 1"),
        (_table(_EMPTY, handles=[b"\0\x07"]), "the block at byte 0 is damaged: its checksum is"),
        (_table(_entry(0, bytes(1 << 15), b"") + _NO_RESTARTS), "a key of 32768 bytes, accepted are 16384"),
    ],
)
def test_broken_tables(table, problem):
    with pytest.raises(errors.FormatError, match=re.escape(problem)):
        sstable.decode(table, "t")


def test_few_bytes_that_stand_for_many_keys_are_refused():
    size = sstable.MAX_KEY_BYTES
    repeats = b"".join(_entry(size - 4, i.to_bytes(4, "big"), b"") for i in range(1, 20_000))  # stands for 330 MB
    table = _table(_entry(0, bytes(size), b"") + repeats + _NO_RESTARTS)
    with pytest.raises(errors.FormatError, match="all keys have more than 268435456 bytes"):
        sstable.decode(table, "t")


def test_truncation_anywhere_is_refused():
    table = sstable.encode({b"": b"head", b"a": b"1", b"b": b"2"})
    for size in range(len(table)):
        with pytest.raises(errors.FormatError, match="^t: "):
            sstable.decode(table[:size], "t")
