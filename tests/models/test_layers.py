"""Tests of hubpipe.models.layers."""

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.compat import v1 as tf1

from hubpipe.config import schema
from hubpipe.models import layers

INPUTS = np.array([[1.0, -2.0], [3.0, 0.5], [-1.0, 4.0]], np.float32)


@pytest.fixture(autouse=True)
def graph():
    with tf.Graph().as_default() as graph:
        yield graph


def evaluated(*tensors):
    with tf1.Session() as session:
        session.run(tf1.global_variables_initializer())
        return session.run(tensors)


@pytest.mark.parametrize("l1, l2, expected", [(0.5, 0.0, 3.5), (0.0, 0.25, 5.25), (0.5, 0.25, 8.75)])
def test_regularizer_is_the_formula(l1, l2, expected):
    penalty = layers.regularizer(schema.Regularizer(l1=l1, l2=l2))
    (found,) = evaluated(penalty(tf.constant([[1.0, -2.0], [0.0, 4.0]])))
    assert found == pytest.approx(expected)


def test_no_regularizer_without_weights():
    assert layers.regularizer(schema.Regularizer()) is None


def test_dense_is_kernel_and_bias():
    outputs = layers.dense(tf.constant(INPUTS), 3, kernel_regularizer=None, with_bias=True)
    kernel, bias = tf1.global_variables()
    found, kernel, bias = evaluated(outputs, kernel, bias)
    assert kernel.shape == (2, 3) and list(bias) == [0, 0, 0]
    np.testing.assert_allclose(found, INPUTS @ kernel, rtol=1e-6)


def test_dense_without_bias_has_one_variable():
    layers.dense(tf.constant(INPUTS), 3, kernel_regularizer=None, with_bias=False)
    assert [variable.op.name for variable in tf1.global_variables()] == ["kernel"]


def test_only_the_kernel_is_regularized(graph):
    penalty = layers.regularizer(schema.Regularizer(l2=2.0))
    layers.dense(tf.constant(INPUTS), 3, kernel_regularizer=penalty, with_bias=True)
    (loss,) = graph.get_collection(tf1.GraphKeys.REGULARIZATION_LOSSES)
    found, kernel = evaluated(loss, tf1.global_variables()[0])
    assert found == pytest.approx(2.0 * np.sum(kernel**2))


def test_batch_norm_in_training_uses_and_learns_the_batch(graph):
    momentum = tf1.placeholder_with_default(0.75, [])
    outputs = layers.batch_norm(tf.constant(INPUTS), momentum=momentum, epsilon=0.1, is_training=True)
    moving = [variable for variable in tf1.global_variables() if "moving" in variable.op.name]
    updates = graph.get_collection(tf1.GraphKeys.UPDATE_OPS)
    mean, variance = INPUTS.mean(axis=0), INPUTS.var(axis=0)
    with tf1.Session() as session:
        session.run(tf1.global_variables_initializer())
        np.testing.assert_allclose(session.run(outputs), (INPUTS - mean) / np.sqrt(variance + 0.1), rtol=1e-5)
        session.run(updates)
        session.run(updates, {momentum: 0.5})
        moving_mean, moving_variance = session.run(moving)
    np.testing.assert_allclose(moving_mean, 0.5 * (0.25 * mean) + 0.5 * mean, rtol=1e-5)
    np.testing.assert_allclose(moving_variance, 0.5 * (0.75 + 0.25 * variance) + 0.5 * variance, rtol=1e-5)


def test_batch_norm_otherwise_uses_its_moving_averages(graph):
    outputs = layers.batch_norm(tf.constant(INPUTS), momentum=tf.constant(0.9), epsilon=0.1, is_training=False)
    values = {"gamma": [2.0, 3.0], "beta": [-1.0, 1.0], "moving_mean": [0.5, -0.5], "moving_variance": [4.0, 0.25]}
    with tf1.Session() as session:
        for variable in tf1.global_variables():
            variable.load(values[variable.op.name], session)
        found = session.run(outputs)
    expected = (INPUTS - [0.5, -0.5]) / np.sqrt(np.array([4.0, 0.25]) + 0.1) * [2.0, 3.0] + [-1.0, 1.0]
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert graph.get_collection(tf1.GraphKeys.UPDATE_OPS) == []
    assert {variable.op.name for variable in tf1.trainable_variables()} == {"gamma", "beta"}


