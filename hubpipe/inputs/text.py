"""Texts: data files to input_fn, and the serving_input_fn."""

import dataclasses
import importlib
import os
import types
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import tensorflow as tf

from hubpipe import errors
from hubpipe.compat import estimator
from hubpipe.config import schema
from hubpipe.inputs import bad_rows, cache, dialects, feeding, prepared, rows, sources, targets, vocab

if TYPE_CHECKING:
    from hubpipe.inputs import pretrained

BAD_ROWS = ("error", "skip")

_VOCABULARY = "vocabulary.txt"
_DEFAULT_HEAD = schema.ClassificationHead(kind="classification")


@dataclasses.dataclass(frozen=True, kw_only=True)
class TextData(prepared.Prepared):
    """Texts on disk, ready for `input_fn`.

    Attributes:
        vocabulary_path: file of the tokens of the training texts, one per line, most frequent first.
        is_pair: whether a row has two texts.
        embeddings: pre-trained vectors of words, if there are any.
    """

    vocabulary_path: str
    is_pair: bool = False
    embeddings: "pretrained.Embeddings | None" = None

    @property
    def columns(self) -> tuple[str, ...]:
        """What the texts of a row are called, in the data and as inputs of a module."""
        return rows.TEXT_COLUMNS if self.is_pair else rows.TEXT_COLUMNS[:1]

    @property
    def fingerprint(self) -> dict[str, str]:
        """Also "embeddings" -> SHA-256 of words and vectors, if there are any."""
        found = super().fingerprint
        return found if self.embeddings is None else {**found, "embeddings": self.embeddings.fingerprint}


def prepare_section(
    section: schema.TextInputs, model: schema.TextModel | schema.KerasModel, *, cache_dir: str
) -> TextData:
    """Reads the data that a config names, as `prepare` does.

    Args:
        section: files or samples, and how they are read.
        model: which tokens are counted, and the head that labels are for.
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
        text_pair=section.text_pair,
        label=section.label,
        columns=section.columns,
        weight=section.weight,
        dialect=dialects.Dialect.of(section),
        bad_rows=section.bad_rows,
        head=model.head,
        ngrams=model.vocabulary.ngrams,
        lowercase=model.vocabulary.lowercase,
        max_vocabulary=model.vocabulary.max_vocabulary,
        min_count=model.vocabulary.min_count,
        boundaries=model.vocabulary.boundaries,
        embeddings=model.encoder.embeddings if isinstance(model, schema.TextModel) else None,
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
    text_pair: str | None = None,
    label: str = "label",
    columns: Sequence[str] | None = None,
    weight: str | None = None,
    dialect: dialects.Dialect = dialects.COMMON,
    bad_rows: str = "error",
    head: schema.Head = _DEFAULT_HEAD,
    ngrams: int,
    lowercase: bool,
    max_vocabulary: int,
    min_count: int,
    boundaries: bool = False,
    embeddings: schema.Embeddings | None = None,
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
        format: one of dialects.FORMATS, or "auto".
        text: the column or key of the text.
        text_pair: that of the second text of a pair; None if rows have one text.
        label: the column or key of the label.
        columns: names of the columns of csv and tsv files that have no header line.
        weight: the column or key of the weight of a row; None for none.
        dialect: how the files are written.
        bad_rows: "error", or "skip" to count them and leave them out.
        head: what labels are for, see hubpipe.inputs.targets.
        ngrams: the most words in a token.
        lowercase: whether tokens are in lower case.
        max_vocabulary: the most tokens in the vocabulary.
        min_count: how often a token of the vocabulary occurs at least.
        boundaries: whether the ends of a text are words of its n-grams, too.
        embeddings: pre-trained vectors of words, if there are any.
    Returns:
        TextData.
    Raises:
        InputError: a file or row that cannot be used, labels that do not suit the head, a label of the evaluation
            data that the training data lack, no token for the vocabulary, or embeddings that cannot be read.
        UsageError: embeddings, without the extra to read them.
        ValueError: an unknown `format` or `bad_rows`, not exactly one of paths and sample, or pairs of a sample.
    """
    if bad_rows not in BAD_ROWS:
        raise ValueError(f"bad_rows {bad_rows!r} is not one of {', '.join(BAD_ROWS)}")
    target = targets.create(head)
    reading = {
        "format": format,
        "text": text,
        "text_pair": text_pair,
        "label": label,
        "columns": columns and tuple(columns),
        "weight": weight,
        "several_labels": target.allows_several,
        "dialect": dialect,
    }
    train = _source("train", train_paths, train_sample, reading)
    evaluation = _source("eval", eval_paths, eval_sample, reading)
    counts = vocab.TokenCounts(ngrams=ngrams, lowercase=lowercase, boundaries=boundaries)

    def write_vocabulary(directory: str) -> None:
        vocabulary = counts.vocabulary(max_vocabulary=max_vocabulary, min_count=min_count)
        if not vocabulary:
            raise errors.InputError(
                f"no token occurs {min_count} times in the training texts; lower model_fn.encoder.min_count"
                if counts.counts
                else "no training text has a letter or a number in it, and tokens are made of these"
            )
        vocab.write(os.path.join(directory, _VOCABULARY), vocabulary)

    data = prepared.prepare(
        cache_dir,
        train=prepared.Source(
            train.identity(), lambda skipped: _counted(train.rows(skipped), counts), _labels_of(train)
        ),
        evaluation=prepared.Source(evaluation.identity(), evaluation.rows, _labels_of(evaluation)),
        target=target,
        reading={"kind": "text"},
        skip_bad_rows=bad_rows == "skip",
        is_weighted=weight is not None,
        train_reading={
            "ngrams": ngrams,
            "lowercase": lowercase,
            "max_vocabulary": max_vocabulary,
            "min_count": min_count,
            "boundaries": boundaries,
        },
        finish=write_vocabulary,
    )
    vocabulary_path = os.path.join(data.directory, _VOCABULARY)
    found = None
    if embeddings is not None:
        found = _pretrained().prepare(embeddings, vocabulary_path, lowercase=lowercase, cache_dir=cache_dir)
    common = {**vars(data), "notes": (str(found),) if found else ()}
    return TextData(
        **common, vocabulary_path=vocabulary_path, is_pair=text_pair is not None, embeddings=found
    )


