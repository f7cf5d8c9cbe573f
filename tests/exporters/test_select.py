"""Tests of hubpipe.exporters.select."""

import dataclasses
import json
import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubpipe import errors
from hubpipe.exporters import select

VALUES = st.one_of(st.floats(width=32), st.sampled_from([0.0, 0.5, 1.0, math.nan, math.inf, -math.inf]))
RECORD = select.Record("run", "accuracy", True)


def evaluation(step, value, **versions):
    return select.Evaluation(step, value, f"digest {step}", versions)


def recorded(*evaluations, record=RECORD):
    for item in evaluations:
        record = record.with_evaluation(item)
    return record


def selected(values, *, higher_is_better=True, min_improvement=0.0):
    """What an exporter records of values at steps 1, 2, ...: it exports what is better than the best before."""
    record = dataclasses.replace(RECORD, higher_is_better=higher_is_better)
    for step, value in enumerate(values, start=1):
        than = record.best and record.best.value
        better = record.is_better(value, than, min_improvement=min_improvement)
        record = record.with_evaluation(evaluation(step, value, **({"m": step} if better else {})))
    return record


@given(st.lists(VALUES), st.booleans())
def test_the_best_is_the_first_of_the_best_finite_values(values, higher_is_better):
    best = selected(values, higher_is_better=higher_is_better).best
    finite = [value for value in values if math.isfinite(value)]
    if not finite:
        assert best is None
    else:
        top = max(finite) if higher_is_better else min(finite)
        assert best.value == top
        assert best.step == 1 + values.index(top)


@given(st.lists(VALUES), st.booleans(), st.floats(0, 1))
def test_the_exported_only_get_better(values, higher_is_better, min_improvement):
    record = selected(values, higher_is_better=higher_is_better, min_improvement=min_improvement)
    exported = [item.value for item in record.history if item.versions]
    for before, after in zip(exported, exported[1:], strict=False):
        assert (after - before if higher_is_better else before - after) > min_improvement
    assert len(record.history) == len(values)


@given(st.lists(VALUES), st.booleans())
def test_negated_values_and_direction_select_the_same(values, higher_is_better):
    one = selected(values, higher_is_better=higher_is_better)
    other = selected([-value for value in values], higher_is_better=not higher_is_better)
    assert [bool(item.versions) for item in one.history] == [bool(item.versions) for item in other.history]


@given(st.lists(VALUES, min_size=1), st.data())
def test_a_rollback_leaves_no_trace_of_later_steps(values, data):
    record = selected(values)
    step = data.draw(st.integers(1, len(values)))
    again = record.with_evaluation(evaluation(step, 0.5))
    assert again.history[:-1] == record.history[: step - 1]
    assert again.history[-1].step == step
    assert len(record.up_to(step).history) == step


@given(st.lists(VALUES), st.booleans())
def test_a_record_is_read_as_it_was_written(tmp_path_factory, values, higher_is_better):
    record = selected(values, higher_is_better=higher_is_better)
    path = str(tmp_path_factory.mktemp("record") / "best.json")
    select.write(path, record)
    found = select.read(path)
    assert found.best == record.best
    assert dataclasses.replace(found, history=()) == dataclasses.replace(record, history=())
    for one, other in zip(found.history, record.history, strict=True):
        assert dataclasses.replace(one, value=0) == dataclasses.replace(other, value=0)
        assert one.value == other.value or not math.isfinite(other.value)


@given(st.lists(VALUES), st.integers(0, 30))
def test_a_crash_before_the_record_is_repaired_from_the_store(values, crash):
    whole = selected(values)
    published = [item for item in whole.history if item.versions]
    before = whole.up_to(crash)
    before = dataclasses.replace(
        before, highest={"m": max(item.step for item in before.history if item.versions)} if before.best else {}
    )
    existing = {"m": [item.versions["m"] for item in published]}
    repaired = before.reconciled(published, existing)
    assert repaired.best == whole.best
    assert repaired.reconciled(published, existing) == repaired


def test_ties_keep_the_earlier():
    assert selected([0.5, 0.5, 0.4, 0.5]).best.step == 1


