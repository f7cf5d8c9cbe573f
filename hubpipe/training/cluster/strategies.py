"""What the Estimator of a task is told of its cluster and its devices."""

from typing import Any

import tensorflow as tf
from tensorflow.compat import v1 as tf1

from hubpipe.training.cluster import tf_config

PARAMETER_SERVER, MIRRORED, MULTI_WORKER = "parameter_server", "mirrored", "multi_worker_mirrored"


def session_config(task: tf_config.Task | None, *, executor: str) -> tf1.ConfigProto:
    """The config of a task's sessions.

    A session of a cluster sees its own process and the parameter servers alone: it would wait for every other
    task that is not there.

    Args:
        task: of this process, None if it works alone.
        executor: training.executor.
    """
    config = tf1.ConfigProto(allow_soft_placement=True)
    if executor == "single_threaded":
        config.experimental.executor_type = "SINGLE_THREADED_EXECUTOR"
    if task is not None and task.num_ps and task.type in (tf_config.CHIEF, tf_config.WORKER):
        config.device_filters.extend(["/job:ps", f"/job:{task.type}/task:{task.index}"])
    return config


def run_config_arguments(task: tf_config.Task | None, distribution: str | None) -> dict[str, Any]:
    """Further arguments of the RunConfig.

    Args:
        task: of this process, None if it works alone.
        distribution: as tf_config.check returns it.
    """
    if task is not None and task.type == tf_config.EVALUATOR:
        return {}  # it stands alone
    if distribution == PARAMETER_SERVER:
        return {"experimental_max_worker_delay_secs": 0}  # workers wait for the first checkpoint instead
    if distribution == MULTI_WORKER:
        return {"train_distribute": tf.distribute.experimental.MultiWorkerMirroredStrategy()}
    if distribution == MIRRORED:
        return {"train_distribute": tf.distribute.MirroredStrategy()}
    return {}
