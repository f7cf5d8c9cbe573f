"""The signature "labels": what an encoder was trained to tell apart."""

import tensorflow as tf
from tensorflow.compat import v1 as tf1

from hubpipe import hub


def add_signature(path: str | None) -> None:
    """Adds the signature to the module that is being built: nothing -> default, string [classes].

    Args:
        path: file of the labels, one per line; it becomes an asset of the module. None for an encoder that was not
            trained on classes, and gets no such signature.
    """
    if path is None:
        return
    hub.add_signature("labels", inputs={}, outputs=_lines(path))


def count(path: str) -> int:
    """The number of lines of a file of labels or tokens."""
    with tf.io.gfile.GFile(path, "rb") as file:
        return sum(1 for _ in file)


def _lines(path: str) -> tf.Tensor:
    asset = tf.constant(path, name="labels_path")
    tf1.add_to_collection(tf1.GraphKeys.ASSET_FILEPATHS, asset)
    _, lines, _ = tf.raw_ops.StringSplitV2(input=[tf.io.read_file(asset)], sep="\n")
    return tf.boolean_mask(lines, tf.not_equal(lines, ""))
