"""Restores `tensorflow.python.distribute.estimator_training`, which TensorFlow 2.16 removed.

tensorflow-estimator asks it how TF_CONFIG and a tf.distribute strategy fit together. It stands on TensorFlow's own
distribute_coordinator, which every supported TensorFlow still ships. One process per task is supported (what
TF_CONFIG describes); a client that drives a remote cluster is refused.
"""

import copy

from tensorflow.python.distribute import distribute_coordinator, distribute_coordinator_context
from tensorflow.python.training import server_lib

from hubpipe import errors

CHIEF = "chief"
EVALUATOR = "evaluator"
PS = "ps"
WORKER = "worker"

_INDEPENDENT = distribute_coordinator.CoordinatorMode.INDEPENDENT_WORKER
_SIDES = ("train_distribute", "eval_distribute")


def init_run_config(config, tf_config: dict) -> None:
    """Fills a RunConfig's cluster fields from TF_CONFIG and its distribution strategies."""
    requested = config._experimental_distribute
    if requested:
        if getattr(requested, "remote_cluster", None):
            raise errors.TrainingError(
                "RunConfig: experimental_distribute.remote_cluster is not supported; "
                "start one process per task, each with its TF_CONFIG."
            )
        for side in _SIDES:
            strategy = getattr(requested, side, None)
            if strategy and getattr(config, "_" + side):
                raise ValueError(f"RunConfig: set either {side} or experimental_distribute.{side}, not both.")
            if strategy:
                setattr(config, "_" + side, strategy)

    cluster = server_lib.ClusterSpec(tf_config.get("cluster", {}))
    config._distribute_coordinator_mode = None
    config._init_distributed_setting_from_environment_var({})
    if cluster and "master" not in cluster.jobs and config._train_distribute:
        # The other fields come from the coordinator's context, see _fill_from_context.
        config._cluster_spec = cluster
        config._distribute_coordinator_mode = _INDEPENDENT
    else:
        config._init_distributed_setting_from_environment_var(tf_config)
        config._maybe_overwrite_session_config_for_distributed_training()


def should_run_distribute_coordinator(config) -> bool:
    """True if TF_CONFIG names a cluster and a strategy is to run on it."""
    return getattr(config, "_distribute_coordinator_mode", None) == _INDEPENDENT and bool(config.cluster_spec)


def train_and_evaluate(estimator, train_spec, eval_spec, executor_cls) -> None:
    """Runs this process's task of the cluster under its strategy."""

    def train(strategy):
        _in_context(estimator, strategy, "train").train(
            input_fn=train_spec.input_fn, max_steps=train_spec.max_steps, hooks=list(train_spec.hooks)
        )

    def evaluate(strategy):
        local = _in_context(estimator, strategy, "eval")
        executor_cls(local, train_spec, eval_spec)._start_continuous_evaluation()

    config = estimator.config
    distribute_coordinator.run_distribute_coordinator(
        train,
        config.train_distribute,
        evaluate,
        config.eval_distribute,
        mode=_INDEPENDENT,
        cluster_spec=None,
        session_config=config.session_config,
    )


def estimator_train(*args, **kwargs) -> None:
    """Refuses Estimator.train on a cluster with a strategy."""
    raise errors.TrainingError(
        "With TF_CONFIG and a distribution strategy call train_and_evaluate, not Estimator.train or evaluate."
    )


estimator_evaluate = estimator_train


def _in_context(estimator, strategy, side: str):
    """A copy of the estimator whose config describes the coordinator's current task."""
    local = copy.deepcopy(estimator)
    setattr(local._config, f"_{side}_distribute", strategy)
    setattr(local, f"_{side}_distribution", strategy)
    _fill_from_context(local._config, distribute_coordinator_context.get_current_worker_context())
    local._config._distribute_coordinator_mode = None  # the copy must not start a coordinator of its own
    return local


def _fill_from_context(config, context) -> None:
    cluster = context.cluster_spec
    config._service = None
    config._cluster_spec = cluster
    config._task_type, config._task_id = context.task_type, context.task_id
    config._evaluation_master = config._master = context.master_target
    config._is_chief = context.is_chief
    if not cluster:
        config._global_id_in_cluster = 0
        config._num_ps_replicas, config._num_worker_replicas = 0, 1
    elif config._task_type == EVALUATOR:  # stands alone: it sees no other task
        config._cluster_spec = server_lib.ClusterSpec({})
        config._num_ps_replicas = config._num_worker_replicas = 0
        config._global_id_in_cluster = None
    else:
        jobs = cluster.as_dict()
        config._num_ps_replicas = len(jobs.get(PS, []))
        config._num_worker_replicas = len(jobs.get(WORKER, [])) + len(jobs.get(CHIEF, []))
        config._global_id_in_cluster = _global_id(cluster, config._task_type, config._task_id)


def _global_id(cluster, task_type: str, task_id: int) -> int:
    """The task's number among all: the chief first, the parameter servers last."""
    middle = [job for job in sorted(cluster.jobs) if job not in (CHIEF, PS)]
    order = [job for job in (CHIEF, *middle, PS) if job in cluster.jobs]
    return sum(len(cluster.job_tasks(job)) for job in order[: order.index(task_type)]) + (task_id or 0)
