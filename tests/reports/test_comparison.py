"""Tests of hubpipe.reports.comparison."""

import os
import pathlib

import pytest
import tensorflow as tf

from hubpipe import errors
from hubpipe.reports import comparison, facts
from tests.reports.modules import WORDS, write_module
from tests.reports.test_facts import publish


def compare(old, new):
    return comparison.compare(facts.read(str(old)), facts.read(str(new)))


def test_a_module_is_as_itself(shared_module):
    report = compare(shared_module, shared_module)
    assert report.tag_sets == {"old": [], "new": []}
    assert report.signatures == {}
    assert report.added == report.removed == report.reshaped == report.changed == []
    assert (report.assets, report.config, report.metrics, report.num_variables) == ([], None, {}, 3)
    assert report.size.old == report.size.new


@pytest.mark.parametrize("dtype", [tf.float32, tf.float64, tf.float16, tf.bfloat16, tf.int32])
def test_the_relative_change_of_weights(tmp_path, dtype):
    old = write_module(tmp_path / "old", scale=2, dtype=dtype)
    new = write_module(tmp_path / "new", scale=3, dtype=dtype)
    (change,) = compare(old, new).changed
    assert (change.name, change.new, change.not_finite) == ("kernel", f"{dtype.name} [2, 3]", 0)
    assert change.relative == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("old", "new", "not_finite"), [(0.0, 1.0, 0), (1.0, float("nan"), 6), (1.0, float("inf"), 6)]
)
def test_a_change_that_is_no_number(tmp_path, old, new, not_finite):
    paths = write_module(tmp_path / "old", scale=old), write_module(tmp_path / "new", scale=new)
    (change,) = compare(*paths).changed
    assert (change.relative, change.not_finite) == (None, not_finite)


def test_a_data_file_that_became_shorter_is_told(tmp_path):
    old, new = write_module(tmp_path / "old", scale=1), write_module(tmp_path / "new", scale=2)
    reports = facts.read(str(old)), facts.read(str(new))
    data = next(pathlib.Path(new, "variables").glob("*.data-*"))
    os.truncate(data, 4)
    with pytest.raises(errors.FormatError, match="variables.index: .* bytes 0 to 24 of .*, which has 4"):
        comparison.compare(*reports)


def test_variables_come_go_and_change_shape(tmp_path):
    old = write_module(tmp_path / "old", units=3)
    new = write_module(tmp_path / "new", units=4, name="weights")
    report = compare(old, new)
    assert [each.name for each in report.added] == ["weights"]
    assert [each.name for each in report.removed] == ["kernel"]
    (mean,) = report.reshaped
    assert (mean.name, mean.old, mean.new) == ("mean", "float32 [3]", "float32 [4]")
    wider = comparison.Pair("float32 [?, 3]", "float32 [?, 4]")
    assert report.signatures == {"{} default out default": wider, "{train} default out default": wider}


def test_the_lines_of_a_vocabulary(tmp_path, shared_module):
    new = write_module(tmp_path / "new", words=["a", "an", "oak", "elm", "x\ty"])
    (asset,) = compare(shared_module, new).assets
    assert (asset.name, asset.old, asset.new) == ("words.txt", 13, 17)
    lines = asset.lines
    assert (lines.old, lines.new, lines.added, lines.removed, lines.moved) == (4, 5, 2, 1, 2)
    assert (lines.first_added, lines.first_removed) == (["elm", "x\ty"], ["cat"])


def test_many_new_lines_are_counted_and_a_few_shown(tmp_path, shared_module):
    new = write_module(tmp_path / "new", words=[*WORDS, *map(str, range(100))])
    (asset,) = compare(shared_module, new).assets
    assert asset.lines.added == 100
    assert asset.lines.first_added == ["0", "1", "2", "3", "4"]


@pytest.mark.parametrize("content", [b"\xff\xfe", b"a\0b\n"])
def test_an_asset_that_is_no_text(tmp_path, shared_module, content):
    new = write_module(tmp_path / "new")
    (new / "assets" / "words.txt").write_bytes(content)
    (asset,) = compare(shared_module, new).assets
    assert (asset.new, asset.lines) == (len(content), None)


def test_assets_come_and_go(tmp_path, shared_module):
    new = write_module(tmp_path / "new")
    (new / "assets" / "words.txt").rename(new / "assets" / "terms.txt")
    assert [(asset.name, asset.old, asset.new) for asset in compare(shared_module, new).assets] == [
        ("terms.txt", None, 13),
        ("words.txt", 13, None),
    ]


def test_config_and_metrics_are_the_manifests(tmp_path, shared_module):
    old = publish(
        tmp_path, shared_module, config={"a": {"b": 1, "c": [1]}, "d": {}}, metrics={"loss": 0.5, "old": 1.0}
    )
    new = publish(tmp_path, shared_module, config={"a": {"b": 2, "c": [1]}, "e": None}, metrics={"loss": 0.25})
    report = compare(old.path, new.path)
    assert report.config == {"a.b": comparison.Pair(1, 2), "d": comparison.Pair({}, None)}
    assert report.metrics == {"loss": comparison.Pair(0.5, 0.25), "old": comparison.Pair(1.0, None)}
