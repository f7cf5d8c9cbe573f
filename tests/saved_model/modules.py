"""Modules that several tests make twins of."""

import pathlib

import numpy as np
import tensorflow as tf
from tensorflow.compat import v1 as tf1

from hubpipe import hub

VARIANTS = (((), {"is_training": False}), (("train",), {"is_training": True}))
X = np.array([[1.0, 2.0, 3.0], [0.5, -1.0, 4.0], [2.0, 0.0, 1.0]], np.float32)
KERNEL = np.array([[1.0, -2.0], [0.5, 3.0], [-1.0, 0.25]], np.float32)
RATE, MOMENTUM = 0.5, 0.75
_LINE = tf.lookup.TextFileIndex


def export(module_fn, path, tags_and_args=None, **options) -> str:
    """Writes a module with the values of its initializers; returns its path.

    Args:
        module_fn: the module_fn.
        path: where to.
        tags_and_args: as of create_module_spec.
        **options: further ones of create_module_spec.
    """
    spec = hub.create_module_spec(module_fn, tags_and_args, **options)
    with tf.Graph().as_default(), tf1.Session() as session:
        tags = max(spec.get_tags(), key=len)
        module = hub.Module(spec, trainable=bool(tags), tags=tags)
        session.run([tf1.global_variables_initializer(), tf1.tables_initializer()])
        module.export(str(path), session)
    return str(path)


def encoder(is_training: bool, *, rate: float = RATE, momentum: float = MOMENTUM) -> None:
    """x times kernel, less its mean; dropout, a moving average, and a loss of a quarter of the kernel's square."""
    x = tf1.placeholder(tf.float32, [None, 3], name="x")
    dropout_rate = tf1.placeholder_with_default(rate, [], name="dropout_rate")
    batch_norm_momentum = tf1.placeholder_with_default(momentum, [], name="momentum")
    kernel = tf1.get_variable("kernel", initializer=KERNEL, regularizer=lambda value: 0.5 * tf.nn.l2_loss(value))
    mean = tf1.get_variable("mean", [2], initializer=tf1.zeros_initializer(), trainable=False)
    product = tf.matmul(x, kernel)
    outputs = product - mean
    if is_training:
        batch_mean = tf.reduce_mean(product, 0)
        update = mean.assign_sub((mean - batch_mean) * (1.0 - batch_norm_momentum))
        tf1.add_to_collection(tf1.GraphKeys.UPDATE_OPS, update.op)
        outputs = tf.nn.dropout(product - batch_mean, rate=dropout_rate)
    hub.add_signature(inputs={"x": x}, outputs=outputs)
    inputs = {"x": x, "dropout_rate": dropout_rate, "batch_norm_momentum": batch_norm_momentum}
    hub.add_signature("hyperparameters", inputs=inputs, outputs=outputs)


def lookup(words: tf.Tensor, vocabulary: str | pathlib.Path) -> tf.Tensor:
    """The lines of words in a file, -1 for those that it lacks; int64."""
    initializer = tf.lookup.TextFileInitializer(
        str(vocabulary), tf.string, _LINE.WHOLE_LINE, tf.int64, _LINE.LINE_NUMBER
    )
    return tf.lookup.StaticHashTable(initializer, default_value=-1).lookup(words)


def vocabulary(directory: pathlib.Path, *words: str) -> pathlib.Path:
    """Writes a file vocab.txt of words to a directory, made if absent."""
    directory.mkdir(exist_ok=True)
    path = directory / "vocab.txt"
    path.write_text("\n".join(words) + "\n")
    return path
