"""Imports TensorFlow fast, and without what its libraries log about the machine."""

import contextlib
import gc
import os
import re
import sys
import tempfile
from collections.abc import Iterator

# Information and warnings of the C++ log, written before TF_CPP_MIN_LOG_LEVEL is looked at, and what TensorFlow
# 2.17 to 2.19 call an error on machines without a GPU.
_CHATTER = re.compile(
    rb"WARNING: All log messages before absl::InitializeLog|[IW]\d{4} \d\d:\d\d:|[IW]0000 |"
    rb"E0000 .*\] Unable to register cu\w+ factory: "
)


def import_tensorflow() -> None:
    """Imports TensorFlow; what it writes to stderr meanwhile is shown without its chatter.

    The garbage collector does not look at what is alive then, neither during the import nor when Python ends:
    TensorFlow's half a million objects stay in any case, and searching them took two fifths of the time of both.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with _filtered_stderr(), _frozen_garbage():
        import tensorflow  # noqa: F401


@contextlib.contextmanager
def _frozen_garbage() -> Iterator[None]:
    """Collects no garbage meanwhile, and never any of what is there at the end."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was_enabled:
            gc.enable()


@contextlib.contextmanager
def _filtered_stderr() -> Iterator[None]:
    """Holds back what is written to the process's stderr, and shows it without chatter at the end."""
    sys.stderr.flush()
    stderr = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(stderr, 2)
            os.close(stderr)
            held.seek(0)
            lines = [line for line in held if not _CHATTER.match(line)]
            os.write(2, b"".join(lines))
