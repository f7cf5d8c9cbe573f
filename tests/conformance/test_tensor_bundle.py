"""Bundles of TensorFlow are read by hubpipe.files.tensor_bundle, and its bundles by TensorFlow."""

import numpy as np
import pytest
import tensorflow as tf

from hubpipe.files import bundle_entry, crc32c, tensor_bundle

tf1 = tf.compat.v1


def _save(prefix, make_variables):
    """Writes a checkpoint of what `make_variables` creates, with tf.compat.v1.train.Saver."""
    with tf.Graph().as_default(), tf1.Session() as session:
        tf1.set_random_seed(1)
        make_variables()
        session.run(tf1.global_variables_initializer())
        return tf1.train.Saver().save(session, str(prefix), write_meta_graph=False)


def _save_slices(prefix, slices):
    """Writes a bundle of (name, "shape and slice" as SaveV2 takes it, array)."""
    names, specs, arrays = zip(*slices, strict=True)
    tf.raw_ops.SaveV2(prefix=str(prefix), tensor_names=names, shape_and_slices=specs, tensors=arrays)


def _assert_same_values(source, target, names):
    expected, actual = tf.train.load_checkpoint(str(source)), tf.train.load_checkpoint(str(target))
    assert sorted(actual.get_variable_to_shape_map()) == sorted(names.values())
    for name, new_name in names.items():
        np.testing.assert_array_equal(expected.get_tensor(name), actual.get_tensor(new_name))


def _mixed_variables():
    tf1.get_variable("dense/kernel", [30, 20])
    tf1.get_variable("dense/bias", [20], use_resource=True)
    tf1.get_variable("empty", [0, 3])
    tf1.get_variable("global_step", initializer=tf.constant(7, tf.int64))
    tf1.get_variable("half", initializer=tf.constant([1.5, -2], tf.float16))
    tf1.get_variable("flags", initializer=tf.constant([True, False]))
    tf1.get_variable("words", initializer=tf.constant(["", "ü", "x" * 200, "\0"]))
    tf1.get_variable("word", initializer=tf.constant("alone"))
    tf1.get_variable("no_words", initializer=tf.constant([], tf.string))
    with tf1.variable_scope("rows", partitioner=tf1.fixed_size_partitioner(3)):
        tf1.get_variable("table", [10, 4])
    with tf1.variable_scope("columns", partitioner=tf1.fixed_size_partitioner(2, axis=1)):
        tf1.get_variable("table", [3, 4])


@pytest.fixture
def checkpoint(tmp_path):
    return _save(tmp_path / "model.ckpt-7", _mixed_variables)


def test_entries_are_what_tensorflow_lists(checkpoint):
    reader = tf.train.load_checkpoint(checkpoint)
    bundle = tensor_bundle.read(checkpoint)
    assert {
        name: list(entry.shape) for name, entry in bundle.entries.items()
    } == reader.get_variable_to_shape_map()
    dtypes = {name: dtype.name for name, dtype in reader.get_variable_to_dtype_map().items()}
    assert {name: entry.dtype_name for name, entry in bundle.entries.items()} == dtypes


def test_ranges_hold_the_values_and_checksums(checkpoint):
    reader = tf.train.load_checkpoint(checkpoint)
    bundle = tensor_bundle.read(checkpoint)
    whole = [name for name, entry in bundle.entries.items() if not entry.slices and entry.dtype_name != "string"]
    assert len(whole) == 6
    for name in whole:
        entry = bundle.entries[name]
        with open(bundle.shard_path(entry.shard), "rb") as file:
            data = file.read()[entry.offset : entry.offset + entry.size]
        assert data == reader.get_tensor(name).tobytes()
        assert crc32c.mask(crc32c.checksum(data)) == entry.crc32c


def test_copies_are_read_by_tensorflow(checkpoint, tmp_path):
    bundle = tensor_bundle.read(checkpoint)
    refused = tensor_bundle.uncopyable(bundle, bundle.entries)
    assert list(refused) == ["columns/table"]
    names = {name: f"module/{name}" for name in bundle.entries if name not in refused}
    tensor_bundle.copy(bundle, names, tmp_path / "variables")
    _assert_same_values(checkpoint, tmp_path / "variables", names)


def test_a_copy_has_the_bytes_that_the_saver_writes(tmp_path):
    def variables():
        for i in range(40):
            tf1.get_variable(f"layer_{i}/kernel", [i, 3])
        tf1.get_variable("words", initializer=tf.constant(["a", "bc"]))

    checkpoint = _save(tmp_path / "model.ckpt", variables)
    bundle = tensor_bundle.read(checkpoint)
    tensor_bundle.copy(bundle, {name: name for name in bundle.entries}, tmp_path / "copy")
    for suffix in (".index", ".data-00000-of-00001"):
        assert (tmp_path / f"copy{suffix}").read_bytes() == (tmp_path / f"model.ckpt{suffix}").read_bytes()


