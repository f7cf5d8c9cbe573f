"""Tests of hubpipe.gates.result."""

import pytest

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
