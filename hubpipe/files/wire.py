"""The wire format of protocol buffers: varints, and messages as fields, without generated classes.

Everything read is checked; `where` opens the message of each error.

Source: https://protobuf.dev/programming-guides/encoding/
"""

from collections.abc import Mapping

from hubpipe import errors

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5  # wire types; 3 and 4, groups, are refused
_FIXED_SIZES = {FIXED64: 8, FIXED32: 4}

Schema = Mapping[int, tuple[str, int]]  # field number -> (name, wire type)


def encode_varint(number: int) -> bytes:
    """Returns a number from 0 to 2**64 - 1 as a varint of 1 to 10 bytes."""
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


def decode_varint(data: bytes, start: int, where: str) -> tuple[int, int]:
    """Reads one varint of at most 64 bits.

    Returns:
        (number from 0 to 2**64 - 1, position behind it).
    Raises:
        FormatError: the data ends inside it, or it has more than 64 bits.
    """
    number = 0
    for position, byte in enumerate(data[start : start + 10], start):
        number |= (byte & 0x7F) << 7 * (position - start)
        if byte < 0x80:
            if number >> 64:
                break
            return number, position + 1
    if len(data) - start < 10:
        raise errors.FormatError(f"{where}: ends inside the number at byte {start}")
    raise errors.FormatError(f"{where}: the number at byte {start} has more than 64 bits")


def signed(number: int) -> int:
    """Returns a decoded varint as the int64 that it stands for."""
    return number - (1 << 64) if number >> 63 else number


def encode_field(number: int, wire_type: int, value: int | bytes) -> bytes:
    """Returns a field, or nothing for 0, which proto3 leaves out; empty bytes are written.

    Args:
        number: of the field.
        wire_type: VARINT, FIXED32 or BYTES.
        value: int for the first two, bytes for BYTES.
    """
    tag = encode_varint(number << 3 | wire_type)
    if wire_type == BYTES:
        return tag + encode_varint(len(value)) + value
    if not value:
        return b""
    return tag + (encode_varint(value) if wire_type == VARINT else value.to_bytes(4, "little"))


def decode_message(data: bytes, schema: Schema, where: str) -> dict[str, list]:
    """Reads the fields that `schema` knows and skips the others.

    Returns:
        dict name -> list of its values in order; int, or bytes for BYTES. Names without a value are absent.
    Raises:
        FormatError: the message is truncated, or a known field has another wire type.
    """
    values: dict[str, list] = {}
    position = 0
    while position < len(data):
        tag, position = decode_varint(data, position, where)
        number, wire_type = tag >> 3, tag & 7
        value, position = _decode_value(data, position, wire_type, where)
        if number not in schema:
            continue
        name, expected = schema[number]
        if wire_type != expected:
            raise errors.FormatError(f"{where}: field '{name}' has wire type {wire_type}, expected {expected}")
        values.setdefault(name, []).append(value)
    return values


def _decode_value(data: bytes, start: int, wire_type: int, where: str) -> tuple[int | bytes, int]:
    if wire_type == VARINT:
        return decode_varint(data, start, where)
    if wire_type == BYTES:
        size, start = decode_varint(data, start, where)
    elif wire_type in _FIXED_SIZES:
        size = _FIXED_SIZES[wire_type]
    else:
        raise errors.FormatError(f"{where}: wire type {wire_type} at byte {start} is not supported")
    if size > len(data) - start:
        raise errors.FormatError(f"{where}: a field claims {size} bytes, {len(data) - start} are left")
    value = data[start : start + size]
    return value if wire_type == BYTES else int.from_bytes(value, "little"), start + size
