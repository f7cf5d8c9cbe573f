import os
import random
import re
import shutil

import pytest

from hubpipe import errors
from hubpipe.files import bundle_entry, crc32c, sstable, tensor_bundle, wire

# Written by TensorFlow 1.15, 2.15 and 2.21 alike: bias float32 [3], step int64 [], table int16 [5, 2] in two parts
# from two writers (the second with "-" for its second axis), words string [3].
_PARTED_INDEX = bytes.fromhex(
    "00000608021a020801000e15007461626c6500010102808380820805120812020803120208022014280c35c8aceb100a04158382807f"
    "0805120812020802120208021801280835c46edebe00040f626961730801120412020803280c35735b897100040d7374657008091200"
    "200c280835bbd79f110005207461626c650805120812020805120208023a080a0210030a0210023a080a04080310020a00000511776f"
    "72647308071204120208032020280b35ca383209000000000100000000701019c7000000000100000000c0f2a1b00001037800be0100"
    "0000000100000000accb636bc30108d0010f000000000000000000000000000000000000000000000000000000000000000000005"
    "7fb808b247547db"
)
_PARTED_SHARDS = [
    bytes.fromhex("0000803f000000400000404007000000000000000000010002000300040005000100033fdb2b7378797979"),
    bytes.fromhex("0600070008000900"),
]
# The same tensors under module/, written by TensorFlow 1.15 and 2.21 alike without parts.
_WHOLE_INDEX = bytes.fromhex(
    "00000608011a020801000b0f6d6f64756c652f626961730801120412020803280c35735b897107040d7374657008091200200c280835"
    "bbd79f110705157461626c650805120812020805120208022014281435be87b2eb070511776f72647308071204120208032028280b35"
    "ca38320900000000010000000087275077000000000100000000c0f2a1b00001026e0078000000000100000000aa7e080a7d088a010e"
    "000000000000000000000000000000000000000000000000000000000000000000000057fb808b247547db"
)
_WHOLE_DATA = bytes.fromhex(
    "0000803f0000004000004040070000000000000000000100020003000400050006000700080009000100033fdb2b7378797979"
)
_MODULE_NAMES = {name: f"module/{name}" for name in ("words", "table", "step", "bias")}


@pytest.fixture
def parted(tmp_path):
    prefix = str(tmp_path / "m")
    (tmp_path / "m.index").write_bytes(_PARTED_INDEX)
    for shard, data in enumerate(_PARTED_SHARDS):
        (tmp_path / f"m.data-0000{shard}-of-00002").write_bytes(data)
    return prefix


def _entry(dtype, shape, *, shard=0, offset=0, size=0, slices=()):
    """The record of a tensor, or of a partitioned one with slices [(start, length) or None per axis]."""
    record = bundle_entry.encode_entry(bundle_entry.Entry(dtype, shape, shard=shard, offset=offset, size=size))
    for extents in slices:
        encoded = b""
        for extent in extents:
            fields = b"" if extent is None else b"\x08%c\x10%c" % extent
            encoded += wire.encode_field(1, wire.BYTES, fields)
        record += wire.encode_field(7, wire.BYTES, encoded)
    return record


def _write(tmp_path, records, *, data=bytes(100), header=None):
    """A bundle of given records, in a table with sound checksums."""
    items = {key.encode() if isinstance(key, str) else key: record for key, record in records.items()}
    items[b""] = bundle_entry.encode_header(1) if header is None else header
    (tmp_path / "b.index").write_bytes(sstable.encode(items))
    (tmp_path / "b.data-00000-of-00001").write_bytes(data)
    return str(tmp_path / "b")


def _part_key(name, *extents):
    return bundle_entry.part_key(name, bundle_entry.Slice(*zip(*extents, strict=True), (True,) * len(extents)))


