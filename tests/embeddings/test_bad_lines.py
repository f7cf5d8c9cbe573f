"""Tests of hubpipe.embeddings.bad_lines."""

import pytest

from hubpipe import errors
from hubpipe.embeddings import bad_lines


def test_an_error_names_ten_and_counts_the_others():
    bad = bad_lines.BadLines("a.txt", skip=False)
    bad.settle()
    for line in range(1, 13):
        bad.add(f"line {line}", "it is empty")
    with pytest.raises(errors.InputError) as error:
        bad.settle()
    lines = str(error.value).splitlines()
    assert lines[0] == "a.txt: line 1: it is empty"
    assert lines[9:] == [
        "a.txt: line 10: it is empty",
        "a.txt: and 2 more",
        "To leave such lines out and count them, use --bad_lines=skip (in a config: bad_lines: skip).",
    ]


def test_skipped_lines_are_counted():
    bad = bad_lines.BadLines("a.txt", skip=True)
    bad.add("line 3", "it is empty")
    bad.settle()
    assert (bad.count, bad.shown) == (1, ["line 3: it is empty"])


def test_words_are_shown_shortened_and_readable():
    assert bad_lines.shown(b"\xffa") == r"'\\xffa'"
    assert bad_lines.shown("x" * 100) == "'" + "x" * 60 + "...'"
