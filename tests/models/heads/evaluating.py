"""What tests of heads share."""

import numpy as np
import tensorflow as tf
from tensorflow.compat import v1 as tf1


def evaluated(build):
    """The values of the tensors that a function makes, after initialization."""
    with tf.Graph().as_default(), tf1.Session() as session:
        tensors = build()
        session.run(tf1.global_variables_initializer())
        return session.run(tensors)


def loss_of(head, logits, labels, weights=None):
    """The loss of a batch."""

    def build():
        of_rows = None if weights is None else tf.constant(weights, tf.float32)
        return head.loss(tf.constant(logits, tf.float32), tf.constant(labels), of_rows)

    return evaluated(build)


def metrics_of(head, logits, labels, weights=None, *, batch_size=37):
    """The metrics after all batches, dict name -> value."""
    arrays = [np.asarray(logits, np.float32), np.asarray(labels)]
    arrays += [] if weights is None else [np.asarray(weights, np.float32)]
    with tf.Graph().as_default(), tf1.Session() as session:
        fed = [tf1.placeholder(array.dtype, [None, *array.shape[1:]]) for array in arrays]
        metrics = head.metrics(*fed)
        session.run([tf1.global_variables_initializer(), tf1.local_variables_initializer()])
        updates = [update for _, update in metrics.values()]
        for start in range(0, len(arrays[0]), batch_size):
            batch = slice(start, start + batch_size)
            session.run(updates, {tensor: array[batch] for tensor, array in zip(fed, arrays, strict=True)})
        return session.run({name: value for name, (value, _) in metrics.items()})
