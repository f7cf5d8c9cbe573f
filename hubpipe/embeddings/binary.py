"""Embedding files of word2vec's binary kind: a header, then for each token its bytes, a space and its numbers."""

from collections.abc import Iterator

import numpy as np

from hubpipe.embeddings import bad_lines, header, text
from hubpipe.embeddings import source as source_lib

_MAX_TOKEN_BYTES = 1 << 16
_FLOAT = np.dtype("<f4")


def read(
    source: source_lib.Source, head: header.Header, bad: bad_lines.BadLines, *, block_bytes: int = text.BLOCK_BYTES
) -> Iterator[text.Batch]:
    """Yields the good entries of a file; see text.read. It ends after as many as the header says."""
    entry, rest = 1, b""
    while data := source.read(block_bytes):
        data = rest + data
        found, end = _entries(data, head.dim, head.declared - entry + 1)
        yield _batch(found, entry, bad, head.dim)
        entry += len(found)
        rest = data[end:]
        if entry > head.declared or len(rest) > _MAX_TOKEN_BYTES + head.dim * _FLOAT.itemsize:
            break
    where = f"entry {entry}"
    if source.damage:
        bad.add(where, source.damage)
    elif entry > head.declared:
        if rest.strip() or source.read(1).strip():
            bad.add(where, f"more data, the header says that there are {head.declared} entries")
    elif rest.strip():
        bad.add(where, f"the file ends inside of it, or its token has more than {_MAX_TOKEN_BYTES} bytes")


def _entries(data: bytes, dim: int, count: int) -> tuple[list[tuple[bytes, np.ndarray]], int]:
    """The whole entries at the beginning of some bytes, at most `count`, and where they end."""
    found: list[tuple[bytes, np.ndarray]] = []
    end = 0
    while len(found) < count:
        space = data.find(b" ", end, end + _MAX_TOKEN_BYTES)
        if space < 0 or len(data) - space - 1 < dim * _FLOAT.itemsize:
            break
        token = data[end:space].removeprefix(b"\n")  # word2vec ends each entry with one, others do not
        found.append((token, np.frombuffer(data, _FLOAT, dim, space + 1)))
        end = space + 1 + dim * _FLOAT.itemsize
    return found, end


def _batch(
    found: list[tuple[bytes, np.ndarray]], first_entry: int, bad: bad_lines.BadLines, dim: int
) -> text.Batch:
    tokens, vectors, entries = [], [], []
    for entry, (token, vector) in enumerate(found, start=first_entry):
        problem = _problem(token)
        if problem:
            bad.add(f"entry {entry}", problem)
            continue
        tokens.append(token.decode())
        vectors.append(vector)
        entries.append(entry)
    batch = text.Batch(tokens, np.array(vectors, np.float32).reshape(-1, dim), np.array(entries, np.int64))
    finite = np.isfinite(batch.vectors).all(axis=1)
    for index in np.flatnonzero(~finite):
        name = bad_lines.shown(tokens[index])
        bad.add(f"entry {entries[index]}", f"a number of the token {name} is not finite")
    return batch if finite.all() else text.selected(batch, finite)


def _problem(token: bytes) -> str | None:
    if not token:
        return "the token is empty"
    try:
        token.decode()
    except UnicodeDecodeError:
        return f"the token {bad_lines.shown(token)} is not UTF-8"
    return None
