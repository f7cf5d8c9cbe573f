"""Tests of hubpipe.reports.weights."""

import tracemalloc

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.compat import v1 as tf1

from hubpipe.files import tensor_bundle
from hubpipe.reports import weights


def save(prefix, values, parts=None, axis=0):
    """Writes a checkpoint with one variable "v", cut into parts if asked for; returns its Bundle."""
    with tf.Graph().as_default(), tf1.Session() as session:
        cut = tf1.fixed_size_partitioner(parts, axis=axis) if parts else None

        def initializer(shape, dtype, partition_info):
            begin = partition_info.var_offset if partition_info else [0] * len(shape)
            rows = tuple(slice(start, start + length) for start, length in zip(begin, shape, strict=True))
            return tf.constant(values[rows], dtype)

        variable = tf1.get_variable("v", values.shape, values.dtype, initializer=initializer, partitioner=cut)
        session.run(tf1.global_variables_initializer())
        tf1.train.Saver([variable]).save(session, str(prefix), write_meta_graph=False, write_state=False)
    return tensor_bundle.read(str(prefix))


@pytest.mark.parametrize("parts", [(None, None), (None, 2), (2, 3)])
@pytest.mark.parametrize("block", [1, 3, 100])
def test_blocks_and_parts_need_not_meet(tmp_path, monkeypatch, parts, block):
    monkeypatch.setattr(weights, "_BLOCK_ELEMENTS", block)
    values = np.arange(14, dtype=np.float32).reshape(7, 2)
    other = values + np.eye(7, 2, dtype=np.float32)
    old, new = save(tmp_path / "old", values, parts[0]), save(tmp_path / "new", other, parts[1])
    change = weights.compare(old, new, "v")
    assert change.relative == pytest.approx(np.linalg.norm(other - values) / np.linalg.norm(values))
    assert not change.same
    same = weights.compare(old, save(tmp_path / "same", values, parts[1]), "v")
    assert same == weights.Change(same=True, relative=None if parts == (None, None) else 0.0)


def test_what_is_not_cut_by_rows_is_only_changed(tmp_path):
    values = np.ones([2, 6], np.float32)
    old, new = save(tmp_path / "old", values, 2, axis=1), save(tmp_path / "new", values, 3, axis=1)
    assert weights.compare(old, new, "v") == weights.Change(same=False)


def test_values_without_arithmetic_are_only_changed(tmp_path):
    old, new = save(tmp_path / "old", np.array([1j])), save(tmp_path / "new", np.array([2j]))
    assert weights.compare(old, new, "v") == weights.Change(same=False)


def test_memory_does_not_grow_with_the_variable(tmp_path):
    values = np.zeros([6_000_000], np.float32)
    old, new = save(tmp_path / "old", values + 1), save(tmp_path / "new", values + 2)
    tracemalloc.start()
    change = weights.compare(old, new, "v")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert change.relative == pytest.approx(1.0)
    assert peak < 2 * values.nbytes  # whole, in float64, both and their difference have six times as much
