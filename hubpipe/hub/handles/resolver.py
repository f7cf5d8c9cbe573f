"""Module handles to local directories."""

import os
from collections.abc import Callable

import tensorflow as tf

from hubpipe import errors
from hubpipe.files import paths
from hubpipe.hub.handles import archive, cache, download

_ARCHIVE_SUFFIXES = (".tar", ".tar.gz", ".tgz")


def resolve(handle: str | bytes | os.PathLike[str]) -> str:
    """The directory that a handle leads to.

    A module at a URL, or in an archive, is unpacked once into the cache that hubpipe shares with tensorflow_hub:
    TFHUB_CACHE_DIR, or <temporary directory>/tfhub_modules.

    Args:
        handle: a directory, or an archive named *.tar, *.tar.gz or *.tgz, of any file system TensorFlow knows;
            or a URL, http:// or https://, that serves an archive when asked with ?tf-hub-format=compressed.
    Returns:
        path of the directory: `handle` itself, without file:// and with ~ replaced, or its place in the cache.
    Raises:
        HandleError: there is none, or it cannot be read, downloaded or stored.
        FormatError: the archive is broken, or holds what no module should.
    """
    handle = os.fsdecode(handle)
    if handle.startswith(("http://", "https://")):
        return _cached(handle, handle, download.fetch)
    local = paths.local(handle)
    path = handle if local is None else os.path.expanduser(local)
    is_archive = path.endswith(_ARCHIVE_SUFFIXES)
    try:
        if is_archive and local is None:
            return _cached(path, path, _copy)
        if not tf.io.gfile.exists(path):
            raise errors.HandleError(f"{path or repr(path)} does not exist.")
        if is_archive and not os.path.isdir(path):
            return _cached(_archive_key(path), path, _copy)
    except tf.errors.OpError as error:
        raise errors.HandleError(f"{path} cannot be read: {error.message}") from error
    return path


def _archive_key(path: str) -> str:
    """What the cache knows a local archive by; one that is overwritten is another."""
    status = os.stat(path)
    return f"file://{os.path.abspath(path)}#{status.st_size}-{status.st_mtime_ns}"


def _cached(key: str, source: str, fetch: Callable[[str, str], None]) -> str:
    """The module in the archive that `fetch` brings from `source` to a local path."""

    def unpacked(staging: str) -> str:
        archive_path, module_dir = os.path.join(staging, "archive"), os.path.join(staging, "module")
        fetch(source, archive_path)
        if not archive.is_archive(archive_path):
            raise errors.HandleError(
                f"{source} does not appear to be a valid module: what it leads to is not a tar archive."
            )
        os.mkdir(module_dir)
        archive.unpack(archive_path, module_dir, where=source)
        os.remove(archive_path)
        return module_dir

    return cache.get(key, unpacked)


def _copy(path: str, archive_path: str) -> None:
    with tf.io.gfile.GFile(path, "rb") as source:
        download.save(source, archive_path, total_bytes=tf.io.gfile.stat(path).length, where=path)
