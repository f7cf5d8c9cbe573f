"""Tests of hubpipe.models.text.pooling."""

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.compat import v1 as tf1

from hubpipe.config import schema
from hubpipe.models.text import pooling, tables

RANDOM = np.random.default_rng(0)
TABLE = RANDOM.normal(size=[6, 3]).astype(np.float32)
IDS = [0, 5, 5, 2, 1, 0, 4]
ROWS = [0, 0, 0, 0, 2, 3, 3]  # the second text, and the fifth, have no tokens
BATCH = 5


def _run(build, values=None):
    """The value of a tensor, and the gradients of its sum by all trainable variables."""
    with tf.Graph().as_default(), tf1.Session() as session:
        output = build()
        variables = tf1.trainable_variables()
        session.run(tf1.global_variables_initializer())
        for variable in variables:
            if values and variable.op.name in values:
                variable.load(values[variable.op.name], session)
        gradients = tf1.gradients(tf.reduce_sum(output**2), variables)
        return session.run([output, [tf.convert_to_tensor(gradient) for gradient in gradients]])


def _lookup():
    table = tf1.get_variable("table", initializer=tf.constant(TABLE))
    return tables.Lookup("table", table, tf.constant(IDS), tf.constant(ROWS))


def _texts():
    return [TABLE[[id_ for id_, row in zip(IDS, ROWS, strict=True) if row == text]] for text in range(BATCH)]


@pytest.mark.parametrize("query", [[0.0, 0.0, 0.0], [3.0, -2.0, 1.0], [500.0, 0.0, -500.0]])
def test_attention_weighs_by_the_softmax_of_the_products_with_the_query(query):
    found, gradients = _run(
        lambda: pooling.attention(_lookup(), tf.constant(BATCH)), {"table_query": np.array(query, np.float32)}
    )
    for vector, text in zip(found, _texts(), strict=True):
        scores = np.exp(text @ query - np.max(text @ query, initial=-np.inf))
        np.testing.assert_allclose(vector, scores @ text / max(scores.sum(), 1e-30), rtol=1e-5, atol=1e-6)
    assert all(np.all(np.isfinite(gradient)) for gradient in gradients)


def test_attention_starts_as_the_mean():
    attended, _ = _run(lambda: pooling.attention(_lookup(), tf.constant(BATCH)))
    mean, _ = _run(lambda: pooling.mean(_lookup(), tf.constant(BATCH)))
    np.testing.assert_allclose(attended, mean, rtol=1e-5, atol=1e-7)


def test_tokens_are_left_out_each_by_itself():
    with tf.Graph().as_default(), tf1.Session() as session:
        lookup = tables.Lookup("", None, tf.range(10_000), tf.range(10_000) // 2)
        dropped = pooling.drop(lookup, tf.constant(0.3))
        ids, rows = session.run([dropped.ids, dropped.rows])
    assert len(ids) == pytest.approx(7000, abs=200)
    np.testing.assert_array_equal(rows, ids // 2)
    assert pooling.drop(lookup, None) is lookup


@pytest.mark.parametrize("width", [1, 2, 3, 4])
def test_a_convolution_finds_the_most_of_each_filter_in_each_text(width):
    words = RANDOM.normal(size=[7, 3]).astype(np.float32)
    kernel = RANDOM.normal(size=[width * 3, 4]).astype(np.float32)
    bias = RANDOM.normal(size=[4]).astype(np.float32)
    config = schema.Convolution(widths=(width,), filters=4)
    found, gradients = _run(
        lambda: pooling.conv(
            tf.constant(words), tf.constant(ROWS), tf.constant(BATCH), config, schema.Regularizer()
        ),
        {f"conv_{width}/kernel": kernel, f"conv_{width}/bias": bias},
    )
    for text, vector in enumerate(found):
        inside = words[np.array(ROWS) == text]
        left, right = (width - 1) // 2, width // 2
        padded = np.concatenate([np.zeros([left, 3]), inside, np.zeros([right, 3])])
        windows = [padded[place : place + width].reshape(-1) @ kernel + bias for place in range(len(inside))]
        np.testing.assert_allclose(vector, np.max([*windows, np.zeros(4)], axis=0), rtol=1e-4, atol=1e-5)
    assert all(np.all(np.isfinite(gradient)) for gradient in gradients)


def test_order_matters_to_a_convolution_alone():
    words = RANDOM.normal(size=[4, 3]).astype(np.float32)
    config = schema.Convolution(widths=(2,), filters=8)

    def convolve(order):
        rows = tf.zeros([4], tf.int32)
        tf1.set_random_seed(1)
        return pooling.conv(tf.constant(words[order]), rows, tf.constant(1), config, schema.Regularizer())

    assert np.any(_run(lambda: convolve([0, 1, 2, 3]))[0] != _run(lambda: convolve([0, 2, 1, 3]))[0])
