"""Labelled rows of text of csv, tsv and jsonl files, streamed; imports no TensorFlow.

How files are read: see dialects, delimited and json_lines. Beyond that:

- jsonl: the text is a string, the label a string or a number.
- A label is a string without white space around it, and with runs of white space inside it made one space: csv's
  `1`, JSON's `1` and JSON's `"1"` are the label "1". It is never empty; a text may be.
- Where rows may have several labels, the label is as it is written, and may be empty; in jsonl it may be a list.
- A weight is as it is written, in jsonl a string or a number.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple, TextIO

from hubpipe import errors
from hubpipe.inputs import bad_rows, delimited, dialects, json_lines

# How texts are called where rows are stored, and as inputs of a module: the only one, and the second of a pair.
TEXT_COLUMNS = ("text", "text_b")

Label = str | tuple[str, ...]  # several for a list of jsonl

_SCALARS = (str, int, json_lines.Number)  # by type: to isinstance, a bool is an int


class Row(NamedTuple):
    """One labelled text.

    Attributes:
        text: the text, as it stands in the file.
        label: its label; only where rows may have several, it may be empty or a tuple.
        path: the file it comes from.
        line: the line it starts on, counted from 1.
        weight: its weight, as it is written; None if no column of weights was asked for.
        text_pair: the second text of a pair; None if rows have one text.
    """

    text: str
    label: Label
    path: str
    line: int
    weight: str | None = None
    text_pair: str | None = None

    @property
    def texts(self) -> list[str]:
        """One text, or both of a pair."""
        return [self.text] if self.text_pair is None else [self.text, self.text_pair]

    @property
    def where(self) -> str:
        """File and line, for messages."""
        return f"{self.path}:{self.line}"

    @property
    def columns(self) -> dict[str, bytes]:
        """What is stored of it, besides label and weight."""
        return {name: text.encode() for name, text in zip(TEXT_COLUMNS, self.texts, strict=False)}

    @property
    def identity(self) -> list[str]:
        """What the fingerprint of the data is made of, besides label and weight."""
        return self.texts


def read_rows(
    paths: str | os.PathLike | Iterable[str | os.PathLike],
    *,
    format: str = "auto",
    text: str = "text",
    text_pair: str | None = None,
    label: str = "label",
    columns: Sequence[str] | None = None,
    weight: str | None = None,
    several_labels: bool = False,
    dialect: dialects.Dialect = dialects.COMMON,
    skipped: bad_rows.Skipped | None = None,
) -> Iterator[Row]:
    """Streams the rows of files, one file after the other.

    Holds one row in memory at a time.

    Args:
        paths: files and glob patterns, see dialects.expand.
        format: one of dialects.FORMATS, or "auto": by the ending of each file's name.
        text: the column or key of the text.
        text_pair: that of the second text of a pair; None if rows have one text.
        label: the column or key of the label.
        columns: names of the columns of csv and tsv files that have no header line.
        weight: the column or key of the weight; None for none.
        several_labels: whether rows may have several labels, or none.
        dialect: how the files are written.
        skipped: counts bad rows and leaves them out; without it the first one is an error.
    Yields:
        Row, in the order of the files.
    Raises:
        InputError: a file that cannot be read, a column that is not there, or a bad row.
        ValueError: an unknown format.
    """
    if format not in ("auto", *dialects.FORMATS):
        raise ValueError(f"format {format!r} is not one of auto, {', '.join(dialects.FORMATS)}")
    wanted = _Wanted((text,) if text_pair is None else (text, text_pair), label, weight, several_labels)
    for path in dialects.expand(paths):
        kind = dialects.format_of(path) if format == "auto" else format
        if kind == "jsonl" and columns is not None:
            raise errors.InputError(f"{path}: columns {list(columns)!r} are for csv and tsv; jsonl names its keys")
        try:
            with dialect.open(path) as file:
                if kind == "jsonl":
                    yield from _read_objects(file, path, wanted, skipped)
                else:
                    yield from _read_table(file, path, dialect.separator(kind), wanted, columns, skipped)
        except dialects.UNREADABLE as error:
            raise dialects.unreadable(path, error) from error


class _Wanted(NamedTuple):
    """The columns or keys to read."""

    texts: tuple[str, ...]
    label: str
    weight: str | None
    several_labels: bool

    def label_of(self, written: str) -> str:
        """A label; one of several stays as it is written."""
        return written if self.several_labels else label_of(written)


def _read_table(
    file: TextIO,
    path: str,
    separator: str,
    wanted: _Wanted,
    columns: Sequence[str] | None,
    skipped: bad_rows.Skipped | None,
) -> Iterator[Row]:
    names, found = delimited.read(file, path, separator, columns, skipped)
    text_indices = [delimited.index_of(names, text, path) for text in wanted.texts]
    label_index = delimited.index_of(names, wanted.label, path)
    weight_index = None if wanted.weight is None else delimited.index_of(names, wanted.weight, path)
    for line, fields in found:
        name = wanted.label_of(fields[label_index])
        if name or wanted.several_labels:
            weight = None if weight_index is None else fields[weight_index]
            text, *pair = (fields[index] for index in text_indices)
            yield Row(text, name, path, line, weight, *pair)
        else:
            bad_rows.refuse(f"{path}:{line}: no label ({wanted.label!r} is empty)", skipped)


def _read_objects(file: TextIO, path: str, wanted: _Wanted, skipped: bad_rows.Skipped | None) -> Iterator[Row]:
    for number, line, record in json_lines.read(file, path, skipped):
        problem = _problem(record, wanted)
        if problem:
            bad_rows.refuse(f"{path}:{number}: {problem}", skipped)
            continue
        texts, label = [record[text] for text in wanted.texts], record[wanted.label]
        name = tuple(map(str, label)) if type(label) is list else wanted.label_of(str(label))
        if "\\u" in line:  # the only way to a NUL or to half a surrogate pair
            texts = list(map(json_lines.printable, texts))
            name = json_lines.printable(name) if type(name) is str else tuple(map(json_lines.printable, name))
        weight = None if wanted.weight is None else str(record[wanted.weight])
        yield Row(texts[0], name, path, number, weight, *texts[1:])


def _problem(record: dict[str, Any], wanted: _Wanted) -> str | None:
    """Says what is wrong with the value of a line, None if nothing is."""
    for key in (*wanted.texts, wanted.label, wanted.weight):
        if key is not None and key not in record:
            return f"no key {key!r}. Keys: {bad_rows.shown(', '.join(record))}"
    for text in wanted.texts:
        if type(record[text]) is not str:
            return f"{text!r} is not a string but {json_lines.kind_of(record[text])}"
    if wanted.weight is not None and type(record[wanted.weight]) not in _SCALARS:
        return f"weight {wanted.weight!r} is not a number but {json_lines.kind_of(record[wanted.weight])}"
    return _label_problem(record[wanted.label], wanted)


def _label_problem(label: Any, wanted: _Wanted) -> str | None:
    if wanted.several_labels and type(label) is list:
        others = [item for item in label if type(item) not in _SCALARS]
        if not others:
            return None
        return f"label {wanted.label!r} has {json_lines.kind_of(others[0])}, not only strings and numbers"
    if type(label) not in _SCALARS:
        return f"label {wanted.label!r} is not a string or a number but {json_lines.kind_of(label)}"
    if not wanted.several_labels and not str(label).strip():
        return f"no label ({wanted.label!r} is empty)"
    return None


def label_of(name: str) -> str:
    """A label without white space around it, and with one space for each run of it."""
    return name if name.isalnum() else " ".join(name.split())
