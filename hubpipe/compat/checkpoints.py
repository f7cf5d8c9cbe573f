"""Initializers that read checkpoints."""

import tensorflow as tf
from tensorflow.python.training import checkpoint_utils

# RestoreV2 reads parts of tensors of other types only.
_WHOLE_ONLY = (tf.float16, tf.uint16, tf.uint32, tf.uint64, tf.string)


def initialize(variable: tf.Variable, prefix: str, name: str) -> None:
    """Makes a variable's initializer read its value from a checkpoint.

    Like tf.compat.v1.train.init_from_checkpoint, which takes a prefix for a directory on file systems that know no
    directories, such as ram://.

    Args:
        variable: a variable, or a part of a partitioned one, of the current graph.
        prefix: the checkpoint.
        name: the tensor in the checkpoint, the whole one for a part.
    """
    slice_info = variable._get_save_slice_info()
    if slice_info is None or variable.dtype.base_dtype not in _WHOLE_ONLY:
        checkpoint_utils._set_checkpoint_initializer(variable, prefix, name, slice_info.spec if slice_info else "")
        return
    with tf.device("/cpu:0"):
        (whole,) = tf.raw_ops.RestoreV2(
            prefix=prefix, tensor_names=[name], shape_and_slices=[""], dtypes=[variable.dtype.base_dtype]
        )
        part = tf.slice(whole, slice_info.var_offset, slice_info.var_shape)
    variable._initializer_op = variable.assign(part, read_value=False)
    variable._initial_value = part
