"""Modules and what is asked of them, the same with hubpipe.hub and with tensorflow_hub.

Runs on TensorFlow 1.15 (Python 3.7) too: `python oracle_cases.py FOLDER` is the side of tensorflow_hub. It answers
for the modules in FOLDER/ours, writes its own to FOLDER/theirs, and all answers to FOLDER/answers.
"""

import os
import sys

import numpy as np
from tensorflow.compat import v1 as tf1

WORDS = ["", "b", "unheard of", "a", "ü"]


def dense(hub):
    """Two layers, two signatures, several inputs and outputs, regularizers, an attached message."""
    x = tf1.placeholder(tf1.float32, [None, 5], name="x")
    y = tf1.placeholder(tf1.float32, [None, 5], name="y")
    first = _dense(x, 4, "first", l2=0.25)
    second = _dense(first, 3, "second", l2=0.5)
    hub.add_signature(inputs=x, outputs={"default": second, "hidden_activations": first})
    hub.add_signature("pair", inputs={"x": x, "y": y}, outputs={"sum": second + tf1.reduce_sum(y), "same": y})
    hub.attach_message("config", tf1.ConfigProto(inter_op_parallelism_threads=3))


def tuned(hub, is_training=False):
    """Batch norm with moving averages and dropout in the variant for training."""
    x = tf1.placeholder(tf1.float32, [None, 6], name="x")
    momentum = tf1.placeholder_with_default(0.75, [], name="momentum")
    hidden = _dense(x, 4, "hidden", l2=0.1)
    normal = _batch_norm(hidden, "norm", is_training, momentum)
    hub.add_signature(inputs=x, outputs=normal)
    hub.add_signature("hyperparameters", inputs={"x": x, "momentum": momentum}, outputs=normal)
    if is_training:
        dropped = tf1.nn.dropout(normal, rate=0.5)
        is_dropped_or_doubled = tf1.equal(dropped, 0) | (tf1.abs(dropped - 2 * normal) < 1e-4)
        hub.add_signature("dropout", inputs=x, outputs=tf1.reduce_all(is_dropped_or_doubled))


def text(hub, vocabulary):
    """Words by a table from an asset to the mean of the rows of a partitioned embedding."""
    words = tf1.placeholder(tf1.string, [None], name="words")
    initializer = tf1.lookup.TextFileInitializer(
        vocabulary,
        tf1.string,
        tf1.lookup.TextFileIndex.WHOLE_LINE,
        tf1.int64,
        tf1.lookup.TextFileIndex.LINE_NUMBER,
    )
    ids = tf1.lookup.StaticVocabularyTable(initializer, num_oov_buckets=2).lookup(words)
    with tf1.variable_scope("embedding", partitioner=tf1.fixed_size_partitioner(3)):
        table = tf1.get_variable("table", [7, 2], initializer=tf1.random_normal_initializer())
    rows = tf1.nn.embedding_lookup(table, ids, partition_strategy="div")
    hub.add_signature(inputs=words, outputs={"default": rows, "ids": ids})


def layers(hub, is_training=False):
    """What tf.layers makes; only where it exists."""
    x = tf1.placeholder(tf1.float32, [None, 6])
    regularizer = tf1.keras.regularizers.l2(0.5)
    hidden = tf1.layers.dense(
        x, 4, activation=tf1.nn.relu, kernel_initializer=_initializer(), kernel_regularizer=regularizer
    )
    hidden = tf1.layers.batch_normalization(hidden, training=is_training, momentum=0.5)
    hub.add_signature(inputs=x, outputs=hidden)


def specs(hub, folder, with_layers=False):
    """dict name -> ModuleSpec of the modules; their assets are written to a folder."""
    vocabulary = os.path.join(folder, "vocab.txt")
    with open(vocabulary, "wb") as file:
        file.write("a\nb\nc\nü\n".encode())
    variants = [(set(), {}), ({"train"}, {"is_training": True})]
    made = {
        "dense": hub.create_module_spec(lambda: dense(hub)),
        "tuned": hub.create_module_spec(lambda **kwargs: tuned(hub, **kwargs), variants),
        "text": hub.create_module_spec(lambda: text(hub, vocabulary), [(set(), {}), ({"train"}, {})]),
    }
    if with_layers:
        made["layers"] = hub.create_module_spec(lambda **kwargs: layers(hub, **kwargs), variants)
    return made


def export(hub, spec, path):
    """Writes a module with initial values, its moving averages moved, to a path."""
    with tf1.Graph().as_default(), tf1.Session() as session:
        tags = {"train"} if frozenset({"train"}) in spec.get_tags() else None
        module = hub.Module(spec, trainable=True, tags=tags)
        module(_inputs(module))
        session.run([tf1.global_variables_initializer(), tf1.tables_initializer()])
        session.run(tf1.get_collection(tf1.GraphKeys.UPDATE_OPS))
        module.export(path, session)


