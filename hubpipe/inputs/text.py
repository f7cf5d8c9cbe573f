"""Text classification: data files to input_fn, and the serving_input_fn."""

import dataclasses
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import tensorflow as tf

from hubpipe import errors
from hubpipe.compat import estimator
from hubpipe.config import schema
from hubpipe.inputs import batches, cache, rows, sources, vocab

BAD_ROWS = ("error", "skip")
MODES = ("train", "eval", "infer")  # the values of estimator.ModeKeys

_LABELS = "labels.txt"
_VOCABULARY = "vocabulary.txt"


@dataclasses.dataclass(frozen=True)
class TextData:
    """Text classification data on disk, ready for `input_fn`.

    Attributes:
        labels: the class names, in the order of the class numbers.
        labels_path: file of the labels, one per line.
        vocabulary_path: file of the tokens of the training texts, one per line, most frequent first.
        train_records: TFRecord file of the training rows, see hubpipe.inputs.cache.
        eval_records: the same of the evaluation rows.
        num_train: training rows.
        num_eval: evaluation rows.
        skipped: dict "train", "eval" -> rows.Skipped, the bad rows left out.
        fingerprint: dict "train", "eval" -> SHA-256 of the texts and labels, 64 hexadecimal digits.
    """

    labels: list[str]
    labels_path: str
    vocabulary_path: str
    train_records: str
    eval_records: str
    num_train: int
    num_eval: int
    skipped: dict[str, rows.Skipped]
    fingerprint: dict[str, str]


def prepare_section(
    section: schema.TextInputs, model: schema.TextModel | schema.KerasModel, *, cache_dir: str
) -> TextData:
    """Reads the data that a config names, as `prepare` does.

    Args:
        section: files or samples, and how they are read.
        model: which tokens are counted.
        cache_dir: a local directory, usually <model_dir>/inputs.
    Raises:
        InputError: data that cannot be used, see `prepare`.
    """
    return prepare(
        cache_dir=cache_dir,
        train_paths=section.train.files,
        train_sample=section.train.sample,
        eval_paths=section.eval.files,
        eval_sample=section.eval.sample,
        format=section.format,
        text=section.text,
        label=section.label,
        columns=section.columns,
        bad_rows=section.bad_rows,
        ngrams=model.vocabulary.ngrams,
        lowercase=model.vocabulary.lowercase,
        max_vocabulary=model.vocabulary.max_vocabulary,
        min_count=model.vocabulary.min_count,
    )


def prepare(
    *,
    cache_dir: str,
    train_paths: str | Sequence[str] | None = None,
    train_sample: str | None = None,
    eval_paths: str | Sequence[str] | None = None,
    eval_sample: str | None = None,
    format: str = "auto",
    text: str = "text",
    label: str = "label",
    columns: Sequence[str] | None = None,
    bad_rows: str = "error",
    ngrams: int,
    lowercase: bool,
    max_vocabulary: int,
    min_count: int,
) -> TextData:
    """Reads training and evaluation data into the cache, or finds them there.

    Cached data are used again if the contents of the files and all arguments that matter are the same; only the
    files' digests are computed then.

    Args:
        cache_dir: a local directory, usually <model_dir>/inputs.
        train_paths: files and glob patterns; either this or `train_sample`.
        train_sample: a key of sources.SAMPLES.
        eval_paths: files and glob patterns; either this or `eval_sample`.
        eval_sample: a key of sources.SAMPLES.
        format: one of rows.FORMATS, or "auto".
        text: the column or key of the text.
        label: the column or key of the label.
        columns: names of the columns of csv and tsv files that have no header line.
        bad_rows: "error", or "skip" to count them and leave them out.
        ngrams: the most words in a token.
        lowercase: whether tokens are in lower case.
        max_vocabulary: the most tokens in the vocabulary.
        min_count: how often a token of the vocabulary occurs at least.
    Returns:
        TextData.
    Raises:
        InputError: a file or row that cannot be used, fewer than two labels, a label of the evaluation data that
            the training data lack, or no token for the vocabulary.
        ValueError: an unknown `format` or `bad_rows`, or not exactly one of paths and sample.
    """
    if bad_rows not in BAD_ROWS:
        raise ValueError(f"bad_rows {bad_rows!r} is not one of {', '.join(BAD_ROWS)}")
    reading = {"format": format, "text": text, "label": label, "columns": columns and tuple(columns)}
    train = _source("train", train_paths, train_sample, reading)
    evaluation = _source("eval", eval_paths, eval_sample, reading)

    def fill_train(directory: str) -> None:
        skipped = _skipped(bad_rows)
        labels = vocab.build_labels(row.label for row in train.rows(_skipped(bad_rows)))
        counts = vocab.TokenCounts(ngrams=ngrams, lowercase=lowercase)
        cache.write_records(directory, _counted(train.rows(skipped), counts), labels, skipped)
        vocabulary = counts.vocabulary(max_vocabulary=max_vocabulary, min_count=min_count)
        if not vocabulary:
            raise errors.InputError(f"no token occurs {min_count} times in the training texts; lower min_count")
        vocab.write(os.path.join(directory, _LABELS), labels)
        vocab.write(os.path.join(directory, _VOCABULARY), vocabulary)

    def fill_eval(directory: str) -> None:
        skipped = _skipped(bad_rows)
        cache.write_records(directory, evaluation.rows(skipped), labels, skipped)

    tokens = {"ngrams": ngrams, "lowercase": lowercase, "max_vocabulary": max_vocabulary, "min_count": min_count}
    train_identity = {"source": train.identity(), "bad_rows": bad_rows, "tokens": tokens}
    train_dir = cache.entry(cache_dir, train_identity, fill_train)
    labels = vocab.read(os.path.join(train_dir, _LABELS))
    eval_identity = {"source": evaluation.identity(), "bad_rows": bad_rows, "labels": labels}
    eval_dir = cache.entry(cache_dir, eval_identity, fill_eval)
    train_records = cache.read_records(train_dir)
    eval_records = cache.read_records(eval_dir)
    return TextData(
        labels=labels,
        labels_path=os.path.join(train_dir, _LABELS),
        vocabulary_path=os.path.join(train_dir, _VOCABULARY),
        train_records=train_records.path,
        eval_records=eval_records.path,
        num_train=train_records.count,
        num_eval=eval_records.count,
        skipped={"train": train_records.skipped, "eval": eval_records.skipped},
        fingerprint={"train": train_records.fingerprint, "eval": eval_records.fingerprint},
    )


