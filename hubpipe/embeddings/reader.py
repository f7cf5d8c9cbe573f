"""Embedding files of every kind -> (tokens, vectors), each token once."""

import os
from collections.abc import Callable, Iterator

import numpy as np

from hubpipe import errors
from hubpipe.embeddings import bad_lines, binary, header, text
from hubpipe.embeddings import source as source_lib

KINDS = {header.TEXT: text.read, header.BINARY: binary.read}
# What a vocabulary file, one token per line, cannot hold: TensorFlow's reader of lines drops both.
_LINE_ENDS = ("\n", "\r")


class Reader:
    """One embedding file, read once from its beginning to its end.

    Of what was read only the tokens stay in memory, to find those that occur twice: less than the lookup table of
    whoever uses the module.

    Attributes:
        kind: "text" or "binary".
        dim: numbers per token.
        count: tokens that were read so far.
        bad: the lines that were not.
    """

    def __init__(self, path: str | os.PathLike, *, kind: str | None = None, skip_bad_lines: bool = False):
        """Opens the file and looks at its beginning.

        Args:
            path: the file, possibly packed by gzip.
            kind: one of KINDS; None to find out.
            skip_bad_lines: whether bad lines are left out and counted; if not, they are errors.
        Raises:
            InputError: no file, or not an embedding file; a binary file without a header.
        """
        self._path = os.fspath(path)
        self.count = 0
        self.bad = bad_lines.BadLines(path, skip=skip_bad_lines)
        self._source = source_lib.Source(path)
        try:
            head = header.parse(self._source.peek(header.HEAD_BYTES), self._path)
            self.kind = kind or head.kind
            if self.kind == header.BINARY and head.declared is None:
                raise errors.InputError(
                    f"{self._path}: line 1: a binary file begins with the number of tokens and of their numbers."
                )
        except BaseException:
            self.close()
            raise
        self._header = head
        self.dim = head.dim

    def __enter__(self) -> "Reader":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the file."""
        self._source.__exit__()

    @property
    def size(self) -> int:
        """Bytes of the file on disk."""
        return self._source.size

    def batches(self, progress: Callable[[int], None] = lambda position: None) -> Iterator[text.Batch]:
        """Yields the tokens with their vectors, in the order of the file; called once.

        Args:
            progress: called after each batch with the number of bytes that have been read.
        Raises:
            InputError: bad lines, if they are not skipped; nothing but bad lines.
        """
        self._source.read(self._header.size)
        known: set[str] = set()
        for batch in KINDS[self.kind](self._source, self._header, self.bad):
            batch = self._distinct(batch, known)
            self.bad.settle()
            self.count += len(batch.tokens)
            progress(self._source.position)
            if batch.tokens:
                yield batch
        self._check_count()

    def _distinct(self, batch: text.Batch, known: set[str]) -> text.Batch:
        """Leaves out tokens that were there before, or that no vocabulary holds; adds the others to `known`."""
        size = len(known) + len(batch.tokens)
        joined = "".join(batch.tokens)
        has_line_ends = any(end in joined for end in _LINE_ENDS)
        if not has_line_ends and known.isdisjoint(batch.tokens):
            known.update(batch.tokens)
            if len(known) == size:
                return batch
            known.difference_update(batch.tokens)
        chosen = np.array([self._is_new(*row, known) for row in zip(batch.tokens, batch.lines, strict=True)], bool)
        return text.selected(batch, chosen)

    def _is_new(self, token: str, line: int, known: set[str]) -> bool:
        where = f"{'line' if self.kind == header.TEXT else 'entry'} {line}"
        if any(end in token for end in _LINE_ENDS):
            self.bad.add(where, f"the token {bad_lines.shown(token)} has a line end in it")
            return False
        if token in known:
            self.bad.add(where, f"the token {bad_lines.shown(token)} occurs a second time")
            return False
        known.add(token)
        return True

    def _check_count(self) -> None:
        declared = self._header.declared
        if declared is not None and not self.bad.count and declared != self.count:
            self.bad.add("line 1", f"the header says {declared} tokens, the file has {self.count}")
        self.bad.settle()
        if not self.count:
            raise self.bad.error(f"{self._path}: no line is a token with {self.dim} numbers.")
