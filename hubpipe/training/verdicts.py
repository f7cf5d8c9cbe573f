"""The verdict on a checkpoint: evaluated, exported if it is the best, and whether the patience is over."""

import collections
import os
from collections.abc import Callable, Mapping

import tensorflow as tf

from hubpipe import exporters
from hubpipe.compat import estimator as tf_estimator
from hubpipe.exporters import select
from hubpipe.training import averaging, checkpoints
from hubpipe.training import evaluator as evaluator_lib
from hubpipe.training import progress as progress_lib


class Verdicts:
    """Judges one checkpoint after the other, with one graph and one session, and remembers.

    Attributes:
        last_step: of the checkpoint that was judged last, 0 if there was none.
        is_exhausted: True if the patience is over.
    """

    def __init__(
        self,
        estimator: tf_estimator.Estimator,
        input_fn: Callable[[], tf.data.Dataset],
        exporter: exporters.BestModuleExporter,
        progress: progress_lib.Progress,
        *,
        patience: int | None,
        min_improvement: float,
        average: averaging.Plan | None = None,
    ):
        """Reads what was judged before; builds nothing.

        Args:
            estimator: whose checkpoints are judged.
            input_fn: returns the evaluation data, one pass.
            exporter: selects and exports.
            progress: is told each verdict.
            patience: evaluations without improvement after which training should stop; None for any number.
            min_improvement: what counts as improvement.
            average: to judge an average beside each checkpoint; the better of both is exported.
        """
        self._estimator = estimator
        self._input_fn = input_fn
        self._exporter = exporter
        self._export_path = os.path.join(estimator.model_dir, "export", exporter.name)
        self._progress = progress
        self._patience = patience
        self._min_improvement = min_improvement
        self._evaluator: evaluator_lib.Evaluator | None = None
        self._average = average
        self._averager: averaging.Averager | None = None
        record = self.record.up_to(checkpoints.latest_step(estimator))
        paths = [checkpoints.path_of(estimator, evaluation.step) for evaluation in record.history]
        self._recent = collections.deque(paths, maxlen=average.last if average else 0)
        self.last_step = record.history[-1].step if record.history else 0
        self.is_exhausted = self._is_exhausted(record)
        if record.best:
            progress.set_best(f"{record.metric} {record.best.value:.4f}")

    @property
    def looks_back(self) -> int:
        """How many checkpoints before the one at hand must still be there."""
        return self._average.last - 1 if self._average else 0

    @property
    def record(self) -> select.Record:
        """What was judged so far."""
        return self._exporter.record(self._estimator, self._export_path)

    def judge(self, path: str) -> None:
        """Evaluates a checkpoint, and exports it if it is the best; the first call builds the graph.

        Args:
            path: its prefix.
        """
        candidate, eval_result = self._candidate(path)
        version = self._exporter.export(
            self._estimator, self._export_path, candidate, eval_result, is_the_final_export=False
        )
        record = self.record
        evaluation = record.history[-1]
        verdict = f"exported {version}" if version else "not the best"
        averaged = eval_result.get(select.AVERAGED)
        value = f"{evaluation.value:.4f}" + (f" (average of {averaged} checkpoints)" if averaged else "")
        self._progress.note(f"step {evaluation.step}: {record.metric} {value}, {verdict}")
        if version:
            self._progress.set_best(f"{record.metric} {evaluation.value:.4f}")
        self.last_step = evaluation.step
        self.is_exhausted = self._is_exhausted(record)

    def close(self) -> None:
        """Frees the graph and the session."""
        for part in (self._evaluator, self._averager):
            if part:
                part.close()

    def _candidate(self, path: str) -> tuple[str, Mapping[str, float]]:
        """The checkpoint, or the average that it ends, whichever is better; its prefix and its metrics."""
        self._evaluator = self._evaluator or evaluator_lib.Evaluator(self._estimator, self._input_fn)
        found = self._evaluator.evaluate(path)
        self._recent.append(path)
        paths = [recent for recent in self._recent if tf.io.gfile.exists(recent + ".index")]
        if len(paths) < 2:
            return path, found
        self._averager = self._averager or averaging.Averager(
            self._estimator, self._average, names=self._evaluator.variable_names
        )
        averaged_path = self._averager.average(paths)
        averaged = self._evaluator.evaluate(averaged_path, folder=f"eval_{averaging.FOLDER}")
        metric = self.record.metric
        value, averaged_value = (select.metric_value(result, metric) for result in (found, averaged))
        if self.record.is_better(averaged_value, value):
            return averaged_path, {**averaged, select.AVERAGED: len(paths)}
        return path, found

    def _is_exhausted(self, record: select.Record) -> bool:
        if self._patience is None:
            return False
        return record.stale_evaluations(min_improvement=self._min_improvement) >= self._patience
