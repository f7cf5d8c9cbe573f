"""The objects of jsonl files, one on each line, streamed; imports no TensorFlow."""

import json
from collections.abc import Iterator
from typing import Any, TextIO

from hubpipe.inputs import bad_rows, dialects


class Number(str):
    """A JSON number with a point or an exponent, as it is written."""


_DECODER = json.JSONDecoder(parse_float=Number)


def read(file: TextIO, path: str, skipped: bad_rows.Skipped | None) -> Iterator[tuple[int, str, dict[str, Any]]]:
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
        if dialects.UNDECODED in line:
            bad_rows.refuse(f"{path}:{number}: {dialects.undecoded(file, line)}", skipped)
            continue
        try:
            record, end = _DECODER.raw_decode(line)  # three times as fast as decode
        except (ValueError, RecursionError) as error:
            bad_rows.refuse(f"{path}:{number}: not JSON: {error} ({bad_rows.shown(line)})", skipped)
            continue
        if end != len(line):
            bad_rows.refuse(f"{path}:{number}: more than one value ({bad_rows.shown(line)})", skipped)
        elif type(record) is not dict:
            bad_rows.refuse(f"{path}:{number}: not an object but {kind_of(record)}", skipped)
        else:
            yield number, line, record


def kind_of(value: Any) -> str:
    """A value of JSON in words, for messages."""
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "a list"
    return bad_rows.shown(value if isinstance(value, Number) else json.dumps(value))


def printable(value: str) -> str:
    """A string of JSON without NULs and halves of surrogate pairs."""
    joined = value.replace("\0", "\ufffd").encode("utf-16-le", "surrogatepass")
    return joined.decode("utf-16-le", "replace")
