"""Rows of text classification files: csv, tsv and jsonl, streamed; imports no TensorFlow.

The rules, the same on every Python:

- UTF-8, with or without a byte order mark, unless a Dialect says otherwise. A row with bytes that are not of the
  encoding is a bad one; NULs and lone surrogates become U+FFFD.
- Files may be packed by gzip; the ending of their format stands before .gz.
- Lines end in "\\n" or "\\r\\n" and in nothing else; lines of white space alone are not rows.
- csv and tsv: the first line names the columns unless `columns` does. A field that holds a quote, a separator or a
  line end stands in double quotes, with inner quotes doubled.
- jsonl: one object per line, its text a string, its label a string or a number.
- A label is a string without white space around it, and with runs of white space inside it made one space: csv's
  `1`, JSON's `1` and JSON's `"1"` are the label "1". It is never empty; a text may be.
- Where rows may have several labels, the label is as it is written, and may be empty; in jsonl it may be a list.
- A weight is as it is written, in jsonl a string or a number.
"""

import codecs
import csv
import dataclasses
import difflib
import glob
import io
import json
import os
import re
import zlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple, TextIO

from hubpipe import errors
from hubpipe.files import packed

FORMATS = ("csv", "tsv", "jsonl")
MAX_FIELD_CHARS = 1 << 24  # a longer field is an unclosed quote, not a text

# How texts are called where rows are stored, and as inputs of a module: the only one, and the second of a pair.
TEXT_COLUMNS = ("text", "text_b")

_SUFFIXES = {".csv": "csv", ".tsv": "tsv", ".jsonl": "jsonl", ".ndjson": "jsonl"}
_SEPARATORS = {"csv": ",", "tsv": "\t"}
_SWAPPED = str.maketrans(",.", ".,")  # of 1.234,5 no number is made
_IN_GROUPS = re.compile(r"[+-]?[1-9][0-9]{0,2}(,[0-9]{3})+(\.[0-9]*)?")
_PLAIN = re.compile(r"[+-]?[0-9]+(\.[0-9]*)?")
_WITH_COMMA = re.compile(r"[+-]?[0-9]+(,[0-9]+)?")
_MAX_REASONS = 5
_MAX_SHOWN_CHARS = 60

_GZIP_ENDING = ".gz"
# What reading a file may raise.
UNREADABLE = (OSError, EOFError, zlib.error)
# What bytes become that the encoding does not have; half of a surrogate pair, which no decoded text holds.
_UNDECODED = "\udcff"
codecs.register_error("hubpipe.undecoded", lambda error: (_UNDECODED, error.end))

Label = str | tuple[str, ...]  # several for a list of jsonl


class Dialect(NamedTuple):
    """How files are written.

    Attributes:
        delimiter: between the fields of csv and tsv; None for a comma, a tab.
        encoding: of the text, as Python calls it; "utf-8-sig" is UTF-8 with a byte order mark or without.
    """

    delimiter: str | None = None
    encoding: str = "utf-8-sig"

    @classmethod
    def of(cls, section: Any) -> "Dialect":
        """That of the files of a section of inputs."""
        return cls(section.delimiter, section.encoding)

    def separator(self, kind: str) -> str:
        """What stands between the fields of csv or tsv."""
        return self.delimiter or _SEPARATORS[kind]

    def open(self, path: str) -> TextIO:
        """Opens a file to read it, with bytes that the encoding does not have marked; OSError if it cannot be."""
        file = packed.open_unpacked(path)
        return io.TextIOWrapper(file, encoding=self.encoding, errors="hubpipe.undecoded", newline="\n")


COMMON = Dialect()


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


@dataclasses.dataclass
class Skipped:
    """Counts the rows left out of the data; str() is one line for the user.

    Attributes:
        count: rows left out; a broken quote counts once for every line it runs over.
        reasons: the first few problems, each "path:line: what (value)".
    """

    count: int = 0
    reasons: list[str] = dataclasses.field(default_factory=list)

    def add(self, problem: str, *, lines: int = 1) -> None:
        """Counts `lines` rows more, left out because of `problem`."""
        self.count += lines
        if len(self.reasons) < _MAX_REASONS:
            self.reasons.append(problem)

    def __str__(self) -> str:
        if not self.count:
            return "no row skipped"
        return f"{self.count} {'row' if self.count == 1 else 'rows'} skipped, such as {self.reasons[0]}"


