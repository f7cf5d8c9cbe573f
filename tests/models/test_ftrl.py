"""Tests of hubpipe.models.ftrl."""

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.compat import v1 as tf1

from hubpipe.models import ftrl

WEIGHTS = [2.0, -2.0, 0.0, 0.5]


def after_a_step(optimizer, gradient, *, is_started=True, step=0):
    with tf.Graph().as_default(), tf1.Session() as session:
        weights = tf1.get_variable("weights", initializer=WEIGHTS)
        global_step = tf1.train.get_or_create_global_step()
        train_op = optimizer.apply_gradients([(tf.constant(gradient), weights)], global_step)
        hook = ftrl.StartHook()
        if is_started:
            hook.begin()
        session.run(tf1.global_variables_initializer())
        global_step.load(step, session)
        if is_started:
            hook.after_create_session(session, None)
        session.run(train_op)
        return session.run(weights)


@pytest.mark.parametrize("l1", [0.0, 0.3])
def test_weights_without_gradient_stay(l1):
    optimizer = ftrl.Ftrl(0.5, initial_accumulator_value=0.1, l1_regularization_strength=l1)
    found = after_a_step(optimizer, [0.0, 0.0, 0.0, 0.0])
    np.testing.assert_allclose(found, WEIGHTS, rtol=1e-5, atol=1e-6)


def test_a_step_goes_on_from_the_weights():
    gradient = np.array([1.0, 1.0, 1.0, -1.0], np.float32)
    found = after_a_step(ftrl.Ftrl(0.5, initial_accumulator_value=0.1), gradient)
    np.testing.assert_allclose(found, WEIGHTS - 0.5 * gradient / np.sqrt(0.1 + gradient**2), rtol=1e-5)


def test_without_the_hook_and_when_a_run_goes_on_the_sums_stay():
    gradient = [0.0, 0.0, 0.0, 0.0]
    for options in ({"is_started": False}, {"step": 3}):
        np.testing.assert_allclose(after_a_step(ftrl.Ftrl(0.5), gradient, **options), np.zeros(4), atol=1e-6)