def test_read_gives_every_tensor(parted):
    bundle = tensor_bundle.read(parted)
    assert {name: (e.dtype_name, e.shape, e.shard, e.offset, e.size) for name, e in bundle.entries.items()} == {
        "bias": ("float32", (3,), 0, 0, 12),
        "step": ("int64", (), 0, 12, 8),
        "table": ("int16", (5, 2), 0, 0, 0),
        "words": ("string", (3,), 0, 32, 11),
    }
    assert bundle.num_shards == 2
    assert bundle.index_path == parted + ".index"
    assert bundle.shard_path(1) == parted + ".data-00001-of-00002"


def test_stored_checksums_are_those_of_the_bytes(parted):
    bundle = tensor_bundle.read(parted)
    for name in ("bias", "step"):
        entry = bundle.entries[name]
        data = _PARTED_SHARDS[0][entry.offset : entry.offset + entry.size]
        assert crc32c.unmask(entry.crc32c) == crc32c.checksum(data)


def test_parts_are_ordered_by_offset(parted):
    parts = tensor_bundle.read(parted).parts("table")
    assert [(piece.starts, piece.lengths, part.shard, part.offset) for piece, part in parts] == [
        ((0, 0), (3, 2), 0, 20),
        ((3, 0), (2, 2), 1, 0),
    ]


def test_a_whole_tensor_has_no_parts(parted):
    assert tensor_bundle.read(parted).parts("bias") == []


def test_read_takes_a_path_object(parted, tmp_path):
    assert tensor_bundle.read(tmp_path / "m") == tensor_bundle.read(parted)


def test_copy_gives_the_bytes_of_tensorflow(parted, tmp_path):
    tensor_bundle.copy(tensor_bundle.read(parted), _MODULE_NAMES, tmp_path / "new")
    assert (tmp_path / "new.data-00000-of-00001").read_bytes() == _WHOLE_DATA
    assert (tmp_path / "new.index").read_bytes() == _WHOLE_INDEX


def test_copy_of_a_copy_is_the_same(parted, tmp_path):
    tensor_bundle.copy(tensor_bundle.read(parted), _MODULE_NAMES, tmp_path / "new")
    names = {name: name for name in _MODULE_NAMES.values()}
    tensor_bundle.copy(tensor_bundle.read(tmp_path / "new"), names, tmp_path / "again")
    assert (tmp_path / "again.index").read_bytes() == _WHOLE_INDEX
    assert (tmp_path / "again.data-00000-of-00001").read_bytes() == _WHOLE_DATA


def test_copy_of_some_tensors_under_names_in_another_order(parted, tmp_path):
    steps = []
    names = {"step": "a", "bias": "b"}
    tensor_bundle.copy(tensor_bundle.read(parted), names, tmp_path / "new", progress=steps.append)
    assert (tmp_path / "new.data-00000-of-00001").read_bytes() == _WHOLE_DATA[12:20] + _WHOLE_DATA[:12]
    entries = tensor_bundle.read(tmp_path / "new").entries
    assert [(name, e.dtype_name, e.offset) for name, e in entries.items()] == [
        ("a", "int64", 0),
        ("b", "float32", 8),
    ]
    assert sum(steps) == 20


def test_neighbours_are_copied_in_one_range(parted, tmp_path):
    steps = []
    names = {"step": "b", "bias": "a"}
    tensor_bundle.copy(tensor_bundle.read(parted), names, tmp_path / "new", progress=steps.append)
    assert steps == [20]


def test_copy_refuses_to_overwrite(parted, tmp_path):
    source = tensor_bundle.read(parted)
    tensor_bundle.copy(source, {"bias": "b"}, tmp_path / "new")
    with pytest.raises(FileExistsError, match="new.data-00000-of-00001"):
        tensor_bundle.copy(source, {"step": "b"}, tmp_path / "new")
    assert tensor_bundle.read(tmp_path / "new").entries["b"].dtype_name == "float32"


