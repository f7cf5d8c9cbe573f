"""What all heads have in common."""

import abc
from collections.abc import Mapping, Sequence

import tensorflow as tf
from tensorflow.compat import v1 as tf1

from hubpipe.compat import estimator
from hubpipe.config import schema
from hubpipe.models import layers
from hubpipe.models.heads import streaming

SCOPE = "head"  # of the variables that are not the module's


class Head(abc.ABC):
    """Turns the output of a module into what a task needs.

    Args:
        section: the head's config.
        labels: names of the classes; empty if the head has none.
        moments: mean and standard deviation of training labels that are numbers.
    """

    def __init__(
        self, section: schema.Section, labels: Sequence[str] = (), moments: tuple[float, float] = (0.0, 1.0)
    ):
        self._section = section
        self._labels = list(labels)
        self._moments = moments

    @property
    def units(self) -> int:
        """Columns of the logits; one for each class, unless a head says otherwise."""
        return len(self._labels)

    def logits(self, encoded: tf.Tensor) -> tf.Tensor:
        """float32 [batch, dim] -> float32 [batch, units]."""
        with tf1.variable_scope(SCOPE):
            return layers.dense(encoded, self.units, kernel_regularizer=None, with_bias=True)

    def adopted(self, logits: tf.Tensor) -> tf.Tensor:
        """The logits of a module's own classifier, [batch, classes], as those of the head, [batch, units]."""
        return logits

    def loss(self, logits: tf.Tensor, labels: tf.Tensor, weights: tf.Tensor | None = None) -> tf.Tensor:
        """Mean over the examples, float32 []; without regularization losses.

        Args:
            logits: float32 [batch, units].
            labels: as hubpipe.inputs.targets says.
            weights: float32 [batch], not negative; None if all count the same. Only their ratios matter: twice the
                weights are the same loss. It is 0 for a batch in which all are 0.
        """
        losses = self.losses(logits, labels)
        if weights is None:
            return tf.reduce_mean(losses)
        return tf.math.divide_no_nan(tf.reduce_sum(losses * weights), tf.reduce_sum(weights))

    @abc.abstractmethod
    def losses(self, logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        """The loss of each example, float32 [batch]; arguments as of `loss`."""

    @abc.abstractmethod
    def metrics(
        self, logits: tf.Tensor, labels: tf.Tensor, weights: tf.Tensor | None = None
    ) -> dict[str, streaming.Metric]:
        """Streaming metrics over the evaluation data, dict name -> (value, update); Estimator adds `loss`.

        Arguments as of `loss`.
        """

    @abc.abstractmethod
    def predictions(self, logits: tf.Tensor) -> dict[str, tf.Tensor]:
        """What Estimator.predict yields for each example, under the names of TensorFlow's canned heads."""

    @abc.abstractmethod
    def compared(self, logits: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Labels and what is predicted, of the same shape and type, for metrics of the config's own.

        Class numbers, int64 [batch]; of several classes bool [batch, classes]; numbers, float64 [batch].
        """

    def export_outputs(self, predictions: Mapping[str, tf.Tensor]) -> dict[str, estimator.export.ExportOutput]:
        """What Estimator.export_saved_model serves: all predictions, and what a head adds."""
        everything = estimator.export.PredictOutput(dict(predictions))
        return {"serving_default": everything, "predict": everything}

    def _class_names(self, class_ids: tf.Tensor) -> tf.Tensor:
        """int64 of any shape -> string of the same shape."""
        return tf.gather(tf.constant(self._labels), class_ids)

    def _classification_output(self, probabilities: tf.Tensor) -> estimator.export.ExportOutput:
        """Probabilities, float32 [batch, classes], with the names of all classes in the same order."""
        names = tf.tile(tf.constant([self._labels]), [tf.shape(probabilities)[0], 1])
        return estimator.export.ClassificationOutput(scores=probabilities, classes=names)
