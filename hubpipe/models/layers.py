"""Layers of module_fns: dense, convolution, batch normalization, dropout, regularizers.

They stand on get_variable: reproducible under a seed, and made of ops that TensorFlow 1.15 reads.
"""

from collections.abc import Callable, Mapping

import tensorflow as tf
from tensorflow.compat import v1 as tf1

from hubpipe.config import schema

Regularizer = Callable[[tf.Tensor], tf.Tensor]

ACTIVATIONS = {
    "relu": tf.nn.relu,
    "tanh": tf.nn.tanh,
    "gelu": tf.nn.gelu,
    "swish": lambda inputs: inputs * tf.sigmoid(inputs),  # tf.nn.swish has a gradient that stays in its process
}


def regularizer(weights: schema.Regularizer) -> Regularizer | None:
    """The penalty l1 * sum(|w|) + l2 * sum(w ** 2), for get_variable(regularizer=...); None if both weights are 0.

    get_variable puts it into REGULARIZATION_LOSSES, which travels with the module.

    Source: "Exporting models in the TF1 Hub format", Advice for publishers.
    """
    terms: list[Regularizer] = []
    if weights.l1:
        terms.append(lambda variable: weights.l1 * tf.reduce_sum(tf.abs(variable)))
    if weights.l2:
        terms.append(lambda variable: weights.l2 * tf.reduce_sum(tf.square(variable)))
    if not terms:
        return None
    return lambda variable: sum(term(variable) for term in terms)


def dense(inputs: tf.Tensor, units: int, *, kernel_regularizer: Regularizer | None, with_bias: bool) -> tf.Tensor:
    """Multiplies by a kernel, and adds a bias.

    Args:
        inputs: float32 [batch, features].
        units: number of outputs.
        kernel_regularizer: see regularizer.
        with_bias: False before a batch normalization, which has an offset of its own.
    Returns:
        float32 [batch, units].
    """
    kernel = tf1.get_variable(
        "kernel",
        [inputs.shape[-1], units],
        initializer=tf1.glorot_uniform_initializer(),  # https://proceedings.mlr.press/v9/glorot10a.html
        regularizer=kernel_regularizer,
    )
    outputs = tf.matmul(inputs, kernel)
    if with_bias:
        outputs = tf.nn.bias_add(outputs, tf1.get_variable("bias", [units], initializer=tf1.zeros_initializer()))
    return outputs


def conv(
    inputs: tf.Tensor,
    channels: int,
    *,
    kernel_size: int,
    strides: int,
    kernel_regularizer: Regularizer | None,
    with_bias: bool,
) -> tf.Tensor:
    """Convolves images with a square kernel, and adds a bias; the sides are padded with zeros.

    Args:
        inputs: float32 [batch, height, width, features].
        channels: number of outputs for each place.
        kernel_size: height and width of the kernel, in pixels.
        strides: pixels from one place to the next, in both directions.
        kernel_regularizer: see regularizer.
        with_bias: False before a batch normalization, which has an offset of its own.
    Returns:
        float32 [batch, ceil(height / strides), ceil(width / strides), channels].
    """
    kernel = tf1.get_variable(
        "kernel",
        [kernel_size, kernel_size, inputs.shape[-1], channels],
        initializer=tf1.variance_scaling_initializer(scale=2.0),  # https://arxiv.org/abs/1502.01852, section 2.2
        regularizer=kernel_regularizer,
    )
    outputs = tf.nn.conv2d(inputs, kernel, strides=strides, padding="SAME")
    if with_bias:
        bias = tf1.get_variable("bias", [channels], initializer=tf1.zeros_initializer())
        outputs = tf.nn.bias_add(outputs, bias)
    return outputs


def batch_norm(inputs: tf.Tensor, *, momentum: tf.Tensor, epsilon: float, is_training: bool) -> tf.Tensor:
    """Normalizes each feature over the batch, or by its moving averages when not training.

    Of images every pixel counts as an example.

    Graph effects: adds the updates of the moving averages to UPDATE_OPS when training.

    Args:
        inputs: float32 [batch, features] or [batch, height, width, features].
        momentum: float32 scalar, what a step keeps of the moving averages.
        epsilon: added to the variance.
        is_training: whether to use and learn the statistics of the batch.
    Returns:
        float32, as inputs.

    Source: https://arxiv.org/abs/1502.03167.
    """
    shape = inputs.shape[-1:]
    zeros, ones = tf1.zeros_initializer(), tf1.ones_initializer()
    gamma = tf1.get_variable("gamma", shape, initializer=ones)
    beta = tf1.get_variable("beta", shape, initializer=zeros)
    moving_mean = tf1.get_variable("moving_mean", shape, initializer=zeros, trainable=False)
    moving_variance = tf1.get_variable("moving_variance", shape, initializer=ones, trainable=False)
    if not is_training:
        return tf.nn.batch_normalization(inputs, moving_mean, moving_variance, beta, gamma, epsilon)
    if inputs.shape.rank == 4:  # in a third of the time, with the unbiased variance
        outputs, mean, variance = tf1.nn.fused_batch_norm(inputs, gamma, beta, epsilon=epsilon, is_training=True)
    else:
        mean, variance = tf.nn.moments(inputs, axes=[0])
        outputs = tf.nn.batch_normalization(inputs, mean, variance, beta, gamma, epsilon)
    for moving, value in ((moving_mean, mean), (moving_variance, variance)):
        update = tf1.assign_sub(moving, (moving - value) * (1.0 - momentum)).op
        tf1.add_to_collection(tf1.GraphKeys.UPDATE_OPS, update)
    return outputs


def dropout(inputs: tf.Tensor, *, rate: tf.Tensor, is_training: bool) -> tf.Tensor:
    """Drops activations at random in training, and scales up the others.

    Args:
        inputs: float32, any shape.
        rate: float32 scalar, fraction to drop.
        is_training: nothing is dropped if False.

    Source: https://jmlr.org/papers/v15/srivastava14a.html.
    """
    return tf.nn.dropout(inputs, rate=rate) if is_training else inputs


def scalars(defaults: Mapping[str, float]) -> dict[str, tf.Tensor]:
    """The placeholders of hyperparameters that consumers may set, dict name -> float32 [], with their defaults."""
    return {name: tf1.placeholder_with_default(value, [], name=name) for name, value in defaults.items()}


def hidden(
    inputs: tf.Tensor,
    units: int,
    *,
    activation: str,
    kernel_regularizer: Regularizer | None,
    norm: schema.BatchNorm,
    rates: Mapping[str, tf.Tensor],
    is_training: bool,
) -> tf.Tensor:
    """Dropout, a dense layer, batch normalization and the activation.

    Args:
        inputs: float32 [batch, features].
        units: number of outputs.
        activation: a key of ACTIVATIONS.
        kernel_regularizer: see regularizer.
        norm: the config; not enabled, the layer has a bias.
        rates: dropout_rate and batch_norm_momentum, float32 [].
        is_training: whether to drop, and to normalize by the batch.
    Returns:
        float32 [batch, units].
    """
    outputs = dropout(inputs, rate=rates["dropout_rate"], is_training=is_training)
    outputs = dense(outputs, units, kernel_regularizer=kernel_regularizer, with_bias=not norm.enabled)
    if norm.enabled:
        outputs = batch_norm(
            outputs, momentum=rates["batch_norm_momentum"], epsilon=norm.epsilon, is_training=is_training
        )
    return ACTIVATIONS[activation](outputs)
