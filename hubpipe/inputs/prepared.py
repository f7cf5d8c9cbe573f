"""Training and evaluation data on disk: made, or found where they were made before. The same for every kind."""

import dataclasses
import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from hubpipe.inputs import bad_rows, cache, rows, targets, vocab

LABELS = "labels.txt"


class Source(NamedTuple):
    """Where the rows of one split come from.

    Attributes:
        identity: what they depend on, as JSON has it.
        read: function (skipped) -> the rows; skipped counts bad ones, None if they are errors.
        read_labels: the same of the labels alone.
    """

    identity: Mapping[str, Any]
    read: Callable[[bad_rows.Skipped | None], Iterator[cache.Row]]
    read_labels: Callable[[bad_rows.Skipped | None], Iterator[rows.Label]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Prepared:
    """Data on disk, ready for feeding.input_fn.

    Attributes:
        target: what became of the labels.
        labels: the class names, in the order of the class numbers; empty if labels are no classes.
        labels_path: file of the labels, one per line; None if labels are no classes.
        directory: of the entry of the training rows, with what the kind of inputs adds to it.
        train: the training rows.
        evaluation: the evaluation rows.
        is_weighted: whether rows have weights.
        notes: lines for the user on what the data told.
    """

    target: targets.Target
    labels: list[str]
    labels_path: str | None
    directory: str
    train: cache.Records
    evaluation: cache.Records
    is_weighted: bool
    notes: tuple[str, ...] = ()

    @property
    def num_train(self) -> int:
        """Training rows."""
        return self.train.count

    @property
    def num_eval(self) -> int:
        """Evaluation rows."""
        return self.evaluation.count

    @property
    def skipped(self) -> dict[str, bad_rows.Skipped]:
        """dict "train", "eval" -> the bad rows left out."""
        return {"train": self.train.skipped, "eval": self.evaluation.skipped}

    @property
    def fingerprint(self) -> dict[str, str]:
        """dict "train", "eval" -> SHA-256 of what was read, 64 hexadecimal digits."""
        return {"train": self.train.fingerprint, "eval": self.evaluation.fingerprint}

    @property
    def moments(self) -> tuple[float, float]:
        """(mean, standard deviation) of the training labels that are numbers, (0, 1) of others."""
        return self.train.moments


def prepare(
    cache_dir: str,
    *,
    train: Source,
    evaluation: Source,
    target: targets.Target,
    reading: Mapping[str, Any],
    skip_bad_rows: bool,
    is_weighted: bool = False,
    train_reading: Mapping[str, Any] | None = None,
    finish: Callable[[str], None] = lambda directory: None,
) -> Prepared:
    """Writes both splits into the cache, or finds them there.

    Args:
        cache_dir: a local directory, usually <model_dir>/inputs.
        train: the training rows; their labels are read first, if they are classes, and then the rows, once.
        evaluation: the evaluation rows.
        target: what becomes of labels.
        reading: what the stored rows depend on besides the sources and the target, as JSON has it.
        skip_bad_rows: count them and leave them out; False if they are errors.
        is_weighted: whether rows have weights.
        train_reading: what only the entry of the training rows depends on.
        finish: writes more files into the entry of the training rows, after all of them were read.
    Raises:
        InputError: a file or row that cannot be used, labels that do not suit the target, or a label of the
            evaluation data that the training data lack.
    """

    def skipped() -> bad_rows.Skipped | None:
        return bad_rows.Skipped() if skip_bad_rows else None

    def fill_train(directory: str) -> None:
        names = target.classes(train.read_labels(skipped())) if target.has_classes else []
        if names:
            vocab.write(os.path.join(directory, LABELS), names)
        counted = skipped()
        cache.write_records(directory, train.read(counted), target, names, counted, where="inputs.train")
        finish(directory)

    def fill_evaluation(directory: str) -> None:
        counted = skipped()
        cache.write_records(directory, evaluation.read(counted), target, labels, counted, where="inputs.eval")

    reading = {**reading, **target.describe(), "skip_bad_rows": skip_bad_rows, "is_weighted": is_weighted}
    train_identity = {"source": train.identity, **reading, "train": train_reading or {}}
    train_dir = cache.entry(cache_dir, train_identity, fill_train)
    labels_path = os.path.join(train_dir, LABELS) if target.has_classes else None
    labels = vocab.read(labels_path) if labels_path else []
    eval_identity = {"source": evaluation.identity, **reading, "labels": labels}
    eval_dir = cache.entry(cache_dir, eval_identity, fill_evaluation)
    return Prepared(
        target=target,
        labels=labels,
        labels_path=labels_path,
        directory=train_dir,
        train=cache.read_records(train_dir),
        evaluation=cache.read_records(eval_dir),
        is_weighted=is_weighted,
    )