def module_arguments(data: TextData) -> dict[str, Any]:
    """What the data tell the function that makes the module: dict of the files' paths, and of embeddings."""
    arguments = {"vocabulary_path": data.vocabulary_path, "labels_path": data.labels_path}
    return arguments if data.embeddings is None else {**arguments, "embeddings": data.embeddings}


def slices(section: schema.TextInputs, data: TextData, column: str) -> list[str]:
    """The value of a further column, for each evaluation row that `prepare` keeps; "" where there is none.

    Raises:
        InputError: no such column, or a sample, which has none.
    """
    if section.eval.files is None:
        raise errors.InputError(f"slice column {column!r}: a sample has no further columns; use files.")
    reading = {
        "format": section.format,
        "text": section.text,
        "columns": section.columns,
        "dialect": dialects.Dialect.of(section),
    }
    values = {
        (row.path, row.line): row.label
        for row in sources.Files(section.eval.files, label=column, **reading).rows(bad_rows.Skipped())
    }
    whole = sources.Files(
        section.eval.files,
        label=section.label,
        weight=section.weight,
        several_labels=data.target.allows_several,
        **reading,
    )
    kept = cache.kept(whole.rows(bad_rows.Skipped()), data.target, data.labels, bad_rows.Skipped())
    return [values.get((row.path, row.line), "") for row, *_ in kept]


def input_fn(data: TextData, mode: str, **options: Any) -> Callable[[], tf.data.Dataset]:
    """Makes the input_fn for estimator.train or estimator.evaluate, of features {"text": string [batch]}.

    Pairs have "text_b" as well.

    Args:
        data: from `prepare`.
        mode: "train" for the training rows; "eval" or "infer" for one pass over the evaluation rows in order.
        **options: batch_size and so on, see feeding.input_fn.
    """
    return feeding.input_fn(data, mode, columns=dict.fromkeys(data.columns, tf.string), **options)


def create_serving_input_fn(data: TextData) -> Callable[[], estimator.export.ServingInputReceiver]:
    """What declares the features of a served model: texts, or pairs of them."""
    return lambda: serving_input_fn(data.columns)


def serving_input_fn(columns: Sequence[str] = rows.TEXT_COLUMNS[:1]) -> estimator.export.ServingInputReceiver:
    """Declares what a served model receives: texts, not yet split into tokens.

    Graph effects: adds the placeholders "text" and, of pairs, "text_b", string [batch].

    Args:
        columns: what the texts are called.
    Returns:
        ServingInputReceiver of dict column -> string [batch].
    """
    texts = {name: tf.compat.v1.placeholder(tf.string, [None], name=name) for name in columns}
    return estimator.export.ServingInputReceiver(texts, texts)


def _source(
    split: str, paths: str | Sequence[str] | None, sample: str | None, reading: dict[str, Any]
) -> sources.Source:
    if (paths is None) == (sample is None):
        raise ValueError(f"give either {split}_paths or {split}_sample (got {paths!r} and {sample!r})")
    if sample is not None:
        return sources.Sample(sample, split, is_pair=reading["text_pair"] is not None)
    return sources.Files((paths,) if isinstance(paths, str) else tuple(paths), **reading)


def _pretrained() -> types.ModuleType:
    """The reader of embedding files, which needs an extra."""
    try:
        return importlib.import_module("hubpipe.inputs.pretrained")
    except ModuleNotFoundError as error:
        raise errors.UsageError(
            f"model_fn.encoder.embeddings: {error}; install it with: pip install 'hubpipe[embeddings]'"
        ) from error


def _labels_of(source: sources.Source) -> Callable[[bad_rows.Skipped | None], Iterator[rows.Label]]:
    return lambda skipped: (row.label for row in source.rows(skipped))


def _counted(data: Iterator[rows.Row], counts: vocab.TokenCounts) -> Iterator[rows.Row]:
    for row in data:
        for text in row.texts:
            counts.add(text)
        yield row
