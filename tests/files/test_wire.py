import pytest

from hubpipe import errors
from hubpipe.files import wire

_SCHEMA = {1: ("count", wire.VARINT), 2: ("text", wire.BYTES), 3: ("crc", wire.FIXED32)}


@pytest.mark.parametrize("number", [0, 1, 127, 128, 300, 2**32, 2**63, 2**64 - 1])
def test_varint_round_trip(number):
    encoded = wire.encode_varint(number)
    assert wire.decode_varint(b"x" + encoded + b"y", 1, "here") == (number, 1 + len(encoded))


def test_varint_of_the_documentation():
    assert wire.encode_varint(150) == b"\x96\x01"


@pytest.mark.parametrize("encoded", [b"", b"\x80", b"\xff" * 9])
def test_varint_that_ends_early(encoded):
    with pytest.raises(errors.FormatError, match="m.index: ends inside the number at byte 1"):
        wire.decode_varint(b"x" + encoded, 1, "m.index")


@pytest.mark.parametrize("encoded", [b"\xff" * 9 + b"\x02", b"\x80" * 10, b"\x80" * 10 + b"\x01"])
def test_varint_of_more_than_64_bits(encoded):
    with pytest.raises(errors.FormatError, match="m.index: the number at byte 0 has more than 64 bits"):
        wire.decode_varint(encoded, 0, "m.index")


@pytest.mark.parametrize("number", [0, 5, -1, 2**63 - 1, -(2**63)])
def test_signed_reads_twos_complement(number):
    assert wire.signed(number % 2**64) == number


def test_fields_round_trip_and_zero_is_left_out():
    message = (
        wire.encode_field(1, wire.VARINT, 300)
        + wire.encode_field(2, wire.BYTES, b"")
        + wire.encode_field(3, wire.FIXED32, 0xDEADBEEF)
        + wire.encode_field(1, wire.VARINT, 0)
        + wire.encode_field(2, wire.BYTES, b"abc")
    )
    assert message == bytes.fromhex("08ac0212001defbeadde1203616263")
    assert wire.decode_message(message, _SCHEMA, "m") == {
        "count": [300],
        "text": [b"", b"abc"],
        "crc": [0xDEADBEEF],
    }


def test_unknown_fields_are_skipped():
    message = b"\x21" + bytes(8) + b"\x4a\x02hi" + b"\x08\x01"
    assert wire.decode_message(message, _SCHEMA, "m") == {"count": [1]}


@pytest.mark.parametrize(
    ("message", "problem"),
    [
        (b"\x12\x05abc", "m: a field claims 5 bytes, 3 are left"),
        (b"\x1d\x00", "m: a field claims 4 bytes, 1 are left"),
        (b"\x0a\x01x", "m: field 'count' has wire type 2, expected 0"),
        (b"\x0b", "m: wire type 3 at byte 1 is not supported"),
        (b"\x08", "m: ends inside the number at byte 1"),
    ],
)
def test_malformed_messages(message, problem):
    with pytest.raises(errors.FormatError, match=problem):
        wire.decode_message(message, _SCHEMA, "m")
