"""Whole files of any file system, in bounded time and memory."""

import os

import tensorflow as tf

from hubpipe import errors
from hubpipe.files import paths


def read_bytes(path: str, max_bytes: int) -> bytes:
    """The content of a file.

    Args:
        path: of a file on any file system that TensorFlow knows.
        max_bytes: the most that is accepted.
    Raises:
        FormatError: it is missing, no file, too large, or cannot be read.
    """
    try:
        status = tf.io.gfile.stat(path)
        # A pipe, say, that nobody writes to.
        if status.is_directory or (paths.local(path) is not None and not os.path.isfile(paths.local(path))):
            raise errors.FormatError(f"{path}: not a file.")
        if status.length > max_bytes:
            raise errors.FormatError(f"{path}: {status.length} bytes, accepted are {max_bytes}.")
        with tf.io.gfile.GFile(path, "rb") as file:
            return file.read()
    except tf.errors.NotFoundError as error:
        raise errors.FormatError(f"{path} does not exist.") from error
    except tf.errors.OpError as error:
        raise errors.FormatError(f"{path}: cannot be read: {error.message}") from error
