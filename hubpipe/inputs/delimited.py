"""The fields of csv and tsv files, streamed; the same on every Python; imports no TensorFlow.

The first line names the columns unless the caller does. A field that holds a quote, a separator or a line end
stands in double quotes, with inner quotes doubled. Lines of white space alone are not rows; NULs become U+FFFD.
"""

import csv
import difflib
from collections.abc import Iterator, Sequence
from typing import Any, TextIO

from hubpipe import errors
from hubpipe.inputs import bad_rows, dialects

MAX_FIELD_CHARS = 1 << 24  # a longer field is an unclosed quote, not a text


def read(
    file: TextIO, path: str, separator: str, columns: Sequence[str] | None, skipped: bad_rows.Skipped | None
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
    if dialects.UNDECODED in "".join(names):
        raise errors.InputError(f"{path}:{reader.line_num}: {dialects.undecoded(file, separator.join(names))}")
    return names, _fields(reader, file, path, separator, names, skipped)


def _fields(
    reader: Any, file: TextIO, path: str, separator: str, names: list[str], skipped: bad_rows.Skipped | None
) -> Iterator[tuple[int, list[str]]]:
    width = len(names)
    while True:
        line = reader.line_num + 1
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            bad_rows.refuse(_broken(path, line, reader.line_num, error), skipped, lines=reader.line_num - line + 1)
            continue
        if len(fields) != width:
            if len(fields) > 1 or (fields and fields[0].strip()):  # else a blank line
                held = bad_rows.shown(separator.join(fields))
                bad_rows.refuse(f"{path}:{line}: {_count(fields)} instead of {width} ({held})", skipped)
        elif fields[0].strip() == names[0] and [field.strip() for field in fields] == names:
            held = bad_rows.shown(separator.join(fields))
            bad_rows.refuse(f"{path}:{line}: names of columns, not a row ({held})", skipped)
        elif dialects.UNDECODED in (held := separator.join(fields)):
            problem = dialects.undecoded(file, held)
            bad_rows.refuse(f"{path}:{line}: {problem}", skipped, lines=reader.line_num - line + 1)
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
        raise errors.InputError(f"{path}: no column {name!r}{hint}. Columns: {bad_rows.shown(', '.join(names))}")
    return names.index(name)


def _broken(path: str, first: int, last: int, error: csv.Error) -> str:
    where = f"line {first}" if first == last else f"lines {first} to {last}"
    return (
        f"{path}:{first}: {where} cannot be split into fields ({error}). A field that holds a quote, a separator "
        "or a line end must stand in double quotes, with inner quotes doubled"
    )


def _count(fields: list[str]) -> str:
    return "1 field" if len(fields) == 1 else f"{len(fields)} fields"
