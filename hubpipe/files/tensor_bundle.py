"""Tensor bundles, TensorFlow's checkpoint format V2: reading the index, copying and streaming tensors.

A bundle `<prefix>` is `<prefix>.index`, a table name -> where its bytes are, and the data files
`<prefix>.data-00000-of-00001` and so on. A partitioned tensor has an entry without bytes and one entry per part.

Source: tensorflow/core/util/tensor_bundle/tensor_bundle.cc.
"""

import dataclasses
import difflib
import os
from collections.abc import Callable, Iterable, Mapping, Sequence

from hubpipe import errors
from hubpipe.files import bundle_entry, byte_ranges, crc32c, sstable

MAX_INDEX_BYTES = 64 << 20  # some 500 000 tensors
_SHOWN_NAMES = 10  # of missing tensors, in error messages
_SHOWN_BYTES = 100  # of a key, in error messages
_NOT_BYTES = ("resource", "variant")  # dtype names of tensors that only TensorFlow can read

Entry = bundle_entry.Entry
Slice = bundle_entry.Slice


@dataclasses.dataclass(frozen=True)
class Bundle:
    """The index of a bundle, checked.

    Attributes:
        prefix: path of the bundle without ".index".
        num_shards: number of data files.
        entries: dict name -> Entry, sorted by name; without the parts of partitioned tensors.
        partitions: dict name of a partitioned tensor -> its parts, as `parts` gives them.
    """

    prefix: str
    num_shards: int
    entries: dict[str, Entry]
    partitions: dict[str, list[tuple[Slice, Entry]]]

    @property
    def index_path(self) -> str:
        """Path of the index."""
        return _index_path(self.prefix)

    def shard_path(self, shard: int) -> str:
        """Returns the path of one data file."""
        return _shard_path(self.prefix, shard, self.num_shards)

    def parts(self, name: str) -> list[tuple[Slice, Entry]]:
        """Returns the parts of a partitioned tensor, ordered by where they begin; none for one stored whole."""
        return self.partitions.get(name, [])


def read(prefix: str | os.PathLike) -> Bundle:
    """Reads and checks the index of a bundle; of the data files only the sizes.

    Args:
        prefix: path of the bundle on a local file system, e.g. "model/model.ckpt-100".
    Raises:
        FormatError: a file is missing, truncated, damaged or of an unsupported kind (big-endian, compressed, made
            for a later TensorFlow).
        OSError: the file system failed.
    """
    prefix = os.fspath(prefix)
    return decode(_read_index(_index_path(prefix)), prefix, lambda path: os.stat(path).st_size)


def decode(index: bytes, prefix: str, file_size: Callable[[str], int]) -> Bundle:
    """Checks the index of a bundle that lies on any file system.

    Args:
        index: the content of `<prefix>.index`, at most MAX_INDEX_BYTES.
        prefix: path of the bundle.
        file_size: from the path of a data file to its size in bytes; raises FileNotFoundError.
    Raises:
        FormatError: as `read`.
    """
    path = _index_path(prefix)
    items = sstable.decode(index, path)
    if not items or items[0][0] != b"":
        raise errors.FormatError(f"{path}: the first key is not the header's, the empty one")
    num_shards = bundle_entry.decode_header(items[0][1], f"{path}: header")
    stored = {key: bundle_entry.decode_entry(value, f"{path}: {_shown(key)}") for key, value in items[1:]}
    entries = {_name(key, path): entry for key, entry in stored.items() if not _is_part(key)}
    partitions = {name: _find_parts(name, entry, stored, path) for name, entry in entries.items() if entry.slices}
    bundle = Bundle(prefix, num_shards, entries, partitions)
    _check_ranges(bundle, stored, file_size)
    return bundle


def uncopyable(source: Bundle, names: Iterable[str]) -> dict[str, str]:
    """Returns the tensors that `copy` cannot copy, name -> reason; empty if it can copy them all.

    Raises:
        FormatError: names that `source` does not have.
    """
    names = list(names)
    _check_present(source, names)
    reasons = {name: _reason_against_copy(source, name) for name in names}
    return {name: reason for name, reason in reasons.items() if reason}


