"""Times a training run from the end of its first step."""

import time

import tensorflow as tf


class StepClock(tf.compat.v1.train.SessionRunHook):
    """A hook that takes the time, by the wall and of the CPU, at the end of the first step and of the last."""

    def __init__(self):
        self._times: list[tuple[float, float]] = []
        self._steps = 0

    def after_run(self, run_context, run_values) -> None:
        """Called after each step."""
        self._steps += 1
        self._times[1:] = [_now()]

    def stop(self) -> None:
        """Takes the end of the run now, in place of the end of its last step."""
        self._times[1:] = [_now()]

    def measured(self) -> dict:
        """dict of the steps after the first, and how long they took: wall_secs, cpu_secs (of all threads)."""
        (wall_start, cpu_start), (wall_end, cpu_end) = self._times
        return {"steps": self._steps - 1, "wall_secs": wall_end - wall_start, "cpu_secs": cpu_end - cpu_start}


def _now() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()
