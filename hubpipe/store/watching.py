"""Following the current version of a module, for consumers that serve it."""

import contextlib
import os
import threading
from collections.abc import Iterator
from typing import Any

from absl import logging

from hubpipe import errors
from hubpipe.store import store


def watch(
    path: str | os.PathLike[str],
    *,
    poll_secs: float = 10.0,
    stop: threading.Event | None = None,
    leased: bool = True,
    gfile: Any = None,
) -> Iterator[store.Version]:
    """Yields the current version of a module, then each that becomes current.

        for version in store.watch("modules/docs-text"):
            serve(version.path)

    A version is yielded when all of its files have the digests of its manifest, so it is whole; one that is not is
    logged and passed over until current moves on. It is leased, so not deleted, until the consumer has had the
    next one and asks for more, or closes the iterator. Waits for the first version, and while the store cannot be
    read.

    Args:
        path: the folder of the module's versions, `<store>/<name>`.
        poll_secs: seconds from one look at the store to the next.
        stop: ends the iterator when set, at once.
        leased: False for readers that may not write to the store; retention may then delete what they use.
        gfile: as for Store.
    Yields:
        Version.
    Raises:
        StoreError: the path cannot be that of a module's versions.
    """
    root, name = os.path.split(os.fspath(path).rstrip("/"))
    versions = store.Store(root, name, gfile=gfile)
    stop = stop or threading.Event()
    looked_at, told, is_told = None, None, False
    in_use = coming = contextlib.ExitStack()
    try:
        while not stop.is_set():
            version = None
            coming = contextlib.ExitStack()
            try:
                number = versions.current_number()
                if number is None and not is_told:
                    logging.warning("%s: no version is current yet; looking every %g s", versions.path, poll_secs)
                    is_told = True
                if number not in (None, looked_at):
                    version = _taken(versions, number, leased, coming)
                    looked_at = number
                told = None
            except (errors.HubpipeError, OSError) as error:
                if str(error) != told:
                    logging.warning("%s looking again every %g s", f"{error}".rstrip(".") + ";", poll_secs)
                told = str(error)
            if version:
                yield version
                in_use.close()
                in_use = coming
            else:
                coming.close()
                stop.wait(poll_secs)
    finally:
        coming.close()
        in_use.close()


def _taken(
    versions: store.Store, number: int, leased: bool, leases: contextlib.ExitStack
) -> store.Version | None:
    """Returns the version if it is whole, then leased until `leases` is closed."""
    version = leases.enter_context(versions.lease(number)) if leased else versions.version(number)
    problems = version.problems()
    if problems:
        logging.error("%s: version %d is broken: %s", versions.path, number, problems[0])
        return None
    return version
