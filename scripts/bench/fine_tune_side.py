"""One run of fine_tune: a module or its twin learns to classify texts.

    python fine_tune_side.py module|twin PATH TRAIN_CSV EVAL_CSV STEPS LEARNING_RATE SEED
"""

import csv
import json
import os
import sys
from collections.abc import Callable, Iterator

os.environ["TF_USE_LEGACY_KERAS"] = "1"  # KerasLayer is a layer of Keras 2

import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402
from tensorflow.compat import v1 as tf1  # noqa: E402

_BATCH = 64


class Task:
    """The data, the order of the batches, and the first weights of the head."""

    def __init__(self, train_path: str, eval_path: str, steps: int, learning_rate: float, seed: int):
        self.learning_rate = learning_rate
        self.seed = seed
        self._train, self.eval = _read(train_path), _read(eval_path)
        self._steps = steps
        self._rng = np.random.default_rng(seed)
        self.classes = int(self._train[1].max()) + 1

    def kernel(self, dim: int) -> np.ndarray:
        """The head's first kernel, float32 [dim, classes]; its bias starts from 0."""
        limit = (6 / (dim + self.classes)) ** 0.5  # https://proceedings.mlr.press/v9/glorot10a.html
        return np.random.default_rng(self.seed).uniform(-limit, limit, [dim, self.classes]).astype(np.float32)

    def batches(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """The training batches: texts, labels; shuffled anew in each epoch."""
        texts, labels = self._train
        order = np.empty(0, np.int64)
        for _ in range(self._steps):
            while len(order) < _BATCH:
                order = np.concatenate([order, self._rng.permutation(len(texts))])
            rows, order = order[:_BATCH], order[_BATCH:]
            yield texts[rows], labels[rows]

    def accuracy(self, logits_of: Callable[[np.ndarray], np.ndarray]) -> float:
        """The fraction of the evaluation texts whose largest logit is that of their label."""
        texts, labels = self.eval
        return float(np.mean(np.argmax(logits_of(texts), axis=1) == labels))


def _read(path: str) -> tuple[np.ndarray, np.ndarray]:
    with open(path, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return np.array([row["text"] for row in rows], object), np.array([int(row["label"]) for row in rows])


def fine_tune_module(path: str, task: Task) -> tuple[float, float]:
    """The accuracy before and after; as a consumer writes it for TensorFlow 1."""
    from hubpipe import hub

    with tf.Graph().as_default(), tf1.Session() as session:
        tf1.set_random_seed(task.seed)
        module = hub.Module(path, trainable=True, tags={"train"})
        texts, labels = tf1.placeholder(tf.string, [None]), tf1.placeholder(tf.int64, [None])
        features = module(texts)
        kernel = tf.Variable(task.kernel(features.shape[-1]))
        bias = tf.Variable(tf.zeros([task.classes]))
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, features @ kernel + bias)
        loss = tf.reduce_mean(losses) + tf1.losses.get_regularization_loss()
        with tf.control_dependencies(tf1.get_collection(tf1.GraphKeys.UPDATE_OPS)):
            train_op = tf1.train.AdamOptimizer(task.learning_rate).minimize(loss)
        tuned = hub.Module(path, name="tuned")
        logits = tuned(texts) @ kernel + bias
        copies = [tuned.variable_map[name].assign(value) for name, value in module.variable_map.items()]
        session.run([tf1.global_variables_initializer(), tf1.tables_initializer()])

        def accuracy() -> float:
            session.run(copies)
            return task.accuracy(lambda rows: session.run(logits, {texts: rows}))

        before = accuracy()
        for rows, targets in task.batches():
            session.run(train_op, {texts: rows, labels: targets})
        return before, accuracy()


def fine_tune_twin(path: str, task: Task) -> tuple[float, float]:
    """The accuracy before and after; as a consumer writes it for Keras."""
    import tensorflow_hub as hub

    keras = tf.keras
    keras.utils.set_random_seed(task.seed)
    texts = keras.Input([], dtype=tf.string)
    outputs = hub.KerasLayer(path, trainable=True)(texts)
    features = outputs["default"] if isinstance(outputs, dict) else outputs
    head = keras.layers.Dense(task.classes)
    model = keras.Model(texts, head(features))
    head.set_weights([task.kernel(features.shape[-1]), np.zeros(task.classes, np.float32)])
    model.compile(
        keras.optimizers.Adam(task.learning_rate, epsilon=1e-8),  # of TensorFlow 1
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )

    def accuracy() -> float:
        return task.accuracy(lambda rows: model.predict(tf.constant(rows), batch_size=len(rows), verbose=0))

    before = accuracy()
    for rows, targets in task.batches():
        model.train_on_batch(tf.constant(rows), targets)
    return before, accuracy()


def main(side: str, path: str, train_path: str, eval_path: str, steps: str, rate: str, seed: str) -> None:
    """Prints the accuracy before and after."""
    task = Task(train_path, eval_path, int(steps), float(rate), int(seed))
    before, after = {"module": fine_tune_module, "twin": fine_tune_twin}[side](path, task)
    versions = {"tensorflow": tf.__version__}
    if side == "twin":
        versions["tensorflow_hub"] = sys.modules["tensorflow_hub"].__version__
    print(json.dumps({"before": before, "after": after, **versions}))


if __name__ == "__main__":
    main(*sys.argv[1:])
