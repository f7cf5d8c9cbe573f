"""Optimizers and learning-rate schedules, from the config to a train_op."""

import types
from collections.abc import Mapping, Sequence

import tensorflow as tf
from tensorflow.compat import v1 as tf1

from hubpipe import errors
from hubpipe.config import schema
from hubpipe.models import adam, ftrl, replicas


def minimize(
    loss: tf.Tensor,
    config: schema.Optimizer,
    *,
    parts: Mapping[str, schema.Optimizer] | None = None,
    frozen_until: Mapping[str, int] = types.MappingProxyType({}),
) -> tf.Operation:
    """One training step: gradients, clipping, the updates of moving averages, and the step counter.

    Args:
        loss: float32 [], regularization losses included.
        config: which optimizer.
        parts: dict scope -> the optimizer of the variables in it, where that is another one.
        frozen_until: dict name of a variable -> step before which its gradients count as zeros.
    Raises:
        ConfigError: no variable has a gradient.
    """
    step = tf1.train.get_or_create_global_step()
    configs = {"": config, **(parts or {})}
    optimizers = {scope: _create(part, scope, step) for scope, part in configs.items()}
    found: dict[str, list[tuple[tf.Tensor, tf.Variable]]] = {scope: [] for scope in configs}
    for gradient, variable in optimizers[""].compute_gradients(loss):
        if variable.name in frozen_until:
            gradient = _zeros_before(frozen_until[variable.name], gradient, step)
        scope = next((scope for scope in parts or () if variable.op.name.startswith(f"{scope}/")), "")
        found[scope].append((replicas.summable(gradient), variable))
    if not any(gradient is not None for pairs in found.values() for gradient, _ in pairs):
        raise errors.ConfigError(
            [
                "model_fn: the loss depends on no variable that can be trained; is there one, and no "
                "tf.stop_gradient between it and the loss?"
            ]
        )
    *others, last = [scope for scope, pairs in found.items() if pairs]
    clipped = {scope: _clipped(pairs, configs[scope], scope) for scope, pairs in found.items() if pairs}
    with tf.control_dependencies(replicas.own(tf1.GraphKeys.UPDATE_OPS)):
        applied = [optimizers[scope].apply_gradients(clipped[scope]) for scope in others]
        with tf.control_dependencies(applied):
            return optimizers[last].apply_gradients(clipped[last], global_step=step)


def _create(config: schema.Optimizer, scope: str, step: tf.Tensor) -> tf1.train.Optimizer:
    rate = learning_rate(config.learning_rate, step)
    tf1.summary.scalar(f"{scope}/learning_rate".lstrip("/"), rate)
    return _OPTIMIZERS[type(config)](rate, config)


def _clipped(
    pairs: Sequence[tuple[tf.Tensor, tf.Variable]], config: schema.Optimizer, scope: str
) -> list[tuple[tf.Tensor, tf.Variable]]:
    """Gradients and variables, the norm of the gradients at most what the config allows."""
    if config.clip_norm is None:
        return list(pairs)
    gradients, variables = zip(*pairs, strict=True)
    gradients, norm = tf.clip_by_global_norm(gradients, config.clip_norm)
    tf1.summary.scalar(f"{scope}/gradient_norm".lstrip("/"), norm)
    return list(zip(gradients, variables, strict=True))


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
    schema.WideFtrl: lambda rate, config: ftrl.Ftrl(
        rate, config.learning_rate_power, config.initial_accumulator_value, config.l1
    ),
}
