"""Tests of hubpipe.embeddings.header."""

import re

import numpy as np
import pytest

from hubpipe import errors
from hubpipe.embeddings import header

NUMBERS = np.array([0.25, -1.5, 3e-9], "<f4").tobytes()


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (b"the 0.1 -2 3e-1\na 1 2 3\n", header.Header("text", 3, None, 0, 0)),
        (b"\xef\xbb\xbfthe 0.1 -2\n", header.Header("text", 2, None, 3, 0)),
        (b"the\t0.1\t-2\r\n", header.Header("text", 2, None, 0, 0)),
        (b"at name@domain.com 0.1 -2\n", header.Header("text", 2, None, 0, 0)),
        (b"7 0.1 -2", header.Header("text", 2, None, 0, 0)),
        (b"1762 3\nthe 0.1 -2 3\n", header.Header("text", 3, 1762, 7, 1)),
        (b"1762\t3 \r\nthe 0.1 -2 3\r\n", header.Header("text", 3, 1762, 9, 1)),
        (b"12 1\nthe 0.1\n", header.Header("text", 1, 12, 5, 1)),
        (b"12 7\nthe 0.1\n", header.Header("text", 1, None, 0, 0)),  # the token "12"
        (b"2 3\nthe " + NUMBERS + b"\na " + NUMBERS, header.Header("binary", 3, 2, 4, 1)),
        (b"2 3\nthe " + NUMBERS + b"a " + NUMBERS, header.Header("binary", 3, 2, 4, 1)),
        (b"2 3\n\xe4\xb8\xad 0.1 -2 3\n", header.Header("text", 3, 2, 4, 1)),
    ],
)
def test_kinds(head, expected):
    assert header.parse(head, "x") == expected


@pytest.mark.parametrize(
    ("head", "message"),
    [
        (b"\n", "line 1: '' has 0 numbers at its end"),
        (b"<html>\n<body>\n", "line 1: '<html>' has 0 numbers at its end"),
        (b"0.5\n", "line 1: '0.5' has 0 numbers at its end"),
        (b"0 50\nthe 1 2\n", "line 1: 0 tokens with 50 numbers each"),
        (b"5 0\nthe\n", "line 1: 5 tokens with 0 numbers each"),
        (b"5 65537\nthe\n", "accepted are 1 or more tokens, 1 to 65536 numbers"),
    ],
)
def test_no_embedding_file(head, message):
    with pytest.raises(errors.InputError, match=re.escape(message)):
        header.parse(head, "x")


@pytest.mark.parametrize("word", [b"1", b"-1.5e-7", b"+.5", b"5.", b"nan"])
def test_numbers(word):
    assert header.is_number(word)


@pytest.mark.parametrize("word", [b"1_000", b"0x10", b"1,5", b"", b"\xd9\xa1", b"1.5f"])
def test_no_numbers(word):
    assert not header.is_number(word)
