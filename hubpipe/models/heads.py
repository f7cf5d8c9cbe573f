"""Heads: logits, loss, metrics and predictions of a task. A head stays behind; it is not part of the module."""

from collections.abc import Mapping, Sequence

import tensorflow as tf
from tensorflow.compat import v1 as tf1

from hubpipe import hub
from hubpipe.compat import estimator
from hubpipe.config import schema
from hubpipe.models import layers

# The common signature for classifiers of images; a module that has it brings the layer of its logits along.
_OWN_LOGITS = "image_classification"


class Classification:
    """One of several classes per example, by softmax.

    Args:
        head: the head's config.
        labels: names of the classes.
    """

    def __init__(self, head: schema.ClassificationHead, labels: Sequence[str]):
        self._head = head
        self._labels = list(labels)

    def logits(self, encoded: tf.Tensor) -> tf.Tensor:
        """float32 [batch, dim] -> float32 [batch, classes]."""
        with tf1.variable_scope("head"):
            return layers.dense(encoded, len(self._labels), kernel_regularizer=None, with_bias=True)

    def loss(self, logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        """Mean cross entropy, float32 []; without regularization losses.

        Args:
            logits: float32 [batch, classes].
            labels: int64 [batch].
        """
        smoothing = self._head.label_smoothing
        if not smoothing:
            return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits))
        # https://arxiv.org/abs/1512.00567, section 7
        classes = len(self._labels)
        targets = tf.one_hot(labels, classes) * (1.0 - smoothing) + smoothing / classes
        return tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(targets, logits))

    def metrics(self, logits: tf.Tensor, labels: tf.Tensor) -> dict[str, tuple[tf.Tensor, tf.Tensor]]:
        """Streaming metrics over the evaluation data, dict name -> (value, update); Estimator adds `loss`."""
        predicted = tf.argmax(logits, axis=-1)
        top_k = min(self._head.top_k, len(self._labels))
        return {
            "accuracy": tf1.metrics.accuracy(labels, predicted),
            "top_k_accuracy": tf1.metrics.mean(tf.nn.in_top_k(labels, logits, top_k)),
            "macro_f1": _macro_f1(labels, predicted, len(self._labels)),
        }

    def predictions(self, logits: tf.Tensor) -> dict[str, tf.Tensor]:
        """What Estimator.predict yields for each example."""
        class_ids = tf.argmax(logits, axis=-1)
        return {
            "class_ids": class_ids,
            "classes": tf.gather(tf.constant(self._labels), class_ids),
            "probabilities": tf.nn.softmax(logits),
            "logits": logits,
        }

    def export_outputs(self, predictions: Mapping[str, tf.Tensor]) -> dict[str, estimator.export.ExportOutput]:
        """What Estimator.export_saved_model serves."""
        return {"serving_default": estimator.export.PredictOutput(dict(predictions))}


def logits(head: Classification, module: hub.Module, features: Mapping[str, tf.Tensor]) -> tf.Tensor:
    """The logits of a module's own classifier, or if it has none, those that the head makes of its output.

    Args:
        head: of the model.
        module: the encoder, called once.
        features: dict of the inputs of its signature.
    Returns:
        float32 [batch, classes].
    """
    if _OWN_LOGITS in module.get_signature_names():
        return module(dict(features), signature=_OWN_LOGITS)
    return head.logits(module(dict(features)))


def _macro_f1(labels: tf.Tensor, predicted: tf.Tensor, classes: int) -> tuple[tf.Tensor, tf.Tensor]:
    """The mean of the classes' F1 scores; a class that is neither a label nor predicted does not count."""

    def counter(name: str, ids: tf.Tensor) -> tuple[tf.Variable, tf.Tensor]:
        total = tf1.get_variable(
            f"macro_f1/{name}",
            [classes],
            initializer=tf1.zeros_initializer(),
            trainable=False,
            collections=[tf1.GraphKeys.LOCAL_VARIABLES, tf1.GraphKeys.METRIC_VARIABLES],
        )
        ones = tf.ones_like(ids, tf.float32)
        return total, tf1.assign_add(total, tf.math.unsorted_segment_sum(ones, ids, classes))

    hits, add_hits = counter("hits", tf.boolean_mask(labels, tf.equal(labels, predicted)))
    actual, add_actual = counter("actual", labels)
    guessed, add_guessed = counter("guessed", predicted)
    # F1 = 2 hits / (actual + guessed), the harmonic mean of precision and recall
    return _mean_f1(hits, actual + guessed), _mean_f1(add_hits, add_actual + add_guessed)


def _mean_f1(hits: tf.Tensor, occurrences: tf.Tensor) -> tf.Tensor:
    f1 = tf.math.divide_no_nan(2.0 * hits, occurrences)
    return tf.math.divide_no_nan(tf.reduce_sum(f1), tf.reduce_sum(tf.cast(occurrences > 0, tf.float32)))


HEADS = {schema.ClassificationHead: Classification}
