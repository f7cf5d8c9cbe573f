"""The evaluator: judges the checkpoints that the chief hands over, and is the only one that publishes."""

import contextlib
import time
from collections.abc import Callable

from hubpipe.config import schema
from hubpipe.training import checkpoints, estimators, failures, judging, run_dir
from hubpipe.training import progress as progress_lib
from hubpipe.training import run as run_lib
from hubpipe.training.cluster import backlog as backlog_lib
from hubpipe.training.cluster import ending, liveness, tf_config, training

_LOCK_FILE = ".evaluator.lock"


def run(
    config: schema.Config,
    task: tf_config.Task,
    progress: progress_lib.Progress,
    *,
    is_preempted: Callable[[], bool],
) -> run_lib.Result:
    """Runs the evaluator until the last checkpoint is judged; see hubpipe.training.cluster.run."""
    with run_dir.owned(config.model_dir, name=_LOCK_FILE), contextlib.ExitStack() as stack:
        data = training.prepare(config)
        estimator = estimators.create(config, data, task=task)
        verdicts = stack.enter_context(
            contextlib.closing(judging.create_verdicts(config, data, estimator, progress))
        )
        stack.enter_context(failures.explained(config))
        backlog = backlog_lib.Backlog(config.model_dir, most=config.evaluation.max_backlog)
        watch = liveness.ChiefWatch(task, timeout_secs=config.training.chief_timeout_secs)
        while not is_preempted():
            ended = ending.read(config)  # before the look at the backlog, which is whole when training has ended
            path = backlog.take(after=verdicts.last_step)
            if path is not None:
                if verdicts.is_exhausted:
                    backlog.forget(up_to=checkpoints.step_of(path))
                else:
                    verdicts.judge(path)
                    backlog.forget(up_to=verdicts.last_step, keep=verdicts.looks_back)
            elif ended:
                backlog.forget(up_to=verdicts.last_step)
                break
            else:
                watch.check()
                time.sleep(liveness.POLL_SECS)
        step = checkpoints.latest_step(estimator)
        return run_lib.result(config, verdicts, start=-1, step=step, is_preempted=is_preempted())