def test_write_empty_is_a_bundle_without_tensors(tmp_path):
    tensor_bundle.write_empty(tmp_path / "none")
    assert os.path.getsize(tmp_path / "none.data-00000-of-00001") == 0
    assert tensor_bundle.read(tmp_path / "none").entries == {}


def test_missing_names_are_listed_with_suggestions(parted):
    bundle = tensor_bundle.read(parted)
    with pytest.raises(errors.FormatError) as caught:
        tensor_bundle.uncopyable(bundle, ["bais", "bias", *(f"x{i}" for i in range(12))])
    message = str(caught.value)
    assert message.startswith(f"{parted}.index: no tensor 'bais' (did you mean 'bias'?), 'x0', ")
    assert message.endswith("'x8' and 3 more; it has 4 tensors")


@pytest.mark.parametrize(
    ("names", "problem"),
    [
        ({"bias": ""}, "'bias' cannot be named '' in a checkpoint"),
        ({"bias": "\0b"}, r"'bias' cannot be named '\x00b' in a checkpoint"),
        ({"bias": "b", "step": "b"}, "'bias' and 'step' would both be named 'b'"),
        ({"nothing": "b"}, "no tensor 'nothing'"),
    ],
)
def test_copy_refuses_bad_names(parted, tmp_path, names, problem):
    with pytest.raises(errors.FormatError, match=re.escape(problem)):
        tensor_bundle.copy(tensor_bundle.read(parted), names, tmp_path / "new")
    assert not list(tmp_path.glob("new.*"))


@pytest.mark.parametrize(
    ("dtype", "boxes", "reason"),
    [
        (
            6,
            [[(0, 2), (0, 1)], [(0, 2), (1, 1)]],
            "is partitioned along another axis than the first: it has a part of [2, 1]",
        ),
        (6, [[(1, 1), (0, 2)]], "has a part that begins at row 1, expected 0"),
        (6, [[(0, 1), (0, 2)]], "has parts up to row 1 of 2"),
        (6, [[(0, 2), (0, 2)], [(1, 1), (0, 2)]], "has a part that begins at row 1, expected 2"),
        (7, [[(0, 1), (0, 2)], [(1, 1), (0, 2)]], "has strings in parts"),
    ],
)
def test_partitions_that_cannot_be_joined(tmp_path, dtype, boxes, reason):
    records = {"t": _entry(dtype, (2, 2), slices=boxes)}
    for number, box in enumerate(boxes):
        size = 10 if dtype == 7 else box[0][1] * box[1][1]
        shape = tuple(length for _, length in box)
        records[_part_key("t", *box)] = _entry(dtype, shape, offset=10 * number, size=size)
    bundle = tensor_bundle.read(_write(tmp_path, records))
    assert tensor_bundle.uncopyable(bundle, ["t"]) == {"t": reason}
    with pytest.raises(errors.FormatError, match=re.escape(f"cannot copy by byte ranges: 't' {reason}")):
        tensor_bundle.copy(bundle, {"t": "t"}, tmp_path / "new")


@pytest.mark.parametrize(("dtype", "name"), [(20, "resource"), (21, "variant")])
def test_types_that_only_tensorflow_reads_cannot_be_copied(tmp_path, dtype, name):
    bundle = tensor_bundle.read(_write(tmp_path, {"t": _entry(dtype, (), size=9)}))
    assert tensor_bundle.uncopyable(bundle, ["t"]) == {"t": f"has dtype {name}"}


def test_copyable_tensors_are_not_listed(parted):
    bundle = tensor_bundle.read(parted)
    assert tensor_bundle.uncopyable(bundle, bundle.entries) == {}


def test_parts_without_rows_are_joined(tmp_path):
    boxes = [[(0, 2)], [(2, 0)], [(2, 1)]]
    records = {"t": _entry(6, (3,), slices=boxes)}
    for offset, box in zip((5, 0, 9), boxes, strict=True):
        records[_part_key("t", *box)] = _entry(6, (box[0][1],), offset=offset, size=box[0][1])
    bundle = tensor_bundle.read(_write(tmp_path, records, data=bytes(range(10))))
    tensor_bundle.copy(bundle, {"t": "t"}, tmp_path / "new")
    assert (tmp_path / "new.data-00000-of-00001").read_bytes() == b"\5\6\x09"


