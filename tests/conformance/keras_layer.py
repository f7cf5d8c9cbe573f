"""What hub.KerasLayer makes of SavedModels; run by an oracle.

    python keras_layer.py FOLDER

FOLDER/<name>/ are SavedModels, FOLDER/<name>.npz has their inputs, FOLDER/answers/<name>.npz gets the answers.
"""

import os
import pathlib
import sys

os.environ["TF_USE_LEGACY_KERAS"] = "1"  # tf.keras is Keras 2, on every TensorFlow

import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402
import tensorflow_hub as hub  # noqa: E402


def answer(path: str, inputs: np.ndarray) -> dict[str, np.ndarray]:
    """Outputs, losses, and the variables before and after a step of fine-tuning."""
    layer = hub.KerasLayer(path, trainable=True)
    found = {"frozen": hub.KerasLayer(path)(inputs), "inference": layer(inputs)}
    found["losses"] = np.array([float(loss) for loss in layer.losses])
    found["trainable"] = np.array(len(layer.trainable_weights))
    before = {weight.name: weight.numpy() for weight in layer.weights}
    keras_inputs = tf.keras.Input(inputs.shape[1:])
    model = tf.keras.Model(keras_inputs, layer(keras_inputs))
    model.compile(tf.keras.optimizers.SGD(0.1), "mse")
    model.train_on_batch(inputs, np.ones(found["inference"].shape))
    for weight in layer.weights:
        found[f"before/{weight.name}"] = before[weight.name]
        found[f"after/{weight.name}"] = weight.numpy()
    return {name: np.asarray(value) for name, value in found.items()}


def main(folder: str) -> None:
    """Writes the answers."""
    answers = pathlib.Path(folder) / "answers"
    answers.mkdir()
    for path in sorted(pathlib.Path(folder).glob("*.npz")):
        np.savez(answers / path.name, **answer(str(path.with_suffix("")), np.load(path)["inputs"]))


if __name__ == "__main__":
    main(sys.argv[1])
