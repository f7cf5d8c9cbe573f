"""A number per example."""

from collections.abc import Mapping

import tensorflow as tf
from tensorflow.compat import v1 as tf1

from hubpipe.compat import estimator
from hubpipe.models.heads import head, streaming


class Regression(head.Head):
    """One output in the unit of the labels. Labels: float32 [batch].

    The network learns numbers of mean 0 and standard deviation 1, whatever the unit. Both moments of the training
    data are variables of the head, so that they are restored with it.
    """

    @property
    def units(self) -> int:
        """One."""
        return 1

    def logits(self, encoded: tf.Tensor) -> tf.Tensor:
        """float32 [batch, dim] -> float32 [batch, 1], in the unit of the labels."""
        return self.adopted(super().logits(encoded))

    def adopted(self, logits: tf.Tensor) -> tf.Tensor:
        """See Head; a module's own output is normalised, too."""
        mean, stddev = self._variables()
        return mean + stddev * logits

    def losses(self, logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        """See Head; of the difference in standard deviations of the training data."""
        difference = (logits[:, 0] - labels) / self._variables()[1]
        if self._section.loss == "squared":
            return tf.square(difference)
        distance = tf.abs(difference)
        if self._section.loss == "absolute":
            return distance
        # Half the square up to delta, then the line that goes on from there: https://doi.org/10.1214/aoms/1177703732
        delta = self._section.huber_delta
        near = tf.minimum(distance, delta)
        return near * (distance - near / 2.0)

    def metrics(
        self, logits: tf.Tensor, labels: tf.Tensor, weights: tf.Tensor | None = None
    ) -> dict[str, streaming.Metric]:
        """See Head; rmse and mae are in the unit of the labels."""
        mean, stddev = (tf.cast(moment, tf.float64) for moment in self._variables())
        expected = (tf.cast(labels, tf.float64) - mean) / stddev  # far smaller sums, so that r2 loses no digits
        error = (tf.cast(logits[:, 0], tf.float64) - mean) / stddev - expected
        weights = streaming.of_examples(labels, weights)
        sums = {
            "weight": tf.reduce_sum(weights),
            "expected": tf.reduce_sum(weights * expected),
            "squares": tf.reduce_sum(weights * tf.square(expected)),
            "squared_errors": tf.reduce_sum(weights * tf.square(error)),
            "errors": tf.reduce_sum(weights * tf.abs(error)),
        }
        return {
            "rmse": streaming.of_sums(
                "rmse", sums, lambda totals: stddev * tf.sqrt(totals["squared_errors"] / totals["weight"])
            ),
            "mae": streaming.of_sums("mae", sums, lambda totals: stddev * totals["errors"] / totals["weight"]),
            "r2": streaming.of_sums("r2", sums, _r2),
        }

    def compared(self, logits: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """See Head."""
        return tf.cast(labels, tf.float64), tf.cast(logits[:, 0], tf.float64)

    def predictions(self, logits: tf.Tensor) -> dict[str, tf.Tensor]:
        """See Head; predictions float32 [batch, 1], in the unit of the labels."""
        return {"predictions": logits}

    def export_outputs(self, predictions: Mapping[str, tf.Tensor]) -> dict[str, estimator.export.ExportOutput]:
        """See Head; adds `regression`."""
        outputs = super().export_outputs(predictions)
        return {**outputs, "regression": estimator.export.RegressionOutput(predictions["predictions"])}

    def _variables(self) -> tuple[tf.Variable, tf.Variable]:
        """Mean and standard deviation of the training labels, float32 []; of equal labels the latter is 1."""
        mean, stddev = self._moments
        with tf1.variable_scope(head.SCOPE, reuse=tf1.AUTO_REUSE):
            return tuple(
                tf1.get_variable(name, [], initializer=tf1.constant_initializer(value), trainable=False)
                for name, value in (("label_mean", mean), ("label_stddev", stddev or 1.0))
            )


def _r2(totals: Mapping[str, tf.Tensor]) -> tf.Tensor:
    """The share of the variance that is explained, 1 - errors / variance; not finite if the labels are equal."""
    variance = totals["squares"] - tf.square(totals["expected"]) / totals["weight"]
    return 1.0 - totals["squared_errors"] / variance