_BYTE = _entry(6, (), size=1)


@pytest.mark.parametrize(
    ("records", "problem"),
    [
        ({"t": _entry(6, (), shard=1, size=1)}, "b.index: tensor 't': shard 1, expected 0 to 0"),
        ({"t": _entry(6, (), shard=2**64 - 1, size=1)}, "b.index: tensor 't': shard -1, expected 0 to 0"),
        ({"t": _entry(6, (), offset=100, size=1)}, "tensor 't': bytes 100 to 101 of"),
        ({"t": _entry(6, (), offset=2**64 - 1, size=1)}, "tensor 't': bytes -1 to 0 of"),
        ({"t": _entry(6, (1 << 40,), size=1 << 40)}, "tensor 't': bytes 0 to 1099511627776 of"),
        ({"s": _BYTE, "t": _BYTE}, "tensor 't': begins at byte 0, inside tensor 's'"),
        ({"t": b"\x08\x63"}, "tensor 't': dtype 99 is unknown"),
        ({b"\xff": _BYTE}, r"tensor '\xff' is not named in UTF-8"),
        ({"t": _entry(6, (2,), slices=[[(0, 1)]])}, "tensor 't': part at [0] of shape [1] is missing"),
        ({"t": _entry(6, (2,), slices=[[None], [None]])}, "tensor 't' lists a part twice"),
        (
            {"t": _entry(6, (2,), slices=[[(1, 1)]]), _part_key("t", (1, 1)): _entry(3, (), size=4)},
            "tensor 't': part at [1] is int32 [], expected int8 [1]",
        ),
        ({b"\0junk": b"\x08\x63"}, r"part b'\x00junk': dtype 99 is unknown"),
    ],
)
def test_broken_bundles(tmp_path, records, problem):
    with pytest.raises(errors.FormatError, match=re.escape(problem)):
        tensor_bundle.read(_write(tmp_path, records))


def test_a_broken_header(tmp_path):
    with pytest.raises(errors.FormatError, match="b.index: header: num_shards is 0, expected 1 or more"):
        tensor_bundle.read(_write(tmp_path, {}, header=b"\x1a\0"))


def test_a_table_without_header(tmp_path):
    (tmp_path / "b.index").write_bytes(sstable.encode({b"t": _BYTE}))
    with pytest.raises(errors.FormatError, match="b.index: the first key is not the header's"):
        tensor_bundle.read(tmp_path / "b")


def test_a_missing_index(tmp_path):
    with pytest.raises(errors.FormatError, match="gone.index: no such file"):
        tensor_bundle.read(tmp_path / "gone")


def test_an_index_that_is_too_large(tmp_path):
    with open(tmp_path / "b.index", "wb") as file:
        file.truncate(tensor_bundle.MAX_INDEX_BYTES + 1)
    with pytest.raises(errors.FormatError, match="b.index: 67108865 bytes, accepted are 67108864"):
        tensor_bundle.read(tmp_path / "b")


def test_a_missing_data_file(parted):
    os.remove(parted + ".data-00001-of-00002")
    with pytest.raises(errors.FormatError, match="its file .*m.data-00001-of-00002 does not exist"):
        tensor_bundle.read(parted)


def test_a_truncated_data_file(parted):
    os.truncate(parted + ".data-00000-of-00002", 42)
    with pytest.raises(errors.FormatError, match="tensor 'words': bytes 32 to 43 of .*, which has 42"):
        tensor_bundle.read(parted)


