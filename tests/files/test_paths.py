"""Tests of hubpipe.files.paths."""

import os
import pathlib
import re

import hypothesis
import pytest
from hypothesis import strategies

from hubpipe import errors
from hubpipe.files import paths


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("vocab.txt", "/m/assets/vocab.txt"),
        ("sub/vocab.txt", "/m/assets/sub/vocab.txt"),
        ("./sub//vocab.txt", "/m/assets/sub/vocab.txt"),
        ("..vocab", "/m/assets/..vocab"),
        ("sub/", "/m/assets/sub"),
    ],
)
def test_inside_joins(name, expected):
    assert paths.inside("/m/assets", name) == expected


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("", "names nothing"),
        (".", "names nothing"),
        ("/", "names nothing"),
        ("/etc/passwd", "is absolute"),
        ("..", "has a '..' part"),
        ("../assets_evil/x", "has a '..' part"),
        ("sub/../../x", "has a '..' part"),
        ("sub/..", "has a '..' part"),
        ("..\\x", "has a backslash"),
        ("C:\\x", "has a backslash"),
        ("vocab.txt\0.png", "has a NUL"),
    ],
)
def test_inside_refuses(name, problem):
    with pytest.raises(errors.FormatError, match=re.escape(f"/m/assets: the name {name!r} {problem}; accepted")):
        paths.inside("/m/assets", name)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/m/text", "/m/text"),
        (pathlib.Path("/m/text"), "/m/text"),
        ("text", "text"),
        ("file:///m/text", "/m/text"),
        ("ram:///m/text", None),
        ("gs://bucket/text", None),
    ],
)
def test_local(path, expected):
    assert paths.local(path) == expected


@hypothesis.given(strategies.lists(strategies.sampled_from(["..", ".", "", "a", "/", "\\", "\0"])).map("/".join))
def test_nothing_leads_out(name):
    try:
        joined = paths.inside("/m/assets", name)
    except errors.FormatError:
        return
    assert os.path.normpath(joined) == joined
    assert joined.startswith("/m/assets/")