def copy(
    source: Bundle,
    names: Mapping[str, str],
    target_prefix: str | os.PathLike,
    *,
    progress: Callable[[int], None] | None = None,
) -> None:
    """Writes a new bundle of one data file with some tensors of another, their bytes and checksums untouched.

    Parts of a tensor that is partitioned along its first axis are joined again. The tensors are laid out by
    name, so that the same names and values give the same bytes; TensorFlow's Saver does the same. The index
    is written last; nothing is synced to disk.

    Args:
        source: the bundle to copy from.
        names: name in `source` -> name in the new bundle.
        target_prefix: path of the new bundle; its directory exists, its files do not.
        progress: called with the number of bytes after each step of the copy.
    Raises:
        FormatError: names that `source` does not have, tensors that cannot be copied (see `uncopyable`), new names
            that are given twice or that a bundle cannot hold, a data file that has become shorter.
        FileExistsError: a file of the new bundle exists.
        OSError: the file system failed.
    """
    reasons = uncopyable(source, names)
    if reasons:
        listed = "; ".join(f"'{name}' {reason}" for name, reason in reasons.items())
        raise errors.FormatError(f"{source.index_path}: cannot copy by byte ranges: {listed}")
    sources = _by_target_key(names, source)
    target_prefix = os.fspath(target_prefix)
    entries, pieces, offset = {}, [], 0
    for key in sorted(sources):
        name = sources[key]
        whole = source.entries[name]
        stored = [part for _, part in source.parts(name)] or [whole]
        size = sum(piece.size for piece in stored)
        entries[key] = Entry(whole.dtype, whole.shape, offset=offset, size=size, crc32c=_joined_crc32c(stored))
        pieces += stored
        offset += size
    with open(_shard_path(target_prefix, 0, 1), "xb", buffering=0) as target:
        for shard, start, size in _coalesced(pieces):
            with open(source.shard_path(shard), "rb", buffering=0) as data:
                byte_ranges.append_range(data, start, size, target, progress)
    _write_index(target_prefix, entries)


def join(
    sources: Sequence[tuple[Bundle, Mapping[str, Entry]]],
    target_prefix: str | os.PathLike,
    *,
    place: Callable[[str, str], None],
) -> None:
    """Writes a new bundle whose data files are those of others, whole, and whose index has names of its own.

    Args:
        sources: pairs (bundle, dict name in the new bundle -> entry of that bundle or of one of its parts).
        target_prefix: path of the new bundle; its directory exists, its files do not.
        place: puts a data file at a new path, such as os.link; takes both paths.
    Raises:
        FormatError: a new name that is given twice or that a bundle cannot hold, an entry without bytes.
        OSError: the file system failed.
    """
    target_prefix = os.fspath(target_prefix)
    num_shards = sum(source.num_shards for source, _ in sources)
    entries: dict[bytes, Entry] = {}
    first = 0
    for source, names in sources:
        for shard in range(source.num_shards):
            place(source.shard_path(shard), _shard_path(target_prefix, first + shard, num_shards))
        for name, entry in names.items():
            key = name.encode()
            if not key or _is_part(key) or key in entries or entry.slices:
                raise errors.FormatError(f"{_index_path(target_prefix)}: no place for a tensor named {name!r}")
            entries[key] = dataclasses.replace(entry, shard=first + entry.shard)
        first += source.num_shards
    _write_index(target_prefix, entries, num_shards)


