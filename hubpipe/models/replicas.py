"""Copies of a model in one graph, which a distribution strategy trains together."""

import re

import tensorflow as tf
from tensorflow.compat import v1 as tf1

_REPLICA = re.compile(r"replica_\d+/")


def own(collection: str) -> list:
    """What of a collection this replica has added; all of it where there is one.

    TensorFlow's strategies build all copies in one graph, each but the first in a name scope `replica_<number>`.

    Args:
        collection: a key of tf1.GraphKeys, of ops or tensors.
    """
    mine = _REPLICA.match(tf1.get_default_graph().get_name_scope() + "/")
    found = tf1.get_collection(collection)
    return [one for one in found if _scope(one.name) == (mine.group() if mine else None)]


def _scope(name: str) -> str | None:
    match = _REPLICA.match(name)
    return match.group() if match else None


def summable(gradient: tf.Tensor | tf.IndexedSlices | None) -> tf.Tensor | tf.IndexedSlices | None:
    """A gradient that can be summed over replicas: dense, if there may be several.

    Of sparse gradients workers have different numbers of rows, which TensorFlow's collective gather refuses.
    """
    if tf.distribute.has_strategy() and isinstance(gradient, tf.IndexedSlices):
        return tf.convert_to_tensor(gradient)
    return gradient
