"""Inputs, an encoder, a head and a metric of one's own, for configs/custom_inputs.yaml: which arm is a point of?

A point lies on one of three arms of a spiral, with some noise. The encoder puts points where those of an arm are
close to each other; the head compares them with a prototype of each arm.

Source: prototypes, https://arxiv.org/abs/1703.05175; Cohen's kappa, https://doi.org/10.1177/001316446002000104.
"""

import numpy as np
import tensorflow as tf
from tensorflow.compat import v1 as tf1

from hubpipe import hub

ARMS = ("east", "north", "south")


def input_fn(
    mode: str, *, batch_size: int, shuffle: bool, seed: int, rows: int = 3000, noise: float = 0.05
) -> tf.data.Dataset:
    """One pass over the points.

    Args:
        mode: "train" or "eval", given by hubpipe; the points of both differ.
        batch_size: given by hubpipe, as are the next two.
        shuffle: whether training wants another order in each pass.
        seed: of that order.
        rows: how many points there are.
        noise: standard deviation of the points around their arm.
    Returns:
        dataset of ({"points": float32 [batch, 2]}, string [batch], the name of the arm).
    """
    rng = np.random.default_rng({"train": 1, "eval": 2}[mode])
    arms = rng.integers(0, len(ARMS), rows)
    distances = rng.uniform(0.1, 1.0, rows)
    angles = 2.0 * np.pi * (arms / len(ARMS) + 1.5 * distances)
    points = np.stack([distances * np.cos(angles), distances * np.sin(angles)], axis=1)
    points += rng.normal(0.0, noise, points.shape)
    dataset = tf.data.Dataset.from_tensor_slices(({"points": points.astype(np.float32)}, np.array(ARMS)[arms]))
    if shuffle:
        dataset = dataset.shuffle(rows, seed=seed)
    return dataset.batch(batch_size)


def fingerprint(*, rows: int = 3000, noise: float = 0.05) -> str:
    """Changes when the points do; hubpipe need not read them to see it."""
    return f"spirals 1, {rows} rows, noise {noise}"


def encoder(*, units: int = 64, dim: int = 8, kernel_l2: float = 1e-5) -> None:
    """Adds the signature `default`: points, float32 [batch, 2] -> default, float32 [batch, dim].

    Args:
        units: of both hidden layers.
        dim: of the output.
        kernel_l2: weight of the sum of squares of each kernel; it travels with the module.
    """
    points = tf1.placeholder(tf.float32, [None, 2], name="points")
    hidden = tf.nn.relu(_dense(points, units, "hidden_1", kernel_l2))
    hidden = tf.nn.relu(_dense(hidden, units, "hidden_2", kernel_l2))
    hub.add_signature(inputs={"points": points}, outputs=_dense(hidden, dim, "output", kernel_l2))


def _dense(inputs: tf.Tensor, units: int, name: str, kernel_l2: float) -> tf.Tensor:
    with tf1.variable_scope(name):
        kernel = tf1.get_variable(
            "kernel",
            [inputs.shape[1], units],
            initializer=tf1.glorot_uniform_initializer(),
            regularizer=lambda weights: kernel_l2 * tf.reduce_sum(tf.square(weights)),
        )
        return inputs @ kernel + tf1.get_variable("bias", [units], initializer=tf1.zeros_initializer())


class Prototypes:
    """A head: the closer an output is to the prototype of an arm, the likelier is the arm.

    Args:
        labels: names of the arms, given by hubpipe.
        temperature: what squared distances are divided by.
    """

    def __init__(self, labels: list[str], temperature: float = 1.0):
        self._labels = labels
        self._temperature = temperature

    def logits(self, encoded: tf.Tensor) -> tf.Tensor:
        """float32 [batch, dim] -> float32 [batch, arms]."""
        shape = [len(self._labels), encoded.shape[1]]
        prototypes = tf1.get_variable("prototypes", shape, initializer=tf1.random_normal_initializer())
        differences = encoded[:, tf.newaxis, :] - prototypes  # [batch, arms, dim]
        return -tf.reduce_sum(tf.square(differences), axis=2) / self._temperature

    def losses(self, logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        """Cross entropy, float32 [batch]; labels: int64 [batch]."""
        return tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)

    def predictions(self, logits: tf.Tensor) -> dict[str, tf.Tensor]:
        """predicted, int64 [batch]; arms, string [batch]; probabilities, float32 [batch, arms]."""
        predicted = tf.argmax(logits, axis=1)
        return {
            "predicted": predicted,
            "arms": tf.gather(tf.constant(self._labels), predicted),
            "probabilities": tf.nn.softmax(logits),
        }


def kappa(labels: np.ndarray, predicted: np.ndarray, sample_weight: np.ndarray) -> float:
    """Cohen's kappa: the agreement beyond that of chance; 1 is the best.

    Args:
        labels: int64 [rows].
        predicted: int64 [rows].
        sample_weight: float64 [rows].
    """
    size = max(labels.max(), predicted.max()) + 1
    counts = np.zeros([size, size])
    np.add.at(counts, (labels, predicted), sample_weight)
    shares = counts / counts.sum()
    by_chance = shares.sum(axis=0) @ shares.sum(axis=1)
    return float((np.trace(shares) - by_chance) / (1.0 - by_chance))