def test_a_data_file_truncated_after_reading_the_index(parted, tmp_path):
    bundle = tensor_bundle.read(parted)
    os.truncate(parted + ".data-00000-of-00002", 42)
    with pytest.raises(errors.FormatError, match="m.data-00000-of-00002: ends at byte 42, expected 43 or more"):
        tensor_bundle.copy(bundle, {"words": "w"}, tmp_path / "new")
    assert not (tmp_path / "new.index").exists()


def _read_or_format_error(prefix):
    """Whether the bundle can be read; any other error than FormatError fails the test."""
    try:
        tensor_bundle.read(prefix)
    except errors.FormatError as error:
        assert str(error).startswith(f"{prefix}.index: ")
        return False
    return True


def test_an_index_truncated_anywhere_is_refused(parted):
    for size in range(len(_PARTED_INDEX)):
        with open(parted + ".index", "wb") as file:
            file.write(_PARTED_INDEX[:size])
        assert not _read_or_format_error(parted), size


def test_an_index_with_any_byte_changed_is_refused(parted):
    random_bits = random.Random(1)
    padding = range(len(_PARTED_INDEX) - 42, len(_PARTED_INDEX) - 8)  # the rest of the footer says nothing
    for position, byte in enumerate(_PARTED_INDEX):
        changed = bytearray(_PARTED_INDEX)
        changed[position] = byte ^ random_bits.randrange(1, 256)
        with open(parted + ".index", "wb") as file:
            file.write(changed)
        assert _read_or_format_error(parted) == (position in padding), position


def test_hostile_records_with_sound_checksums_give_only_format_errors(parted):
    choose = random.Random(2)
    items = sstable.decode(_PARTED_INDEX, "m")
    outcomes = {True: 0, False: 0}
    for _ in range(1500):
        changed = [[bytearray(key), bytearray(record)] for key, record in items]
        for _ in range(choose.randrange(1, 4)):
            field = choose.choice(changed)[choose.random() < 0.9]
            position = choose.randrange(len(field) + 1)
            field[position : position + choose.randrange(3)] = choose.randbytes(choose.randrange(3))
        with open(parted + ".index", "wb") as file:
            file.write(sstable.encode({bytes(key): bytes(record) for key, record in changed}))
        outcomes[_read_or_format_error(parted)] += 1
    assert outcomes[True] > 50
    assert outcomes[False] > 500


# Joining.


def _placed(placed):
    """A function that copies a data file and takes it down."""

    def place(source, target):
        placed.append((os.path.basename(source), os.path.basename(target)))
        shutil.copyfile(source, target)

    return place


def test_bundles_are_joined_by_whole_files(parted, tmp_path):
    (tmp_path / "w.index").write_bytes(_WHOLE_INDEX)
    (tmp_path / "w.data-00000-of-00001").write_bytes(_WHOLE_DATA)
    first, second = tensor_bundle.read(parted), tensor_bundle.read(str(tmp_path / "w"))
    (_, low), (_, high) = first.parts("table")
    names = {"z": first.entries["bias"], "low": low, "high": high}
    placed = []
    prefix = str(tmp_path / "joined")
    sources = [(first, names), (second, {"a": second.entries["module/step"]})]
    tensor_bundle.join(sources, prefix, place=_placed(placed))
    assert placed == [
        ("m.data-00000-of-00002", "joined.data-00000-of-00003"),
        ("m.data-00001-of-00002", "joined.data-00001-of-00003"),
        ("w.data-00000-of-00001", "joined.data-00002-of-00003"),
    ]
    joined = tensor_bundle.read(prefix)
    assert joined.num_shards == 3
    assert {name: (entry.shard, entry.offset) for name, entry in joined.entries.items()} == {
        "a": (2, second.entries["module/step"].offset),
        "high": (1, high.offset),
        "low": (0, low.offset),
        "z": (0, first.entries["bias"].offset),
    }
    assert joined.entries["low"].crc32c == low.crc32c
    tensor_bundle.copy(joined, {"a": "step", "z": "bias"}, tmp_path / "copied")
    assert (tmp_path / "copied.data-00000-of-00001").read_bytes() == _WHOLE_DATA[:20]


