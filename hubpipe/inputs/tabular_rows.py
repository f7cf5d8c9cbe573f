"""Rows of tables, every value a text: csv, tsv, jsonl, TFRecord and Parquet, streamed.

The rules, for all formats:

- A value is a text with one space for each run of white space and none around it. One of `missing` becomes "",
  unless it is a label that an alias names, as do null, a key that a jsonl or TFRecord row lacks, and a feature of
  an Example without values.
- Numbers of jsonl are as written, those of TFRecord and Parquet as Python writes them; bools are true and false;
  dates and times of Parquet as in ISO 8601.
- csv and tsv are as in hubpipe.inputs.delimited; in them and in Parquet all columns that are named must be there.
- A column or key without a name is never a feature.
"""

import dataclasses
import datetime
import decimal
import importlib
import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import tensorflow as tf
from google.protobuf import message as protobuf

from hubpipe import errors
from hubpipe.files import digest
from hubpipe.inputs import bad_rows, delimited, dialects, json_lines, numerals, rows, unicode

SAMPLES = {"unicode": unicode}

_ENDINGS = {".tfrecord": "tfrecord", ".tfrecords": "tfrecord", ".parquet": "parquet", ".pq": "parquet"}
_TABLES = ("csv", "tsv")
_SAME_COLUMNS = ("csv", "tsv", "parquet")  # all rows of a file have the same
_WHITE_SPACE = re.compile(r"[\t\n\v\f\r ]+")  # that of RE2 and tf.strings.strip, which the module uses
_PARQUET_ROWS_AT_ONCE = 1 << 16


class Row(NamedTuple):
    """One row.

    Attributes:
        values: dict column -> text, "" for a missing value; without label and weight.
        label: its label; only where rows may have several, it may be empty or a tuple.
        weight: its weight, as it is written; None if no column of weights was asked for.
        where: where it was read, for messages.
    """

    values: dict[str, str]
    label: rows.Label
    weight: str | None
    where: str


@dataclasses.dataclass(frozen=True)
class Reading:
    """How the rows of files or a sample become rows of texts.

    Attributes:
        label: the column of the label.
        weight: the column of the weight of a row, None if there is none.
        several_labels: whether rows may have several labels, or none.
        named: columns that must be there.
        takes_others: whether further columns are taken too.
        exclude: those that are not.
        label_aliases: pairs of a label as written, and the one that is meant.
        missing: texts that stand for no value.
        format: "csv", "tsv", "jsonl", "tfrecord", "parquet", or "auto": by the ending of each file's name.
        columns: names of the columns of csv and tsv files without a header line.
        dialect: how csv, tsv and jsonl files are written.
        decimal: what stands before the decimals of numbers in csv and tsv files, a point or a comma.
        label_is_number: whether the label is one.
    """

    label: str
    weight: str | None = None
    several_labels: bool = False
    named: tuple[str, ...] = ()
    takes_others: bool = True
    exclude: tuple[str, ...] = ()
    label_aliases: tuple[tuple[str, str], ...] = ()
    missing: tuple[str, ...] = ("",)
    format: str = "auto"
    columns: tuple[str, ...] | None = None
    dialect: dialects.Dialect = dialects.COMMON
    decimal: str = "."
    label_is_number: bool = False

    def takes(self, column: str) -> bool:
        """Whether a column is the label, the weight or a feature."""
        if column in (self.label, self.weight, *self.named):
            return True
        return self.takes_others and column != "" and column not in self.exclude


def format_of(path: str) -> str:
    """Tells a file's format by the ending of its name; InputError for an unknown one."""
    ending = os.path.splitext(path)[1].lower()
    return _ENDINGS[ending] if ending in _ENDINGS else dialects.format_of(path)


