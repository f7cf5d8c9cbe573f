"""One of several classes per example."""

from collections.abc import Mapping

import tensorflow as tf

from hubpipe.compat import estimator
from hubpipe.models.heads import head, streaming


class Classification(head.Head):
    """Softmax and cross entropy. Labels: int64 [batch]."""

    def losses(self, logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        """See Head; cross entropy, with the labels smoothed."""
        smoothing = self._section.label_smoothing
        if not smoothing:
            return tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
        # https://arxiv.org/abs/1512.00567, section 7
        targets = tf.one_hot(labels, self.units) * (1.0 - smoothing) + smoothing / self.units
        return tf.nn.softmax_cross_entropy_with_logits(targets, logits)

    def metrics(
        self, logits: tf.Tensor, labels: tf.Tensor, weights: tf.Tensor | None = None
    ) -> dict[str, streaming.Metric]:
        """See Head."""
        predicted = tf.argmax(logits, axis=-1)
        top_k = min(self._section.top_k, self.units)
        sums = self._counts(labels, predicted, weights)
        return {
            "accuracy": streaming.mean(tf.cast(tf.equal(labels, predicted), tf.float32), weights),
            "top_k_accuracy": streaming.mean(tf.cast(tf.nn.in_top_k(labels, logits, top_k), tf.float32), weights),
            "macro_f1": streaming.of_sums("macro_f1", sums, streaming.macro_f1),
        }

    def _counts(
        self, labels: tf.Tensor, predicted: tf.Tensor, weights: tf.Tensor | None
    ) -> dict[str, tf.Tensor]:
        """As streaming.counts, of class numbers [batch]: no matrix [batch, classes] is made."""
        each = streaming.of_examples(labels, weights)

        def counted(ids: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
            total = tf.math.unsorted_segment_sum(weights, ids, self.units)
            total.set_shape([self.units])
            return total

        is_hit = tf.cast(tf.equal(labels, predicted), tf.float64)
        return {
            "hits": counted(labels, each * is_hit),
            "actual": counted(labels, each),
            "guessed": counted(predicted, each),
        }

    def compared(self, logits: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """See Head."""
        return labels, tf.argmax(logits, axis=-1)

    def predictions(self, logits: tf.Tensor) -> dict[str, tf.Tensor]:
        """See Head; class_ids int64 [batch, 1], classes string [batch, 1], probabilities and logits."""
        class_ids = tf.argmax(logits, axis=-1)[:, None]
        return {
            "class_ids": class_ids,
            "classes": self._class_names(class_ids),
            "probabilities": tf.nn.softmax(logits),
            "logits": logits,
        }

    def export_outputs(self, predictions: Mapping[str, tf.Tensor]) -> dict[str, estimator.export.ExportOutput]:
        """See Head; adds `classification`."""
        outputs = super().export_outputs(predictions)
        return {**outputs, "classification": self._classification_output(predictions["probabilities"])}
