"""The range of TensorFlow versions that hubpipe supports."""

import types

MIN_VERSION = (2, 15)
MAX_VERSION = (2, 22)  # the first one that is not supported


def check(tf: types.ModuleType) -> None:
    """Refuses a TensorFlow outside the supported range.

    Raises:
        ImportError: naming the version found.
    """
    version = tuple(int(part) for part in tf.__version__.split(".")[:2])
    if not MIN_VERSION <= version < MAX_VERSION:
        supported = f"tensorflow>={_text(MIN_VERSION)},<{_text(MAX_VERSION)}"
        raise ImportError(f"hubpipe needs {supported}, found tensorflow {tf.__version__}")


def of(tf: types.ModuleType) -> str:
    """The version of a TensorFlow, e.g. "2.15.1"."""
    return tf.__version__


def _text(version: tuple[int, int]) -> str:
    return f"{version[0]}.{version[1]}"