class Stream:
    """Writes a bundle of one tensor whose bytes come in portions, and whose shape is known when they have come.

        with tensor_bundle.Stream(prefix, extend) as stream:
            for rows in portions:
                stream.write(rows)
            stream.finish("embeddings", bundle_entry.FLOAT32, (count, dim))

    Nothing is synced to disk. Without `finish` there is no index, and no bundle.
    """

    def __init__(self, prefix: str | os.PathLike, extend: Callable[[int, bytes], int]):
        """Creates the data file.

        Args:
            prefix: path of the new bundle; its directory exists, its files do not.
            extend: from the CRC-32C of some bytes, not masked, and more bytes to that of both, such as
                google_crc32c.extend; Python's own speed, as that of crc32c, is too slow for tensors.
        Raises:
            FileExistsError: the data file exists.
        """
        self._prefix = os.fspath(prefix)
        self._extend = extend
        self._size = 0
        self._crc32c = 0
        self._file = open(_shard_path(self._prefix, 0, 1), "xb")  # noqa: SIM115, closed by __exit__

    def __enter__(self) -> "Stream":
        return self

    def __exit__(self, *exception: object) -> None:
        self._file.close()

    def write(self, data: bytes) -> None:
        """Adds the next bytes of the tensor: elements in C order, little-endian."""
        self._file.write(data)
        self._crc32c = self._extend(self._crc32c, data)
        self._size += len(data)

    def finish(self, name: str, dtype: int, shape: Sequence[int]) -> Bundle:
        """Writes the index.

        Args:
            name: of the tensor.
            dtype: number of its type in TensorFlow's DataType.
            shape: its shape.
        Returns:
            The bundle, read again.
        Raises:
            FormatError: a bundle cannot hold the name, or the shape has another number of bytes.
        """
        self._file.close()
        key = name.encode()
        if not key or _is_part(key):
            raise errors.FormatError(f"{_index_path(self._prefix)}: no place for a tensor named {name!r}")
        entry = Entry(dtype, tuple(shape), size=self._size, crc32c=crc32c.mask(self._crc32c))
        bundle_entry.check_size(entry, f"{_index_path(self._prefix)}: {_shown(key)}")
        _write_index(self._prefix, {key: entry})
        return read(self._prefix)


def write_empty(prefix: str | os.PathLike) -> None:
    """Writes a bundle without tensors, one that TensorFlow can open.

    Args:
        prefix: path of the new bundle; its directory exists, its files do not.
    Raises:
        FileExistsError: a file of the bundle exists.
    """
    prefix = os.fspath(prefix)
    with open(_shard_path(prefix, 0, 1), "xb"):
        pass
    _write_index(prefix, {})


def _index_path(prefix: str) -> str:
    return f"{prefix}.index"


def _shard_path(prefix: str, shard: int, num_shards: int) -> str:
    return f"{prefix}.data-{shard:05d}-of-{num_shards:05d}"


