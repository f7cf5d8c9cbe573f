"""How much the weights of two modules differ, read block by block: memory does not grow with the modules."""

import dataclasses
import math
from collections.abc import Iterator

import numpy as np

from hubpipe import errors
from hubpipe.files import bundle_entry, tensor_bundle

_BLOCK_ELEMENTS = 1 << 18
_NUMPY = {"float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "bool"}


@dataclasses.dataclass(frozen=True)
class Change:
    """How one variable changed between two modules.

    Attributes:
        same: whether all bytes are the same.
        relative: Euclidean norm of the difference over that of the old values; None if it is not defined: the old
            values are all zero, a value is not finite, or the dtype has no arithmetic here.
        not_finite: number of new values that are infinite or no number.
    """

    same: bool
    relative: float | None = None
    not_finite: int = 0


def compare(old: tensor_bundle.Bundle, new: tensor_bundle.Bundle, name: str) -> Change:
    """Compares a variable that both modules have with one dtype and shape.

    What has the same checksum and length is taken for the same, without a look at it.

    Raises:
        FormatError: a data file is shorter than its index says.
        OSError: a data file cannot be read.
    """
    old_ranges, new_ranges = _ranges(old, name), _ranges(new, name)
    if old_ranges is None or new_ranges is None:  # cut in another way than by rows
        return Change(same=False)
    if list(map(_checksums, old_ranges)) == list(map(_checksums, new_ranges)):
        return Change(same=True)
    dtype = old.entries[name].dtype_name
    if dtype not in _NUMPY and dtype != "bfloat16":
        return Change(same=False)
    squares, differences, not_finite, same = 0.0, 0.0, 0, True
    blocks = zip(_blocks(old, old_ranges, dtype), _blocks(new, new_ranges, dtype), strict=True)
    with np.errstate(invalid="ignore", over="ignore"):
        for old_block, new_block in blocks:
            same = same and bool(np.array_equal(old_block, new_block, equal_nan=True))
            not_finite += int(new_block.size - np.count_nonzero(np.isfinite(new_block)))
            squares += float(np.dot(old_block, old_block))
            difference = new_block - old_block
            differences += float(np.dot(difference, difference))
    relative = math.sqrt(differences / squares) if squares and math.isfinite(differences / squares) else None
    return Change(same, 0.0 if same else relative, not_finite)


def _checksums(entry: bundle_entry.Entry) -> tuple[int, int]:
    return entry.size, entry.crc32c


def _ranges(bundle: tensor_bundle.Bundle, name: str) -> list[bundle_entry.Entry] | None:
    """The entries whose bytes are the tensor's, one after the other; None if there are none such."""
    if name in tensor_bundle.uncopyable(bundle, [name]):
        return None
    return [part for _, part in bundle.parts(name)] or [bundle.entries[name]]


def _blocks(
    bundle: tensor_bundle.Bundle, ranges: list[bundle_entry.Entry], dtype: str
) -> Iterator[np.ndarray]:
    """The values as float64, flat, in blocks of _BLOCK_ELEMENTS but for the last."""
    stored = np.dtype("uint16" if dtype == "bfloat16" else dtype)
    wanted = _BLOCK_ELEMENTS * stored.itemsize
    waiting = bytearray()
    for entry in ranges:
        path = bundle.shard_path(entry.shard)
        with open(path, "rb") as file:
            file.seek(entry.offset)
            left = entry.size
            while left:
                data = file.read(min(left, wanted - len(waiting)))
                if not data:
                    raise errors.FormatError(f"{path}: ends at byte {file.tell()}, expected {left} more.")
                left -= len(data)
                waiting += data
                if len(waiting) == wanted:
                    yield _values(waiting, stored, dtype)
                    waiting = bytearray()
    if waiting:
        yield _values(waiting, stored, dtype)


def _values(data: bytearray, stored: np.dtype, dtype: str) -> np.ndarray:
    values = np.frombuffer(data, stored.newbyteorder("<"))
    if dtype == "bfloat16":  # the upper half of a float32
        values = (values.astype(np.uint32) << 16).view(np.float32)
    return values.astype(np.float64)