def with_point(number: str, decimal: str) -> str:
    """A number, as Python writes it, from one whose decimals follow `decimal`, a point or a comma."""
    return number if decimal == "." else number.translate(_SWAPPED)


def comma_hint(numbers: Iterable[str]) -> str:
    """What to do about numbers of a table with commas, between thousands or else before decimals.

    "" if none has a comma, or they are not all numbers.
    """
    numbers = list(numbers)
    first = next((number for number in numbers if "," in number), None)
    if first is None:
        return ""
    hints = []
    if all(_IN_GROUPS.fullmatch(number) or _PLAIN.fullmatch(number) for number in numbers):
        hints.append(f"commas between thousands are not read: write {first.replace(',', '')}, not {first}")
    if all(map(_WITH_COMMA.fullmatch, numbers)):
        hints.append("if its commas stand before decimals, set inputs.decimal: ','")
    return "".join(f"; {hint}" for hint in hints)


def unreadable(path: str, error: Exception) -> errors.InputError:
    """What to raise in the place of one of UNREADABLE."""
    return errors.InputError(f"{path}: cannot be read ({getattr(error, 'strerror', None) or error})")


def refuse(problem: str, skipped: Skipped | None, *, lines: int = 1) -> None:
    """Deals with a bad row: an error, or counted.

    Args:
        problem: "path:line: what (value)".
        skipped: where bad rows are counted, None if they are errors.
        lines: how many rows are lost with it.
    Raises:
        InputError: the problem, if `skipped` is None.
    """
    if skipped is None:
        raise errors.InputError(problem)
    skipped.add(problem, lines=lines)


