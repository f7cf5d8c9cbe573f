"""Modules as publishers wrote them in 2018 and 2019: python old_publisher.py FOLDER, on TensorFlow 1.15."""

import os
import sys

import tensorflow as tf
import tensorflow_hub as hub
from tensorflow.contrib import lookup, slim

VARIANTS = [(set(), {"is_training": False}), ({"train"}, {"is_training": True})]
WORDS = ["the", "a", "small", "example", "of", "text", "that", "nobody", "wrote", "42"]


def slim_images(is_training):
    """Convolutions with fused batch normalization, several signatures."""
    images = tf.placeholder(tf.float32, [None, 32, 32, 3])
    norm = {"is_training": is_training, "decay": 0.9, "scale": True, "fused": True}
    with slim.arg_scope(
        [slim.conv2d, slim.separable_conv2d],
        normalizer_fn=slim.batch_norm,
        normalizer_params=norm,
        weights_regularizer=slim.l2_regularizer(4e-5),
    ):
        net = slim.conv2d(images, 8, [3, 3], stride=2, scope="conv")
        net = slim.separable_conv2d(net, 16, [3, 3], depth_multiplier=1, scope="separable")
        net = slim.dropout(slim.max_pool2d(net, [2, 2]), 0.8, is_training=is_training)
    features = tf.reduce_mean(net, [1, 2])
    logits = slim.fully_connected(features, 10, activation_fn=None)
    hub.add_signature("image_feature_vector", {"images": images}, {"default": features, "net/conv": net})
    hub.add_signature("image_classification", {"images": images}, {"default": logits})
    hub.add_signature(inputs=images, outputs=features)


def layers(is_training):
    """What tf.layers makes."""
    x = tf.placeholder(tf.float32, [None, 6])
    regularizer = tf.contrib.layers.l2_regularizer(0.01)
    hidden = tf.layers.dense(x, 8, activation=tf.nn.relu, kernel_regularizer=regularizer)
    hidden = tf.layers.batch_normalization(hidden, training=is_training, momentum=0.9)
    hidden = tf.layers.dropout(hidden, 0.3, training=is_training)
    hub.add_signature(inputs=x, outputs=tf.layers.dense(hidden, 4))


def references(is_training):
    """Reference variables, as before TensorFlow 1.13, one of them a counter."""
    tf.get_variable_scope().set_use_resource(False)
    x = tf.placeholder(tf.float32, [None, 6])
    hidden = tf.layers.dense(x, 8, kernel_regularizer=tf.contrib.layers.l2_regularizer(0.01))
    hidden = tf.layers.batch_normalization(hidden, training=is_training, momentum=0.9)
    calls = tf.get_variable("calls", [], tf.int64, tf.zeros_initializer(), trainable=False)
    if is_training:
        tf.add_to_collection(tf.GraphKeys.UPDATE_OPS, tf.assign_add(calls, 1).op)
    hub.add_signature(inputs=x, outputs=hidden)


def nnlm(vocabulary, is_training):
    """Mean embeddings of words by a table of a file, in a partitioned variable; a sparse signature beside."""
    text = tf.placeholder(tf.string, [None])
    tokens = tf.string_split(tf.regex_replace(text, "[^a-zA-Z0-9 ]", ""), " ")
    ids = lookup.index_table_from_file(vocabulary, num_oov_buckets=3).lookup(tokens)
    table = tf.get_variable("embeddings", [13, 5], partitioner=tf.fixed_size_partitioner(3))
    hub.add_signature(inputs=text, outputs=tf.nn.safe_embedding_lookup_sparse(table, ids, combiner="sqrtn"))
    sparse = tf.sparse_placeholder(tf.int64, [None, None])
    hub.add_signature("ids", {"ids": sparse}, tf.nn.safe_embedding_lookup_sparse(table, sparse))


def lstm(vocabulary, is_training):
    """A bidirectional dynamic_rnn, which is a loop of TensorFlow 1."""
    text = tf.placeholder(tf.string, [None])
    tokens = tf.sparse_tensor_to_dense(tf.string_split(text), default_value="")
    lengths = tf.reduce_sum(tf.cast(tf.not_equal(tokens, ""), tf.int32), 1)
    ids = lookup.index_table_from_file(vocabulary, default_value=0).lookup(tokens)
    inputs = tf.nn.embedding_lookup(tf.get_variable("embeddings", [13, 5]), ids)
    cells = tf.nn.rnn_cell.LSTMCell(4), tf.nn.rnn_cell.GRUCell(4)
    both, _ = tf.nn.bidirectional_dynamic_rnn(*cells, inputs, sequence_length=lengths, dtype=tf.float32)
    encoded = tf.concat(both, -1)
    if is_training:
        encoded = tf.nn.dropout(encoded, rate=0.2)
    hub.add_signature(inputs={"text": text}, outputs={"default": tf.reduce_max(encoded, 1), "words": encoded})


def swish(is_training):
    """An activation with a gradient function in Python."""
    x = tf.placeholder(tf.float32, [None, 6])
    hub.add_signature(inputs=x, outputs=tf.nn.swish(tf.matmul(x, tf.get_variable("kernel", [6, 2]))))


def spectral(is_training):
    """A weight divided by its spectral norm, whose estimate is a variable that training updates."""
    noise, truncation = tf.placeholder(tf.float32, [None, 4]), tf.placeholder_with_default(1.0, [])
    weight = tf.get_variable("weight", [4, 6])
    vector = tf.get_variable("vector", [1, 6], trainable=False)
    left = tf.nn.l2_normalize(tf.matmul(vector, weight, transpose_b=True))
    right = tf.nn.l2_normalize(tf.matmul(left, weight))
    norm = tf.squeeze(tf.matmul(tf.matmul(left, weight), right, transpose_b=True))
    if is_training:
        tf.add_to_collection(tf.GraphKeys.UPDATE_OPS, vector.assign(right).op)
    inputs = {"noise": noise, "truncation": truncation}
    hub.add_signature(inputs=inputs, outputs=tf.tanh(tf.matmul(truncation * noise, weight / norm)))


def main(folder):
    vocabulary = os.path.join(folder, "tokens.txt")
    with open(vocabulary, "w") as file:
        file.write("\n".join(WORDS) + "\n")
    module_fns = {
        "slim": slim_images,
        "layers": layers,
        "references": references,
        "nnlm": lambda is_training: nnlm(vocabulary, is_training),
        "lstm": lambda is_training: lstm(vocabulary, is_training),
        "swish": swish,
        "spectral": spectral,
    }
    for name, module_fn in module_fns.items():
        spec = hub.create_module_spec(module_fn, VARIANTS)
        with tf.Graph().as_default(), tf.Session() as session:
            module = hub.Module(spec, trainable=True, tags={"train"})
            session.run([tf.global_variables_initializer(), tf.tables_initializer()])
            module.export(os.path.join(folder, name), session)
    os.remove(vocabulary)


if __name__ == "__main__":
    main(sys.argv[1])
