"""Exports a module with all that may come in another order.

    python reproducible_export.py VOCABULARY CHECKPOINT TARGET

The checkpoint is written first, if there is none.
"""

import os
import sys

import tensorflow as tf
from google.protobuf import struct_pb2
from tensorflow.compat import v1 as tf1

from hubpipe import hub


def module_fn(vocabulary, is_training):
    """Tables, functions, control flow of both kinds, partitioned variables, updates, losses, messages."""
    words = tf1.placeholder(tf.string, [None], name="words")
    ids = tf.lookup.StaticVocabularyTable(
        tf.lookup.TextFileInitializer(
            vocabulary,
            tf.string,
            tf.lookup.TextFileIndex.WHOLE_LINE,
            tf.int64,
            tf.lookup.TextFileIndex.LINE_NUMBER,
        ),
        num_oov_buckets=2,
    ).lookup(words)
    weights = tf.lookup.StaticHashTable(
        tf.lookup.KeyValueTensorInitializer(["a", "b"], [1.0, 2.0]), default_value=0.5
    ).lookup(words)
    embedding = tf1.get_variable(
        "embedding",
        [8, 4],
        partitioner=tf1.fixed_size_partitioner(2),
        initializer=tf1.zeros_initializer(),
        regularizer=lambda variable: tf.reduce_sum(variable**2),
    )
    outputs = tf1.nn.embedding_lookup(embedding, ids, "div") * weights[:, None]
    for power in (2, 3, 4):
        outputs = _function(power)(outputs)
    outputs = tf1.cond(tf.reduce_sum(outputs) > 0, lambda: outputs + 1.0, lambda: outputs * 2.0)
    scaled = tf1.while_loop(lambda i, _: i < 3, lambda i, value: (i + 1, value * weights[:, None]), [0, outputs])
    outputs = scaled[1]
    if is_training:
        mean = tf1.get_variable("mean", [4], initializer=tf1.zeros_initializer(), trainable=False)
        tf1.add_to_collection(tf1.GraphKeys.UPDATE_OPS, mean.assign(tf.reduce_mean(outputs, 0)).op)
    fields = {key: struct_pb2.Value(number_value=1) for key in "abcdef"}
    for name in ("first", "second"):
        hub.attach_message(name, struct_pb2.Struct(fields=fields))
    hub.add_signature(inputs={"words": words}, outputs={"default": outputs, "ids": ids, "weights": weights})
    hub.add_signature("ids", inputs={"words": words}, outputs={"default": ids, "weights": weights})


def _function(power):
    @tf.function(autograph=False)
    def raised(value):
        inner = tf.function(lambda tensor: tf.nn.relu(tensor) ** power, autograph=False)
        return tf.cond(tf.reduce_any(value > 0), lambda: inner(value), lambda: -inner(-value))

    return raised


def main(vocabulary, checkpoint, target):
    """Exports the module."""
    tf1.disable_control_flow_v2()  # outside of functions
    arguments = [{"vocabulary": vocabulary, "is_training": is_training} for is_training in (False, True)]
    spec = hub.create_module_spec(module_fn, list(zip([(), ("train", "slow")], arguments, strict=True)))
    if not os.path.exists(checkpoint + ".index"):
        with tf.Graph().as_default(), tf1.Session() as session:
            variables = hub.Module(spec, tags={"train", "slow"}).variable_map
            session.run(tf1.global_variables_initializer())
            tf1.train.Saver(variables).save(session, checkpoint, write_meta_graph=False)
    spec.export(target, checkpoint_path=checkpoint)


if __name__ == "__main__":
    main(*sys.argv[1:])
