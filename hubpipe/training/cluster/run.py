"""One task of a cluster, by its type."""

import os
from collections.abc import Callable

from hubpipe.config import schema
from hubpipe.training import progress as progress_lib
from hubpipe.training import run as run_lib
from hubpipe.training.cluster import chief, evaluator, ps, tf_config, training, worker

_TASKS = {
    tf_config.CHIEF: chief.run,
    tf_config.WORKER: worker.run,
    tf_config.PS: ps.run,
    tf_config.EVALUATOR: evaluator.run,
}


def run(
    config: schema.Config,
    task: tf_config.Task,
    progress: progress_lib.Progress,
    *,
    is_preempted: Callable[[], bool] = lambda: False,
) -> training.TaskResult | run_lib.Result:
    """Does what a task of a cluster has to do; the other tasks are other processes.

    All tasks share the model_dir; the evaluator alone writes to the store. A task that was killed or preempted
    goes on when it is started again, from the last checkpoint. Sets TF_CONFIG to what `task` says.

    Args:
        config: of the run, the same for all tasks.
        task: of this process.
        progress: shows how it goes.
        is_preempted: True as soon as the task should leave; the chief then saves a checkpoint.
    Returns:
        Result of the evaluator, TaskResult of others.
    Raises:
        HubpipeError: as hubpipe.training.run.run; or the chief is lost.
    """
    tf_config.check(task, config.training.distribution)
    os.environ[tf_config.VARIABLE] = task.to_json()
    return _TASKS[task.type](config, task, progress, is_preempted=is_preempted)
