"""Evaluates and exports checkpoints on a thread of its own, while training goes on."""

import collections
import contextlib
import queue
import threading
from collections.abc import Callable

import tensorflow as tf

from hubpipe.compat import estimator as tf_estimator
from hubpipe.exporters import select
from hubpipe.training import checkpoints, due
from hubpipe.training import verdicts as verdicts_lib


class Judge(due.DueCheckpoints):
    """Judges the checkpoints that training saves: evaluates them, exports the best, tells when to stop.

    Those due are judged in order and none is skipped; training waits when the next one that it saves could take
    the place of one that judging needs. When the patience is over, later checkpoints are not judged, however far
    training got: the outcome does not depend on the speed of the machine.

        with Judge(...) as judge:
            judge.catch_up()
            estimator.train(..., saving_listeners=[judge])
            judge.take_last()
    """

    def __init__(
        self,
        estimator: tf_estimator.Estimator,
        verdicts: verdicts_lib.Verdicts,
        *,
        every_steps: int,
        is_preempted: Callable[[], bool],
    ):
        """Starts nothing.

        Args:
            estimator: whose checkpoints are judged.
            verdicts: evaluates, selects and exports.
            every_steps: training steps between evaluations.
            is_preempted: True as soon as the process should leave: the checkpoints that wait are left to the next
                run, the one at hand is finished.
        """
        super().__init__(estimator, every_steps=every_steps, last_step=verdicts.last_step)
        self._verdicts = verdicts
        self._is_preempted = is_preempted
        state = tf.train.get_checkpoint_state(estimator.model_dir)
        self._kept = list(state.all_model_checkpoint_paths) if state else []  # on disk, oldest first
        self._unjudged: collections.deque[str] = collections.deque()  # with the one at hand, oldest first
        self._changed = threading.Condition()  # of _unjudged
        self._waiting: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._abandoned = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="hubpipe-judge", daemon=True)

    @property
    def record(self) -> select.Record:
        """What was judged so far."""
        return self._verdicts.record

    @property
    def is_exhausted(self) -> bool:
        """True if the patience is over."""
        return self._verdicts.is_exhausted

    @property
    def should_stop(self) -> bool:
        """True if training should stop: the patience is over, or judging failed."""
        return self.is_exhausted or self._failure is not None

    def __enter__(self) -> "Judge":
        self._thread.start()
        return self

    def __exit__(self, error_type: type | None, error: BaseException | None, traceback: object) -> None:
        if error is not None:
            self._abandoned.set()
        self._waiting.put(None)
        self._thread.join()
        if error is None and self._failure is not None:
            raise self._failure

    def after_save(self, session, global_step_value: int) -> bool:
        """Takes a checkpoint if it is due, and waits as long as the next one could delete one that is needed."""
        path = checkpoints.path_of(self._estimator, int(global_step_value))
        kept = [*(other for other in self._kept if other != path), path]
        self._kept = kept[-self._estimator.config.keep_checkpoint_max :]
        should_stop = super().after_save(session, global_step_value)
        with self._changed:
            self._changed.wait_for(self._has_place)
        return should_stop

    def _has_place(self) -> bool:
        """Whether one more checkpoint deletes neither the oldest unjudged one nor those it is averaged with."""
        if not self._unjudged or self._unjudged[0] not in self._kept:
            return True
        oldest = max(self._kept.index(self._unjudged[0]) - self._verdicts.looks_back, 0)
        return len(self._kept) - oldest < self._estimator.config.keep_checkpoint_max

    def _put(self, path: str, step: int) -> None:
        with self._changed:
            self._unjudged.append(path)
        self._waiting.put(path)

    def _run(self) -> None:
        with contextlib.closing(self._verdicts):
            while (path := self._waiting.get()) is not None:
                try:
                    if not (self._abandoned.is_set() or self._is_preempted() or self.should_stop):
                        self._verdicts.judge(path)
                except BaseException as error:  # raised again when the block ends, on the thread that trains
                    self._failure = error
                with self._changed:
                    self._unjudged.popleft()
                    self._changed.notify_all()


class StopHook(tf_estimator.SessionRunHook):
    """Stops training, with a checkpoint, as soon as a condition holds."""

    def __init__(self, condition: Callable[[], bool]):
        self._condition = condition

    def after_run(self, run_context, run_values) -> None:
        """Called after each step."""
        if self._condition():
            run_context.request_stop()
