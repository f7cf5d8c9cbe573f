"""The chief: trains, saves, hands checkpoints to the evaluator, and says when training has ended."""

import contextlib
from collections.abc import Callable

from hubpipe.config import schema
from hubpipe.training import checkpoints, datasets, estimators, failures, judging, run_dir
from hubpipe.training import judge as judge_lib
from hubpipe.training import progress as progress_lib
from hubpipe.training.cluster import ending, handover, tf_config, training


def run(
    config: schema.Config,
    task: tf_config.Task,
    progress: progress_lib.Progress,
    *,
    is_preempted: Callable[[], bool],
) -> training.TaskResult:
    """Runs the chief until training has ended, or it is preempted; see hubpipe.training.cluster.run."""
    with run_dir.owned(config.model_dir), contextlib.ExitStack() as stack:
        data = training.prepare(config)
        datasets.tell(config, data, progress)
        run_dir.start(config.model_dir, config, data.fingerprint)
        estimator = estimators.create(config, data, task=task)
        stack.enter_context(failures.explained(config))
        stack.enter_context(contextlib.closing(progress))
        if task.evaluates:
            judge = judge_lib.Judge(
                estimator,
                judging.create_verdicts(config, data, estimator, progress),
                every_steps=config.training.evaluate_every_steps,
                is_preempted=is_preempted,
            )
            taker = stack.enter_context(judge)
        else:
            taker = handover.Handover(estimator, config, progress)
        taker.catch_up()
        start, last_step = checkpoints.latest_step(estimator), datasets.last_step(config, data)
        if start < last_step and not taker.should_stop and not is_preempted():
            if start:
                progress.note(f"{config.model_dir}: going on at step {start}")
            hooks = [
                judge_lib.StopHook(lambda: taker.should_stop or is_preempted()),
                progress,
                estimators.create_saver_hook(estimator.config, [taker]),
            ]
            training.train(config, task, data, estimator, hooks)
        step = checkpoints.latest_step(estimator)
        if is_preempted():
            return training.TaskResult(task.name, "preempted", step)
        taker.take_last()
        if task.evaluates:
            stack.pop_all().close()
        outcome = "stopped_early" if taker.should_stop and step < last_step else "trained"
        ending.write(config, ending.Ended(outcome, step))
        return training.TaskResult(task.name, outcome, step)