def test_dropout_in_training_drops_its_rate_and_scales_the_rest():
    tf1.set_random_seed(1)
    (found,) = evaluated(layers.dropout(tf.ones([100, 100]), rate=tf.constant(0.2), is_training=True))
    np.testing.assert_allclose(np.unique(found), [0.0, 1.25], rtol=1e-6)
    assert np.mean(found == 0) == pytest.approx(0.2, abs=0.02)


def test_dropout_of_rate_0_drops_nothing():
    (found,) = evaluated(layers.dropout(tf.constant(INPUTS), rate=tf.constant(0.0), is_training=True))
    np.testing.assert_array_equal(found, INPUTS)


def test_no_dropout_outside_of_training(graph):
    inputs = tf.constant(INPUTS)
    assert layers.dropout(inputs, rate=tf.constant(0.5), is_training=False) is inputs


IMAGES = np.random.default_rng(1).normal(size=(2, 5, 5, 3)).astype(np.float32)


def test_conv_is_the_sum_over_its_kernel_and_a_bias():
    options = {"kernel_size": 3, "kernel_regularizer": None, "with_bias": True}
    outputs = layers.conv(tf.constant(IMAGES), 4, strides=2, **options)
    kernel, bias = tf1.global_variables()
    found, kernel, bias = evaluated(outputs, kernel, bias)
    assert found.shape == (2, 3, 3, 4) and kernel.shape == (3, 3, 3, 4) and list(bias) == [0, 0, 0, 0]
    np.testing.assert_allclose(
        found[:, 1, 1], np.tensordot(IMAGES[:, 1:4, 1:4], kernel, axes=3), rtol=1e-4, atol=1e-5
    )


def test_conv_starts_with_the_variance_that_keeps_that_of_relu():
    tf1.set_random_seed(1)
    images = tf.constant(np.zeros([1, 4, 4, 64], np.float32))
    layers.conv(images, 64, kernel_size=3, strides=1, kernel_regularizer=None, with_bias=False)
    (kernel,) = evaluated(*tf1.global_variables())
    assert kernel.var() == pytest.approx(2.0 / (3 * 3 * 64), rel=0.03)


def test_only_the_kernel_of_conv_is_regularized(graph):
    penalty = layers.regularizer(schema.Regularizer(l2=2.0))
    layers.conv(tf.constant(IMAGES), 4, kernel_size=1, strides=1, kernel_regularizer=penalty, with_bias=True)
    (loss,) = graph.get_collection(tf1.GraphKeys.REGULARIZATION_LOSSES)
    found, kernel = evaluated(loss, tf1.global_variables()[0])
    assert found == pytest.approx(2.0 * np.sum(kernel**2))


def test_batch_norm_of_images_takes_every_pixel_as_an_example(graph):
    outputs = layers.batch_norm(tf.constant(IMAGES), momentum=tf.constant(0.75), epsilon=0.1, is_training=True)
    moving = [variable for variable in tf1.global_variables() if "moving" in variable.op.name]
    mean, variance = IMAGES.mean(axis=(0, 1, 2)), IMAGES.var(axis=(0, 1, 2))
    unbiased = variance * 50 / 49  # 2 images of 25 pixels
    with tf1.Session() as session:
        session.run(tf1.global_variables_initializer())
        found = session.run(outputs)
        session.run(graph.get_collection(tf1.GraphKeys.UPDATE_OPS))
        moving_mean, moving_variance = session.run(moving)
    np.testing.assert_allclose(found, (IMAGES - mean) / np.sqrt(variance + 0.1), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(moving_mean, 0.25 * mean, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(moving_variance, 0.75 + 0.25 * unbiased, rtol=1e-4)
