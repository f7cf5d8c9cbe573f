"""The records in the index of a tensor bundle: its header, its tensors, the keys of partitioned tensors' parts.

Source: tensorflow/core/protobuf/tensor_bundle.proto; types.proto, tensor_shape.proto and tensor_slice.proto in
tensorflow/core/framework; tensorflow/core/lib/strings/ordered_code.cc (keys of parts).
"""

import dataclasses
import math

from hubpipe import errors
from hubpipe.files import wire

FLOAT32 = 1  # DT_FLOAT
STRING = 7  # DT_STRING
MAX_RANK = 254  # TensorFlow's own limit
PART_KEY_PREFIX = b"\0"  # first byte of a part's key, and of no tensor's name

_DTYPES = {  # DataType -> (name, bytes per element; None if the size does not follow from the shape)
    FLOAT32: ("float32", 4),
    2: ("float64", 8),
    3: ("int32", 4),
    4: ("uint8", 1),
    5: ("int16", 2),
    6: ("int8", 1),
    STRING: ("string", None),
    8: ("complex64", 8),
    9: ("int64", 8),
    10: ("bool", 1),
    11: ("qint8", 1),
    12: ("quint8", 1),
    13: ("qint32", 4),
    14: ("bfloat16", 2),
    15: ("qint16", 2),
    16: ("quint16", 2),
    17: ("uint16", 2),
    18: ("complex128", 16),
    19: ("float16", 2),
    20: ("resource", None),
    21: ("variant", None),
    22: ("uint32", 4),
    23: ("uint64", 8),
    24: ("float8_e5m2", 1),
    25: ("float8_e4m3fn", 1),
    26: ("float8_e4m3fnuz", 1),
    27: ("float8_e4m3b11fnuz", 1),
    28: ("float8_e5m2fnuz", 1),
    29: ("int4", 1),
    30: ("uint4", 1),
    31: ("int2", 1),
    32: ("uint2", 1),
    33: ("float4_e2m1fn", 1),
}
_LITTLE_ENDIAN = 0
_FORMAT_VERSION = 1  # of the bundles that TensorFlow writes, since its 1.0
_MAX_INT64 = (1 << 63) - 1
_FULL_EXTENT = -1  # length of a part along an axis that is not cut

_HEADER = {1: ("num_shards", wire.VARINT), 2: ("endianness", wire.VARINT), 3: ("version", wire.BYTES)}
_VERSION = {2: ("min_consumer", wire.VARINT)}
_ENTRY = {
    1: ("dtype", wire.VARINT),
    2: ("shape", wire.BYTES),
    3: ("shard", wire.VARINT),
    4: ("offset", wire.VARINT),
    5: ("size", wire.VARINT),
    6: ("crc32c", wire.FIXED32),
    7: ("slices", wire.BYTES),
}
_SHAPE = {2: ("dims", wire.BYTES), 3: ("unknown_rank", wire.VARINT)}
_DIM = {1: ("size", wire.VARINT)}
_SLICE = {1: ("extents", wire.BYTES)}
_EXTENT = {1: ("start", wire.VARINT), 2: ("length", wire.VARINT)}


@dataclasses.dataclass(frozen=True)
class Slice:
    """The box of a partitioned tensor that one part holds.

    Attributes:
        starts: first index along each axis.
        lengths: number of elements along each axis; the shape of the part.
        cut: for each axis, whether the file states the extent; if not, it is the whole axis.
    """

    starts: tuple[int, ...]
    lengths: tuple[int, ...]
    cut: tuple[bool, ...]


@dataclasses.dataclass(frozen=True)
class Entry:
    """One tensor of a bundle, or one part of a partitioned tensor.

    Attributes:
        dtype: number of the type in TensorFlow's DataType.
        shape: the full shape.
        shard: number of the data file.
        offset: first byte in the data file.
        size: number of bytes.
        crc32c: checksum of the bytes, masked.
        slices: the parts of a partitioned tensor, in the order of the file; empty for a tensor stored whole.
            A partitioned tensor has no bytes of its own: shard, offset, size and crc32c are 0.
    """

    dtype: int
    shape: tuple[int, ...]
    shard: int = 0
    offset: int = 0
    size: int = 0
    crc32c: int = 0
    slices: tuple[Slice, ...] = ()

    @property
    def dtype_name(self) -> str:
        """The name of the type as TensorFlow gives it, e.g. "float32"."""
        return _DTYPES[self.dtype][0]


def decode_header(data: bytes, where: str) -> int:
    """Returns the number of data files.

    Raises:
        FormatError: malformed, no data file, big-endian, or written for a later TensorFlow.
    """
    fields = wire.decode_message(data, _HEADER, where)
    num_shards = _number(fields, "num_shards")
    if num_shards < 1:
        raise errors.FormatError(f"{where}: num_shards is {num_shards}, expected 1 or more")
    endianness = _number(fields, "endianness")
    if endianness != _LITTLE_ENDIAN:
        raise errors.FormatError(f"{where}: endianness is {endianness}, accepted is 0 (little)")
    version = wire.decode_message(b"".join(fields.get("version", [])), _VERSION, where)
    min_consumer = _number(version, "min_consumer")
    if min_consumer > _FORMAT_VERSION:
        raise errors.FormatError(f"{where}: needs a reader of version {min_consumer}, this is {_FORMAT_VERSION}")
    return num_shards


def encode_header(num_shards: int) -> bytes:
    """Returns the header of a little-endian bundle with so many data files."""
    version = wire.encode_field(1, wire.VARINT, _FORMAT_VERSION)  # 1: producer
    return wire.encode_field(1, wire.VARINT, num_shards) + wire.encode_field(3, wire.BYTES, version)


