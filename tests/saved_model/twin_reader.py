"""What a twin says to another TensorFlow: python twin_reader.py TWIN X.npy ANSWERS.npz."""

import sys

import numpy as np
import tensorflow as tf


def main(twin_dir, x_path, answers_path):
    loaded, x = tf.saved_model.load(twin_dir), tf.constant(np.load(x_path))
    variables = {variable.name.partition(":")[0]: variable for variable in loaded.variables}
    answers = {
        "tensorflow": tf.__version__,
        "inference": loaded(x),
        "ids": loaded.ids(tf.constant(["green", "blue"])),
        "served": loaded.signatures["serving_default"](x)["default"],
    }
    with tf.GradientTape() as tape:
        answers["training"] = loaded(x, training=True, dropout_rate=0.0)
        loss = tf.reduce_sum(answers["training"] ** 2) + loaded.regularization_losses[0]()
    answers["gradient"] = tape.gradient(loss, variables["kernel"])
    answers["mean"] = variables["mean"].numpy()
    np.savez(answers_path, **{name: np.asarray(value) for name, value in answers.items()})


if __name__ == "__main__":
    main(*sys.argv[1:])
