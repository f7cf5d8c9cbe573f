"""hubpipe.inputs.digits"""

import collections
import os
import sys

import pytest

from hubpipe import errors
from hubpipe.inputs import digits
from tests import needs


def test_every_digit_is_in_one_split():
    needs.scikit_learn()
    images = {split: list(digits.read_images(split)) for split in digits.SPLITS}
    assert {split: len(found) for split, found in images.items()} == {"train": 1438, "eval": 359}
    for found in images.values():
        assert sorted({label for label, _ in found}) == [str(digit) for digit in range(10)]
    counts = collections.Counter(label for found in images.values() for label, _ in found)
    assert (min(counts.values()), max(counts.values())) == (174, 183)
    assert not {content for _, content in images["train"]} & {content for _, content in images["eval"]}
    assert [os.path.isfile(file) for file in digits.files()] == [True]


def test_an_unknown_split():
    with pytest.raises(errors.InputError, match="split 'test' is not one of train, eval"):
        next(digits.read_images("test"))


def test_without_scikit_learn_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    for ask in (digits.files, lambda: next(digits.read_images("train"))):
        with pytest.raises(errors.InputError) as caught:
            ask()
        assert "\n" not in str(caught.value)
        assert str(caught.value).startswith("sample 'digits' needs scikit-learn (")
        assert str(caught.value).endswith("Install it: pip install 'hubpipe[samples]'")
