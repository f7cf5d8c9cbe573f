"""One training run, from a config to versions in the store; the stages in order."""

import contextlib
import dataclasses
import sys
from collections.abc import Callable, Iterator, Mapping

from hubpipe import inputs
from hubpipe.compat import estimator as tf_estimator
from hubpipe.config import schema
from hubpipe.exporters import select
from hubpipe.store import store
from hubpipe.training import checkpoints, datasets, estimators, failures, judging, run_dir
from hubpipe.training import judge as judge_lib
from hubpipe.training import progress as progress_lib
from hubpipe.training import verdicts as verdicts_lib

_SWITCH_INTERVAL_SECS = 0.0005


@dataclasses.dataclass(frozen=True)
class Result:
    """How a run ended.

    Attributes:
        outcome: "trained", "stopped_early", "already_trained" or "preempted".
        step: global step of the last checkpoint.
        evaluated: number of checkpoints that were evaluated, by this process or before it.
        best: the best evaluation, None if the store has no version of this run.
        path: of the best version, None if there is none.
        metrics: dict of the best evaluation, from its manifest; None for a value that is not finite.
    """

    outcome: str
    step: int
    evaluated: int
    best: select.Evaluation | None
    path: str | None
    metrics: Mapping[str, float | None]


def run(
    config: schema.Config,
    progress: progress_lib.Progress,
    *,
    is_preempted: Callable[[], bool] = lambda: False,
    is_over: Callable[[], bool] = lambda: False,
    cache_dir: str | None = None,
    warm_start_from: str | None = None,
) -> Result:
    """Trains, evaluates each checkpoint, and publishes each that is the best so far.

    A run that was stopped or killed goes on from its last checkpoint when it is started again.

    Args:
        config: of the run.
        progress: shows how it goes.
        is_preempted: True as soon as the run should save a checkpoint and return.
        is_over: True as soon as the run should stop training, and judge what it has.
        cache_dir: where the data are prepared; None for a folder of the model_dir.
        warm_start_from: a published module that the encoder starts from; None to start from nothing.
    Raises:
        HubpipeError: data or a model_dir that cannot be used, a loss that is not a number, or a full disk.
    """
    with run_dir.owned(config.model_dir):
        data = datasets.prepare(config, cache_dir)
        datasets.tell(config, data, progress)
        run_dir.start(config.model_dir, config, data.fingerprint)
        estimator = estimators.create(config, data, warm_start_from)
        judge = judge_lib.Judge(
            estimator,
            judging.create_verdicts(config, data, estimator, progress),
            every_steps=config.training.evaluate_every_steps,
            is_preempted=is_preempted,
        )
        start = checkpoints.latest_step(estimator)
        if not judge.is_exhausted:
            with failures.explained(config), contextlib.closing(progress), _quick_thread_switches(), judge:
                judge.catch_up()
                if start < config.training.max_steps and not is_preempted():
                    if start:
                        progress.note(f"{config.model_dir}: going on at step {start}")
                    _train(config, data, estimator, judge, progress, start, lambda: is_preempted() or is_over())
                if not is_preempted():
                    judge.take_last()
        step = checkpoints.latest_step(estimator)
        return result(config, judge, start=start, step=step, is_preempted=is_preempted())


def _train(
    config: schema.Config,
    data: inputs.Data,
    estimator: tf_estimator.Estimator,
    judge: judge_lib.Judge,
    progress: progress_lib.Progress,
    start: int,
    should_stop: Callable[[], bool],
) -> None:
    estimator.train(
        datasets.train_input_fn(config, data, start_step=start),
        max_steps=config.training.max_steps,
        hooks=[
            judge_lib.StopHook(lambda: judge.should_stop or should_stop()),
            progress,
            estimators.create_saver_hook(estimator.config),
        ],
        saving_listeners=[judge],
    )


def result(
    config: schema.Config,
    judge: judge_lib.Judge | verdicts_lib.Verdicts,
    *,
    start: int,
    step: int,
    is_preempted: bool,
) -> Result:
    """How a run ended.

    Args:
        config: of the run.
        judge: has the record of what was judged.
        start: step of the checkpoint that it started from.
        step: of the last checkpoint.
        is_preempted: whether it was stopped.
    """
    best = judge.record.best
    version = store.Store(config.store.dir, config.name).version(best.versions[config.name]) if best else None
    if is_preempted:
        outcome = "preempted"
    elif judge.is_exhausted:
        outcome = "stopped_early"
    else:
        outcome = "trained" if step > start else "already_trained"
    return Result(
        outcome,
        step,
        len(judge.record.history),
        best,
        version.path if version else None,
        version.manifest()["metrics"] if version else {},
    )


@contextlib.contextmanager
def _quick_thread_switches() -> Iterator[None]:
    """Lets the thread that trains go on soon after each step, though the judge's thread has the interpreter.

    By Python's default it waits for 5 ms, longer than a step of a small model takes.
    """
    before = sys.getswitchinterval()
    sys.setswitchinterval(_SWITCH_INTERVAL_SECS)
    try:
        yield
    finally:
        sys.setswitchinterval(before)