def expand(paths: str | os.PathLike | Iterable[str | os.PathLike]) -> list[str]:
    """Lists the files that paths and glob patterns mean.

    Args:
        paths: one or several; `**` matches any depth of folders.
    Returns:
        The paths in the order given, what a pattern matches sorted, each file once.
    Raises:
        InputError: a path that does not exist, a folder, or a pattern that matches no file.
    """
    if isinstance(paths, str | os.PathLike):
        paths = [paths]
    files = []
    for path in map(os.fspath, paths):
        if os.path.isfile(path):
            files.append(path)
            continue
        if os.path.isdir(path):
            raise errors.InputError(f"{path}: a folder, not a file. A pattern takes its files: {path}/*.csv")
        matches = sorted(match for match in glob.glob(path, recursive=True) if os.path.isfile(match))
        if not matches:
            raise errors.InputError(f"{path}: no such file, and no file matches it as a pattern")
        files += matches
    return list(dict.fromkeys(files))


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
    dialect: Dialect = COMMON,
    skipped: Skipped | None = None,
) -> Iterator[Row]:
    """Streams the rows of files, one file after the other.

    Holds one row in memory at a time.

    Args:
        paths: files and glob patterns, see `expand`.
        format: one of FORMATS, or "auto": by the ending of each file's name.
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
    if format not in ("auto", *FORMATS):
        raise ValueError(f"format {format!r} is not one of auto, {', '.join(FORMATS)}")
    wanted = _Wanted((text,) if text_pair is None else (text, text_pair), label, weight, several_labels)
    for path in expand(paths):
        kind = format_of(path) if format == "auto" else format
        if kind == "jsonl" and columns is not None:
            raise errors.InputError(f"{path}: columns {list(columns)!r} are for csv and tsv; jsonl names its keys")
        try:
            with dialect.open(path) as file:
                if kind == "jsonl":
                    yield from _read_objects(file, path, wanted, skipped)
                else:
                    yield from _read_table(file, path, dialect.separator(kind), wanted, columns, skipped)
        except UNREADABLE as error:
            raise unreadable(path, error) from error


def format_of(path: str) -> str:
    """Tells a file's format by the ending of its name.

    Returns:
        one of FORMATS.
    Raises:
        InputError: an ending that is not known.
    """
    suffix = os.path.splitext(path.lower().removesuffix(_GZIP_ENDING))[1]
    if suffix not in _SUFFIXES:
        raise errors.InputError(
            f"{path}: the ending {suffix!r} does not tell the format. Endings known: {', '.join(_SUFFIXES)}, "
            f"also with {_GZIP_ENDING} behind; or set the format to one of {', '.join(FORMATS)}"
        )
    return _SUFFIXES[suffix]


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
    skipped: Skipped | None,
) -> Iterator[Row]:
    names, found = read_table(file, path, separator, columns, skipped)
    text_indices = [index_of(names, text, path) for text in wanted.texts]
    label_index = index_of(names, wanted.label, path)
    weight_index = None if wanted.weight is None else index_of(names, wanted.weight, path)
    for line, fields in found:
        name = wanted.label_of(fields[label_index])
        if name or wanted.several_labels:
            weight = None if weight_index is None else fields[weight_index]
            text, *pair = (fields[index] for index in text_indices)
            yield Row(text, name, path, line, weight, *pair)
        else:
            refuse(f"{path}:{line}: no label ({wanted.label!r} is empty)", skipped)


def read_table(
    file: TextIO, path: str, separator: str, columns: Sequence[str] | None, skipped: Skipped | None
) -> tuple[list[str], Iterator[tuple[int, list[str]]]]:
    """Splits a csv or tsv file into fields.

    Raises csv.field_size_limit, which is one for the whole process, to MAX_FIELD_CHARS.

    Args:
        file: open at its start.
        path: its name, for messages.
        separator: between fields.
        columns: names of the columns; None if the first line has them.
        skipped: counts bad rows, None if they are errors.
    Returns:
        names of the columns; iterator over the line that a row starts on and its fields, one for each column.
    Raises:
        InputError: a file without a line.
    """
    csv.field_size_limit(max(csv.field_size_limit(), MAX_FIELD_CHARS))
    lines = (line.replace("\0", "\ufffd") for line in file)  # Python 3.10 refuses a NUL, later ones do not
    reader = csv.reader(lines, delimiter=separator, strict=True)
    names = list(_header(reader, path) if columns is None else columns)
    if _UNDECODED in "".join(names):
        raise errors.InputError(f"{path}:{reader.line_num}: {_undecoded(file, separator.join(names))}")
    return names, _fields(reader, file, path, separator, names, skipped)


def _fields(
    reader: Any, file: TextIO, path: str, separator: str, names: list[str], skipped: Skipped | None
) -> Iterator[tuple[int, list[str]]]:
    width = len(names)
    while True:
        line = reader.line_num + 1
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            refuse(_broken(path, line, reader.line_num, error), skipped, lines=reader.line_num - line + 1)
            continue
        if len(fields) != width:
            if len(fields) > 1 or (fields and fields[0].strip()):  # else a blank line
                held = shown(separator.join(fields))
                refuse(f"{path}:{line}: {_count(fields)} instead of {width} ({held})", skipped)
        elif fields[0].strip() == names[0] and [field.strip() for field in fields] == names:
            refuse(f"{path}:{line}: names of columns, not a row ({shown(separator.join(fields))})", skipped)
        elif _UNDECODED in (held := separator.join(fields)):
            refuse(f"{path}:{line}: {_undecoded(file, held)}", skipped, lines=reader.line_num - line + 1)
        else:
            yield line, fields


def _header(reader: Iterator[list[str]], path: str) -> list[str]:
    try:
        for fields in reader:
            if any(field.strip() for field in fields):
                return [field.strip() for field in fields]
    except csv.Error as error:
        raise errors.InputError(_broken(path, 1, reader.line_num, error)) from error
    raise errors.InputError(f"{path}: empty; the first line must name the columns")


def index_of(names: list[str], name: str, path: str) -> int:
    """The place of a column; InputError if there is no such one, or several."""
    if names.count(name) > 1:
        raise errors.InputError(f"{path}: column {name!r} stands {names.count(name)} times in {names!r}")
    if name not in names:
        near = difflib.get_close_matches(name, names, n=1)
        hint = f" (did you mean {near[0]!r}?)" if near else ""
        raise errors.InputError(f"{path}: no column {name!r}{hint}. Columns: {shown(', '.join(names))}")
    return names.index(name)


def _broken(path: str, first: int, last: int, error: csv.Error) -> str:
    where = f"line {first}" if first == last else f"lines {first} to {last}"
    return (
        f"{path}:{first}: {where} cannot be split into fields ({error}). A field that holds a quote, a separator "
        "or a line end must stand in double quotes, with inner quotes doubled"
    )


class Number(str):
    """A JSON number with a point or an exponent, as it is written."""


_DECODER = json.JSONDecoder(parse_float=Number)


_SCALARS = (str, int, Number)  # by type: to isinstance, a bool is an int


def _read_objects(file: TextIO, path: str, wanted: _Wanted, skipped: Skipped | None) -> Iterator[Row]:
    for number, line, record in read_objects(file, path, skipped):
        problem = _problem(record, wanted)
        if problem:
            refuse(f"{path}:{number}: {problem}", skipped)
            continue
        texts, label = [record[text] for text in wanted.texts], record[wanted.label]
        name = tuple(map(str, label)) if type(label) is list else wanted.label_of(str(label))
        if "\\u" in line:  # the only way to a NUL or to half a surrogate pair
            texts = list(map(printable, texts))
            name = printable(name) if type(name) is str else tuple(map(printable, name))
        weight = None if wanted.weight is None else str(record[wanted.weight])
        yield Row(texts[0], name, path, number, weight, *texts[1:])


def read_objects(file: TextIO, path: str, skipped: Skipped | None) -> Iterator[tuple[int, str, dict[str, Any]]]:
    """Decodes a jsonl file.

    Args:
        file: open at its start.
        path: its name, for messages.
        skipped: counts bad lines, None if they are errors.
    Yields:
        number of the line, the line, its object; numbers with a point or an exponent are strings of class Number.
    """
    for number, line in enumerate(file, 1):
        line = line.strip().replace("\0", "\ufffd")
        if not line:
            continue
        if _UNDECODED in line:
            refuse(f"{path}:{number}: {_undecoded(file, line)}", skipped)
            continue
        try:
            record, end = _DECODER.raw_decode(line)  # three times as fast as decode
        except (ValueError, RecursionError) as error:
            refuse(f"{path}:{number}: not JSON: {error} ({shown(line)})", skipped)
            continue
        if end != len(line):
            refuse(f"{path}:{number}: more than one value ({shown(line)})", skipped)
        elif type(record) is not dict:
            refuse(f"{path}:{number}: not an object but {kind_of(record)}", skipped)
        else:
            yield number, line, record


def _problem(record: dict[str, Any], wanted: _Wanted) -> str | None:
    """Says what is wrong with the value of a line, None if nothing is."""
    for key in (*wanted.texts, wanted.label, wanted.weight):
        if key is not None and key not in record:
            return f"no key {key!r}. Keys: {shown(', '.join(record))}"
    for text in wanted.texts:
        if type(record[text]) is not str:
            return f"{text!r} is not a string but {kind_of(record[text])}"
    if wanted.weight is not None and type(record[wanted.weight]) not in _SCALARS:
        return f"weight {wanted.weight!r} is not a number but {kind_of(record[wanted.weight])}"
    return _label_problem(record[wanted.label], wanted)


def _label_problem(label: Any, wanted: _Wanted) -> str | None:
    if wanted.several_labels and type(label) is list:
        others = [item for item in label if type(item) not in _SCALARS]
        return f"label {wanted.label!r} has {kind_of(others[0])}, not only strings and numbers" if others else None
    if type(label) not in _SCALARS:
        return f"label {wanted.label!r} is not a string or a number but {kind_of(label)}"
    if not wanted.several_labels and not str(label).strip():
        return f"no label ({wanted.label!r} is empty)"
    return None


def kind_of(value: Any) -> str:
    """A value of JSON in words, for messages."""
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "a list"
    return shown(value if isinstance(value, Number) else json.dumps(value))


def label_of(name: str) -> str:
    """A label without white space around it, and with one space for each run of it."""
    return name if name.isalnum() else " ".join(name.split())


def printable(value: str) -> str:
    """A string of JSON without NULs and halves of surrogate pairs."""
    joined = value.replace("\0", "\ufffd").encode("utf-16-le", "surrogatepass")
    return joined.decode("utf-16-le", "replace")


def _undecoded(file: TextIO, held: str) -> str:
    """What is wrong with a row that has bytes that are none of the file's encoding, and what to do."""
    place = held.index(_UNDECODED)
    around = held[max(place - _MAX_SHOWN_CHARS // 3, 0) : place + _MAX_SHOWN_CHARS // 3]
    found = shown(around.replace(_UNDECODED, "\ufffd"))
    encoding = file.encoding.removesuffix("-sig")
    return f"bytes that are not {encoding} ({found}); set inputs.encoding to that of the file, such as latin-1"


def _count(fields: list[str]) -> str:
    return "1 field" if len(fields) == 1 else f"{len(fields)} fields"


def shown(text: str) -> str:
    """A text in messages, cut when long."""
    text = text.strip()
    return repr(text if len(text) <= _MAX_SHOWN_CHARS else text[: _MAX_SHOWN_CHARS - 3] + "...")
