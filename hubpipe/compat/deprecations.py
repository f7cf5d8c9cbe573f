"""Silences TensorFlow's warnings about its own code; warnings about the user's code stay."""

import importlib.util
import logging
import os
import warnings

import tensorflow as tf

# Packages whose calls of deprecated functions are not the user's to mend.
_INTERNAL_PACKAGES = ("tensorflow", "tensorflow_estimator", "tf_keras", "keras")


class InternalDeprecations(logging.Filter):
    """Drops "From FILE: X is deprecated" records whose FILE belongs to TensorFlow or to hubpipe.

    The records of tensorflow/python/util/deprecation.py carry the caller's file and line in args[0].
    """

    def __init__(self):
        super().__init__()
        self._roots = tuple(_package_roots())

    def filter(self, record: logging.LogRecord) -> bool:
        message = record.msg if isinstance(record.msg, str) else ""
        if not (message.startswith("From %s: ") and "deprecated" in message and record.args):
            return True
        caller, symbol = str(record.args[0]), str(record.args[1])
        if os.path.basename(caller).startswith("__autograph_generated_file"):
            return not symbol.startswith("_")  # private symbols are called by TensorFlow's own traced code
        return not caller.startswith(self._roots)


def _package_roots() -> list[str]:
    specs = (importlib.util.find_spec(name) for name in (*_INTERNAL_PACKAGES, "hubpipe"))
    folders = (folder for spec in specs if spec for folder in spec.submodule_search_locations or ())
    return [os.path.join(folder, "") for folder in folders]


def silence_internal() -> None:
    """Installs the filter on TensorFlow's logger, once."""
    logger = tf.get_logger()
    if not any(isinstance(known, InternalDeprecations) for known in logger.filters):
        logger.addFilter(InternalDeprecations())
    warnings.filterwarnings("ignore", message=r"`tf\.layers\.\w+` is deprecated", category=UserWarning)
