"""The directory of downloaded modules, shared with tensorflow_hub: each finds what the other downloaded.

    <cache>/<sha1 of the handle>/                 a module; complete as soon as it has its name and is not empty
    <cache>/<sha1 of the handle>.descriptor.txt   for people: which handle, when, by whom

While one is downloaded there is what cache_lock describes.

Source: tensorflow_hub r0.15 resolver.py and compressed_module_resolver.py (the names).
"""

import contextlib
import datetime
import hashlib
import os
import socket
import tempfile
from collections.abc import Callable

from hubpipe import errors
from hubpipe.files import atomic, paths
from hubpipe.hub.handles import cache_lock

_CACHE_DIR = "TFHUB_CACHE_DIR"


def cache_dir() -> str:
    """TFHUB_CACHE_DIR, or <temporary directory>/tfhub_modules; it need not exist.

    Raises:
        HandleError: TFHUB_CACHE_DIR is not on the local file system.
    """
    configured = os.environ.get(_CACHE_DIR)
    if not configured:
        return os.path.join(tempfile.gettempdir(), "tfhub_modules")
    local = paths.local(configured)
    if local is None:
        raise errors.HandleError(
            f"{_CACHE_DIR} is {configured!r}, accepted is a local directory; a download must appear whole."
        )
    return os.path.abspath(local)


def entry(handle: str) -> str:
    """Where the module of a handle is, or will be."""
    return os.path.join(cache_dir(), hashlib.sha1(_encoded(handle)).hexdigest())


def get(handle: str, fetch: Callable[[str], str]) -> str:
    """The module of a handle, fetched unless it is there; of several processes one fetches, the others wait.

    Args:
        handle: the key, exactly as the user wrote it.
        fetch: is given an empty directory, puts the module into a subdirectory of it and returns that.
    Returns:
        path of the module's directory.
    Raises:
        HandleError: the cache directory cannot be used.
        Exception: any that `fetch` raises; nothing is left behind.
    """
    path = entry(handle)
    try:
        if _is_filled(path):
            return path
        atomic.make_dirs(os.path.dirname(path))
        with cache_lock.held(path) as staging:
            if not _is_filled(path):
                _publish(fetch(staging), path)
                _describe(handle, path)
    except errors.HubpipeError:
        raise
    except OSError as error:
        raise errors.HandleError(
            f"{handle}: the module cannot be stored in {os.path.dirname(path)}: {error}. "
            f"Set {_CACHE_DIR} to a directory with room that you may write to."
        ) from error
    return path


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _is_filled(path: str) -> bool:
    return os.path.isdir(path) and bool(os.listdir(path))


def _publish(module_dir: str, path: str) -> None:
    atomic.fsync_tree(module_dir)
    try:
        atomic.rename_dir(module_dir, path)
    except errors.ExportExistsError:
        if not _is_filled(path):  # else the lock was taken over, and the other process was faster
            raise


def _describe(handle: str, path: str) -> None:
    lines = [
        f"Module: {handle}",
        f"Download Time: {datetime.datetime.now()}",
        f"Downloader Hostname: {socket.gethostname()} (PID:{os.getpid()})",
    ]
    with contextlib.suppress(OSError):  # the module is there without it
        atomic.write_file(f"{path}.descriptor.txt", _encoded("\n".join(lines)))
