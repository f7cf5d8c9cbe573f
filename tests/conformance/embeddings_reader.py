"""The side of an old tensorflow_hub: python embeddings_reader.py MODULE INPUTS OUTPUTS; Python 3.7 and later.

INPUTS holds an array of strings for each signature. OUTPUTS gets what the signatures return, the table, and a loss
before and after a step of gradient descent.
"""

import sys

import numpy as np
import tensorflow.compat.v1 as tf
import tensorflow_hub as hub


def main(path, inputs, outputs):
    """Applies the module and fine-tunes it for a step."""
    given = np.load(inputs)
    with tf.Graph().as_default(), tf.Session() as session:
        module = hub.Module(path, trainable=True)
        found = {name: module(given[name].tolist(), signature=name) for name in given.files}
        found["embeddings"] = module.variable_map["embeddings"]
        loss = tf.reduce_sum(found["default"] ** 2)
        step = tf.train.GradientDescentOptimizer(0.01).minimize(loss)
        session.run([tf.global_variables_initializer(), tf.tables_initializer()])
        answers = session.run(found)
        answers["loss before"] = session.run(loss)
        session.run(step)
        answers["loss after"] = session.run(loss)
    np.savez(outputs, **answers)


if __name__ == "__main__":
    main(*sys.argv[1:])
