import re

import hypothesis
import pytest
from hypothesis import strategies as st

from hubpipe import errors
from hubpipe.files import bundle_entry, wire

_TABLE = bytes.fromhex("0805120812020805120208023a080a0210030a0210023a080a04080310020a00")  # written by TensorFlow


def test_a_partitioned_tensor_written_by_tensorflow():
    assert bundle_entry.decode_entry(_TABLE, "here") == bundle_entry.Entry(
        dtype=5,
        shape=(5, 2),
        slices=(
            bundle_entry.Slice(starts=(0, 0), lengths=(3, 2), cut=(True, True)),
            bundle_entry.Slice(starts=(3, 0), lengths=(2, 2), cut=(True, False)),
        ),
    )


@pytest.mark.parametrize(
    ("part", "key"),
    [  # the first two written by TensorFlow
        (bundle_entry.Slice((0, 0), (3, 2), (True, True)), "007461626c650001010280838082"),
        (bundle_entry.Slice((3, 0), (2, 2), (True, False)), "007461626c65000101028382807f"),
        (bundle_entry.Slice((63,), (64,), (True,)), "007461626c6500010101bfc040"),
        (bundle_entry.Slice((8191,), (8192,), (True,)), "007461626c6500010101dfffe02000"),
        (
            bundle_entry.Slice((2**55,), (2**62,), (True,)),
            "007461626c6500010101ff8080000000000000ffc04000000000000000",
        ),
    ],
)
def test_keys_of_parts(part, key):
    assert bundle_entry.part_key("table", part).hex() == key


def test_zero_bytes_of_a_name_are_escaped_in_keys():
    assert bundle_entry.part_key("a\0b", bundle_entry.Slice((), (), ())) == b"\0a\0\xffb\0\1\0"


def test_entries_round_trip():
    entry = bundle_entry.Entry(dtype=1, shape=(3, 0, 2), shard=4, offset=1 << 40, size=0, crc32c=0xA282EAD8)
    assert bundle_entry.decode_entry(bundle_entry.encode_entry(entry), "here") == entry
    assert entry.dtype_name == "float32"


def test_headers_round_trip():
    assert bundle_entry.encode_header(1) == bytes.fromhex("08011a020801")
    assert bundle_entry.decode_header(bundle_entry.encode_header(300), "here") == 300


def test_repeated_fields_count_as_for_protocol_buffers():
    halves = [wire.encode_field(2, wire.BYTES, wire.encode_field(1, wire.VARINT, size)) for size in (2, 3)]
    shapes = b"".join(wire.encode_field(2, wire.BYTES, half) for half in halves)
    data = b"\x08\x03\x08\x01" + shapes + b"\x28\x18"  # int32, then float32; [2], then [3]; 24 bytes
    assert bundle_entry.decode_entry(data, "here").shape == (2, 3)
    assert bundle_entry.decode_entry(data, "here").dtype_name == "float32"


@pytest.mark.parametrize(
    ("header", "problem"),
    [
        ("", "here: num_shards is 0, expected 1 or more"),
        ("08ffffffffffffffffff01", "here: num_shards is -1, expected 1 or more"),
        ("08011001", "here: endianness is 1, accepted is 0 (little)"),
        ("08011a0408021002", "here: needs a reader of version 2, this is 1"),
        ("08011a05", "here: a field claims 5 bytes, 0 are left"),
    ],
)
def test_unsupported_headers(header, problem):
    with pytest.raises(errors.FormatError, match=re.escape(problem)):
        bundle_entry.decode_header(bytes.fromhex(header), "here")


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        ("", "here: dtype 0 is unknown, expected 1 to 33"),
        ("0863", "here: dtype 99 is unknown"),
        ("080112002805", "here: 5 bytes, float32 [] has 4"),
        ("08011204120208032804", "here: 4 bytes, float32 [3] has 12"),
        ("08071204120208032802", "here: 2 bytes, string [3] has 3 or more"),
        ("0801120218012804", "here: the rank of the shape is unknown, expected 0 to 254"),
        ("080112fe03" + "1200" * 255, "here: the rank of the shape is 255, expected 0 to 254"),
        ("0801120d120b08ffffffffffffffffff01", "here: shape [-1] is not one that a tensor can have"),
        ("08011210" + "1206088080808010" * 2, "here: shape [4294967296, 4294967296] is not one"),
        ("080112003a020a00", "here: slice of a scalar"),
        ("08011204120208033a00", "here: slice has 0 axes, the shape [3] has 1"),
        ("08011204120208033a060a0408021002", "here: slice claims elements 2 to 4 of an axis of 3"),
        ("08011204120208033a040a020801", "here: slice claims elements 1 to 4 of an axis of 3"),
        ("0a00", "here: field 'dtype' has wire type 2, expected 0"),
    ],
)
def test_broken_entries(entry, problem):
    with pytest.raises(errors.FormatError, match=re.escape(problem)):
        bundle_entry.decode_entry(bytes.fromhex(entry), "here")


@hypothesis.given(st.one_of(st.binary(max_size=60), st.tuples(st.integers(0, 31), st.binary(max_size=4))))
@hypothesis.settings(max_examples=300)
def test_any_bytes_are_an_entry_or_a_format_error(change):
    data = change
    if isinstance(change, tuple):
        start, replacement = change
        data = _TABLE[:start] + replacement + _TABLE[start + len(replacement) :]
    try:
        assert bundle_entry.decode_entry(data, "here").dtype_name
    except errors.FormatError as error:
        assert str(error).startswith("here")
