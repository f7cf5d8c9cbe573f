"""FTRL that can start from weights other than zeros."""

from collections.abc import Iterable

import tensorflow as tf
from tensorflow.compat import v1 as tf1

from hubpipe.compat import estimator

_COLLECTION = ("hubpipe.ftrl_start",)  # not a string, so that it is not among the names of a graph


class Ftrl(tf1.train.FtrlOptimizer):
    """TensorFlow's FTRL, which keeps each weight as a sum that starts at 0, and so forgets what it started from.

    Graph effects: adds for each variable what sets the sum of its weights to a collection that StartHook runs.

    Source: https://research.google/pubs/pub41159/, algorithm 1: w = -(z - sign(z) l1) / q, solved for z.
    """

    def apply_gradients(
        self, grads_and_vars: Iterable[tuple[tf.Tensor, tf.Variable]], global_step=None, name: str | None = None
    ) -> tf.Operation:
        """Updates the variables; see the base class."""
        pairs = list(grads_and_vars)
        update = super().apply_gradients(pairs, global_step, name)
        with tf.control_dependencies(None):  # it waits for nothing that a step does
            rate = tf.cast(self._learning_rate, tf.float32)
            quadratic = self._initial_accumulator_value**-self._learning_rate_power / rate
            for _, weights in pairs:
                sums = -(quadratic * weights + self._l1_regularization_strength * tf.sign(weights))
                tf1.add_to_collection(_COLLECTION, tf1.assign(self.get_slot(weights, "linear"), sums))
        return update


class StartHook(estimator.SessionRunHook):
    """Lets every Ftrl of the graph start from the weights that there are at step 0."""

    def begin(self) -> None:
        """Called by Estimator when the graph is complete."""
        self._start = tf.group(*tf1.get_collection(_COLLECTION))

    def after_create_session(self, session, coord) -> None:
        """Called by Estimator when all variables have their values."""
        if not session.run(tf1.train.get_global_step(session.graph)):
            session.run(self._start)
