"""A worker: trains on its own rows, until the chief says that training has ended."""

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator

from hubpipe import cli
from hubpipe.config import schema
from hubpipe.training import checkpoints, estimators, failures
from hubpipe.training import judge as judge_lib
from hubpipe.training import progress as progress_lib
from hubpipe.training.cluster import ending, liveness, tf_config, training

# A step, and the way out of it, take less; a call that waits for tasks that have left would never end.
_LEAVE_SECS = 30.0


def run(
    config: schema.Config,
    task: tf_config.Task,
    progress: progress_lib.Progress,
    *,
    is_preempted: Callable[[], bool],
) -> training.TaskResult:
    """Runs a worker until training has ended, or it is preempted; see hubpipe.training.cluster.run."""

    def should_leave() -> bool:
        return is_preempted() or ending.read(config) is not None

    if not should_leave():
        data = training.prepare(config)
        estimator = estimators.create(config, data, task=task)
        watch = liveness.ChiefWatch(task, timeout_secs=config.training.chief_timeout_secs)
        # Before the chief has made the variables, a session on servers looks for them every 30 seconds only.
        while task.num_ps and not should_leave() and not checkpoints.exists(estimator):
            watch.check()
            time.sleep(liveness.POLL_SECS)
    if not should_leave():
        leaving = _leaving(should_leave, is_preempted)
        with failures.explained(config), contextlib.closing(progress), leaving as leaves:
            training.train(config, task, data, estimator, [judge_lib.StopHook(leaves.is_set), progress])
    ended = ending.read(config)
    step = ended.step if ended else checkpoints.latest_step(estimator)
    return training.TaskResult(task.name, "preempted" if is_preempted() else "trained", step)


@contextlib.contextmanager
def _leaving(
    should_leave: Callable[[], bool], is_preempted: Callable[[], bool]
) -> Iterator[threading.Event]:
    """Sets an event when the worker should leave, and ends the process if the block then does not end.

    A worker has nothing to save. It would wait in TensorFlow's runtime for parameter servers that have ended.
    """
    leaves, done = threading.Event(), threading.Event()

    def watch() -> None:
        while not done.wait(liveness.POLL_SECS):
            if should_leave():
                leaves.set()
                break
        if leaves.is_set() and not done.wait(_LEAVE_SECS):
            os._exit(cli.ExitCode.PREEMPTED if is_preempted() else cli.ExitCode.DONE)

    thread = threading.Thread(target=watch, name="hubpipe-leaving", daemon=True)
    thread.start()
    try:
        yield leaves
    finally:
        done.set()
        thread.join()
