"""Tests of hubpipe.models.optimizers."""

import math
import typing

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.compat import v1 as tf1

from hubpipe import errors
from hubpipe.config import schema
from hubpipe.models import optimizers


def after_steps(config, *, gradient=(3.0, 4.0), steps=1):
    """A variable that starts at (1, 1) and has a constant gradient, after some steps; and the global step."""
    with tf.Graph().as_default(), tf1.Session() as session:
        variable = tf1.get_variable("w", initializer=[1.0, 1.0], use_resource=True)
        unused = tf1.get_variable("unused", initializer=[5.0], use_resource=True)
        train_op = optimizers.minimize(tf.reduce_sum(variable * list(gradient)), config)
        session.run(tf1.global_variables_initializer())
        for _ in range(steps):
            session.run(train_op)
        assert session.run(unused) == [5.0]
        return session.run([variable, tf1.train.get_global_step()])


def rates(config, steps):
    with tf.Graph().as_default(), tf1.Session() as session:
        step = tf1.placeholder(tf.int64, [])
        rate = optimizers.learning_rate(config, step)
        return [float(session.run(rate, {step: number})) for number in steps]


@pytest.mark.parametrize(
    "config",
    [
        schema.Adam(kind="adam", learning_rate=0.1),
        schema.Adagrad(kind="adagrad", learning_rate=0.1),
        schema.Sgd(kind="sgd", learning_rate=0.1),
        schema.Momentum(kind="momentum", learning_rate=0.1),
        schema.Momentum(kind="momentum", learning_rate=0.1, nesterov=True),
        schema.Ftrl(kind="ftrl", learning_rate=0.1),
    ],
    ids=lambda config: config.kind,
)
def test_every_kind_goes_down(config):
    values, step = after_steps(config, steps=2)
    assert step == 2
    assert all(values < 1.0)


@pytest.mark.parametrize(
    "union, table",
    [
        (schema.Optimizer, optimizers._OPTIMIZERS.keys() - {schema.WideFtrl}),  # which a wide part has alone
        (schema.Schedule, optimizers._SCHEDULES),
    ],
    ids=["optimizers", "schedules"],
)
def test_every_kind_of_the_schema_is_there(union, table):
    sections, _ = typing.get_args(union)
    assert set(typing.get_args(sections)) == set(table)


def test_sgd_and_momentum_by_hand():
    values, _ = after_steps(schema.Sgd(kind="sgd", learning_rate=0.1), steps=2)
    np.testing.assert_allclose(values, [1 - 2 * 0.3, 1 - 2 * 0.4], rtol=1e-6)
    values, _ = after_steps(schema.Momentum(kind="momentum", learning_rate=0.1, momentum=0.5), steps=2)
    np.testing.assert_allclose(values, [1 - 0.3 * 2.5, 1 - 0.4 * 2.5], rtol=1e-6)


@pytest.mark.parametrize("clip_norm, scale", [(1.0, 0.2), (5.0, 1.0), (100.0, 1.0)])
def test_gradients_are_clipped_by_their_global_norm(clip_norm, scale):
    values, _ = after_steps(schema.Sgd(kind="sgd", learning_rate=0.1, clip_norm=clip_norm))
    np.testing.assert_allclose(values, [1 - 0.3 * scale, 1 - 0.4 * scale], rtol=1e-6)


def test_a_schedule_moves_with_the_global_step():
    rate = schema.PiecewiseRate(kind="piecewise", boundaries=[1], values=[0.1, 0.01])
    values, _ = after_steps(schema.Sgd(kind="sgd", learning_rate=rate), steps=2)
    np.testing.assert_allclose(values, [1 - 0.33, 1 - 0.44], rtol=1e-6)


def test_update_ops_run_in_each_step():
    with tf.Graph().as_default(), tf1.Session() as session:
        weight = tf1.get_variable("w", initializer=1.0, use_resource=True)
        moving = tf1.get_variable("moving", initializer=0.0, use_resource=True, trainable=False)
        tf1.add_to_collection(tf1.GraphKeys.UPDATE_OPS, tf1.assign_add(moving, 1.0))
        train_op = optimizers.minimize(weight, schema.Sgd(kind="sgd", learning_rate=0.1))
        session.run(tf1.global_variables_initializer())
        session.run(train_op)
        session.run(train_op)
        assert session.run(moving) == 2.0


