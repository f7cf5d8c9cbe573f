"""Optimizers and learning-rate schedules, from the config to a train_op."""

import types
from collections.abc import Mapping

import tensorflow as tf
from tensorflow.compat import v1 as tf1

from hubpipe.config import schema
from hubpipe.models import adam


def minimize(
    loss: tf.Tensor, config: schema.Optimizer, *, frozen_until: Mapping[str, int] = types.MappingProxyType({})
) -> tf.Operation:
    """One training step: gradients, clipping, the updates of moving averages, and the step counter.

    Args:
        loss: float32 [], regularization losses included.
        config: which optimizer.
        frozen_until: dict name of a variable -> step before which its gradients count as zeros.
    """
    step = tf1.train.get_or_create_global_step()
    rate = learning_rate(config.learning_rate, step)
    tf1.summary.scalar("learning_rate", rate)
    optimizer = _OPTIMIZERS[type(config)](rate, config)
    gradients, variables = zip(*optimizer.compute_gradients(loss), strict=True)
    untils = [frozen_until.get(variable.name) for variable in variables]
    gradients = [
        gradient if until is None else _zeros_before(until, gradient, step)
        for gradient, until in zip(gradients, untils, strict=True)
    ]
    if config.clip_norm is not None:
        gradients, norm = tf.clip_by_global_norm(gradients, config.clip_norm)
        tf1.summary.scalar("gradient_norm", norm)
    with tf.control_dependencies(tf1.get_collection(tf1.GraphKeys.UPDATE_OPS)):
        return optimizer.apply_gradients(zip(gradients, variables, strict=True), global_step=step)


def _zeros_before(
    until: int, gradient: tf.Tensor | tf.IndexedSlices, step: tf.Tensor
) -> tf.Tensor | tf.IndexedSlices:
    counts = tf.cast(step >= until, tf.float32)
    if isinstance(gradient, tf.IndexedSlices):
        return tf.IndexedSlices(gradient.values * counts, gradient.indices, gradient.dense_shape)
    return gradient * counts


def learning_rate(config: float | schema.Schedule, step: tf.Tensor) -> tf.Tensor:
    """The learning rate of a step, float32 [].

    Args:
        config: a number, or a schedule.
        step: int64 [], the number of the step, from 0.
    """
    if isinstance(config, float | int):
        return tf.constant(config, tf.float32)
    return _SCHEDULES[type(config)](config, step)


def _exponential(config: schema.ExponentialRate, step: tf.Tensor) -> tf.Tensor:
    return tf1.train.exponential_decay(
        config.initial, step, config.decay_steps, config.decay_rate, staircase=config.staircase
    )


def _piecewise(config: schema.PiecewiseRate, step: tf.Tensor) -> tf.Tensor:
    # piecewise_constant changes after a boundary, the config says at which step the rate changes.
    return tf1.train.piecewise_constant(step + 1, list(config.boundaries), list(config.values))


def _cosine(config: schema.CosineRate, step: tf.Tensor) -> tf.Tensor:
    decayed = tf1.train.cosine_decay(
        config.initial, _after_warmup(config, step), config.decay_steps, alpha=config.alpha
    )
    return _warmed_up(config, step, decayed)


def _linear(config: schema.LinearRate, step: tf.Tensor) -> tf.Tensor:
    decayed = tf1.train.polynomial_decay(
        config.initial, _after_warmup(config, step), config.decay_steps, end_learning_rate=config.end
    )
    return _warmed_up(config, step, decayed)


def _after_warmup(config: schema.CosineRate | schema.LinearRate, step: tf.Tensor) -> tf.Tensor:
    return tf.maximum(step - config.warmup_steps, 0)


def _warmed_up(config: schema.CosineRate | schema.LinearRate, step: tf.Tensor, rate: tf.Tensor) -> tf.Tensor:
    """Rises from initial / warmup_steps at step 0 to the initial rate, then follows `rate`."""
    if not config.warmup_steps:
        return rate
    return rate * tf.minimum(tf.cast(step + 1, tf.float32) / config.warmup_steps, 1.0)


_SCHEDULES = {
    schema.ExponentialRate: _exponential,
    schema.PiecewiseRate: _piecewise,
    schema.CosineRate: _cosine,
    schema.LinearRate: _linear,
}

_OPTIMIZERS = {
    schema.Adam: lambda rate, config: adam.Adam(rate, config.beta1, config.beta2, config.epsilon),
    schema.Adagrad: lambda rate, config: tf1.train.AdagradOptimizer(rate, config.initial_accumulator_value),
    schema.Sgd: lambda rate, config: tf1.train.GradientDescentOptimizer(rate),
    schema.Momentum: lambda rate, config: tf1.train.MomentumOptimizer(
        rate, config.momentum, use_nesterov=config.nesterov
    ),
    schema.Ftrl: lambda rate, config: tf1.train.FtrlOptimizer(
        rate, config.learning_rate_power, config.initial_accumulator_value
    ),
}
