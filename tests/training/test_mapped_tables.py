"""Tests of hubpipe.training.mapped_tables."""

import os

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.compat import v1 as tf1

from hubpipe import errors
from hubpipe.training import mapped_tables

VALUES = np.arange(33, dtype=np.float32).reshape(11, 3)


def table(partitions, initializer=None, name="table"):
    return tf1.get_variable(
        name,
        VALUES.shape,
        initializer=initializer or tf1.zeros_initializer(),
        partitioner=tf1.fixed_size_partitioner(partitions) if partitions > 1 else None,
    )


def save(path, partitions, values=VALUES):
    with tf.Graph().as_default(), tf1.Session() as session:
        table(1, tf1.zeros_initializer(), "another")  # so that the table does not begin where its file does
        table(partitions, lambda shape, dtype, partition_info=None: part_of(values, shape, partition_info))
        session.run(tf1.global_variables_initializer())
        return tf1.train.Saver(sharded=True).save(session, str(path), write_meta_graph=False)


def part_of(values, shape, partition_info):
    first = partition_info.var_offset[0] if partition_info else 0
    return tf.constant(values[first : first + shape[0]])


@pytest.mark.parametrize("partitions", [2, 3, 4])
@pytest.mark.parametrize("stored", [1, 3, 5])
def test_rows_of_any_division(tmp_path, partitions, stored):
    paths = [save(tmp_path / "one", stored), save(tmp_path / "two", stored, VALUES + 100)]
    with tf.Graph().as_default() as graph:
        embedded = tf.nn.embedding_lookup(table(partitions), np.arange(11))
        single = tf1.get_variable("single", [2])
        tables = mapped_tables.MappedTables(tf1.global_variables(), str(tmp_path / "mapped"))
        assert single not in tables.variables
        assert len(tables.variables) == partitions
        with tf1.Session(graph=graph, config=tables.session_config(None)) as session:
            for path, expected in zip([*paths, *paths], [VALUES, VALUES + 100] * 2, strict=True):
                tables.restore(session, path)
                np.testing.assert_array_equal(session.run(embedded), expected)
        tables.close()
    assert os.listdir(tmp_path / "mapped") == []


def test_without_tables_nothing_happens(tmp_path):
    with tf.Graph().as_default():
        table(1)
        config = tf1.ConfigProto()
        tables = mapped_tables.MappedTables(tf1.global_variables(), str(tmp_path / "mapped"))
        assert tables.variables == []
        assert tables.session_config(config) is config
        tables.restore(None, "no checkpoint")
        tables.close()
    assert not (tmp_path / "mapped").exists()


def test_columns_are_not_mapped(tmp_path):
    with tf.Graph().as_default():
        tf1.get_variable("t", [4, 6], partitioner=tf1.fixed_size_partitioner(2, axis=1))
        assert mapped_tables.MappedTables(tf1.global_variables(), str(tmp_path / "mapped")).variables == []


def test_the_config_of_a_session_stays(tmp_path):
    with tf.Graph().as_default():
        table(2)
        tables = mapped_tables.MappedTables(tf1.global_variables(), str(tmp_path / "mapped"))
        given = tf1.ConfigProto(allow_soft_placement=True)
        assert tables.session_config(given).allow_soft_placement
        assert given == tf1.ConfigProto(allow_soft_placement=True)


@pytest.mark.parametrize("name, found", [("gone", 0), ("table", 132)])
def test_another_table(tmp_path, name, found):
    path = save(tmp_path / "one", 2)
    with tf.Graph().as_default(), tf1.Session() as session:
        tf1.get_variable(name, [5, 2], partitioner=tf1.fixed_size_partitioner(2))
        tables = mapped_tables.MappedTables(tf1.global_variables(), str(tmp_path / "mapped"))
        with pytest.raises(errors.FormatError) as caught:
            tables.restore(session, path)
    assert str(caught.value) == f"{path}.index: has {found} bytes of '{name}', expected 40"


def own_memory():
    """Bytes of this process that are no file's."""
    with open("/proc/self/status") as file:
        (line,) = (line for line in file if line.startswith("RssAnon:"))
    return int(line.split()[1]) << 10


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="needs Linux's account of memory")
def test_the_memory_is_that_of_files(tmp_path):
    rows, columns, partitions = 1 << 20, 64, 4  # 256 MB
    with tf.Graph().as_default(), tf1.Session() as session:
        whole = tf1.get_variable("table", [rows, columns], initializer=tf1.ones_initializer())
        session.run(whole.initializer)
        path = tf1.train.Saver().save(session, str(tmp_path / "one"), write_meta_graph=False)
    with tf.Graph().as_default() as graph:
        parts = tf1.get_variable(
            "table", [rows, columns], partitioner=tf1.fixed_size_partitioner(partitions)
        )
        embedded = tf.nn.embedding_lookup(parts, [0, rows - 1])
        tables = mapped_tables.MappedTables(tf1.global_variables(), str(tmp_path / "mapped"))
        with tf1.Session(graph=graph, config=tables.session_config(None)) as session:
            before = own_memory()
            for _ in range(3):
                tables.restore(session, path)
                assert session.run(embedded).sum() == 2 * columns
            assert own_memory() - before < 64 << 20
