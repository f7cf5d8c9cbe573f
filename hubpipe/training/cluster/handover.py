"""The chief's side of evaluation in a cluster: checkpoints go to the backlog of the evaluator."""

import os

from hubpipe.compat import estimator as tf_estimator
from hubpipe.config import schema
from hubpipe.exporters import best, select
from hubpipe.training import checkpoints, due, judging
from hubpipe.training import progress as progress_lib
from hubpipe.training.cluster import backlog as backlog_lib


class Handover(due.DueCheckpoints):
    """Hands checkpoints that are due to the evaluator, and learns from its record when to stop.

    Args:
        estimator: whose checkpoints are judged.
        config: of the run.
        progress: is told what the evaluator will miss.
    """

    def __init__(
        self, estimator: tf_estimator.Estimator, config: schema.Config, progress: progress_lib.Progress
    ):
        self._early_stopping = config.training.early_stopping or schema.EarlyStopping()
        self._record_path = os.path.join(estimator.model_dir, "export", judging.EXPORTER_NAME, best.RECORD_FILE)
        self._backlog = backlog_lib.Backlog(estimator.model_dir, most=config.evaluation.max_backlog)
        self._progress = progress
        record = self._record()
        judged = record.up_to(checkpoints.latest_step(estimator)).history if record else ()
        last_step = max([*self._backlog.steps, *(evaluation.step for evaluation in judged)], default=0)
        super().__init__(estimator, every_steps=config.training.evaluate_every_steps, last_step=last_step)

    @property
    def should_stop(self) -> bool:
        """True if the evaluator's record says that the patience is over."""
        patience, record = self._early_stopping.patience, self._record()
        if patience is None or record is None:
            return False
        return record.stale_evaluations(min_improvement=self._early_stopping.min_improvement) >= patience

    def _put(self, path: str, step: int) -> None:
        for dropped in self._backlog.put(path, step):
            self._progress.note(f"step {dropped}: will not be evaluated; evaluation.max_backlog others wait")

    def _record(self) -> select.Record | None:
        try:
            return select.read(self._record_path)
        except FileNotFoundError:
            return None
