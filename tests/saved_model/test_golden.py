"""Tests of hubpipe.saved_model.golden."""

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.compat import v1 as tf1

from hubpipe import errors
from hubpipe.hub import signature as signature_lib
from hubpipe.saved_model import golden


def parsed(**tensors):
    """What a signature says of some inputs."""
    protos = {name: tf1.saved_model.build_tensor_info(tensor) for name, tensor in tensors.items()}
    return {name: signature_lib.ParsedTensorInfo.from_proto(proto) for name, proto in protos.items()}


@pytest.fixture
def infos():
    with tf.Graph().as_default():
        return parsed(
            x=tf1.placeholder(tf.bfloat16, [None, 2]),
            sparse=tf1.sparse_placeholder(tf.string, [None, 5]),
            ragged=tf1.ragged.placeholder(tf.bool, 2, [3]),
            image=tf1.placeholder(tf.uint8, [None, None, None, 3]),
            any=tf1.placeholder(tf.complex64, None),
            text=tf1.placeholder(tf.string, []),
        )


def test_inputs_are_made_up_for_every_kind(infos):
    made = golden.make(infos)
    assert (made["x"].dtype, made["x"].shape) == (tf.bfloat16, (4, 2))
    assert made["sparse"].dense_shape.tolist() == [4, 5]
    assert made["sparse"].values.dtype == object and len(made["sparse"].values) == len(made["sparse"].indices)
    ragged = tf.RaggedTensor.from_nested_row_splits(made["ragged"].flat_values, made["ragged"].nested_row_splits)
    assert ragged.shape.as_list() == [4, None, None, 3] and ragged.dtype == tf.bool
    assert made["image"].shape == (4, 64, 64, 3) and made["any"].dtype == np.complex64


def flat(values):
    return {name: [golden.storable(part) for part in golden.components(value)] for name, value in values.items()}


def test_the_same_seed_makes_the_same_inputs(infos):
    first, again, other = (flat(golden.make(infos, seed)) for seed in (1, 1, 2))
    for name in infos:
        for left, right in zip(first[name], again[name], strict=True):
            np.testing.assert_array_equal(left, right)
    assert first["x"][0].tolist() != other["x"][0].tolist()


def test_values_survive_an_archive(infos, tmp_path):
    path = str(tmp_path / "golden.npz")
    inputs = golden.make(infos)
    outputs = {"words": np.array([b"a", b"\xff", b""], object), "x": inputs["x"], "sparse": inputs["sparse"]}
    golden.save(path, inputs, outputs)
    loaded, found = golden.load(path, infos)
    assert loaded["x"].dtype == tf.bfloat16
    for expected, values in ((flat(inputs), flat(loaded)), (flat(outputs), found)):
        assert sorted(expected) == sorted(values)
        for name, arrays in expected.items():
            for left, right in zip(arrays, values[name], strict=True):
                np.testing.assert_array_equal(left, right)


@pytest.mark.parametrize("contents", [b"", b"PK\x03\x04 cut off", b"words"])
def test_a_broken_archive(infos, tmp_path, contents):
    (tmp_path / "golden.npz").write_bytes(contents)
    with pytest.raises(errors.FormatError, match="golden.npz: not an archive of golden values: "):
        golden.load(str(tmp_path / "golden.npz"), infos)


def test_an_archive_of_something_else(infos, tmp_path):
    np.savez(tmp_path / "golden.npz", weights=np.zeros(3))
    with pytest.raises(errors.FormatError, match="golden.npz: not an archive of golden values: "):
        golden.load(str(tmp_path / "golden.npz"), infos)
    with pytest.raises(errors.HandleError, match="absent.npz: no such file; expected an archive of golden values"):
        golden.load(str(tmp_path / "absent.npz"), infos)


def test_an_archive_of_objects_is_not_unpickled(infos, tmp_path):
    np.savez(tmp_path / "golden.npz", **{"inputs/x/0": np.array([{}], object)})
    with pytest.raises(errors.FormatError, match="golden.npz: not an archive of golden values: "):
        golden.load(str(tmp_path / "golden.npz"), infos)


@pytest.mark.parametrize(
    "name, arrays, told",
    [
        ("sparse", [np.zeros([2], np.int64)], "has 1 arrays, expected 3."),
        ("ragged", [np.zeros([2], np.int64)] * 2, "has 2 arrays, expected 3."),
        ("x", [np.zeros([4, 3], np.float32)], "has shape (4, 3), expected (None, 2)."),
        ("x", [np.array([[b"a", b"b"]])], "is |S1, expected bfloat16."),
        ("text", [np.zeros([], np.float32)], "is float32, expected string."),
    ],
)
def test_an_input_that_does_not_fit(infos, tmp_path, name, arrays, told):
    path = str(tmp_path / "golden.npz")
    np.savez(path, **{f"inputs/{name}/{index}": array for index, array in enumerate(arrays)})
    with pytest.raises(errors.FormatError) as caught:
        golden.load(path, {name: infos[name]})
    assert str(caught.value) == f"{path}: the input {name!r} {told}"
