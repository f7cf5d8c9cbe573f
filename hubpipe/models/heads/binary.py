"""One of two classes per example."""

from collections.abc import Mapping

import tensorflow as tf

from hubpipe.compat import estimator
from hubpipe.models.heads import head, streaming


class Binary(head.Head):
    """One logit, sigmoid and cross entropy. Labels: int64 [batch], 1 for the positive class, the second label."""

    @property
    def units(self) -> int:
        """One."""
        return 1

    def adopted(self, logits: tf.Tensor) -> tf.Tensor:
        """See Head; of two logits the difference, whose sigmoid is their softmax."""
        return logits if logits.shape[1] == 1 else logits[:, 1:] - logits[:, :1]

    def losses(self, logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        """See Head."""
        targets = tf.cast(labels, tf.float32)
        return tf.nn.sigmoid_cross_entropy_with_logits(labels=targets, logits=logits[:, 0])

    def metrics(
        self, logits: tf.Tensor, labels: tf.Tensor, weights: tf.Tensor | None = None
    ) -> dict[str, streaming.Metric]:
        """See Head; auc_pr is the average precision. Positive is predicted from a probability of 0.5 on."""
        labels = labels[:, None]
        predicted = tf.cast(logits >= 0.0, labels.dtype)
        sums = streaming.counts(labels, predicted, weights)
        return {
            "accuracy": streaming.mean(tf.cast(tf.equal(labels, predicted), tf.float32)[:, 0], weights),
            "precision": streaming.of_sums("precision", sums, streaming.precision),
            "recall": streaming.of_sums("recall", sums, streaming.recall),
            "f1": streaming.of_sums("f1", sums, streaming.micro_f1),
            **streaming.curves(logits, labels, weights),
        }

    def compared(self, logits: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """See Head."""
        return labels, tf.cast(logits[:, 0] >= 0.0, labels.dtype)

    def predictions(self, logits: tf.Tensor) -> dict[str, tf.Tensor]:
        """See Head.

        Returns:
            dict: logits and logistic, float32 [batch, 1]; probabilities, float32 [batch, 2]; class_ids, int64
            [batch, 1]; classes, string [batch, 1].
        """
        logistic = tf.nn.sigmoid(logits)
        class_ids = tf.cast(logits >= 0.0, tf.int64)
        return {
            "logits": logits,
            "logistic": logistic,
            "probabilities": tf.concat([tf.nn.sigmoid(-logits), logistic], axis=1),
            "class_ids": class_ids,
            "classes": self._class_names(class_ids),
        }

    def export_outputs(self, predictions: Mapping[str, tf.Tensor]) -> dict[str, estimator.export.ExportOutput]:
        """See Head; adds `classification`, and `regression` to the probability of the positive class."""
        return {
            **super().export_outputs(predictions),
            "classification": self._classification_output(predictions["probabilities"]),
            "regression": estimator.export.RegressionOutput(predictions["logistic"]),
        }
