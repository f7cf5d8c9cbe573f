"""Tests of hubpipe.compat.deprecations."""

import logging
import os
import warnings

import pytest
import tensorflow as tf

import hubpipe
from hubpipe.compat import deprecations

MESSAGE = "From %s: %s (from %s) is deprecated and will be removed %s.\nInstructions for updating:\n%s"


def _passes(caller, symbol="old_function"):
    args = (caller, symbol, "tensorflow.python.old", "in a future version", "Use new_function.")
    record = logging.LogRecord("tensorflow", logging.WARNING, "deprecation.py", 1, MESSAGE, args, None)
    return deprecations.InternalDeprecations().filter(record)


@pytest.mark.parametrize("package", [tf, hubpipe])
def test_calls_of_tensorflow_and_hubpipe_are_dropped(package):
    assert not _passes(os.path.join(os.path.dirname(package.__file__), "some", "file.py") + ":12")


def test_calls_of_the_user_are_kept():
    assert _passes(f"{__file__}:12")
    assert _passes(os.path.dirname(tf.__file__) + "_of_the_user/file.py:12")


def test_traced_code_is_the_users_unless_the_symbol_is_private():
    assert _passes("/tmp/__autograph_generated_filex1.py:3")
    assert not _passes("/tmp/__autograph_generated_filex1.py:3", "_private")


@pytest.mark.parametrize(
    ("message", "args"), [("x is deprecated", ()), ("From %s: all is well", ("here",)), (3, ())]
)
def test_other_records_are_kept(message, args):
    record = logging.LogRecord("tensorflow", logging.WARNING, "file.py", 1, message, args, None)
    assert deprecations.InternalDeprecations().filter(record)


def test_the_filter_is_installed_once():
    deprecations.silence_internal()
    deprecations.silence_internal()
    filters = [known for known in tf.get_logger().filters if isinstance(known, deprecations.InternalDeprecations)]
    assert len(filters) == 1


def test_warnings_of_the_user_stay():
    with warnings.catch_warnings(record=True) as caught:
        warnings.resetwarnings()
        deprecations.silence_internal()
        warnings.warn("`tf.layers.dense` is deprecated and will be removed", UserWarning, stacklevel=1)
        warnings.warn("`mine` is deprecated", UserWarning, stacklevel=1)
        warnings.warn("`tf.layers.mine` is deprecated", DeprecationWarning, stacklevel=1)
    messages = [str(warning.message) for warning in caught]
    assert messages == ["`mine` is deprecated", "`tf.layers.mine` is deprecated"]
