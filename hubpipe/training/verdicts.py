"""The verdict on a checkpoint: evaluated, exported if it is the best, and whether the patience is over."""

import os
from collections.abc import Callable

import tensorflow as tf

from hubpipe import exporters
from hubpipe.compat import estimator as tf_estimator
from hubpipe.exporters import select
from hubpipe.training import checkpoints
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
    ):
        """Reads what was judged before; builds nothing.

        Args:
            estimator: whose checkpoints are judged.
            input_fn: returns the evaluation data, one pass.
            exporter: selects and exports.
            progress: is told each verdict.
            patience: evaluations without improvement after which training should stop; None for any number.
            min_improvement: what counts as improvement.
        """
        self._estimator = estimator
        self._input_fn = input_fn
        self._exporter = exporter
        self._export_path = os.path.join(estimator.model_dir, "export", exporter.name)
        self._progress = progress
        self._patience = patience
        self._min_improvement = min_improvement
        self._evaluator: evaluator_lib.Evaluator | None = None
        record = self.record.up_to(checkpoints.latest_step(estimator))
        self.last_step = record.history[-1].step if record.history else 0
        self.is_exhausted = self._is_exhausted(record)
        if record.best:
            progress.set_best(f"{record.metric} {record.best.value:.4f}")

    @property
    def record(self) -> select.Record:
        """What was judged so far."""
        return self._exporter.record(self._estimator, self._export_path)

    def judge(self, path: str) -> None:
        """Evaluates a checkpoint, and exports it if it is the best; the first call builds the graph.

        Args:
            path: its prefix.
        """
        self._evaluator = self._evaluator or evaluator_lib.Evaluator(self._estimator, self._input_fn)
        eval_result = self._evaluator.evaluate(path)
        version = self._exporter.export(
            self._estimator, self._export_path, path, eval_result, is_the_final_export=False
        )
        record = self.record
        evaluation = record.history[-1]
        verdict = f"exported {version}" if version else "not the best"
        self._progress.note(f"step {evaluation.step}: {record.metric} {evaluation.value:.4f}, {verdict}")
        if version:
            self._progress.set_best(f"{record.metric} {evaluation.value:.4f}")
        self.last_step = evaluation.step
        self.is_exhausted = self._is_exhausted(record)

    def close(self) -> None:
        """Frees the graph and the session."""
        if self._evaluator:
            self._evaluator.close()

    def _is_exhausted(self, record: select.Record) -> bool:
        if self._patience is None:
            return False
        return record.stale_evaluations(min_improvement=self._min_improvement) >= self._patience
