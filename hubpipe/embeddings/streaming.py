"""An embedding file to the files of a module's values, while it is read; imports no TensorFlow."""

import concurrent.futures
import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from typing import NamedTuple

import google_crc32c

from hubpipe.embeddings import reader as reader_lib
from hubpipe.embeddings import text
from hubpipe.files import bundle_entry, tensor_bundle

VOCABULARY_FILE = "tokens.txt"
VALUES_PREFIX = "values"


class Stored(NamedTuple):
    """The values of a module on disk.

    Attributes:
        vocabulary_path: the tokens, one per line.
        bundle: one float32 [tokens + oov_buckets, dim], of which the last rows are zeros.
        size: number of tokens.
    """

    vocabulary_path: str
    bundle: tensor_bundle.Bundle
    size: int


def store(
    batches: Iterator[text.Batch], directory: str, *, variable: str, dim: int, oov_buckets: int
) -> Stored:
    """Writes tokens and vectors; only one batch is in memory.

    Args:
        batches: the tokens, each once, and their vectors.
        directory: where to write to; it exists.
        variable: name of the tensor.
        dim: numbers per token.
        oov_buckets: how many rows of zeros to add.
    """
    vocabulary_path = os.path.join(directory, VOCABULARY_FILE)
    prefix = os.path.join(directory, VALUES_PREFIX)
    size = 0
    with (
        open(vocabulary_path, "x", encoding="utf-8", newline="\n") as vocabulary,
        tensor_bundle.Stream(prefix, google_crc32c.extend) as stream,
    ):
        for batch in batches:
            vocabulary.write("".join([f"{token}\n" for token in batch.tokens]))
            stream.write(batch.vectors.astype("<f4", copy=False).tobytes())
            size += len(batch.tokens)
        stream.write(bytes(4 * dim * oov_buckets))
        bundle = stream.finish(variable, bundle_entry.FLOAT32, (size + oov_buckets, dim))
    return Stored(vocabulary_path, bundle, size)


class Streaming(NamedTuple):
    """A file that is being read by another thread.

    Attributes:
        first: its first batch.
        stored: all of it.
    """

    first: "concurrent.futures.Future[text.Batch]"
    stored: "concurrent.futures.Future[Stored]"


@contextlib.contextmanager
def started(
    reader: reader_lib.Reader,
    directory: str,
    *,
    variable: str,
    oov_buckets: int,
    progress: Callable[[int], None],
) -> Iterator[Streaming]:
    """Reads and stores a file on a thread of its own while the block runs, which may import TensorFlow meanwhile.

    Where the block fails, reading ends with the batch in hand.

    Args:
        reader: the file.
        directory, variable, oov_buckets: see store.
        progress: called with the number of bytes that have been read.
    """
    first: concurrent.futures.Future[text.Batch] = concurrent.futures.Future()
    stop = threading.Event()

    def batches() -> Iterator[text.Batch]:
        for batch in reader.batches(progress):
            if stop.is_set():
                raise concurrent.futures.CancelledError
            if not first.done():
                first.set_result(batch)
            yield batch

    def run() -> Stored:
        try:
            return store(batches(), directory, variable=variable, dim=reader.dim, oov_buckets=oov_buckets)
        except BaseException as error:
            if not first.done():
                first.set_exception(error)
            raise

    with concurrent.futures.ThreadPoolExecutor(1, thread_name_prefix="hubpipe-embeddings") as threads:
        try:
            yield Streaming(first, threads.submit(run))
        finally:
            stop.set()
