"""Layers of the tests' modules, on get_variable, and a session to run them in."""

import tensorflow as tf
from tensorflow.compat import v1 as tf1

from hubpipe import hub


def dense(inputs, units, name, *, l2=0.0):
    """A fully connected layer with ReLU; `l2` adds its regularizer to REGULARIZATION_LOSSES."""
    with tf1.variable_scope(name):
        shape = [inputs.shape[-1], units]
        kernel = tf1.get_variable("kernel", shape, initializer=tf1.glorot_uniform_initializer())
        bias = tf1.get_variable("bias", [units], initializer=tf1.zeros_initializer())
        if l2:
            tf1.losses.add_loss(l2 * tf.nn.l2_loss(kernel), tf1.GraphKeys.REGULARIZATION_LOSSES)
        return tf.nn.relu(tf.matmul(inputs, kernel) + bias)


def batch_norm(inputs, name, *, is_training, momentum=0.5):
    """Normalization of the mean alone; in training its moving average is updated by UPDATE_OPS."""
    with tf1.variable_scope(name):
        mean = tf1.get_variable("mean", [inputs.shape[-1]], initializer=tf1.zeros_initializer(), trainable=False)
        if not is_training:
            return inputs - mean
        batch_mean = tf.reduce_mean(inputs, 0)
        update = mean.assign_sub((1 - momentum) * (mean - batch_mean))
        tf1.add_to_collection(tf1.GraphKeys.UPDATE_OPS, update.op)
        return inputs - batch_mean


def run(fetches, feed_dict=None):
    """Values of fetches in a fresh session of the current graph, with variables and tables initialized."""
    with tf1.Session() as session:
        session.run([tf1.global_variables_initializer(), tf1.tables_initializer()])
        return session.run(fetches, feed_dict)


def export(module_spec, path, **module_kwargs):
    """Writes a module with the values that its initializers give; returns them by name."""
    with tf.Graph().as_default(), tf1.Session() as session:
        module = hub.Module(module_spec, **module_kwargs)
        session.run([tf1.global_variables_initializer(), tf1.tables_initializer()])
        module.export(str(path), session)
        return session.run(module.variable_map)
