"""Tests of hubpipe.compat.variables."""

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.compat import v1 as tf1

from hubpipe.compat import variables


def test_it_takes_no_memory():
    variable = variables.declare_variable("big", tf.float32, tf.TensorShape([1 << 40]), trainable=True)
    assert (variable.name, variable.dtype, variable.shape) == ("big:0", tf.float32, [1 << 40])
    assert not tf.raw_ops.VarIsInitializedOp(resource=variable.handle)


@pytest.mark.parametrize("dtype", [tf.float32, tf.string, tf.bool, tf.bfloat16, tf.complex64])
@pytest.mark.parametrize("trainable", [True, False])
def test_a_savedmodel_can_be_written_without_a_value(tmp_path, dtype, trainable):
    root = tf.train.Checkpoint()
    shape = tf.TensorShape([2, 3])
    root.variable = variables.declare_variable("a/b", dtype, shape, trainable=trainable)
    root.read = tf.function(lambda: root.variable.read_value(), input_signature=[])
    tf.saved_model.save(root, str(tmp_path / "saved"))
    prefix = str(tmp_path / "saved" / "variables" / "variables")
    shapes = tf1.train.NewCheckpointReader(prefix).get_variable_to_shape_map()
    assert shapes["variable/.ATTRIBUTES/VARIABLE_VALUE"] == [0]
    assert max(np.prod(size) for size in shapes.values()) == 1
