"""hubpipe.inputs.unicode"""

import collections

import pytest

from hubpipe import errors
from hubpipe.inputs import unicode


def test_rows_of_a_known_character():
    (row,) = [row for split in unicode.SPLITS for row in unicode.read_table(split) if row[0] == str(ord("½"))]
    assert dict(zip(unicode.COLUMNS, row, strict=True)) == {
        "code_point": "189",
        "first_word": "VULGAR",
        "bidirectional": "ON",
        "width": "A",
        "mirrored": "no",
        "combining": "0",
        "decomposition": "<fraction>",
        "parts": "3",
        "value": "0.5",
        "label": "No",
    }


def test_splits_are_disjoint_and_have_the_same_labels():
    train, evaluation = (list(unicode.read_table(split)) for split in unicode.SPLITS)
    assert len(train) > 3 * len(evaluation) > 6000
    assert not {row[0] for row in train} & {row[0] for row in evaluation}
    counts = collections.Counter(row[-1] for row in (*train, *evaluation))
    assert {row[-1] for row in train} == {row[-1] for row in evaluation} == set(counts)
    assert min(counts.values()) >= 30


def test_some_values_are_missing():
    rows = list(unicode.read_table("eval"))
    decompositions = {row[unicode.COLUMNS.index("decomposition")] for row in rows}
    assert {"", "canonical", "<compat>"} <= decompositions


def test_an_unknown_split():
    with pytest.raises(errors.InputError) as caught:
        next(unicode.read_table("test"))
    assert str(caught.value) == "split 'test' is not one of train, eval"
