"""Tests of hubpipe.hub.variables."""

import re

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.compat import v1 as tf1

from hubpipe import errors, hub
from hubpipe.hub import variables as variables_lib
from tests.hub import layers


def _spec(shape=(3, 2), dtype=tf.float32):
    def module_fn():
        tf1.get_variable("kernel", shape, dtype, initializer=tf1.zeros_initializer())
        tf1.get_variable("bias", [], initializer=tf1.zeros_initializer())
        hub.add_signature(outputs=tf.constant(0))

    return hub.create_module_spec(module_fn)


def _save(prefix, values, *, parts=1, axis=0):
    """Writes a checkpoint of values by name; "kernel" in parts along an axis. Returns its prefix."""
    names, slices, tensors = [], [], []
    for name, value in values.items():
        pieces = np.array_split(value, parts, axis) if name == "kernel" and parts > 1 else []
        start = 0
        for piece in pieces:
            ranges = ["-"] * value.ndim
            ranges[axis] = f"{start},{piece.shape[axis]}"
            start += piece.shape[axis]
            slices.append(" ".join(map(str, value.shape)) + " " + ":".join(ranges))
        slices += [] if pieces else [""]
        names += [name] * (len(pieces) or 1)
        tensors += pieces or [value]
    tf.raw_ops.SaveV2(prefix=str(prefix), tensor_names=names, shape_and_slices=slices, tensors=tensors)
    return str(prefix)


def _values():
    rng = np.random.default_rng(1)
    return {"kernel": rng.normal(size=(3, 2)).astype(np.float32), "bias": np.float32(7)}


def _loaded(path):
    with tf.Graph().as_default():
        return layers.run(hub.Module(str(path)).variable_map)


def _assert_same(actual, expected):
    assert sorted(actual) == sorted(expected)
    for name, value in expected.items():
        np.testing.assert_array_equal(actual[name], value)


@pytest.fixture
def no_values(monkeypatch):
    """Fails if the values of a checkpoint pass through memory."""

    def unreachable(portions, prefix):
        raise AssertionError("values went through memory")

    monkeypatch.setattr(variables_lib, "write_portions", unreachable)


@pytest.mark.usefixtures("no_values")
def test_values_are_copied_by_byte_ranges(tmp_path):
    values = _values()
    checkpoint = _save(tmp_path / "model.ckpt-1", {**values, "other": np.zeros(5, np.float32)})
    _spec().export(str(tmp_path / "m"), checkpoint_path=checkpoint)
    _assert_same(_loaded(tmp_path / "m"), values)
    names = tf.train.list_variables(str(tmp_path / "m" / "variables" / "variables"))
    assert names == [("bias", []), ("kernel", [3, 2])]


@pytest.mark.usefixtures("no_values")
def test_names_in_the_checkpoint(tmp_path):
    values = _values()
    checkpoint = _save(tmp_path / "model.ckpt-1", {f"tower/{name}": value for name, value in values.items()})
    _spec().export(str(tmp_path / "m"), checkpoint_path=checkpoint, name_transform_fn=lambda name: f"tower/{name}")
    _assert_same(_loaded(tmp_path / "m"), values)


@pytest.mark.usefixtures("no_values")
def test_a_partitioned_tensor_is_joined_by_byte_ranges(tmp_path):
    big = np.arange(40_000 * 16, dtype=np.float32).reshape(40_000, 16)
    values = {**_values(), "kernel": big}
    checkpoint = _save(tmp_path / "model.ckpt-1", values, parts=7)
    _spec((40_000, 16)).export(str(tmp_path / "m"), checkpoint_path=checkpoint)
    _assert_same(_loaded(tmp_path / "m"), values)


def test_a_partitioned_variable_goes_round(tmp_path):
    def module_fn():
        with tf1.variable_scope("", partitioner=tf1.fixed_size_partitioner(3)):
            table = tf1.get_variable("table", [7, 2], initializer=tf1.random_normal_initializer())
        hub.add_signature(outputs=tf.concat(list(table), 0))

    table = np.concatenate(layers.export(hub.create_module_spec(module_fn), tmp_path / "first")["table"])
    checkpoint = str(tmp_path / "first" / "variables" / "variables")
    assert tf.train.list_variables(checkpoint) == [("table", [7, 2])]
    np.testing.assert_array_equal(np.concatenate(_loaded(tmp_path / "first")["table"]), table)
    hub.load_module_spec(str(tmp_path / "first")).export(str(tmp_path / "second"), checkpoint_path=checkpoint)
    np.testing.assert_array_equal(np.concatenate(_loaded(tmp_path / "second")["table"]), table)


def test_variables_without_a_part_in_the_checkpoint(tmp_path):
    def module_fn():
        with tf1.variable_scope("", partitioner=tf1.fixed_size_partitioner(2, axis=1)):
            table = tf1.get_variable("table", [2, 4], initializer=tf1.random_normal_initializer())
        hub.add_signature(outputs=tf.concat(list(table), 1))

    values = {"table": np.arange(8, dtype=np.float32).reshape(2, 4)}
    checkpoint = _save(tmp_path / "model.ckpt-1", values)
    hub.create_module_spec(module_fn).export(str(tmp_path / "m"), checkpoint_path=checkpoint)
    with tf.Graph().as_default():
        np.testing.assert_array_equal(layers.run(hub.Module(str(tmp_path / "m"))()), values["table"])


