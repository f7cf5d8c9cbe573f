"""hubpipe.models.tabular_features"""

import math

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.compat import v1 as tf1

from hubpipe.models import tabular_features
from tests.models import tables


@pytest.fixture
def computed(tmp_path):
    """A function (rows) -> (numbers, dict feature -> (ids, texts))."""
    table = tables.write(tmp_path)

    def run(rows):
        with tf.Graph().as_default(), tf1.Session() as session:
            inputs = {name: tf.constant(value) for name, value in rows.items()}
            found = tabular_features.transform(inputs, table)
            assert {name: known.size for name, known in found.categories.items()} == tabular_features.sizes(table)
            session.run(tf1.tables_initializer())
            categories = {name: (known.ids, known.text) for name, known in found.categories.items()}
            return session.run((found.numbers, categories))

    return run


def test_inputs_by_name(tmp_path):
    with tf.Graph().as_default():
        found = tabular_features.placeholders(tables.write(tmp_path))
    assert {name: value.dtype for name, value in found.items()} == {
        "age": tf.float32,
        "gain_": tf.float32,
        "work": tf.string,
        "zip": tf.string,
        "since": tf.string,
    }
    assert all(value.shape.as_list() == [None] for value in found.values())


def test_numbers(computed):
    numbers, _ = computed(tables.ROWS)
    log = math.log(100.0) / 2.0
    # age, gain_, the indicator of gain_, and then the parts of the date
    np.testing.assert_allclose(
        numbers[:, :3], [[-1, 0, 0], [0, log, 0], [1, -log, 0], [0, 0, 1]], rtol=1e-6, atol=1e-6
    )
    assert numbers.shape == (4, 3 + 2 + 4 * 2)
    np.testing.assert_array_equal(np.any(numbers[:, 3:] != 0, axis=1), [True, True, False, False])


def test_numbers_that_stand_for_none_and_far_ones(computed):
    rows = {**tables.ROWS, "age": np.array([-1.0, 1e9, -np.inf, 30.0], np.float32)}
    numbers, categories = computed(rows)
    np.testing.assert_allclose(numbers[:, 0], [0, 10, -10, 0])
    assert categories["age"][0].tolist() == [3, 2, 0, 1]


def test_buckets(computed):
    rows = {**tables.ROWS, "age": np.array([24.9, 25.0, 40.0, np.nan], np.float32)}
    ids, texts = computed(rows)[1]["age"]
    assert ids.tolist() == [0, 1, 2, 3]
    assert texts.tolist() == [b"0", b"1", b"2", b"3"]


def test_vocabulary(computed):
    ids, texts = computed(tables.ROWS)[1]["work"]
    assert texts.tolist() == [b"clerk", b"sales rep", b"pilot", b""]
    assert ids.tolist()[:2] == [1, 2]
    assert ids[2] in (3, 4)  # not in the vocabulary
    assert ids[3] == 0  # missing


def test_hash(computed):
    ids, _ = computed(tables.ROWS)[1]["zip"]
    assert ids[0] == ids[2] < 4
    assert ids[3] == 4  # missing
    others = {**tables.ROWS, "zip": np.array([b"a", b"b", b"c", b"d"])}
    assert set(computed(others)[1]["zip"][0]) <= set(range(4))


def test_crosses_tell_combinations_apart():
    def category(*texts):
        return tabular_features.Categories(tf.zeros([len(texts)], tf.int64), 1, tf.constant(texts))

    with tf.Graph().as_default(), tf1.Session() as session:
        ids = session.run(
            tabular_features.cross([category("a", "a", "b", "ab", "a"), category("b", "c", "b", "", "b")], 1 << 40)
        )
    assert ids[0] == ids[4]
    assert len(set(ids.tolist())) == 4
