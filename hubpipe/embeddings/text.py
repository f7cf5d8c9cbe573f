"""Embedding files of text: a line is a token and its numbers, with spaces or tabs between them.

Blocks in which every line is as it should be are parsed by polars, two at a time. The others are parsed line by
line by the same rules, which give the same numbers: each is rounded to float64 and then to float32, as float() and
NumPy do.
"""

import collections
import concurrent.futures
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import polars as pl

from hubpipe import errors
from hubpipe.embeddings import bad_lines, header
from hubpipe.embeddings import source as source_lib

BLOCK_BYTES = 8 << 20
_BLOCKS_AT_ONCE = 2  # in memory besides the one that is parsed already
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


class _Block(NamedTuple):
    """Whole lines, each ended.

    Attributes:
        data: their bytes.
        first_line: number of the first.
        num_lines: how many.
    """

    data: bytes
    first_line: int
    num_lines: int


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
    with concurrent.futures.ThreadPoolExecutor(_BLOCKS_AT_ONCE, thread_name_prefix="hubpipe-parse") as pool:
        parsed: collections.deque[tuple[_Block, concurrent.futures.Future[Batch | None]]] = collections.deque()
        for block in _blocks(source, block_bytes, next_line):
            next_line = block.first_line + block.num_lines
            parsed.append((block, pool.submit(_parse_block, block, head.dim)))
            if len(parsed) > _BLOCKS_AT_ONCE:
                yield _result(*parsed.popleft(), head.dim, bad)
        while parsed:
            yield _result(*parsed.popleft(), head.dim, bad)
    if source.damage:
        bad.add(f"line {next_line}", source.damage)


def _result(
    block: _Block, parsed: "concurrent.futures.Future[Batch | None]", dim: int, bad: bad_lines.BadLines
) -> Batch:
    return parsed.result() or _parse_lines(block, dim, bad)


def _blocks(source: source_lib.Source, block_bytes: int, next_line: int) -> Iterator[_Block]:
    """The lines from `next_line` on; a last one without an end counts, unless the data is damaged there.

    Raises:
        InputError: a line is longer than any embedding.
    """
    rest = b""
    while data := source.read(block_bytes):
        end = data.rfind(b"\n") + 1
        if end:
            yield (block := _block(b"".join([rest, memoryview(data)[:end]]), next_line))
            next_line += block.num_lines
            rest = b""
        rest += data[end:]
        if len(rest) > _MAX_LINE_BYTES:
            raise errors.InputError(
                f"{source.path}: line {next_line} has more than {_MAX_LINE_BYTES} bytes; no embedding file has."
            )
    if rest and not source.damage:
        yield _block(rest + b"\n", next_line)


def _block(lines: bytes, first_line: int) -> _Block:
    data = _normalized(lines)
    return _Block(data, first_line, _num_lines(data))


def _num_lines(data: bytes) -> int:
    return int(np.count_nonzero(np.frombuffer(data, np.uint8) == ord("\n")))  # ten times faster than bytes.count


def _normalized(data: bytes) -> bytes:
    """The same lines with one kind of separator and of line end, and no separator there if all have one."""
    if b"\r" in data:
        data = data.replace(b"\r\n", b"\n")
    if b"\t" in data:
        data = data.replace(b"\t", b" ")
    if data[: data.index(b"\n")].endswith(b" "):
        data = data.replace(b" \n", b"\n")
    return data


def _parse_block(block: _Block, dim: int) -> Batch | None:
    """Parses a block; None if not every line of it is a token and its numbers, with single spaces between them."""
    if block.data.startswith(header.BOM) or b"\r" in block.data:  # polars drops them
        return None
    schema = {_TOKEN: pl.String, **{str(column): pl.Float64 for column in range(dim)}}
    try:
        table = pl.read_csv(block.data, has_header=False, separator=" ", quote_char=None, schema=schema)
    except pl.exceptions.PolarsError:
        return None
    if table.height != block.num_lines or any(column.null_count() for column in table.iter_columns()):
        return None
    vectors = _rounded(table[:, 1:].to_numpy())
    if not np.isfinite(vectors).all():
        return None
    lines = np.arange(block.first_line, block.first_line + block.num_lines)
    return Batch(table[_TOKEN].to_list(), vectors, lines)


def _parse_lines(block: _Block, dim: int, bad: bad_lines.BadLines) -> Batch:
    tokens, vectors, lines = [], [], []
    for number, line in enumerate(block.data.split(b"\n")[:-1], start=block.first_line):
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
