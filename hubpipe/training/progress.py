"""Tells how a run goes: a bar on a terminal, a line now and then in a log file."""

import os
import sys
import time
from typing import TextIO

import tqdm
from tensorflow.compat import v1 as tf1

from hubpipe.compat import estimator as tf_estimator
from hubpipe.config import schema

# Between lines in a log file.
_LINE_EVERY_SECS = 10.0


class Progress(tf_estimator.SessionRunHook):
    """A hook that shows steps, speed, loss, the best metric and the time left.

    Args:
        max_steps: where training ends.
        batch_size: rows per step.
        every_steps: how often the loss is read.
        is_shared: whether others train the same model: steps are then those of all.
        file: where to write; None for stderr.
    """

    def __init__(
        self,
        *,
        max_steps: int,
        batch_size: int,
        every_steps: int,
        is_shared: bool = False,
        file: TextIO | None = None,
    ):
        self._last_step = max_steps
        self._batch_size = batch_size
        self._every_steps = every_steps
        self._is_shared = is_shared
        self._file = file or sys.stderr
        self._best = ""
        self._bar: tqdm.tqdm | None = None

    def note(self, line: str) -> None:
        """Writes a line of its own; may be called by any thread."""
        tqdm.tqdm.write(line, file=self._file)

    def set_best(self, text: str) -> None:
        """Shows the best metric from now on, e.g. "accuracy 0.813"."""
        self._best = text

    def set_last_step(self, step: int) -> None:
        """Tells before training where it ends, if not at max_steps."""
        self._last_step = step

    def close(self) -> None:
        """Ends the bar, however training ended."""
        if self._bar is not None:
            self._bar.close()

    def after_create_session(self, session, coord) -> None:
        """Called by Estimator when training starts, at the step it starts from."""
        self._step = int(session.run(tf1.train.get_global_step(session.graph)))
        self._bar = tqdm.tqdm(
            total=self._last_step,
            initial=self._step,
            unit="step",
            desc="train",
            file=self._file,
            dynamic_ncols=True,
            mininterval=0.5,
            disable=not _has_width(self._file),
        )
        self._first_step, self._started = self._step, time.monotonic()
        self._last_line_at = self._started

    def before_run(self, run_context) -> tf_estimator.SessionRunArgs | None:
        """Asks for the loss of some steps."""
        if (self._step + 1) % self._every_steps == 0:
            # Estimator puts the loss of the EstimatorSpec there.
            loss = tf1.get_collection(tf1.GraphKeys.LOSSES)[-1]
            step = [tf1.train.get_global_step()] if self._is_shared else []
            return tf_estimator.SessionRunArgs([loss, *step])
        return None

    def after_run(self, run_context, run_values) -> None:
        """Counts the step, and shows it."""
        self._step += 1
        self._bar.update()
        if run_values.results is None:
            return
        loss, *shared = run_values.results
        for step in shared:
            self._bar.update(int(step) - self._step)
            self._step = int(step)
        now = time.monotonic()
        steps_per_sec = (self._step - self._first_step) / (now - self._started)
        parts = [
            f"{steps_per_sec * self._batch_size:.0f} examples/s",
            f"loss {float(loss):.4f}",
            *([f"best {self._best}"] if self._best else []),
        ]
        self._bar.set_postfix_str(", ".join(parts), refresh=False)
        if self._bar.disable and now - self._last_line_at >= _LINE_EVERY_SECS:
            self._last_line_at = now
            left = tqdm.tqdm.format_interval((self._last_step - self._step) / steps_per_sec)
            self.note(", ".join([f"step {self._step}/{self._last_step}", *parts, f"{left} left"]))

    def end(self, session) -> None:
        """Closes the bar, before what is written after training."""
        self.close()


def _has_width(file: TextIO) -> bool:
    """Whether a file is a terminal that a bar can be drawn on; some have no known width."""
    return file.isatty() and os.get_terminal_size(file.fileno()).columns > 0


def of(config: schema.Config, *, is_shared: bool = False) -> Progress:
    """The progress of a run, on stderr; see Progress."""
    return Progress(
        max_steps=config.training.max_steps,
        batch_size=config.inputs.batch_size,
        every_steps=config.training.log_every_steps,
        is_shared=is_shared,
    )
