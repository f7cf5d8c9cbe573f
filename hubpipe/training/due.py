"""Which of the checkpoints that training saves are to be judged."""

import abc

import tensorflow as tf

from hubpipe.compat import estimator as tf_estimator
from hubpipe.training import checkpoints


class DueCheckpoints(tf_estimator.CheckpointSaverListener, abc.ABC):
    """Takes the checkpoints that are due, in order.

    A checkpoint is due `every_steps` after the one taken before; one that a preempted run saved on its way out is
    not.

    Args:
        estimator: whose checkpoints they are.
        every_steps: training steps between two.
        last_step: of the one that was taken last, before this process.
    """

    def __init__(self, estimator: tf_estimator.Estimator, *, every_steps: int, last_step: int):
        self._estimator = estimator
        self._every_steps = every_steps
        self._last_step = last_step

    @property
    @abc.abstractmethod
    def should_stop(self) -> bool:
        """True if training should stop."""

    @abc.abstractmethod
    def _put(self, path: str, step: int) -> None:
        """Does with a checkpoint what is to be done."""

    def catch_up(self) -> None:
        """Takes the checkpoints that are due and that a run before this one saved and did not take."""
        state = tf.train.get_checkpoint_state(self._estimator.model_dir)
        for path in state.all_model_checkpoint_paths if state else ():
            if tf.io.gfile.exists(path + ".index"):
                self._take(path, checkpoints.step_of(path), after_steps=self._every_steps)

    def take_last(self) -> None:
        """Takes the newest checkpoint, with which training ended, due or not."""
        path = self._estimator.latest_checkpoint()
        if path:
            self._take(path, checkpoints.step_of(path), after_steps=1)

    def after_save(self, session, global_step_value: int) -> bool:
        """Takes a checkpoint if it is due; called by the CheckpointSaverHook.

        Returns:
            True if training should stop.
        """
        step = int(global_step_value)
        self._take(checkpoints.path_of(self._estimator, step), step, after_steps=self._every_steps)
        return self.should_stop

    def _take(self, path: str, step: int, *, after_steps: int) -> None:
        if step >= self._last_step + after_steps and not self.should_stop:
            self._last_step = step
            self._put(path, step)