@dataclasses.dataclass(frozen=True)
class Files:
    """Rows of data files.

    Attributes:
        paths: files and glob patterns.
        reading: how they are read.
    """

    paths: tuple[str, ...]
    reading: Reading

    def rows(self, skipped: bad_rows.Skipped | None = None) -> Iterator[Row]:
        """Streams the rows, one file after the other.

        Args:
            skipped: counts bad rows and leaves them out; without it the first one is an error.
        Raises:
            InputError: a file that cannot be read, a column that is not there, or a bad row.
        """
        reading = self.reading
        for path in dialects.expand(self.paths):
            kind = self._format(path)
            if kind not in _TABLES and reading.columns is not None:
                raise errors.InputError(f"{path}: inputs.columns are for csv and tsv; {kind} names its columns")
            if kind not in _TABLES and reading.decimal != ".":
                raise errors.InputError(f"{path}: inputs.decimal is for csv and tsv; {kind} has points in numbers")
            row = None
            try:
                for row in _rows(_READERS[kind](path, kind, reading, skipped), reading, skipped):
                    yield row
            except dialects.UNREADABLE as error:
                raise dialects.unreadable(path, error) from error
            if row is not None and kind in _SAME_COLUMNS:  # what the first file has, the others must have
                reading = dataclasses.replace(reading, named=tuple(dict.fromkeys((*reading.named, *row.values))))

    def unnamed(self) -> list[int]:
        """The places, counted from 1, of columns without a name in the first file, if it is csv or tsv."""
        path = dialects.expand(self.paths)[0]
        kind, dialect = self._format(path), self.reading.dialect
        if kind not in _TABLES:
            return []
        with dialect.open(path) as file:
            names, _ = delimited.read(file, path, dialect.separator(kind), self.reading.columns, None)
        return [place for place, name in enumerate(names, start=1) if not name]

    def identity(self) -> dict[str, Any]:
        """Describes what the rows depend on, for JSON: contents and how they are read, not the files' names."""
        files = [[self._format(path), _sha256(path)] for path in dialects.expand(self.paths)]
        return {"files": files, "reading": dataclasses.asdict(self.reading)}

    def _format(self, path: str) -> str:
        return format_of(path) if self.reading.format == "auto" else self.reading.format


@dataclasses.dataclass(frozen=True)
class Sample:
    """Rows of a sample.

    Attributes:
        name: a key of SAMPLES.
        split: "train" or "eval".
        reading: how they are read.
    """

    name: str
    split: str
    reading: Reading

    def rows(self, skipped: bad_rows.Skipped | None = None) -> Iterator[Row]:
        """Yields the rows; see Files.rows."""
        module = SAMPLES[self.name]
        _check_columns(module.COLUMNS, self.reading, self.name)
        records = (
            (f"{self.name}:{number}", dict(zip(module.COLUMNS, row, strict=True)))
            for number, row in enumerate(module.read_table(self.split), start=1)
        )
        return _rows(records, self.reading, skipped)

    def unnamed(self) -> list[int]:
        """See Files.unnamed; none."""
        return []

    def identity(self) -> dict[str, Any]:
        """Describes what the rows depend on: the files read, and the module that reads them."""
        module = SAMPLES[self.name]
        return {
            "sample": self.name,
            "split": self.split,
            "files": [_sha256(file) for file in (module.__file__, *module.files())],
            "reading": dataclasses.asdict(self.reading),
        }


Source = Files | Sample
_Records = Iterator[tuple[str, dict[str, Any]]]  # where, and column -> value


def _rows(records: _Records, reading: Reading, skipped: bad_rows.Skipped | None) -> Iterator[Row]:
    aliases, missing = dict(reading.label_aliases), frozenset(reading.missing)
    for where, record in records:
        label = _label(record.get(reading.label), reading, aliases, missing)
        taken = {name: value for name, value in record.items() if name != reading.label and reading.takes(name)}
        texts = {name: _text(value) for name, value in taken.items()}
        unfit = reading.label if label is None else next((name for name in texts if texts[name] is None), None)
        if unfit is not None:
            found = type(record[unfit]).__name__
            others = unfit not in (reading.label, reading.weight, *reading.named)
            hint = f"; leave it out with inputs.exclude=[{unfit}]" if others else ""
            bad_rows.refuse(f"{where}: {unfit!r} is a {found}, expected a text or a number{hint}", skipped)
        elif not label and not reading.several_labels:
            bad_rows.refuse(f"{where}: no label ({_why_none(record.get(reading.label), reading)})", skipped)
        elif reading.label_is_number and reading.decimal == "." and (hint := numerals.comma_hint([label])):
            bad_rows.refuse(f"{where}: label {label!r} is not a number{hint}", skipped)
        else:
            weight = None if reading.weight is None else texts.pop(reading.weight, "")
            if reading.decimal != ".":
                label = numerals.with_point(label, reading.decimal) if reading.label_is_number else label
                weight = None if weight is None else numerals.with_point(weight, reading.decimal)
            values = {name: "" if text in missing else text for name, text in texts.items()}
            yield Row(values, label, weight, where)


def _label(
    value: Any, reading: Reading, aliases: Mapping[str, str], missing: Collection[str]
) -> rows.Label | None:
    """The label that a value means, "" if it is missing, None for a value that none can be."""
    if reading.several_labels and isinstance(value, list):
        parts = [_label(part, reading, aliases, missing) for part in value]
        return None if None in parts else tuple(parts)
    text = _text(value)
    if text is None:
        return None
    text = text if reading.several_labels else rows.label_of(text)
    return aliases.get(text, "" if text in missing else text)


