"""Embedding files of text: a line is a token and its numbers, with spaces or tabs between them.

Blocks in which every line is as it should be are parsed by polars. The others are parsed line by line by the same
rules, which give the same numbers: each is rounded to float64 and then to float32, as float() and NumPy do.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import polars as pl

from hubpipe import errors
from hubpipe.embeddings import bad_lines, header
from hubpipe.embeddings import source as source_lib

BLOCK_BYTES = 8 << 20
_MAX_LINE_BYTES = 16 << 20
_TOKEN = "token"


class Batch(NamedTuple):
    """Some lines of a file.

    Attributes:
        tokens: list of n.
        vectors: float32 [n, dim].
        lines: int64 [n], the line or entry of each, from 1.
    """

    tokens: list[str]
    vectors: np.ndarray
    lines: np.ndarray


def selected(batch: Batch, chosen: np.ndarray) -> Batch:
    """The lines of a batch for which `chosen`, bool [n], is true."""
    tokens = [token for token, is_chosen in zip(batch.tokens, chosen, strict=True) if is_chosen]
    return Batch(tokens, batch.vectors[chosen], batch.lines[chosen])


def read(
    source: source_lib.Source, head: header.Header, bad: bad_lines.BadLines, *, block_bytes: int = BLOCK_BYTES
) -> Iterator[Batch]:
    """Yields the good lines of a file.

    Args:
        source: the file, after its header.
        head: its header.
        bad: takes the others.
        block_bytes: what is parsed at once, about.
    Raises:
        InputError: a line is longer than any embedding.
    """
    next_line = head.lines + 1
    for block in _blocks(source, block_bytes):
        if not block.endswith(b"\n"):
            raise errors.InputError(
                f"{source.path}: line {next_line} has more than {_MAX_LINE_BYTES} bytes; no embedding file has."
            )
        block = _normalized(block)
        num_lines = _num_lines(block)
        batch = _parse_block(block, head.dim, next_line, num_lines)
        yield batch or _parse_lines(block, head.dim, next_line, bad)
        next_line += num_lines
    if source.damage:
        bad.add(f"line {next_line}", source.damage)


def _blocks(source: source_lib.Source, block_bytes: int) -> Iterator[bytes]:
    """Whole lines, each ended; a last one without an end counts, unless the data is damaged there.

    The last block is the beginning of a line if that is too long.
    """
    rest = b""
    while data := source.read(block_bytes):
        data = rest + data
        end = data.rfind(b"\n") + 1
        block, rest = data[:end], data[end:]
        if block:
            yield block
        if len(rest) > _MAX_LINE_BYTES:
            yield rest
            return
    if rest and not source.damage:
        yield rest + b"\n"


def _num_lines(block: bytes) -> int:
    return int(np.count_nonzero(np.frombuffer(block, np.uint8) == ord("\n")))  # ten times faster than bytes.count


def _normalized(block: bytes) -> bytes:
    """The same lines with one kind of separator and of line end, and no separator there if all have one."""
    if b"\r" in block:
        block = block.replace(b"\r\n", b"\n")
    if b"\t" in block:
        block = block.replace(b"\t", b" ")
    if block[: block.index(b"\n")].endswith(b" "):
        block = block.replace(b" \n", b"\n")
    return block


def _parse_block(block: bytes, dim: int, first_line: int, num_lines: int) -> Batch | None:
    """Parses a block; None if not every line of it is a token and its numbers, with single spaces between them."""
    if block.startswith(header.BOM) or b"\r" in block:  # polars drops them
        return None
    schema = {_TOKEN: pl.String, **{str(column): pl.Float64 for column in range(dim)}}
    try:
        table = pl.read_csv(block, has_header=False, separator=" ", quote_char=None, schema=schema)
    except pl.exceptions.PolarsError:
        return None
    if table.height != num_lines or any(column.null_count() for column in table.iter_columns()):
        return None
    vectors = _rounded(table.select(pl.exclude(_TOKEN)).to_numpy())
    if not np.isfinite(vectors).all():
        return None
    return Batch(table[_TOKEN].to_list(), vectors, np.arange(first_line, first_line + len(vectors)))


def _parse_lines(block: bytes, dim: int, first_line: int, bad: bad_lines.BadLines) -> Batch:
    tokens, vectors, lines = [], [], []
    for number, line in enumerate(block.split(b"\n")[:-1], start=first_line):
        try:
            token, vector = _parse_line(line, dim)
        except ValueError as error:
            bad.add(f"line {number}", str(error))
            continue
        tokens.append(token)
        vectors.append(vector)
        lines.append(number)
    return Batch(tokens, np.array(vectors, np.float32).reshape(-1, dim), np.array(lines, np.int64))


def _parse_line(line: bytes, dim: int) -> tuple[str, np.ndarray]:
    """Parses a line: the last words are the numbers, what stands before them is the token, spaces and all.

    Raises:
        ValueError: with what is wrong.
    """
    line = line.rstrip(b" ")
    words = [word for word in line.split(b" ") if word]
    if not words:
        raise ValueError("it is empty")
    num_columns, num_numbers = len(words) - 1, header.count_numbers(words)
    if len(words) == dim and line.startswith(b" "):
        raise ValueError("the token is empty")
    if num_columns < dim:
        raise ValueError(f"{num_columns} columns after the token, expected {dim}")
    if num_columns > dim and num_numbers > dim:  # else the first of these columns belong to the token
        raise ValueError(f"{min(num_columns, num_numbers)} numbers, expected {dim}")
    columns, token = words[-dim:], line.lstrip(b" ")
    for column in reversed(columns):
        token = token.removesuffix(column).rstrip(b" ")
    strange = next((column for column in columns if not header.is_number(column)), None)
    if strange is not None:
        raise ValueError(f"{bad_lines.shown(strange)} is not a number")
    vector = _rounded(np.array([float(column) for column in columns]))
    finite = np.isfinite(vector)
    if not finite.all():
        raise ValueError(f"{bad_lines.shown(columns[int(np.argmin(finite))])} is not a finite float32")
    try:
        return token.decode(), vector
    except UnicodeDecodeError:
        raise ValueError(f"the token {bad_lines.shown(token)} is not UTF-8") from None


def _rounded(numbers: np.ndarray) -> np.ndarray:
    """float64 -> float32, C order; what is too large for it becomes infinite."""
    with np.errstate(over="ignore"):
        return numbers.astype(np.float32, order="C")
