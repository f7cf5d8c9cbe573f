"""Tests of hubpipe.reports.text, comparison_text, cells and machine."""

import dataclasses
import json

import pytest

from hubpipe.files import records
from hubpipe.reports import cells, comparison, comparison_text, facts, machine, text
from hubpipe.store import store
from tests.reports.modules import write_module
from tests.reports.test_facts import publish, selected


def lines_of(report):
    lines = text.of(report).splitlines()
    assert max(map(len, lines)) <= 80
    return lines


def test_a_module(shared_module):
    lines = lines_of(facts.read(str(shared_module)))
    assert lines[2] == "published   not by hubpipe: no manifest, so no lineage and no metrics"
    start = lines.index("Graph variants: 2")
    assert lines[start:] == [
        "Graph variants: 2",
        "  tags     regularization losses  update ops  attachments",
        "  {}                           1           0  -",
        "  {train}                      1           1  -",
        "",
        "Signatures: 2",
        "  default",
        "    in   default  float32 [?, 2]",
        "    out  default  float32 [?, 3]",
        "  many",
        "    in   any     string [...]",
        "    in   sparse  sparse int64 [?, 7]",
        "    out  file    string []",
        "    out  size    int32 []",
        "",
        "Variables: 3, 76 B, 1 not trainable",
        "  kernel  float32 [2, 3]  24 B",
        "  mean    float32 [3]     12 B  fixed",
        "  table   float32 [5, 2]  40 B",
        "",
        "Assets: 1",
        "  words.txt  13 B",
    ]


def test_a_version(tmp_path, shared_module):
    publish(tmp_path, shared_module, step=100, oldest_reader="1.15", **selected(0.5))
    publish(tmp_path, shared_module, step=1200, parent=1, **selected(0.75))
    lines = lines_of(facts.read(str(tmp_path / "text" / "2")))
    assert lines[2].startswith("published   20") and lines[2].endswith(" ago) as version 2")
    assert lines[3:7] == ["read by     unknown", "parent      1", "run         a", "step        1200"]
    assert lines[8:12] == [
        "Metrics, the newest first",
        "  version  step  accuracy  loss",
        "  2        1200    0.7500     -",
        "  1         100    0.5000     -",
    ]
    assert "read by     TensorFlow 1.15 and later" in lines_of(facts.read(str(tmp_path / "text" / "1")))


def test_a_signature_that_not_all_variants_have(shared_module):
    module = facts.read(str(shared_module))
    plain, train = module.variants
    other = dataclasses.replace(train, signatures={"default": train.signatures["many"]})
    lines = lines_of(dataclasses.replace(module, variants=[plain, other]))
    assert "  default  only with tags {}" in lines
    assert "  default  only with tags {train}" in lines
    assert "  many  only with tags {}" in lines


def test_many_long_names_fit(shared_module):
    module = facts.read(str(shared_module))
    variable = dataclasses.replace(module.variables[0], name="encoder/" + "x" * 200 + "/kernel")
    lines = lines_of(dataclasses.replace(module, path="/" + "p" * 200, variables=[variable] * 45))
    assert "and 5 more; --json lists all" in lines[-4]
    assert sum(line.startswith("  encoder/xxx") and "xx/kernel  float32" in line for line in lines) == 40


def test_versions_and_moves(tmp_path, shared_module):
    publish(tmp_path, shared_module, step=100, **selected(0.5))
    publish(tmp_path, shared_module, step=200, **selected(0.75))
    versions = store.Store(tmp_path, "text")
    for number in (1, 2, 1, 2, 1, 2):
        versions.promote(number)
    versions.yank(2, why="leaks")
    lines = lines_of(facts.read(str(tmp_path / "text")))
    assert lines[1].split() == ["version", "step", "metric", "value", "size", "age", "marks"]
    assert lines[2].split()[:4] == ["2", "200", "accuracy", "0.7500"]
    assert lines[2].endswith("best, yanked") and lines[3].endswith("current")
    assert lines[5] == "Moves, the newest first"
    assert lines[6].endswith("rollback from 2 to 1") and lines[7].endswith(": leaks")
    assert lines[8].endswith("yank 2")
    assert lines[-1] == "  and 3 more; --json lists all"


