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


def _scored(number, run_id, value, higher_is_better=True):
    return retention.Scored(number, run_id, value, higher_is_better)


@pytest.mark.parametrize(
    ("scored", "keep_runs", "expected"),
    [
        ([], None, set()),
        ([_scored(1, "a", 0.5), _scored(2, "a", 0.7), _scored(3, "a", 0.6)], None, {2}),
        ([_scored(1, "a", 0.5, False), _scored(2, "a", 0.7, False)], None, {1}),
        ([_scored(2, "a", 0.7), _scored(1, "a", 0.7)], None, {1}),
        ([_scored(1, "a", 0.9), _scored(2, "b", 0.5), _scored(3, "b", 0.4)], None, {1, 2}),
        ([_scored(1, "a", 0.9), _scored(2, "b", 0.5), _scored(3, "c", 0.4)], 2, {2, 3}),
        ([_scored(1, "a", 0.9), _scored(2, "b", 0.5), _scored(3, "a", 0.4)], 1, {1}),
    ],
)
def test_the_best_of_each_run(scored, keep_runs, expected):
    assert retention.best_of_runs(scored, keep_runs=keep_runs) == expected


@hypothesis.given(
    strategies.lists(strategies.tuples(strategies.sampled_from("ab"), strategies.integers(0, 3)), max_size=12),
    strategies.booleans(),
)
def test_no_version_of_a_run_is_better_than_its_best(results, higher_is_better):
    scored = [_scored(number, run, value, higher_is_better) for number, (run, value) in enumerate(results, 1)]
    best = retention.best_of_runs(scored, keep_runs=None)
    for run in {version.run_id for version in scored}:
        values = {version.number: version.value for version in scored if version.run_id == run}
        (number,) = best & values.keys()
        wanted = max(values.values()) if higher_is_better else min(values.values())
        assert number == min(other for other, value in values.items() if value == wanted)


def test_keeping_no_run_is_refused():
    with pytest.raises(errors.StoreError, match="keep_runs is 0; the best of at least 1 run must be kept"):
        retention.best_of_runs([], keep_runs=0)
