"""Adam, also for several workers that update rows of the same table at the same time."""

import tensorflow as tf
from tensorflow.compat import v1 as tf1


class Adam(tf1.train.AdamOptimizer):
    """TensorFlow's Adam, but for sparse gradients of variables on parameter servers.

    TensorFlow decays the moments of the whole table at every step, by reading and writing them back. What another
    worker adds to the second moment in between is lost, and a row whose first moment survives is then divided by
    almost nothing: tables grow to many times their size. Here the moments of the rows at hand alone are read and
    written, which also spares the servers a pass over the whole table. A row's moments then stand still while it
    does not occur.

    Source: https://arxiv.org/abs/1412.6980, section 2.
    """

    def _resource_apply_sparse(self, grad: tf.Tensor, handle: tf.Variable, indices: tf.Tensor) -> tf.Operation:
        """Updates rows of a variable; called by the base class, with each row once.

        Args:
            grad: of the rows, [rows, ...].
            handle: the variable.
            indices: of the rows, integer [rows].
        """
        if "/job:ps" not in handle.device:
            return super()._resource_apply_sparse(grad, handle, indices)
        beta1_power, beta2_power = self._get_beta_accumulators()
        rate, beta1, beta2, epsilon = (
            tf.cast(value, grad.dtype) for value in (self._lr_t, self._beta1_t, self._beta2_t, self._epsilon_t)
        )
        rate *= tf.sqrt(1.0 - tf.cast(beta2_power, grad.dtype)) / (1.0 - tf.cast(beta1_power, grad.dtype))
        mean, square = self.get_slot(handle, "m"), self.get_slot(handle, "v")
        new_mean = beta1 * tf.gather(mean, indices) + (1.0 - beta1) * grad
        new_square = beta2 * tf.gather(square, indices) + (1.0 - beta2) * tf.square(grad)
        return tf.group(
            mean.scatter_update(tf.IndexedSlices(new_mean, indices)),
            square.scatter_update(tf.IndexedSlices(new_square, indices)),
            handle.scatter_sub(tf.IndexedSlices(rate * new_mean / (tf.sqrt(new_square) + epsilon), indices)),
        )
