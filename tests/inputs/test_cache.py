"""hubpipe.inputs.cache"""

import itertools
import os

import pytest
import tensorflow as tf

from hubpipe import errors
from hubpipe.config import schema
from hubpipe.inputs import bad_rows, cache, rows, targets

CLASSES = targets.create(schema.ClassificationHead(kind="classification"))
ROWS = [rows.Row("aé", "x", "a.csv", 2), rows.Row("", "y", "a.csv", 3)]


def fill(data, labels=("y", "x"), skipped=None, target=CLASSES):
    return lambda directory: cache.write_records(directory, data, target, labels, skipped, where="inputs.eval")


def examples(paths):
    found = []
    for record in itertools.chain.from_iterable(map(tf.compat.v1.io.tf_record_iterator, paths)):
        feature = tf.train.Example.FromString(record).features.feature
        found.append((feature["text"].bytes_list.value[0].decode(), feature["label"].int64_list.value[0]))
    return found


def test_records_hold_text_and_class(tmp_path):
    records = cache.read_records(cache.entry(str(tmp_path / "inputs"), {}, fill(ROWS)))
    assert examples(records.paths) == [("aé", 1), ("", 0)]
    assert (records.count, records.skipped) == (2, bad_rows.Skipped())


def test_files_are_of_a_size(tmp_path, monkeypatch):
    monkeypatch.setattr(cache, "PART_BYTES", 60)
    records = cache.read_records(cache.entry(str(tmp_path), {}, fill([*ROWS, *ROWS, ROWS[1]])))
    names = [f"rows-{index:05}.tfrecord" for index in range(3)]
    assert [os.path.basename(path) for path in records.paths] == names
    assert examples(records.paths) == [("aé", 1), ("", 0), ("aé", 1), ("", 0), ("", 0)]


def test_entry_is_made_once_per_identity(tmp_path):
    made = []

    def make(directory):
        made.append(directory)
        fill(ROWS)(directory)

    first = cache.entry(str(tmp_path), {"a": 1, "b": [2]}, make)
    assert cache.entry(str(tmp_path), {"b": (2,), "a": 1}, make) == first
    assert cache.entry(str(tmp_path), {"b": [2], "a": 3}, make) != first
    assert len(made) == 2


def test_a_crash_leaves_nothing(tmp_path):
    def broken():
        yield ROWS[0]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cache.entry(str(tmp_path), {}, fill(broken()))
    assert not list(tmp_path.iterdir())
    assert cache.read_records(cache.entry(str(tmp_path), {}, fill(ROWS))).count == 2


def test_another_process_may_be_faster(tmp_path):
    def overtaken(directory):
        cache.entry(str(tmp_path), {}, fill(ROWS))
        fill(ROWS[:1])(directory)

    assert cache.read_records(cache.entry(str(tmp_path), {}, overtaken)).count == 2
    assert len(list(tmp_path.iterdir())) == 1


def test_fingerprint_is_of_texts_and_labels(tmp_path):
    def fingerprint(name, data, labels=("y", "x")):
        return cache.read_records(cache.entry(str(tmp_path), {"name": name}, fill(data, labels))).fingerprint

    first = fingerprint("first", ROWS)
    assert len(first) == 64
    assert fingerprint("elsewhere", [row._replace(path="b.csv", line=9) for row in ROWS], ("x", "y")) == first
    assert fingerprint("text", [ROWS[0]._replace(text="a"), ROWS[1]]) != first
    assert fingerprint("label", [ROWS[0]._replace(label="y"), ROWS[1]]) != first
    assert fingerprint("order", ROWS[::-1]) != first


def test_unknown_label(tmp_path):
    message = "a.csv:2: label 'x' is not in the training data (y, z)"
    with pytest.raises(errors.InputError) as caught:
        cache.entry(str(tmp_path), {}, fill(ROWS, labels=["y", "z"]))
    assert str(caught.value) == message
    skipped = bad_rows.Skipped()
    records = cache.read_records(cache.entry(str(tmp_path), {}, fill(ROWS, ["y", "z"], skipped)))
    assert records.count == 1
    assert records.skipped == bad_rows.Skipped(1, [message])


def test_no_rows(tmp_path):
    with pytest.raises(errors.InputError, match="^inputs.eval: no rows to use"):
        cache.entry(str(tmp_path), {}, fill([]))
    with pytest.raises(
        errors.InputError, match="no rows to use .2 rows skipped, such as a.csv:2: label 'x' is not"
    ):
        cache.entry(str(tmp_path), {}, fill(ROWS, ["a", "b"], bad_rows.Skipped()))
    assert not list(tmp_path.iterdir())
