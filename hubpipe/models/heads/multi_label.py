"""Any number of classes per example."""

from collections.abc import Mapping

import tensorflow as tf

from hubpipe.compat import estimator
from hubpipe.models.heads import head, streaming


class MultiLabel(head.Head):
    """A sigmoid and cross entropy for each class. Labels: float32 [batch, classes] of 0 and 1."""

    def losses(self, logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        """See Head; the mean over the classes."""
        entropies = tf.nn.sigmoid_cross_entropy_with_logits(labels=labels, logits=logits)
        return tf.reduce_mean(entropies, axis=1)

    def metrics(
        self, logits: tf.Tensor, labels: tf.Tensor, weights: tf.Tensor | None = None
    ) -> dict[str, streaming.Metric]:
        """See Head; a class is predicted from a probability of 0.5 on. auc is the mean over the classes."""
        predicted = tf.cast(logits >= 0.0, tf.float32)
        sums = streaming.counts(labels, predicted, weights)
        is_right = tf.reduce_all(tf.equal(labels, predicted), axis=1)
        return {
            "micro_f1": streaming.of_sums("micro_f1", sums, streaming.micro_f1),
            "macro_f1": streaming.of_sums("macro_f1", sums, streaming.macro_f1),
            "subset_accuracy": streaming.mean(tf.cast(is_right, tf.float32), weights),
            "auc": streaming.curves(logits, labels, weights)["auc"],
        }

    def compared(self, logits: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """See Head."""
        return labels > 0.5, logits >= 0.0

    def predictions(self, logits: tf.Tensor) -> dict[str, tf.Tensor]:
        """See Head; logits and probabilities, float32 [batch, classes]."""
        return {"logits": logits, "probabilities": tf.nn.sigmoid(logits)}

    def export_outputs(self, predictions: Mapping[str, tf.Tensor]) -> dict[str, estimator.export.ExportOutput]:
        """See Head; adds `classification`."""
        outputs = super().export_outputs(predictions)
        return {**outputs, "classification": self._classification_output(predictions["probabilities"])}
