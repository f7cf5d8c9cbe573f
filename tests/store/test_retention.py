"""Tests of hubpipe.store.retention."""

import hypothesis
import pytest
from hypothesis import strategies

from hubpipe import errors
from hubpipe.store import retention

NUMBERS = strategies.sets(strategies.integers(1, 30))


@pytest.mark.parametrize(
    ("versions", "keep_latest", "protected", "expected"),
    [
        ([], 1, (), []),
        ([1, 2, 3], 5, (), []),
        ([1, 2, 3], 3, (), []),
        ([1, 2, 3, 4], 2, (), [1, 2]),
        ([10, 9, 1, 2], 1, (), [1, 2, 9]),
        ([1, 2, 3, 4], 1, {2, 99, None}, [1, 3]),
    ],
)
def test_the_newest_and_the_protected_stay(versions, keep_latest, protected, expected):
    assert retention.to_delete(versions, keep_latest=keep_latest, protected=protected) == expected


@hypothesis.given(NUMBERS, strategies.integers(1, 9), NUMBERS)
def test_what_stays_is_enough(versions, keep_latest, protected):
    stay = versions - set(retention.to_delete(sorted(versions), keep_latest=keep_latest, protected=protected))
    assert stay == set(sorted(versions)[-keep_latest:]) | (versions & protected)


@pytest.mark.parametrize("keep_latest", [0, -1])
def test_keeping_nothing_is_refused(keep_latest):
    with pytest.raises(errors.StoreError, match=f"keep_latest is {keep_latest}; at least 1 version must be kept"):
        retention.to_delete([1, 2], keep_latest=keep_latest, protected=())
