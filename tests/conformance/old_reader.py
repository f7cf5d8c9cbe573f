"""The side of TensorFlow 1.15: python old_reader.py MODULE INPUTS OUTPUTS, for its Python 3.7.

INPUTS holds the array `text`. OUTPUTS gets the outputs of the variants {} and {"train"}, and of the latter also
the regularization loss, and the variables before and after a step of gradient descent and the updates.
"""

import sys

import numpy as np
import tensorflow as tf
import tensorflow_hub as hub


def _answers(path, text, tags):
    name = "/".join(sorted(tags))
    answers = {}
    with tf.Graph().as_default(), tf.Session() as session:
        module = hub.Module(path, trainable=bool(tags), tags=tags)
        outputs = module(text, as_dict=True)
        loss = tf.add_n([tf.reduce_sum(outputs["default"] ** 2)] + tf.losses.get_regularization_losses())
        session.run([tf.global_variables_initializer(), tf.tables_initializer()])
        for key, value in session.run(outputs).items():
            answers[name + ":" + key] = value
        if tags:
            step = tf.train.GradientDescentOptimizer(0.1).minimize(loss)
            answers["penalty"] = session.run(tf.losses.get_regularization_loss())
            answers["loss before"] = session.run(loss)
            answers.update(_variables(session, module, "before"))
            session.run(step)
            session.run(tf.get_collection(tf.GraphKeys.UPDATE_OPS))
            answers["loss after"] = session.run(loss)
            answers.update(_variables(session, module, "after"))
    return answers


def _variables(session, module, when):
    return {when + ":" + key: value for key, value in session.run(module.variable_map).items()}


def main(path, inputs, outputs):
    """Answers for a module."""
    text = np.load(inputs)["text"].tolist()
    answers = {}
    for tags in (set(), {"train"}):
        answers.update(_answers(path, text, tags))
    np.savez(outputs, **answers)


if __name__ == "__main__":
    main(*sys.argv[1:])