def test_a_folder_without_versions_and_one_with_a_broken_one(tmp_path, shared_module):
    (tmp_path / "text").mkdir()
    records.write(tmp_path / "text" / "current.json", {"current": None})
    assert lines_of(facts.read(str(tmp_path / "text")))[-1] == "no versions"
    version = publish(tmp_path, shared_module)
    (tmp_path / "text" / "1" / "assets.extra" / "hubpipe" / "manifest.json").write_text("{")
    lines = lines_of(facts.read(str(tmp_path / "text")))
    assert lines[3].startswith(f"version {version.number}: assets.extra/hubpipe/manifest.json: is not JSON (")
    assert lines[-1].startswith("  ")


def test_a_store(tmp_path, shared_module):
    publish(tmp_path, shared_module, "text", step=100, **selected(0.5))
    publish(tmp_path, shared_module, "image")
    store.Store(tmp_path, "text").promote(1)
    _, header, image, words = lines_of(facts.read(str(tmp_path)))
    assert header.split() == ["module", "versions", "current", "step", "metric", "value", "size", "age"]
    assert image.split() == ["image", "1", "-", "-", "-", "-", "-", "-"]
    assert words.split()[:6] == ["text", "1", "1", "100", "accuracy", "0.5000"]


def test_a_comparison(tmp_path, shared_module):
    other = write_module(tmp_path / "other", words=["a", "elm"], scale=float("nan"), units=4)
    old = publish(tmp_path, shared_module, config={"dropout": 0.1}, metrics={"loss": 0.5})
    new = publish(tmp_path, other, config={"dropout": 0.2}, metrics={"loss": 0.25})
    report = comparison.compare(facts.read(old.path), facts.read(new.path))
    lines = comparison_text.of(report).splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[3:-1] == [
        "tag sets    the same",
        "signatures  2 differences",
        "  {train} default out default: float32 [?, 3] -> float32 [?, 4]",
        "  {} default out default: float32 [?, 3] -> float32 [?, 4]",
        "variables   3, 2 reshaped",
        "  *  kernel  float32 [2, 3] -> float32 [2, 4]",
        "  *  mean    float32 [3] -> float32 [4]",
        "assets      1 difference",
        "  words.txt: 4 -> 2 lines: 1 added, 3 removed, 0 moved",
        "    + elm",
        "    - cat, an, oak",
        "config      1 difference",
        "  dropout: 0.1 -> 0.2",
        "metrics",
        "  loss  0.5000  ->  0.2500  -0.2500",
    ]


def test_a_comparison_of_weights(tmp_path, shared_module):
    doubled = write_module(tmp_path / "doubled", scale=2)
    broken = write_module(tmp_path / "broken", scale=float("inf"))
    for other, line in (
        (doubled, "  ~  kernel  changed by 100 %"),
        (broken, "  ~  kernel  changed, 6 values not finite"),
    ):
        report = comparison.compare(facts.read(str(shared_module)), facts.read(str(other)))
        lines = comparison_text.of(report).splitlines()
        assert line in lines
        assert lines[-3:-1] == ["config      not known of both", "metrics     none known"]


def test_reports_for_programs_are_one_line_of_json(tmp_path, shared_module):
    publish(tmp_path, shared_module, **selected(0.5))
    for path in (shared_module, tmp_path, tmp_path / "text", tmp_path / "text" / "1"):
        written = machine.of(facts.read(str(path)))
        assert "\n" not in written
        assert json.loads(written)["path"] == str(path)
    module = json.loads(machine.of(facts.read(str(shared_module))))
    assert module["variants"][0]["signatures"]["default"]["inputs"]["default"] == {
        "kind": "dense",
        "dtype": "float32",
        "shape": [None, 2],
    }


def test_what_is_not_finite_is_null_for_programs():
    pair = comparison.Pair(float("inf"), (float("nan"), 1.5))
    assert machine.of(pair) == '{"old": null, "new": [null, 1.5]}'


@pytest.mark.parametrize(
    ("count", "shown"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (999_949, "999.9 kB"),
        (999_950, "1.0 MB"),
        (5 * 10**13, "50.0 TB"),
    ],
)
def test_sizes(count, shown):
    assert cells.size(count) == shown


@pytest.mark.parametrize(
    ("written", "width", "shown"),
    [("short", 5, "short"), ("abcdefghij", 7, "ab...ij"), ("a\x1b[31mb\n", 80, "a\\x1b[31mb\\n")],
)
def test_texts_fit_and_do_not_command_the_terminal(written, width, shown):
    assert cells.fit(written, width) == shown