def test_a_bundle_whose_names_are_all_left_out_is_placed_nevertheless(parted, tmp_path):
    placed = []
    tensor_bundle.join([(tensor_bundle.read(parted), {})], tmp_path / "joined", place=_placed(placed))
    assert len(placed) == 2
    assert tensor_bundle.read(str(tmp_path / "joined")).entries == {}


@pytest.mark.parametrize("name", ["", "\x00part"], ids=["the header's", "a part's"])
def test_names_that_no_joined_bundle_can_hold(parted, tmp_path, name):
    bundle = tensor_bundle.read(parted)
    with pytest.raises(errors.FormatError) as caught:
        tensor_bundle.join([(bundle, {name: bundle.entries["bias"]})], tmp_path / "joined", place=_placed([]))
    assert str(caught.value) == f"{tmp_path}/joined.index: no place for a tensor named {name!r}"
    assert not (tmp_path / "joined.index").exists()


def test_a_name_given_twice_and_a_tensor_in_parts(parted, tmp_path):
    bundle = tensor_bundle.read(parted)
    twice = [(bundle, {"x": bundle.entries["bias"]}), (bundle, {"x": bundle.entries["step"]})]
    parts = [(bundle, {"x": bundle.entries["table"]})]
    for number, sources in enumerate((twice, parts)):
        with pytest.raises(errors.FormatError, match="no place for a tensor named 'x'"):
            tensor_bundle.join(sources, tmp_path / f"joined-{number}", place=_placed([]))


def _extended(crc, data):
    return crc32c.combine(crc, crc32c.checksum(data), len(data))


def test_stream_writes_what_comes_in_portions(tmp_path):
    data = bytes(range(240))
    with tensor_bundle.Stream(tmp_path / "s", _extended) as stream:
        for start, end in ((0, 7), (7, 7), (7, 200), (200, 240)):
            stream.write(data[start:end])
        bundle = stream.finish("table", bundle_entry.FLOAT32, (12, 5))
    entry = bundle_entry.Entry(1, (12, 5), size=240, crc32c=crc32c.mask(crc32c.checksum(data)))
    assert bundle.entries == {"table": entry} == tensor_bundle.read(tmp_path / "s").entries
    with open(bundle.shard_path(0), "rb") as file:
        assert file.read() == data


def test_stream_without_bytes(tmp_path):
    with tensor_bundle.Stream(tmp_path / "s", _extended) as stream:
        entry = stream.finish("table", bundle_entry.FLOAT32, (0, 5)).entries["table"]
    assert entry.crc32c == crc32c.mask(0)


def test_stream_of_another_shape_is_refused(tmp_path):
    with tensor_bundle.Stream(tmp_path / "s", _extended) as stream:
        stream.write(bytes(8))
        message = re.escape(f"{tmp_path}/s.index: tensor 'table': 8 bytes, float32 [3, 1] has 12")
        with pytest.raises(errors.FormatError, match=message):
            stream.finish("table", bundle_entry.FLOAT32, (3, 1))
    assert not (tmp_path / "s.index").exists()


@pytest.mark.parametrize("name", ["", "\0part"])
def test_stream_under_a_name_that_no_bundle_holds(tmp_path, name):
    with (
        tensor_bundle.Stream(tmp_path / "s", _extended) as stream,
        pytest.raises(errors.FormatError, match=re.escape(f"no place for a tensor named {name!r}")),
    ):
        stream.finish(name, bundle_entry.FLOAT32, (0,))


def test_stream_that_ends_early_leaves_no_bundle(tmp_path):
    with pytest.raises(KeyError), tensor_bundle.Stream(tmp_path / "s", _extended) as stream:
        stream.write(bytes(8))
        raise KeyError
    with pytest.raises(errors.FormatError, match="no such file"):
        tensor_bundle.read(tmp_path / "s")