def module_arguments(data: TextData) -> dict[str, str]:
    """What the data tell the function that makes the module: dict of the files' paths."""
    return {"vocabulary_path": data.vocabulary_path, "labels_path": data.labels_path}


def slices(section: schema.TextInputs, data: TextData, column: str) -> list[str]:
    """The value of a further column, for each evaluation row in order; see `read_slices`."""
    return read_slices(
        section.eval.files,
        column=column,
        labels=data.labels,
        format=section.format,
        text=section.text,
        label=section.label,
        columns=section.columns,
        bad_rows=section.bad_rows,
    )


def read_slices(
    paths: Sequence[str] | None,
    *,
    column: str,
    labels: Sequence[str],
    format: str,
    text: str,
    label: str,
    columns: Sequence[str] | None,
    bad_rows: str,
) -> list[str]:
    """The value of a further column, for each evaluation row that `prepare` keeps, in order.

    Args:
        paths: files and glob patterns of the evaluation data; None for a sample, which has no such column.
        column: the column or key; rows without a value have "".
        labels: of the training data.
        format: see `prepare`, as the arguments that follow.
        text: the column or key of the text.
        label: the column or key of the label.
        columns: names of the columns of files without a header line.
        bad_rows: "error" or "skip".
    Raises:
        InputError: no such column.
    """
    if paths is None:
        raise errors.InputError(f"slice column {column!r}: a sample has no further columns; use files.")
    reading = {"format": format, "text": text, "columns": columns and tuple(columns)}
    values = {
        (row.path, row.line): row.label
        for row in sources.Files(tuple(paths), label=column, **reading).rows(rows.Skipped())
    }
    known = set(labels)
    kept = sources.Files(tuple(paths), label=label, **reading).rows(_skipped(bad_rows))
    return [values.get((row.path, row.line), "") for row in kept if row.label in known]


def input_fn(
    data: TextData,
    mode: str,
    *,
    batch_size: int,
    seed: int = 0,
    shuffle: bool = True,
    epochs: int | None = None,
    start_step: int = 0,
) -> Callable[[], tf.data.Dataset]:
    """Makes the input_fn for estimator.train or estimator.evaluate.

    Args:
        data: from `prepare`.
        mode: "train" for the training rows; "eval" or "infer" for one pass over the evaluation rows in order.
        batch_size: rows per batch; the last of the data may have fewer.
        seed: of the order of the training rows; the same seed gives the same batches.
        shuffle: whether training rows are shuffled, anew in each epoch.
        epochs: passes over the training rows, None for without end.
        start_step: training batches taken before, in the run that is resumed; see batches.train.
    Returns:
        function without arguments that returns a dataset of ({"text": string [batch]}, int64 [batch]).
    Raises:
        ValueError: an unknown mode.
    """
    if mode not in MODES:
        raise ValueError(f"mode {mode!r} is not one of {', '.join(MODES)}")

    def training_batches() -> tf.data.Dataset:
        return batches.train(
            data.train_records,
            data.num_train,
            batch_size=batch_size,
            seed=seed,
            shuffle=shuffle,
            epochs=epochs,
            start_step=start_step,
        )

    def evaluation_batches() -> tf.data.Dataset:
        return batches.evaluate(data.eval_records, batch_size=batch_size)

    return training_batches if mode == "train" else evaluation_batches


def create_serving_input_fn(data: TextData) -> Callable[[], estimator.export.ServingInputReceiver]:
    """What declares the features of a served model: texts, whatever the data are."""
    del data
    return serving_input_fn


def serving_input_fn() -> estimator.export.ServingInputReceiver:
    """Declares what a served model receives: texts, not yet split into tokens.

    Graph effects: adds the placeholder "text", string [batch].

    Returns:
        ServingInputReceiver of {"text": string [batch]}.
    """
    texts = tf.compat.v1.placeholder(tf.string, [None], name="text")
    return estimator.export.ServingInputReceiver({"text": texts}, {"text": texts})


def _source(
    split: str, paths: str | Sequence[str] | None, sample: str | None, reading: dict[str, Any]
) -> sources.Source:
    if (paths is None) == (sample is None):
        raise ValueError(f"give either {split}_paths or {split}_sample (got {paths!r} and {sample!r})")
    if sample is not None:
        return sources.Sample(sample, split)
    return sources.Files((paths,) if isinstance(paths, str) else tuple(paths), **reading)


def _skipped(bad_rows: str) -> rows.Skipped | None:
    return rows.Skipped() if bad_rows == "skip" else None


def _counted(data: Iterator[rows.Row], counts: vocab.TokenCounts) -> Iterator[rows.Row]:
    for row in data:
        counts.add(row.text)
        yield row
