"""Variables that have no value yet."""

import tensorflow as tf
from tensorflow.python.ops import resource_variable_ops
from tensorflow.python.trackable import base


class _DeclaredVariable(resource_variable_ops.UninitializedVariable):
    def _serialize_to_tensors(self) -> dict[str, tf.Tensor]:
        return {base.VARIABLE_VALUE_KEY: tf.zeros([0], self.dtype)}


def declare_variable(name: str, dtype: tf.DType, shape: tf.TensorShape, *, trainable: bool) -> tf.Variable:
    """A variable to write a SavedModel with before its value is known; it takes no memory.

    tf.saved_model.save writes an empty tensor where the value belongs.

    Args:
        name: e.g. "hidden/kernel".
        dtype: of the value.
        shape: fully defined shape of the value.
        trainable: whether the loaded variable is.
    """
    return _DeclaredVariable(trainable=trainable, dtype=dtype, shape=shape, name=name)
