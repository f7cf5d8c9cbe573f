"""A parameter server: holds variables for as long as others train."""

import time
from collections.abc import Callable

import tensorflow as tf

from hubpipe.config import schema
from hubpipe.training import progress as progress_lib
from hubpipe.training.cluster import ending, liveness, tf_config, training

# Trainers are on their way out when the chief has marked the end; one that hangs shall not keep the others.
_LAST_STEPS_SECS = 60.0


def run(
    config: schema.Config,
    task: tf_config.Task,
    progress: progress_lib.Progress,
    *,
    is_preempted: Callable[[], bool],
) -> training.TaskResult:
    """Runs a parameter server until chief and workers have ended; see hubpipe.training.cluster.run.

    Asked to leave, it stays until the chief has left, which needs it to save a checkpoint.
    """
    ended = ending.read(config)
    if ended is None:
        server = tf.distribute.Server(dict(task.cluster), job_name=task.type, task_index=task.index)
        progress.note(f"{task.name}: serves at {server.target}")
        watch = liveness.ChiefWatch(task, timeout_secs=config.training.chief_timeout_secs)
        while (ended := ending.read(config)) is None:
            if is_preempted() and not watch.is_there():
                return training.TaskResult(task.name, "preempted", 0)
            watch.check()
            time.sleep(liveness.POLL_SECS)
        deadline = time.monotonic() + _LAST_STEPS_SECS
        while liveness.any_listens(task.trainers) and time.monotonic() < deadline:
            time.sleep(liveness.POLL_SECS)
    return training.TaskResult(task.name, "trained", ended.step)
