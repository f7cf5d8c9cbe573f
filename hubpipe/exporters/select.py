"""Which evaluated checkpoint is the best, and the record of it, best.json.

    {"format": 1, "run_id": "3f0c...", "metric": "accuracy", "higher_is_better": true,
     "best": {"step": 200, "value": 0.81, "checkpoint": "9a1e...", "versions": {"docs-text": 1}},
     "history": [{"step": 200, ...}, ...], "highest": {"docs-text": 1}}

The best is the best of the history that was exported: `versions` holds what each module became. A checkpoint is
known by the digest of its index, which holds the checksum of every tensor. `highest` is the last version of each
module that the record knows of; a later one of the same run was published just before a crash.
"""

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence

from hubpipe import errors
from hubpipe.files import records

AVERAGED = "averaged_checkpoints"  # in an eval_result: of how many checkpoints this one is the average


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """One evaluated checkpoint.

    Attributes:
        step: global step.
        value: of the metric; not finite if the model was not.
        checkpoint: SHA-256 of the checkpoint's index file.
        versions: dict export name -> version number; empty if it was not exported.
    """

    step: int
    value: float
    checkpoint: str
    versions: Mapping[str, int] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Record:
    """What a run evaluated and exported, in the order of steps.

    Attributes:
        run_id: tells the versions of this run from those of others in the same store.
        metric: name of the metric.
        higher_is_better: its direction.
        history: the evaluations.
        highest: dict export name -> the highest version number that was ever recorded.
    """

    run_id: str
    metric: str
    higher_is_better: bool
    history: tuple[Evaluation, ...] = ()
    highest: Mapping[str, int] = dataclasses.field(default_factory=dict)

    @property
    def best(self) -> Evaluation | None:
        """The best exported evaluation, the earliest of equals; None if nothing was exported."""
        best = None
        for evaluation in self.history:
            if evaluation.versions and self.is_better(evaluation.value, best and best.value):
                best = evaluation
        return best

    def is_better(self, value: float, than: float | None, *, min_improvement: float = 0.0) -> bool:
        """Whether a value beats another by more than min_improvement.

        A value that is not finite never does; any other beats None and what is not finite.
        """
        if not math.isfinite(value):
            return False
        if than is None or not math.isfinite(than):
            return True
        gain = value - than if self.higher_is_better else than - value
        return gain > min_improvement

    def with_evaluation(self, evaluation: Evaluation) -> "Record":
        """The record with one more evaluation; what it says of later steps, or of the same, was rolled back."""
        earlier = (other for other in self.history if other.step < evaluation.step)
        highest = {**self.highest, **evaluation.versions}
        return dataclasses.replace(self, history=(*earlier, evaluation), highest=highest)

    def up_to(self, step: int) -> "Record":
        """The record without evaluations after a step."""
        return dataclasses.replace(self, history=tuple(other for other in self.history if other.step <= step))

    def evaluated(self, step: int, checkpoint: str) -> Evaluation | None:
        """The evaluation of exactly this checkpoint, None if there is none."""
        matches = (other for other in self.history if other.step == step and other.checkpoint == checkpoint)
        return next(matches, None)

    def stale_evaluations(self, *, min_improvement: float) -> int:
        """How many evaluations in a row, to the last, did not improve on what was best before them."""
        best, stale = None, 0
        for evaluation in self.history:
            if self.is_better(evaluation.value, best, min_improvement=min_improvement):
                best, stale = evaluation.value, 0
            else:
                stale += 1
        return stale

    def reconciled(self, published: Iterable[Evaluation], existing: Mapping[str, Iterable[int]]) -> "Record":
        """The record as the store has it: versions that are gone forgotten, those it does not know yet added.

        Args:
            published: evaluations of this run according to the manifests of its versions.
            existing: dict export name -> numbers of the versions in the store.
        """
        present = {(name, number) for name, numbers in existing.items() for number in numbers}
        history = tuple(
            evaluation
            if all(item in present for item in evaluation.versions.items())
            else dataclasses.replace(evaluation, versions={})
            for evaluation in self.history
        )
        record = dataclasses.replace(self, history=history)
        for evaluation in sorted(published, key=lambda evaluation: sorted(evaluation.versions.values())):
            if all(number > self.highest.get(name, 0) for name, number in evaluation.versions.items()):
                record = record.with_evaluation(evaluation)
        return record


def read(path: str) -> Record:
    """Reads best.json.

    Raises:
        FileNotFoundError: there is none.
        FormatError: it is broken.
    """
    contents = records.read(path)
    try:
        history = [
            Evaluation(
                int(entry["step"]),
                math.nan if entry["value"] is None else float(entry["value"]),
                str(entry["checkpoint"]),
                {str(name): int(number) for name, number in entry["versions"].items()},
            )
            for entry in contents["history"]
        ]
        return Record(
            str(contents["run_id"]),
            str(contents["metric"]),
            bool(contents["higher_is_better"]),
            tuple(history),
            {str(name): int(number) for name, number in contents["highest"].items()},
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise errors.FormatError(
            f"{path}: not a record of the best ({error!r}). Move it away to start anew."
        ) from error


def write(path: str, record: Record) -> None:
    """Replaces best.json at once."""
    history = [
        {
            "step": evaluation.step,
            "value": evaluation.value if math.isfinite(evaluation.value) else None,
            "checkpoint": evaluation.checkpoint,
            "versions": dict(sorted(evaluation.versions.items())),
        }
        for evaluation in record.history
    ]
    records.write(
        path,
        {
            "run_id": record.run_id,
            "metric": record.metric,
            "higher_is_better": record.higher_is_better,
            "best": history[record.history.index(record.best)] if record.best else None,
            "history": history,
            "highest": dict(sorted(record.highest.items())),
        },
    )


def metric_value(eval_result: Mapping[str, object], metric: str) -> float:
    """The value of the metric in an eval_result.

    Raises:
        ExportError: there is no such metric, or it is not a number.
    """
    if metric not in eval_result:
        raise errors.ExportError(f"The evaluation has no metric {metric!r}; it has {_names(eval_result)}.")
    try:
        return float(eval_result[metric])
    except (TypeError, ValueError) as error:
        raise errors.ExportError(f"Metric {metric!r} is {eval_result[metric]!r}, not a number.") from error


def _names(eval_result: Mapping[str, object]) -> str:
    names: Sequence[str] = sorted(name for name in eval_result if name != "global_step")
    return ", ".join(names) or "none"