def test_a_loss_that_depends_on_nothing():
    with tf.Graph().as_default():
        weight = tf1.get_variable("w", initializer=1.0, use_resource=True)
        with pytest.raises(errors.ConfigError, match="the loss depends on no variable that can be trained"):
            optimizers.minimize(tf.stop_gradient(weight), schema.Sgd(kind="sgd", learning_rate=0.1))


def test_a_number_is_constant():
    assert rates(0.5, [0, 1000]) == [0.5, 0.5]


def test_exponential():
    keys = {"kind": "exponential", "initial": 0.8, "decay_steps": 10, "decay_rate": 0.5}
    found = rates(schema.ExponentialRate(**keys), [0, 5, 10, 25])
    assert found == pytest.approx([0.8 * 0.5 ** (step / 10) for step in (0, 5, 10, 25)])
    stairs = rates(schema.ExponentialRate(**keys, staircase=True), [0, 9, 10, 25])
    assert stairs == pytest.approx([0.8, 0.8, 0.4, 0.2])


def test_piecewise_changes_at_its_boundaries():
    config = schema.PiecewiseRate(kind="piecewise", boundaries=[2, 5], values=[1.0, 0.5, 0.25])
    assert rates(config, range(7)) == [1.0, 1.0, 0.5, 0.5, 0.5, 0.25, 0.25]


def _warmed_up(step, warmup_steps):
    return min(1.0, (step + 1) / warmup_steps) if warmup_steps else 1.0


@pytest.mark.parametrize("warmup_steps", [0, 4])
def test_cosine(warmup_steps):
    config = schema.CosineRate(
        kind="cosine", initial=0.5, decay_steps=10, alpha=0.1, warmup_steps=warmup_steps
    )
    steps = [0, 1, 3, 4, 9, 14, 30]
    expected = []
    for step in steps:
        part = min(max(step - warmup_steps, 0), 10) / 10
        decayed = 0.9 * 0.5 * (1 + math.cos(math.pi * part)) + 0.1
        expected.append(0.5 * decayed * _warmed_up(step, warmup_steps))
    assert rates(config, steps) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("warmup_steps", [0, 4])
def test_linear(warmup_steps):
    config = schema.LinearRate(kind="linear", initial=0.5, decay_steps=10, end=0.1, warmup_steps=warmup_steps)
    steps = [0, 1, 3, 4, 9, 14, 30]
    expected = []
    for step in steps:
        part = min(max(step - warmup_steps, 0), 10) / 10
        expected.append((0.5 + (0.1 - 0.5) * part) * _warmed_up(step, warmup_steps))
    assert rates(config, steps) == pytest.approx(expected, rel=1e-5)


def test_parts_have_their_own_optimizer():
    with tf.Graph().as_default(), tf1.Session() as session:
        deep = tf1.get_variable("deep", initializer=[1.0, 1.0])
        with tf1.variable_scope("wide"):
            wide = tf1.get_variable("weights", initializer=[0.0, 0.0])
        loss = tf.reduce_sum(deep * [1.0, 0.0]) + tf.reduce_sum(wide * [1.0, 0.001])
        train_op = optimizers.minimize(
            loss,
            schema.Sgd(kind="sgd", learning_rate=0.5),
            parts={"wide": schema.WideFtrl(kind="ftrl", learning_rate=0.5, l1=0.01)},
        )
        session.run(tf1.global_variables_initializer())
        session.run(train_op)
        found, step = session.run((deep, wide)), session.run(tf1.train.get_global_step())
    assert step == 1
    np.testing.assert_allclose(found[0], [0.5, 1.0])
    assert found[1][0] < -0.1
    assert found[1][1] == 0.0  # L1 is stronger than its gradient


def test_a_part_may_be_all_there_is():
    with tf.Graph().as_default(), tf1.Session() as session:
        with tf1.variable_scope("wide"):
            weights = tf1.get_variable("weights", initializer=[0.0])
        part = schema.WideFtrl(kind="ftrl", learning_rate=0.5, clip_norm=0.1)
        train_op = optimizers.minimize(
            tf.reduce_sum(weights), schema.Sgd(kind="sgd", learning_rate=0.5), parts={"wide": part}
        )
        session.run(tf1.global_variables_initializer())
        session.run(train_op)
        assert session.run((weights < 0.0, tf1.train.get_global_step())) == ([True], 1)
