"""Tests of hubpipe.gates.result."""

import pytest
import tensorflow as tf

from hubpipe import errors
from hubpipe.gates import result


def test_a_problem_refuses():
    assert result.Result("gate", notes=["n"], advice=["a"]).passed
    assert not result.Result("gate", ["p"]).passed


def test_an_error_is_blamed_in_one_line():
    with pytest.raises(errors.FormatError) as caught, result.blamed("m cannot be read"):
        raise RuntimeError("first\n  second " + 500 * "x")
    assert str(caught.value).startswith("m cannot be read: RuntimeError: first second xxx")
    assert str(caught.value).endswith("xxx...")
    assert len(str(caught.value)) < 250


def test_an_error_of_hubpipe_says_what_it_says():
    with pytest.raises(errors.SignatureError) as caught, result.blamed("m cannot be read"):
        raise errors.SignatureError("no such signature")
    assert str(caught.value) == "no such signature"


@pytest.mark.parametrize(
    "error", [MemoryError(), tf.errors.ResourceExhaustedError(None, None, "OOM when allocating")]
)
def test_a_module_is_not_blamed_for_want_of_memory(error):
    outer, inner = result.blamed("outside"), result.blamed("m cannot be read")
    with pytest.raises(errors.ResourceError) as caught, outer, inner:
        raise error
    assert not isinstance(caught.value, errors.HubpipeError)
    assert str(caught.value).startswith(f"m cannot be read: {type(error).__name__}: ")
