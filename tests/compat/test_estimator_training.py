"""Tests of hubpipe.compat.estimator_training, whatever the running TensorFlow has of its own."""

import types

import pytest
import tensorflow as tf
from tensorflow.python.training import server_lib

from hubpipe import errors
from hubpipe.compat import estimator as tf_estimator
from hubpipe.compat import estimator_training

JOBS = {"chief": ["a:1"], "worker": ["b:1", "b:2"], "ps": ["c:1"]}


def _config():
    return tf_estimator.RunConfig()


def _strategy():
    return tf.distribute.OneDeviceStrategy("/cpu:0")


@pytest.mark.parametrize(
    ("task_type", "task_id", "number"), [("chief", 0, 0), ("worker", 0, 1), ("worker", 1, 2), ("ps", 0, 3)]
)
def test_the_number_of_a_task(task_type, task_id, number):
    config = _config()
    context = types.SimpleNamespace(
        cluster_spec=server_lib.ClusterSpec(JOBS),
        task_type=task_type,
        task_id=task_id,
        master_target="grpc://here",
        is_chief=task_type == "chief",
    )
    estimator_training._fill_from_context(config, context)
    assert config.global_id_in_cluster == number
    assert (config.task_type, config.task_id, config.is_chief) == (task_type, task_id, task_type == "chief")
    assert (config.num_worker_replicas, config.num_ps_replicas) == (3, 1)
    assert config.master == config.evaluation_master == "grpc://here"


def test_the_evaluator_stands_alone():
    config = _config()
    context = types.SimpleNamespace(
        cluster_spec=server_lib.ClusterSpec(JOBS),
        task_type="evaluator",
        task_id=0,
        master_target="",
        is_chief=False,
    )
    estimator_training._fill_from_context(config, context)
    assert not config.cluster_spec
    assert config.global_id_in_cluster is None
    assert (config.num_worker_replicas, config.num_ps_replicas) == (0, 0)


def test_a_strategy_and_a_cluster_run_on_the_coordinator():
    config = _config()
    config._train_distribute = _strategy()
    estimator_training.init_run_config(config, {"cluster": {"worker": ["b:1", "b:2"]}})
    assert estimator_training.should_run_distribute_coordinator(config)
    assert config.cluster_spec.as_dict() == {"worker": ["b:1", "b:2"]}


@pytest.mark.parametrize("with_strategy", [True, False])
def test_one_of_both_does_not(with_strategy):
    config = _config()
    config._train_distribute = _strategy() if with_strategy else None
    cluster = {} if with_strategy else {"cluster": JOBS, "task": {"type": "worker", "index": 1}}
    estimator_training.init_run_config(config, cluster)
    assert not estimator_training.should_run_distribute_coordinator(config)
    assert config.num_worker_replicas == (1 if with_strategy else 3)


def test_a_remote_cluster_is_refused():
    config = _config()
    config._experimental_distribute = types.SimpleNamespace(remote_cluster={"worker": ["b:1"]})
    with pytest.raises(errors.TrainingError, match="remote_cluster is not supported; start one process per task"):
        estimator_training.init_run_config(config, {})


def test_two_strategies_are_refused():
    config = _config()
    config._train_distribute = _strategy()
    config._experimental_distribute = types.SimpleNamespace(train_distribute=_strategy())
    with pytest.raises(ValueError, match="either train_distribute or experimental_distribute.train_dist"):
        estimator_training.init_run_config(config, {})


def test_estimator_train_on_a_cluster_is_refused():
    with pytest.raises(errors.TrainingError, match="call train_and_evaluate, not Estimator.train or evaluate"):
        estimator_training.estimator_train("estimator")