def answer(hub, path):
    """dict question -> array: what a module says, and becomes when it is tuned, in all its variants."""
    answers = {}
    for tags in hub.load_module_spec(path).get_tags():
        where = "+".join(sorted(tags))
        answers.update({where + "/" + key: value for key, value in _answer(hub, path, tags).items()})
    return answers


def _answer(hub, path, tags):
    answers = {}
    with tf1.Graph().as_default(), tf1.Session() as session:
        module = hub.Module(path, trainable=True, tags=tags)
        config = module.get_attached_message("config", tf1.ConfigProto)
        answers["attached"] = config.inter_op_parallelism_threads if config else 0
        outputs = {}
        for signature in sorted(module.get_signature_names()):
            outputs[signature] = module(_inputs(module, signature), signature=signature, as_dict=True)
        penalty = tf1.losses.get_regularization_loss()
        updates = tf1.get_collection(tf1.GraphKeys.UPDATE_OPS)
        answers["updates"] = len(updates)
        loss = tf1.reduce_sum(outputs["default"]["default"] ** 2) + penalty
        train = tf1.train.GradientDescentOptimizer(0.01).minimize(loss)
        session.run([tf1.global_variables_initializer(), tf1.tables_initializer()])
        answers["trainable"] = len(tf1.trainable_variables())
        answers["penalty"] = session.run(penalty)
        for signature in sorted(outputs):
            for key, value in session.run(outputs[signature]).items():
                answers["signature " + signature + "/" + key] = value
        for moment, steps in (("at first", []), ("after updates", updates), ("after a step", [train])):
            for step in steps:  # one by one: updates of the same average would overtake each other
                session.run(step)
            for name, value in module.variable_map.items():
                value = session.run(value)
                value = np.concatenate(value) if isinstance(value, list) else value
                answers[moment + "/" + name] = value
    return answers


def _inputs(module, signature=None):
    inputs = {}
    for name, info in sorted(module.get_input_info_dict(signature).items()):
        if info.dtype == tf1.string:
            inputs[name] = WORDS
        else:
            shape = [8 if size is None else size for size in info.get_shape().as_list()]
            inputs[name] = np.random.RandomState(len(name)).uniform(0.1, 0.9, shape).astype(np.float32)
    return inputs


def _initializer():
    """With a seed: of random kernels, some let no unit be active, and then no moving average moves."""
    return tf1.glorot_uniform_initializer(seed=1)


def _dense(inputs, units, name, l2):
    with tf1.variable_scope(name):
        shape = [int(inputs.shape[-1]), units]
        kernel = tf1.get_variable("kernel", shape, initializer=_initializer())
        bias = tf1.get_variable("bias", [units], initializer=tf1.constant_initializer(0.1))
        tf1.add_to_collection(tf1.GraphKeys.REGULARIZATION_LOSSES, l2 * tf1.nn.l2_loss(kernel))
        return tf1.nn.relu(tf1.matmul(inputs, kernel) + bias)


def _batch_norm(inputs, name, is_training, momentum):
    with tf1.variable_scope(name):
        shape = [int(inputs.shape[-1])]
        gamma = tf1.get_variable("gamma", shape, initializer=tf1.ones_initializer())
        mean = tf1.get_variable("moving_mean", shape, initializer=tf1.zeros_initializer(), trainable=False)
        variance = tf1.get_variable("moving_variance", shape, initializer=tf1.ones_initializer(), trainable=False)
        if not is_training:
            return tf1.nn.batch_normalization(inputs, mean, variance, None, gamma, 1e-3)
        moments = tf1.nn.moments(inputs, [0])
        for average, value in zip((mean, variance), moments):  # noqa: B905 - Python 3.7 has no strict
            update = average.assign_sub((average - value) * (1 - momentum))
            tf1.add_to_collection(tf1.GraphKeys.UPDATE_OPS, update.op)
        return tf1.nn.batch_normalization(inputs, moments[0], moments[1], None, gamma, 1e-3)


def _main(folder):
    import tensorflow_hub as hub

    os.mkdir(os.path.join(folder, "answers"))
    for name, spec in specs(hub, folder, with_layers=True).items():
        export(hub, spec, os.path.join(folder, "theirs", name))
    for side in ("ours", "theirs"):
        for name in os.listdir(os.path.join(folder, side)):
            answers = answer(hub, os.path.join(folder, side, name))
            np.savez(os.path.join(folder, "answers", side + "-" + name + ".npz"), **answers)


if __name__ == "__main__":
    _main(sys.argv[1])
