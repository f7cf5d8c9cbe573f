"""Tests of hubpipe.models.replicas."""

import tensorflow as tf
from tensorflow.compat import v1 as tf1

from hubpipe.models import replicas


def test_each_replica_has_its_own():
    with tf.Graph().as_default():
        for name in ("a", "replica_1/b", "replica_12/c", "b/replica_1/d"):
            tf1.add_to_collection("losses", tf.constant(0.0, name=name))

        def own(scope):
            with tf1.name_scope(scope):
                return [loss.op.name for loss in replicas.own("losses")]

        assert own(None) == own("scope/") == ["a", "b/replica_1/d"]
        assert own("replica_1/") == own("replica_1/scope/") == ["replica_1/b"]
        assert own("replica_12/") == ["replica_12/c"]
        assert own("replica_2/") == []


def test_gradients_are_dense_under_a_strategy_alone():
    with tf.Graph().as_default():
        sparse = tf.IndexedSlices(tf.ones([2, 3]), tf.constant([0, 4]), tf.constant([5, 3]))
        assert replicas.summable(sparse) is sparse
        with tf.distribute.MirroredStrategy(["CPU:0"]).scope():
            assert replicas.summable(sparse).shape == [5, 3]
            assert replicas.summable(None) is None