def test_columns_fall_back_to_values(tmp_path):
    values = _values()
    checkpoint = _save(tmp_path / "model.ckpt-1", values, parts=2, axis=1)
    _spec().export(str(tmp_path / "m"), checkpoint_path=checkpoint)
    _assert_same(_loaded(tmp_path / "m"), values)


def test_checkpoints_of_version_1_fall_back_to_values(tmp_path):
    values = _values()
    checkpoint = str(tmp_path / "model.ckpt-1")
    with tf.Graph().as_default(), tf1.Session() as session:
        saver = tf1.train.Saver(
            {name: tf1.get_variable(name, initializer=value) for name, value in values.items()},
            write_version=tf1.train.SaverDef.V1,
        )
        session.run(tf1.global_variables_initializer())
        saver.save(session, checkpoint)
    assert not (tmp_path / "model.ckpt-1.index").exists()
    _spec().export(str(tmp_path / "m"), checkpoint_path=checkpoint)
    _assert_same(_loaded(tmp_path / "m"), values)


def test_one_tensor_for_two_variables_falls_back_to_values(tmp_path):
    checkpoint = _save(tmp_path / "model.ckpt-1", {"both": np.ones([], np.float32)})
    _spec(()).export(str(tmp_path / "m"), checkpoint_path=checkpoint, name_transform_fn=lambda name: "both")
    _assert_same(_loaded(tmp_path / "m"), {"kernel": 1, "bias": 1})


def test_the_latest_checkpoint_of_a_directory(tmp_path):
    values = _values()
    checkpoint = _save(tmp_path / "model.ckpt-1", values)
    tf1.train.update_checkpoint_state(str(tmp_path), checkpoint)
    _spec().export(str(tmp_path / "m"), checkpoint_path=str(tmp_path))
    _assert_same(_loaded(tmp_path / "m"), values)


def test_values_in_portions(tmp_path, monkeypatch):
    monkeypatch.setattr(variables_lib, "_PORTION_BYTES", 20)
    exported = layers.export(_spec(), tmp_path / "first")
    assert len(list((tmp_path / "first" / "variables").glob("*.data-*-of-00002"))) == 2
    assert not list((tmp_path / "first" / "variables").glob("*part*"))
    _assert_same(_loaded(tmp_path / "first"), exported)
    checkpoint = str(tmp_path / "first" / "variables" / "variables")
    _spec().export(str(tmp_path / "second"), checkpoint_path=checkpoint)
    _assert_same(_loaded(tmp_path / "second"), exported)


def test_types_of_values(tmp_path):
    values = {
        "word": tf.constant("alone"),
        "words": tf.constant(["ü", "", "\0"]),
        "step": tf.constant(3, tf.int64),
        "flags": tf.constant([True, False]),
        "half": tf.constant([1.5], tf.bfloat16),
        "complex": tf.constant(1j, tf.complex64),
    }

    def module_fn():
        for name, value in values.items():
            tf1.get_variable(name, initializer=tf.constant(value.numpy(), value.dtype))
        tf1.get_variable("any", initializer=tf.zeros([2]), validate_shape=False)
        hub.add_signature(outputs=tf.constant(0))

    spec = hub.create_module_spec(module_fn)
    layers.export(spec, tmp_path / "first")
    spec.export(str(tmp_path / "second"), checkpoint_path=str(tmp_path / "first" / "variables" / "variables"))
    expected = {**{name: value.numpy() for name, value in values.items()}, "any": [0, 0]}
    for path in ("first", "second"):
        _assert_same(_loaded(tmp_path / path), expected)


def test_every_variable_that_is_missing_or_differs_is_named(tmp_path):
    def module_fn():
        for name in ("bias", "kernel", "step"):
            tf1.get_variable(name, [2])
        hub.add_signature(outputs=tf.constant(0))

    values = {"kernel": np.zeros(3, np.float32), "step": np.zeros(2, np.int64)}
    checkpoint = _save(tmp_path / "model.ckpt-1", values)
    with pytest.raises(ValueError, match=re.escape(f"bias is not found in {checkpoint} checkpoint")) as caught:
        hub.create_module_spec(module_fn).export(str(tmp_path / "m"), checkpoint_path=checkpoint)
    assert isinstance(caught.value, errors.ModuleSpecError)
    assert "Shape of variable kernel ((2,)) doesn't match with shape of tensor kernel ([3])" in str(caught.value)
    assert "Variable step is float32, tensor step of" in str(caught.value) and "is int64" in str(caught.value)
    assert not (tmp_path / "m").exists()


def test_no_checkpoint(tmp_path):
    with pytest.raises(errors.FormatError, match=re.escape(f"{tmp_path}/none: cannot be read as a checkpoint")):
        _spec().export(str(tmp_path / "m"), checkpoint_path=str(tmp_path / "none"))


def test_a_module_whose_values_do_not_fit(tmp_path):
    layers.export(_spec(), tmp_path / "m")
    layers.export(_spec((9, 9)), tmp_path / "other")
    for file in (tmp_path / "other" / "variables").iterdir():
        file.replace(tmp_path / "m" / "variables" / file.name)
    with tf.Graph().as_default(), pytest.raises(ValueError, match="Shape of variable kernel .* doesn't match"):
        hub.Module(str(tmp_path / "m"))