def _read_index(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size > MAX_INDEX_BYTES:
                raise errors.FormatError(f"{path}: {size} bytes, accepted are {MAX_INDEX_BYTES}")
            return file.read(size)
    except FileNotFoundError:
        raise errors.FormatError(
            f"{path}: no such file; a checkpoint has one file .index and files .data-*"
        ) from None


def _write_index(prefix: str, entries: Mapping[bytes, Entry], num_shards: int = 1) -> None:
    items = {key: bundle_entry.encode_entry(entry) for key, entry in entries.items()}
    items[b""] = bundle_entry.encode_header(num_shards)
    with open(_index_path(prefix), "xb") as file:
        file.write(sstable.encode(items))


def _is_part(key: bytes) -> bool:
    return key.startswith(bundle_entry.PART_KEY_PREFIX)


def _shown(key: bytes) -> str:
    key = key[:_SHOWN_BYTES]
    return f"part {key!r}" if _is_part(key) else f"tensor '{key.decode(errors='backslashreplace')}'"


def _name(key: bytes, path: str) -> str:
    try:
        return key.decode()
    except UnicodeDecodeError:
        raise errors.FormatError(f"{path}: {_shown(key)} is not named in UTF-8") from None


def _find_parts(name: str, whole: Entry, stored: Mapping[bytes, Entry], path: str) -> list[tuple[Slice, Entry]]:
    if len(set(whole.slices)) < len(whole.slices):
        raise errors.FormatError(f"{path}: tensor '{name}' lists a part twice")
    parts = []
    for piece in whole.slices:
        where = f"{path}: tensor '{name}': part at {list(piece.starts)}"
        part = stored.get(bundle_entry.part_key(name, piece))
        if part is None:
            raise errors.FormatError(f"{where} of shape {list(piece.lengths)} is missing")
        if part.slices or (part.dtype, part.shape) != (whole.dtype, piece.lengths):
            raise errors.FormatError(
                f"{where} is {part.dtype_name} {list(part.shape)}, "
                f"expected {whole.dtype_name} {list(piece.lengths)}"
            )
        parts.append((piece, part))
    return sorted(parts, key=lambda part: (part[0].starts, part[0].lengths))


def _check_ranges(bundle: Bundle, stored: Mapping[bytes, Entry], file_size: Callable[[str], int]) -> None:
    """Each tensor lies inside its data file, and no two share a byte."""
    shard_sizes: dict[int, int] = {}
    last_key, last_shard, last_end = b"", -1, 0
    in_file_order = sorted(stored.items(), key=lambda item: (item[1].shard, item[1].offset, item[1].size))
    for key, entry in in_file_order:
        if entry.slices:
            continue
        where = f"{bundle.index_path}: {_shown(key)}"
        if not 0 <= entry.shard < bundle.num_shards:
            raise errors.FormatError(f"{where}: shard {entry.shard}, expected 0 to {bundle.num_shards - 1}")
        if entry.shard not in shard_sizes:
            shard_sizes[entry.shard] = _shard_size(bundle.shard_path(entry.shard), file_size, where)
        end = entry.offset + entry.size
        if entry.offset < 0 or entry.size < 0 or end > shard_sizes[entry.shard]:
            raise errors.FormatError(
                f"{where}: bytes {entry.offset} to {end} of {bundle.shard_path(entry.shard)}, "
                f"which has {shard_sizes[entry.shard]}"
            )
        if entry.shard == last_shard and entry.offset < last_end and entry.size:
            raise errors.FormatError(f"{where}: begins at byte {entry.offset}, inside {_shown(last_key)}")
        if entry.size:
            last_key, last_shard, last_end = key, entry.shard, end


def _shard_size(path: str, file_size: Callable[[str], int], where: str) -> int:
    try:
        return file_size(path)
    except FileNotFoundError:
        raise errors.FormatError(f"{where}: its file {path} does not exist") from None


def _check_present(source: Bundle, names: Iterable[str]) -> None:
    missing = [name for name in names if name not in source.entries]
    if not missing:
        return
    listed = []
    for name in missing[:_SHOWN_NAMES]:
        close = difflib.get_close_matches(name, source.entries, n=1)
        listed.append(f"'{name}' (did you mean '{close[0]}'?)" if close else f"'{name}'")
    more = f" and {len(missing) - len(listed)} more" if len(missing) > len(listed) else ""
    raise errors.FormatError(
        f"{source.index_path}: no tensor {', '.join(listed)}{more}; it has {len(source.entries)} tensors"
    )


def _reason_against_copy(source: Bundle, name: str) -> str | None:
    whole = source.entries[name]
    if whole.dtype_name in _NOT_BYTES:
        return f"has dtype {whole.dtype_name}"
    parts = source.parts(name)
    if not parts:
        return None
    if whole.dtype == bundle_entry.STRING:
        return "has strings in parts"
    row = 0
    for piece, _ in parts:
        if piece.lengths[1:] != whole.shape[1:]:
            return f"is partitioned along another axis than the first: it has a part of {list(piece.lengths)}"
        if piece.starts[0] != row:
            return f"has a part that begins at row {piece.starts[0]}, expected {row}"
        row += piece.lengths[0]
    if row != whole.shape[0]:
        return f"has parts up to row {row} of {whole.shape[0]}"
    return None


def _by_target_key(names: Mapping[str, str], source: Bundle) -> dict[bytes, str]:
    """Returns key in the new bundle -> name in `source`."""
    sources: dict[bytes, str] = {}
    for name, target in names.items():
        key = target.encode()
        if not key or _is_part(key):
            raise errors.FormatError(f"{source.index_path}: '{name}' cannot be named {target!r} in a checkpoint")
        if key in sources:
            raise errors.FormatError(
                f"{source.index_path}: '{sources[key]}' and '{name}' would both be named '{target}'"
            )
        sources[key] = name
    return sources


def _joined_crc32c(pieces: list[Entry]) -> int:
    """The masked checksum of the bytes of all pieces, one after the other."""
    joined = crc32c.unmask(pieces[0].crc32c)
    for piece in pieces[1:]:
        joined = crc32c.combine(joined, crc32c.unmask(piece.crc32c), piece.size)
    return crc32c.mask(joined)


def _coalesced(pieces: Iterable[Entry]) -> list[tuple[int, int, int]]:
    """Returns (shard, offset, size) in the given order, ranges that touch made one."""
    ranges: list[tuple[int, int, int]] = []
    for piece in pieces:
        if not piece.size:
            continue
        if ranges:
            shard, offset, size = ranges[-1]
            if (shard, offset + size) == (piece.shard, piece.offset):
                ranges[-1] = (shard, offset, size + piece.size)
                continue
        ranges.append((piece.shard, piece.offset, piece.size))
    return ranges
