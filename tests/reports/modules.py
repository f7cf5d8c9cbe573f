"""Modules for the tests of the reports, written by hubpipe.hub with all that a report tells of."""

import tensorflow as tf
from tensorflow.compat import v1 as tf1

from hubpipe import hub

WORDS = ("a", "cat", "an", "oak")


def write_module(path, *, words=WORDS, scale=1.0, units=3, name="kernel", dtype=tf.float32):
    """Writes a module: a partitioned table, a kernel of `units` columns filled with `scale`, an asset of words."""
    vocabulary = path.parent / f"{path.name}-vocabulary" / "words.txt"
    vocabulary.parent.mkdir(parents=True)
    vocabulary.write_text("".join(f"{word}\n" for word in words))

    def module_fn(is_training):
        inputs = tf1.placeholder(tf.float32, [None, 2])
        sparse = tf1.sparse_placeholder(tf.int64, [None, 7])
        anything = tf1.placeholder(tf.string)
        asset = tf.constant(str(vocabulary))
        tf1.add_to_collection(tf1.GraphKeys.ASSET_FILEPATHS, asset)
        cut = tf1.fixed_size_partitioner(2)
        tf1.get_variable("table", [5, 2], initializer=tf1.ones_initializer(), partitioner=cut)
        kernel = tf1.get_variable(name, [2, units], dtype, initializer=tf1.constant_initializer(scale))
        mean = tf1.get_variable("mean", [units], initializer=tf1.zeros_initializer(), trainable=False)
        tf1.losses.add_loss(tf.nn.l2_loss(tf.cast(kernel, tf.float32)), tf1.GraphKeys.REGULARIZATION_LOSSES)
        if is_training:
            tf1.add_to_collection(tf1.GraphKeys.UPDATE_OPS, mean.assign_add(tf.ones([units])).op)
        outputs = tf.matmul(inputs, tf.cast(kernel, tf.float32)) - mean
        hub.add_signature(inputs=inputs, outputs=outputs)
        hub.add_signature("many", {"sparse": sparse, "any": anything}, {"size": tf.size(anything), "file": asset})

    variants = [(set(), {"is_training": False}), ({"train"}, {"is_training": True})]
    spec = hub.create_module_spec(module_fn, variants)
    with tf.Graph().as_default(), tf1.Session() as session:
        module = hub.Module(spec)
        session.run(tf1.global_variables_initializer())
        module.export(str(path), session)
    return path