def test_an_index_of_many_blocks_has_the_bytes_that_tensorflow_writes(tmp_path):
    slices = [(f"{i:03d}{'x' * 2000}/{i}", "", np.float32(i)) for i in range(400)]
    _save_slices(tmp_path / "many", slices)
    bundle = tensor_bundle.read(tmp_path / "many")
    assert list(bundle.entries) == [name for name, _, _ in slices]
    tensor_bundle.copy(bundle, {name: name for name in bundle.entries}, tmp_path / "copy")
    index = (tmp_path / "copy.index").read_bytes()
    assert len(index) > 3 * (1 << 18)  # a block closes at this size
    assert index == (tmp_path / "many.index").read_bytes()


def test_a_bundle_of_several_writers(tmp_path):
    table = np.arange(300, dtype=np.float64).reshape(100, 3)
    boundaries = [0, 63, 64, 80, 100]  # signed keys change their length at 64
    prefixes = []
    for number, (start, end) in enumerate(zip(boundaries, boundaries[1:], strict=False)):
        prefixes.append(str(tmp_path / f"part{number}"))
        spec = f"100 3 {start},{end - start}:-"
        _save_slices(prefixes[-1], [("table", spec, table[start:end]), (f"own{number}", "", np.int32(number))])
    merged = str(tmp_path / "merged")
    tf.raw_ops.MergeV2Checkpoints(checkpoint_prefixes=prefixes, destination_prefix=merged)
    bundle = tensor_bundle.read(merged)
    assert bundle.num_shards == 4
    assert [piece.starts for piece, _ in bundle.parts("table")] == [(0, 0), (63, 0), (64, 0), (80, 0)]
    names = {"table": "t", "own2": "o"}
    tensor_bundle.copy(bundle, names, tmp_path / "joined")
    _assert_same_values(merged, tmp_path / "joined", names)
    np.testing.assert_array_equal(tf.train.load_checkpoint(str(tmp_path / "joined")).get_tensor("t"), table)


def test_axes_of_any_length_have_the_keys_of_tensorflow(tmp_path):
    lengths = (1, 63, 64, 8191, 8192, 1 << 20)
    starts = (0, 1, 62, 63, 64, 8190, 8191, 8192, 1 << 20, (1 << 41) + 5)
    slices = [
        (f"t{start}/{length}", f"{1 << 50} {start},{length}", np.zeros(length, np.int8))
        for start in starts
        for length in lengths
    ]
    _save_slices(tmp_path / "axes", slices)
    bundle = tensor_bundle.read(tmp_path / "axes")
    assert {(piece.starts + piece.lengths) for name in bundle.entries for piece, _ in bundle.parts(name)} == {
        (start, length) for start in starts for length in lengths
    }


def test_an_empty_bundle_is_read_by_tensorflow(tmp_path):
    tensor_bundle.write_empty(tmp_path / "none")
    assert tf.train.load_checkpoint(str(tmp_path / "none")).get_variable_to_shape_map() == {}
    assert tf1.train.checkpoint_exists(str(tmp_path / "none"))
    with pytest.raises(tf.errors.NotFoundError, match="Key x not found"):
        tf.raw_ops.RestoreV2(
            prefix=str(tmp_path / "none"), tensor_names=["x"], shape_and_slices=[""], dtypes=[tf.int8]
        )


def test_a_variant_is_read_and_not_copied(tmp_path):
    variant = tf.raw_ops.TensorListReserve(
        element_shape=tf.constant([], tf.int32), num_elements=2, element_dtype=tf.int32
    )
    _save_slices(tmp_path / "variant", [("v", "", variant)])
    bundle = tensor_bundle.read(tmp_path / "variant")
    assert tensor_bundle.uncopyable(bundle, ["v"]) == {"v": "has dtype variant"}


def test_types_have_the_names_and_sizes_of_tensorflow():
    known = {}
    for number in range(1, 100):
        try:
            dtype = tf.as_dtype(number)
        except TypeError:
            continue
        known[number] = dtype
    assert len(known) >= 27
    for number, dtype in known.items():
        entry = bundle_entry.decode_entry(
            bundle_entry.encode_entry(bundle_entry.Entry(dtype=number, shape=(), size=dtype.size or 5)), "here"
        )
        assert entry.dtype_name == dtype.name


def test_a_stream_gives_the_bytes_of_the_saver(tmp_path):
    value = np.random.default_rng(0).normal(size=[40, 3]).astype(np.float32)
    _save(tmp_path / "expected", lambda: tf1.get_variable("table", initializer=value))

    def extended(crc, data):
        return crc32c.combine(crc, crc32c.checksum(data), len(data))

    with tensor_bundle.Stream(tmp_path / "stream", extended) as stream:
        stream.write(value[:7].tobytes())
        stream.write(value[7:].tobytes())
        stream.finish("table", bundle_entry.FLOAT32, value.shape)
    for end in (".index", ".data-00000-of-00001"):
        assert (tmp_path / f"stream{end}").read_bytes() == (tmp_path / f"expected{end}").read_bytes()
    assert tf.train.load_checkpoint(str(tmp_path / "stream")).get_tensor("table").tobytes() == value.tobytes()