def decode_entry(data: bytes, where: str) -> Entry:
    """Returns an entry that is sound in itself; where its bytes lie is for the caller to check.

    Raises:
        FormatError: malformed, unknown type, impossible shape, a size that does not fit type and shape, or a
            slice outside the shape.
    """
    fields = wire.decode_message(data, _ENTRY, where)
    dtype = _number(fields, "dtype")
    if dtype not in _DTYPES:
        raise errors.FormatError(f"{where}: dtype {dtype} is unknown, expected 1 to {max(_DTYPES)}")
    shape = _decode_shape(b"".join(fields.get("shape", [])), where)
    entry = Entry(
        dtype=dtype,
        shape=shape,
        shard=_number(fields, "shard"),
        offset=_number(fields, "offset"),
        size=_number(fields, "size"),
        crc32c=fields.get("crc32c", [0])[-1],
        slices=tuple(_decode_slice(encoded, shape, where) for encoded in fields.get("slices", [])),
    )
    if not entry.slices:
        check_size(entry, where)
    return entry


def encode_entry(entry: Entry) -> bytes:
    """Returns the record of a tensor stored whole, byte for byte as TensorFlow writes it."""
    dims = b"".join(
        wire.encode_field(2, wire.BYTES, wire.encode_field(1, wire.VARINT, size)) for size in entry.shape
    )
    return b"".join(
        [
            wire.encode_field(1, wire.VARINT, entry.dtype),
            wire.encode_field(2, wire.BYTES, dims),
            wire.encode_field(3, wire.VARINT, entry.shard),
            wire.encode_field(4, wire.VARINT, entry.offset),
            wire.encode_field(5, wire.VARINT, entry.size),
            wire.encode_field(6, wire.FIXED32, entry.crc32c),
        ]
    )


def part_key(name: str, part: Slice) -> bytes:
    """Returns the key under which a bundle stores one part of a partitioned tensor.

    Source: tensorflow/core/util/saved_tensor_slice_util.cc, EncodeTensorNameSlice.
    """
    escaped = name.encode().replace(b"\0", b"\0\xff")  # 0xff has an escape too, but is in no UTF-8
    key = PART_KEY_PREFIX + escaped + b"\0\1" + _ordered_unsigned(len(part.starts))
    for start, length, cut in zip(part.starts, part.lengths, part.cut, strict=True):
        key += _ordered_signed(start) + _ordered_signed(length if cut else _FULL_EXTENT)
    return key


def _number(fields: dict[str, list], name: str) -> int:
    """The last value of a field counts, as for protocol buffers; 0 if it is absent."""
    return wire.signed(fields.get(name, [0])[-1])


def _decode_shape(data: bytes, where: str) -> tuple[int, ...]:
    fields = wire.decode_message(data, _SHAPE, f"{where}: shape")
    dims = fields.get("dims", [])
    if _number(fields, "unknown_rank") or len(dims) > MAX_RANK:
        rank = len(dims) if dims else "unknown"
        raise errors.FormatError(f"{where}: the rank of the shape is {rank}, expected 0 to {MAX_RANK}")
    shape = tuple(_number(wire.decode_message(dim, _DIM, f"{where}: shape"), "size") for dim in dims)
    if any(size < 0 for size in shape) or math.prod(shape) > _MAX_INT64:
        raise errors.FormatError(f"{where}: shape {list(shape)} is not one that a tensor can have")
    return shape


def _decode_slice(data: bytes, shape: tuple[int, ...], where: str) -> Slice:
    where = f"{where}: slice"
    extents = wire.decode_message(data, _SLICE, where).get("extents", [])
    if not shape:
        raise errors.FormatError(f"{where} of a scalar, which has no parts")
    if len(extents) != len(shape):
        raise errors.FormatError(f"{where} has {len(extents)} axes, the shape {list(shape)} has {len(shape)}")
    starts, lengths, cut = [], [], []
    for encoded, size in zip(extents, shape, strict=True):
        extent = wire.decode_message(encoded, _EXTENT, where)
        start = _number(extent, "start")
        length = _number(extent, "length") if "length" in extent else size
        if start < 0 or length < 0 or start + length > size:
            raise errors.FormatError(f"{where} claims elements {start} to {start + length} of an axis of {size}")
        starts.append(start)
        lengths.append(length)
        cut.append("length" in extent)
    return Slice(tuple(starts), tuple(lengths), tuple(cut))


def check_size(entry: Entry, where: str) -> None:
    """Refuses an entry whose number of bytes is not that of its shape.

    Raises:
        FormatError: naming both.
    """
    elements = math.prod(entry.shape)
    name, item_bytes = _DTYPES[entry.dtype]
    if item_bytes is not None and entry.size != elements * item_bytes:
        raise errors.FormatError(
            f"{where}: {entry.size} bytes, {name} {list(entry.shape)} has {elements * item_bytes}"
        )
    if item_bytes is None and entry.size < elements:  # each element has at least its length, a varint
        raise errors.FormatError(f"{where}: {entry.size} bytes, {name} {list(entry.shape)} has {elements} or more")


def _ordered_unsigned(number: int) -> bytes:
    """OrderedCode's WriteNumIncreasing: a byte with the length, then the number without leading zero bytes."""
    length = (number.bit_length() + 7) // 8
    return bytes([length]) + number.to_bytes(length, "big")


def _ordered_signed(number: int) -> bytes:
    """OrderedCode's WriteSignedNumIncreasing.

    As many ones as there are bytes, a zero, the number: n bytes hold 7n - 1 bits of it. A negative number has the
    complement of its complement's code.
    """
    magnitude = number if number >= 0 else ~number
    length = magnitude.bit_length() // 7 + 1
    code = ((1 << length) - 1) << 7 * length | magnitude
    if number < 0:
        code ^= (1 << 8 * length) - 1
    return code.to_bytes(length, "big")