def test_min_improvement_is_measured_from_the_exported_best():
    record = selected([0.50, 0.51, 0.52, 0.53], min_improvement=0.025)
    assert [item.step for item in record.history if item.versions] == [1, 4]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_neither_wins_nor_blocks(value):
    record = selected([value, 0.1, value])
    assert record.best.step == 2
    assert not RECORD.is_better(value, None)
    assert RECORD.is_better(-1.0, value)


def test_a_better_value_that_was_not_exported_is_not_the_best():
    assert recorded(evaluation(1, 0.5, m=1), evaluation(2, 0.9)).best.step == 1


def test_stale_evaluations():
    stale = [
        selected(values).stale_evaluations(min_improvement=0.05)
        for values in ([], [0.5], [0.5, 0.5], [0.5, 0.4, 0.54], [0.5, 0.4, 0.56], [0.5, math.nan], [math.nan] * 3)
    ]
    assert stale == [0, 0, 1, 2, 0, 1, 3]


def test_evaluated_knows_a_checkpoint_by_step_and_digest():
    record = recorded(evaluation(1, 0.5))
    assert record.evaluated(1, "digest 1").value == 0.5
    assert record.evaluated(1, "digest 2") is None
    assert record.evaluated(2, "digest 1") is None


def test_versions_deleted_by_hand_are_forgotten():
    record = recorded(evaluation(1, 0.5, m=1), evaluation(2, 0.6, m=2), evaluation(3, 0.7, m=3))
    found = record.reconciled([], {"m": [1, 2]})
    assert found.best.step == 2
    assert [item.step for item in found.history] == [1, 2, 3]
    assert found.highest == {"m": 3}
    assert record.reconciled([], {"m": []}).best is None


def test_a_deleted_version_does_not_come_back_from_its_manifest():
    record = recorded(evaluation(1, 0.5, m=1), evaluation(2, 0.6, m=2)).with_evaluation(evaluation(2, 0.4))
    assert record.reconciled([evaluation(2, 0.6, m=2)], {"m": [1, 2]}).best.step == 1


def test_two_modules_stand_and_fall_together():
    record = recorded(evaluation(1, 0.5, a=1, b=1), evaluation(2, 0.6, a=2, b=2))
    assert record.reconciled([], {"a": [1, 2], "b": [1]}).best.step == 1
    assert record.highest == {"a": 2, "b": 2}
    later = evaluation(3, 0.7, a=4, b=3)
    assert record.reconciled([later], {"a": [1, 2, 3, 4], "b": [1, 2, 3]}).best == later


def test_best_is_written_for_people(tmp_path):
    path = str(tmp_path / "best.json")
    select.write(path, recorded(evaluation(1, 0.5, m=1), evaluation(2, math.nan)))
    contents = json.loads((tmp_path / "best.json").read_text())
    assert contents["best"] == {"step": 1, "value": 0.5, "checkpoint": "digest 1", "versions": {"m": 1}}
    assert contents["history"][1]["value"] is None
    select.write(path, RECORD)
    assert json.loads((tmp_path / "best.json").read_text())["best"] is None


@pytest.mark.parametrize(
    "contents",
    [
        {},
        {"format": 1},
        {"format": 1, "run_id": "r", "metric": "m", "higher_is_better": True, "highest": [], "history": []},
        {"format": 1, "run_id": "r", "metric": "m", "higher_is_better": True, "highest": {}, "history": [{}]},
    ],
)
def test_a_broken_record_names_its_file(tmp_path, contents):
    path = tmp_path / "best.json"
    path.write_text(json.dumps(contents))
    with pytest.raises(errors.FormatError, match=re.escape(str(path))):
        select.read(str(path))


def test_metric_value():
    assert select.metric_value({"accuracy": "0.5"}, "accuracy") == 0.5
    with pytest.raises(errors.ExportError, match="no metric 'f1'; it has accuracy, loss"):
        select.metric_value({"accuracy": 0.5, "loss": 1, "global_step": 3}, "f1")
    with pytest.raises(errors.ExportError, match=r"Metric 'accuracy' is \[1\], not a number"):
        select.metric_value({"accuracy": [1]}, "accuracy")