def _why_none(value: Any, reading: Reading) -> str:
    """Why a value is no label, and what to do if it is meant as one."""
    text = rows.label_of(_text(value) or "")
    if not text:
        return f"{reading.label!r} is empty"
    return (
        f"{reading.label!r} is {text!r}, one of inputs.missing; if it is a class, set inputs.label_aliases: "
        f"{{{text!r}: {text!r}}}"
    )


def _of_table(path: str, kind: str, reading: Reading, skipped: bad_rows.Skipped | None) -> _Records:
    with reading.dialect.open(path) as file:
        names, found = delimited.read(file, path, reading.dialect.separator(kind), reading.columns, skipped)
        _check_columns(names, reading, path)
        for line, fields in found:
            yield f"{path}:{line}", dict(zip(names, fields, strict=True))


def _of_objects(path: str, kind: str, reading: Reading, skipped: bad_rows.Skipped | None) -> _Records:
    del kind
    with reading.dialect.open(path) as file:
        for number, _, record in json_lines.read(file, path, skipped):
            yield f"{path}:{number}", record


def _of_examples(path: str, kind: str, reading: Reading, skipped: bad_rows.Skipped | None) -> _Records:
    del kind, reading
    try:
        for number, record in enumerate(tf.compat.v1.io.tf_record_iterator(path), start=1):
            where = f"{path}: record {number}"
            try:
                features = tf.train.Example.FromString(record).features.feature
            except protobuf.DecodeError:
                bad_rows.refuse(f"{where}: no tf.train.Example", skipped)
                continue
            yield where, {name: _values(feature) for name, feature in features.items()}
    except tf.errors.OpError as error:
        raise errors.InputError(f"{path}: cannot be read as TFRecords ({error.message})") from error


def _of_parquet(path: str, kind: str, reading: Reading, skipped: bad_rows.Skipped | None) -> _Records:
    del kind, skipped
    try:
        polars = importlib.import_module("polars")
    except ImportError as error:
        raise errors.InputError(
            f"{path}: Parquet needs polars ({error}). Install it: pip install 'hubpipe[parquet]'"
        ) from error
    try:
        lazy = polars.scan_parquet(path)
        names = lazy.collect_schema().names()
        _check_columns(names, reading, path)
        taken = lazy.select([name for name in names if reading.takes(name)])
        size = lazy.select(polars.len()).collect().item()
        for start in range(0, size, _PARQUET_ROWS_AT_ONCE):
            block = taken.slice(start, _PARQUET_ROWS_AT_ONCE).collect()
            for number, row in enumerate(block.iter_rows(named=True), start=start + 1):
                yield f"{path}: row {number}", row
    except polars.exceptions.PolarsError as error:
        raise errors.InputError(f"{path}: cannot be read as Parquet ({error})") from error


_READERS = {
    "csv": _of_table,
    "tsv": _of_table,
    "jsonl": _of_objects,
    "tfrecord": _of_examples,
    "parquet": _of_parquet,
}


def _check_columns(names: Iterable[str], reading: Reading, path: str) -> None:
    names = list(names)
    for name in (reading.label, reading.weight, *reading.named):
        if name is not None:
            delimited.index_of(names, name, path)
    for name in names:
        if reading.takes(name):
            delimited.index_of(names, name, path)  # a name that stands there twice


def _values(feature: tf.train.Feature) -> Any:
    """The value of a feature of an Example, None if it has none."""
    kind = feature.WhichOneof("kind")
    values = getattr(feature, kind).value if kind else ()
    return values[0] if len(values) == 1 else list(values) or None


def _text(value: Any) -> str | None:
    """A value as text; None for one that no feature can take."""
    if type(value) is str:
        if value.isascii() and value.isprintable():  # as most are; their only white space is " "
            return " ".join(value.split()) if " " in value else value
        return _WHITE_SPACE.sub(" ", json_lines.printable(value)).strip(" ")
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, bytes):
        return _text(value.decode("utf-8", "replace"))
    if isinstance(value, str | int | float | decimal.Decimal | datetime.date):  # a str is a number of JSON
        return str(value)
    return None


def _sha256(path: str) -> str:
    try:
        return digest.sha256_file(path)
    except OSError as error:
        raise errors.InputError(f"{path}: cannot be read ({error.strerror})") from error
