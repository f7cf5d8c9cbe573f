"""Tests of hubpipe.hub.replicas: modules under a strategy of one device, whose copies are one."""

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.compat import v1 as tf1

from hubpipe import errors, hub


def module_fn(partitions=None):
    inputs = tf1.placeholder(tf.float32, [None, 2])
    partitioner = tf1.fixed_size_partitioner(partitions) if partitions else None
    weights = tf1.get_variable(
        "w",
        [2, 3],
        initializer=tf1.ones_initializer(),
        regularizer=lambda value: 0.5 * tf.reduce_sum(tf.square(value)),
        partitioner=partitioner,
    )
    mean = tf1.get_variable("mean", [2], initializer=tf1.zeros_initializer(), trainable=False)
    tf1.add_to_collection(tf1.GraphKeys.UPDATE_OPS, tf1.assign(mean, tf.reduce_mean(inputs, axis=0)).op)
    hub.add_signature(inputs=inputs, outputs=tf.matmul(inputs - mean, tf.convert_to_tensor(weights)))


def run_in_replica(build):
    """What `build` returns, called as a strategy calls a model, and the graph it did so in."""
    with tf.Graph().as_default() as graph:
        strategy = tf.distribute.MirroredStrategy(["CPU:0"])
        with strategy.scope():
            found = strategy.extended.call_for_each_replica(tf.autograph.experimental.do_not_convert(build))
        return found, graph


def test_variables_are_the_strategys_and_everything_else_works():
    spec = hub.create_module_spec(module_fn)

    def build():
        module = hub.Module(spec, trainable=True, name="m")
        outputs = module(tf.constant([[1.0, 3.0]]))
        return module, outputs

    (module, outputs), graph = run_in_replica(build)
    assert sorted(module.variable_map) == ["mean", "w"]
    assert all(hasattr(variable, "distribute_strategy") for variable in module.variables)
    with graph.as_default(), tf1.Session() as session:
        assert [variable.op.name for variable in tf1.trainable_variables()] == ["m/w"]
        losses = tf1.losses.get_regularization_losses()
        updates = tf1.get_collection(tf1.GraphKeys.UPDATE_OPS)
        assert (len(losses), len(updates)) == (1, 1)
        session.run(tf1.global_variables_initializer())
        np.testing.assert_array_equal(session.run(outputs), [[4.0, 4.0, 4.0]])
        session.run(updates)
        np.testing.assert_array_equal(session.run(outputs), [[0.0, 0.0, 0.0]])
        assert session.run(losses) == [3.0]


def test_a_module_that_is_not_trainable_adds_no_trainable_variables():
    spec = hub.create_module_spec(module_fn)
    _, graph = run_in_replica(lambda: hub.Module(spec, name="m")(tf.constant([[1.0, 3.0]])))
    with graph.as_default():
        assert tf1.trainable_variables() == []
        assert tf1.get_collection(tf1.GraphKeys.UPDATE_OPS) == []


def test_parts_are_refused():
    spec = hub.create_module_spec(lambda: module_fn(partitions=2))
    with pytest.raises(errors.ModuleStateError) as caught:
        run_in_replica(lambda: hub.Module(spec, name="m") and None)
    assert str(caught.value).startswith("m: has variables in parts, which only parameter servers share out.")


def test_values_of_its_own_are_refused(tmp_path):
    spec = hub.create_module_spec(module_fn)
    with tf.Graph().as_default(), tf1.Session() as session:
        module = hub.Module(spec)
        session.run(tf1.global_variables_initializer())
        module.export(str(tmp_path / "module"), session)
    with pytest.raises(errors.ModuleStateError, match="cannot be used under a distribution strategy"):
        run_in_replica(lambda: hub.Module(str(tmp_path / "module"), name="m") and None)
