"""Evaluates and exports checkpoints on a thread of its own, while training goes on."""

import contextlib
import queue
import threading
from collections.abc import Callable

from hubpipe.compat import estimator as tf_estimator
from hubpipe.exporters import select
from hubpipe.training import due
from hubpipe.training import verdicts as verdicts_lib


class Judge(due.DueCheckpoints):
    """Judges the checkpoints that training saves: evaluates them, exports the best, tells when to stop.

    Those due are judged in order and none is skipped; training waits when so many are waiting that the oldest of
    them could be deleted. When the patience is over, later checkpoints are not judged, however far training got:
    the outcome does not depend on the speed of the machine.

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
        # One more is being judged, and one more may be saved before training waits; the oldest may be averaged.
        places = estimator.config.keep_checkpoint_max - verdicts.looks_back - 2
        self._waiting: queue.Queue[str | None] = queue.Queue(places)
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

    def _put(self, path: str, step: int) -> None:
        self._waiting.put(path)

    def _run(self) -> None:
        with contextlib.closing(self._verdicts):
            while (path := self._waiting.get()) is not None:
                if self._abandoned.is_set() or self._is_preempted() or self.should_stop:
                    continue  # emptied, so that nobody waits for a place
                try:
                    self._verdicts.judge(path)
                except BaseException as error:  # raised again when the block ends, on the thread that trains
                    self._failure = error


class StopHook(tf_estimator.SessionRunHook):
    """Stops training, with a checkpoint, as soon as a condition holds."""

    def __init__(self, condition: Callable[[], bool]):
        self._condition = condition

    def after_run(self, run_context, run_values) -> None:
        """Called after each step."""
        if self._condition():
            run_context.request_stop()
