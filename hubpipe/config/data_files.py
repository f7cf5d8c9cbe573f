"""The data files that a config names: are they there, and do they have its columns?"""

import codecs
import csv
import glob
import io
import json
import os
import zlib
from collections.abc import Iterator

from hubpipe.config import document, schema, tables, wording
from hubpipe.files import packed

_MAX_HEAD_BYTES = 1 << 20  # of a data file, to find its column names
_GZIP_ENDING = ".gz"
_DELIMITERS = ";\t|,"  # that a table may have instead
_TABLES = {".csv": "csv", ".tsv": "tsv", ".jsonl": "jsonl", ".ndjson": "jsonl"}
_TARS = dict.fromkeys((".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz"), "tar")
_RECORDS = {".tfrecord": "tfrecord", ".tfrecords": "tfrecord"}
# Ending -> format of files, for each kind of inputs.
_FORMATS = {
    schema.TextInputs: _TABLES,
    schema.ImageInputs: {**_TABLES, **_TARS, **_RECORDS},
    schema.TabularInputs: {**_TABLES, **_RECORDS, ".parquet": "parquet", ".pq": "parquet"},
}


def check(inputs: schema.Inputs) -> Iterator[document.Mistake]:
    """Finds missing files, files of an unknown format and tables without the columns asked for.

    Args:
        inputs: the section of a Config; built-in samples are not looked at.
    Yields:
        (path of the key, what is wrong with it).
    """
    seen = set()
    for part in ("train", "eval"):
        for key, message, name in _files(inputs, getattr(inputs, part).files or (), ("inputs", part, "files")):
            if (key, message) not in seen:  # of files with the same problem the first is named
                seen.add((key, message))
                yield key, f"{name}: {message}" if name else message


def _files(
    inputs: schema.Inputs, patterns: tuple[str, ...], path: document.Path
) -> Iterator[tuple[document.Path, str, str | None]]:
    """Problems of the files of one source: the key, what is wrong, the file's name."""
    for pattern in patterns:
        if "://" in pattern:  # TensorFlow's filesystems are not looked at before TensorFlow is there
            continue
        is_accepted = os.path.exists if isinstance(inputs, schema.ImageInputs) else os.path.isfile
        matches = [pattern] if is_accepted(pattern) else glob.glob(pattern, recursive=True)
        names = sorted(filter(is_accepted, matches))
        if not names:
            yield path, missing(pattern), None
        for name in names:
            for key, message in _columns(inputs, name, path):
                yield key, message, name


def missing(pattern: str) -> str:
    """What to say of a path or a pattern that leads to no file."""
    if os.path.isdir(pattern):
        return f"{pattern!r} is a directory; expected a file, or a glob such as {os.path.join(pattern, '*.csv')!r}"
    where = "" if os.path.isabs(pattern) else f" in {os.getcwd()}"
    return f"no file matches {pattern!r}{where}" if glob.has_magic(pattern) else f"no file {pattern!r}{where}"


def _format(inputs: schema.Inputs, name: str) -> str | None:
    """The format of a file or folder, None if its name does not tell it."""
    if inputs.format != "auto":
        return inputs.format
    if os.path.isdir(name):
        return "folder"
    endings = _FORMATS[type(inputs)]
    found = next((format_ for ending, format_ in endings.items() if name.lower().endswith(ending)), None)
    if found is None and name.lower().endswith(_GZIP_ENDING):
        found = _format(inputs, name[: -len(_GZIP_ENDING)])
        return found if found in _TABLES.values() else None
    return found


def _columns(inputs: schema.Inputs, name: str, path: document.Path) -> Iterator[document.Mistake]:
    format_ = _format(inputs, name)
    if format_ is None:
        endings = ", ".join(_FORMATS[type(inputs)])
        yield ("inputs", "format"), f"cannot be told by its ending ({endings}); set inputs.format"
        return
    if (format_ == "folder") != os.path.isdir(name):
        found = "a folder" if os.path.isdir(name) else "a file"
        yield ("inputs", "format"), f"expected {format_}, this is {found}"
        return
    if format_ not in _TABLES.values():
        return
    if inputs.columns is not None:
        if format_ == "jsonl":
            yield ("inputs", "columns"), "for csv and tsv only; a jsonl line names its keys"
        return
    try:
        with packed.open_unpacked(name) as file:
            head = file.read(_MAX_HEAD_BYTES)
        if inputs.encoding == schema.UTF_8 and head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            yield ("inputs", "encoding"), "the file is UTF-16; set inputs.encoding: utf-16"
            return
        head = head.decode(inputs.encoding, errors="replace")
        columns = _first_columns(head, format_, inputs.delimiter) if head.strip() else None
    except (OSError, EOFError, zlib.error, csv.Error) as error:
        yield path, f"cannot be read: {getattr(error, 'strerror', None) or error}"
        return
    except (ValueError, RecursionError):  # a first line that is not JSON is for the reader to judge, by bad_rows
        return
    if columns is None:
        yield path, "the file is empty"
        return
    for key, wanted in schema.column_names(inputs).items():
        if wanted not in columns:
            what = "key in the first line" if format_ == "jsonl" else "column in the header"
            hint = "" if format_ == "jsonl" else _delimiter_hint(wanted, columns)
            yield ("inputs", key), f"no {what} is named {wanted!r}{hint or wording.choice(wanted, columns)}"
    if isinstance(inputs, schema.TabularInputs) and format_ != "jsonl":  # whose rows may lack keys
        yield from tables.lacking(inputs, columns, "the header")


def _delimiter_hint(wanted: str, columns: list[str]) -> str | None:
    """What to do if a header is one column to the reader, and several to the writer."""
    for delimiter in _DELIMITERS:
        if len(columns) == 1 and wanted in next(csv.reader(columns, delimiter=delimiter)):
            return f"; if {delimiter!r} stands between the columns, set inputs.delimiter: {json.dumps(delimiter)}"
    return None


def _first_columns(head: str, format_: str, delimiter: str | None) -> list[str] | None:
    if format_ == "jsonl":
        row = json.loads(next(line for line in head.split("\n") if line.strip()))
        if not isinstance(row, dict):
            raise ValueError("not an object")
        return list(row)
    delimiter = delimiter or ("\t" if format_ == "tsv" else ",")
    rows = csv.reader(io.StringIO(head, newline=""), delimiter=delimiter)
    stripped = ([name.strip() for name in row] for row in rows)
    return next((names for names in stripped if any(names)), None)
