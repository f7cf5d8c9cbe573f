import pytest

from hubpipe.config import wording


@pytest.mark.parametrize(
    ("word", "expected"),
    [("dropuot", " (did you mean 'dropout'?)"), ("DROPOUT", " (did you mean 'dropout'?)"), ("zzz", "")],
)
def test_suggestion(word, expected):
    assert wording.suggestion(word, ["dropout", "batch_norm"]) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, "null"),
        (True, "true"),
        ("a", "'a'"),
        (1.5, "1.5"),
        ({"a": 1}, "a mapping"),
        ([1], "a list"),
        ("x" * 100, "'" + "x" * 56 + "..."),
    ],
)
def test_show(value, expected):
    assert wording.show(value) == expected


def test_lists():
    assert wording.known("keys", ["a", "b"]) == "Known keys: a, b"
    assert wording.either(["a"]) == "'a'"
    assert wording.either(["a", "b", "c"]) == "'a', 'b' or 'c'"
