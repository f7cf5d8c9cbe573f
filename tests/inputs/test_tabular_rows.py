"""hubpipe.inputs.tabular_rows"""

import datetime

import pytest
import tensorflow as tf

from hubpipe import errors
from hubpipe.inputs import bad_rows, tabular_rows

READING = tabular_rows.Reading(label="y", missing=("", "?", "nan"))


def example(**values):
    """A serialized tf.train.Example; a list of values is a feature of several."""
    features = tf.train.Features()
    for name, value in values.items():
        parts = value if isinstance(value, list) else [value]
        feature = features.feature[name]
        for part in parts:
            if isinstance(part, bytes):
                feature.bytes_list.value.append(part)
            elif isinstance(part, int):
                feature.int64_list.value.append(part)
            else:
                feature.float_list.value.append(part)
    return tf.train.Example(features=features).SerializeToString()


@pytest.fixture
def read(tmp_path):
    """Writes a file of text, bytes, records or columns, and returns its rows."""

    def call(name, content, skipped=None, **reading):
        path = tmp_path / name
        if name.endswith(".tfrecord"):
            with tf.io.TFRecordWriter(str(path)) as writer:
                for record in content:
                    writer.write(record)
        elif name.endswith(".parquet"):
            pytest.importorskip("polars").DataFrame(content).write_parquet(path)
        else:
            path.write_text(content, encoding="utf-8")
        reading = tabular_rows.Reading(**{"label": "y", "missing": ("", "?", "nan"), **reading})
        return list(tabular_rows.Files((str(path),), reading).rows(skipped))

    return call


def values(found):
    return [(row.values, row.label) for row in found]


def problem(read, *arguments, **options):
    with pytest.raises(errors.InputError) as caught:
        read(*arguments, **options)
    return str(caught.value)


EXPECTED = [({"a": "1.5", "b": "x y"}, "no"), ({"a": "", "b": ""}, "yes")]


def test_csv_with_and_without_header(read):
    assert values(read("a.csv", "a,b,y\n 1.5, x  y ,no\n?,,yes\n")) == EXPECTED
    assert values(read("a.csv", "1.5,x y,no\nnan,?,yes\n", columns=("a", "b", "y"))) == EXPECTED
    assert values(read("a.tsv", "a\tb\ty\n1.5\tx\u00a0y\tno\n")) == [({"a": "1.5", "b": "x\u00a0y"}, "no")]


def test_jsonl(read):
    lines = '{"y": "no", "a": 1.50, "b": "x y"}\n{"y": "yes", "a": null}\n{"y": 1, "b": true, "a": -2}\n'
    assert values(read("a.jsonl", lines)) == [
        ({"a": "1.50", "b": "x y"}, "no"),
        ({"a": ""}, "yes"),
        ({"b": "true", "a": "-2"}, "1"),
    ]


def test_tfrecord(read):
    records = [example(a=1.5, b=b"x y", y=b"no"), example(a=[], b=b"?", y=b"yes"), example(a=7, y=3)]
    assert values(read("a.tfrecord", records)) == [*EXPECTED, ({"a": "7"}, "3")]


def test_parquet(read):
    columns = {
        "a": [1.5, None],
        "b": ["x y", "?"],
        "c": [datetime.date(2024, 2, 29), None],
        "d": [datetime.datetime(2024, 2, 29, 23, 59), None],
        "e": [True, None],
        "y": ["no", "yes"],
    }
    assert values(read("a.parquet", columns)) == [
        ({"a": "1.5", "b": "x y", "c": "2024-02-29", "d": "2024-02-29 23:59:00", "e": "true"}, "no"),
        ({"a": "", "b": "", "c": "", "d": "", "e": ""}, "yes"),
    ]


def test_named_excluded_and_aliases(read):
    text = "a,b,c,y\n1,2,3,no.\n"
    assert values(read("a.csv", text, named=("b",), takes_others=False)) == [({"b": "2"}, "no.")]
    assert values(read("a.csv", text, exclude=("a",), label_aliases=(("no.", "no"),))) == [
        ({"b": "2", "c": "3"}, "no")
    ]


def test_labels_that_stand_for_no_value(read):
    text = "a,y\n1,no\n2, ?\n"
    assert problem(read, "a.csv", text).endswith(
        "a.csv:3: no label ('y' is '?', one of inputs.missing; if it is a class, set "
        "inputs.label_aliases: {'?': '?'})"
    )
    skipped = bad_rows.Skipped()
    assert [row.label for row in read("a.csv", text, skipped)] == ["no"]
    assert skipped.count == 1
    assert [row.label for row in read("a.csv", text, label_aliases=(("?", "?"),))] == ["no", "?"]
    assert [row.label for row in read("a.csv", text, several_labels=True)] == ["no", ""]
    found = read("a.jsonl", '{"a": 1, "y": ["p", "?"]}\n', several_labels=True)
    assert [row.label for row in found] == [("p", "")]


def test_weights_and_several_labels(read):
    (row,) = read("a.csv", "a,w,y\n1,0.5,no\n", weight="w")
    assert (row.values, row.weight) == ({"a": "1"}, "0.5")
    found = read("a.jsonl", '{"a": 1, "y": ["p", "q"]}\n{"a": 1, "y": "p|q"}\n{"a": 1}\n', several_labels=True)
    assert [row.label for row in found] == [("p", "q"), "p|q", ""]


def test_where(read, tmp_path):
    (row,) = read("a.csv", "a,y\n\n1,no\n")
    assert row.where == f"{tmp_path}/a.csv:3"
    (row,) = read("a.tfrecord", [example(a=1, y=b"no")])
    assert row.where == f"{tmp_path}/a.tfrecord: record 1"
    (row,) = read("a.parquet", {"a": [1], "y": ["no"]})
    assert row.where == f"{tmp_path}/a.parquet: row 1"


def test_columns_of_several_values_can_be_left_out(read):
    line = '{"a": 1, "n": {"b": 2}, "y": "no"}\n'
    said = "a.jsonl:1: 'n' is a dict, expected a text or a number"
    assert problem(read, "a.jsonl", line).endswith(f"{said}; leave it out with inputs.exclude=[n]")
    assert problem(read, "a.jsonl", line, named=("n",)).endswith(said)
    assert problem(read, "a.jsonl", line, label="n").endswith(said)
    assert values(read("a.jsonl", line, exclude=("n",))) == [({"a": "1"}, "no")]
    assert "'n' is a list" in problem(read, "a.parquet", {"n": [[1, 2]], "y": ["no"]})


@pytest.mark.parametrize(
    "name, content, said",
    [
        ("a.csv", "a,y\n1,no\n2,\n", "a.csv:3: no label ('y' is empty)"),
        ("a.csv", "a,y\n1,no\n2\n", "a.csv:3: 1 field instead of 2 ('2')"),
        ("a.jsonl", '{"a": 1, "y": "no"}\n{"a": [1], "y": "no"}\n', "a.jsonl:2: 'a' is a list, expected"),
        ("a.jsonl", '{"a": 1, "y": "no"}\n{"a": 1, "y": {}}\n', "a.jsonl:2: 'y' is a dict, expected"),
        ("a.jsonl", '{"a": 1, "y": "no"}\n{"a": 1,\n', "a.jsonl:2: not JSON"),
        ("a.tfrecord", [example(a=1, y=b"no"), example(a=[1, 2], y=b"no")], "record 2: 'a' is a list, expected"),
        ("a.tfrecord", [example(a=1, y=b"no"), b"no example"], "record 2: no tf.train.Example"),
    ],
)
def test_bad_rows_are_named_or_counted(read, name, content, said):
    assert said in problem(read, name, content)
    skipped = bad_rows.Skipped()
    assert values(read(name, content, skipped)) == [({"a": "1"}, "no")]
    assert skipped.count == 1
    assert said in skipped.reasons[0]


def test_columns_must_be_there(read):
    assert "no column 'y'" in problem(read, "a.csv", "a,b\n1,2\n")
    assert "no column 'bb' (did you mean 'b'?)" in problem(read, "a.csv", "a,b,y\n1,2,3\n", named=("bb",))
    assert "column 'a' stands 2 times" in problem(read, "a.csv", "a,a,y\n1,2,3\n")
    assert "no column 'w'" in problem(read, "a.parquet", {"y": ["no"]}, weight="w")


def test_columns_without_a_name_are_not_read(read, tmp_path):
    expected = [({"a": "1"}, "no")]
    assert values(read("a.csv", ",a,y,,\n7,1,no,8,9\n")) == expected
    source = tabular_rows.Files((str(tmp_path / "a.csv"),), READING)
    assert source.unnamed() == [1, 4, 5]
    assert values(read("a.jsonl", '{"": 7, "a": 1, "y": "no"}\n')) == expected
    assert values(read("a.parquet", {"": [7], "a": [1], "y": ["no"]})) == expected
    assert tabular_rows.Files((str(tmp_path / "a.parquet"),), READING).unnamed() == []


def test_later_files_have_the_columns_of_the_first(tmp_path):
    (tmp_path / "1.csv").write_text("a,b,y\n1,2,no\n")
    (tmp_path / "2.csv").write_text("y,a\nno,1\n")
    source = tabular_rows.Files((str(tmp_path / "*.csv"),), READING)
    with pytest.raises(errors.InputError) as caught:
        list(source.rows())
    assert "2.csv: no column 'b'" in str(caught.value)


def test_files_that_are_not_of_their_format(read, tmp_path):
    (tmp_path / "a.parquet").write_bytes(b"no such file" * 9)
    (tmp_path / "a.tfrecord").write_bytes(b"no such file" * 9)
    for name, said in (("a.parquet", "cannot be read as Parquet"), ("a.tfrecord", "cannot be read as TFRecords")):
        with pytest.raises(errors.InputError) as caught:
            list(tabular_rows.Files((str(tmp_path / name),), READING).rows())
        assert said in str(caught.value)
    assert "inputs.columns are for csv and tsv" in problem(read, "a.jsonl", "{}\n", columns=("a", "y"))


def test_parquet_needs_polars(read, monkeypatch, tmp_path):
    (tmp_path / "a.parquet").write_bytes(b"")
    monkeypatch.setitem(__import__("sys").modules, "polars", None)
    with pytest.raises(errors.InputError) as caught:
        list(tabular_rows.Files((str(tmp_path / "a.parquet"),), READING).rows())
    assert "pip install 'hubpipe[parquet]'" in str(caught.value)


def test_identity_depends_on_content_and_reading(tmp_path):
    for name, content in (("a.csv", "a,y\n1,no\n"), ("b.csv", "a,y\n1,no\n"), ("c.csv", "a,y\n2,no\n")):
        (tmp_path / name).write_text(content)
    a, b, c = (tabular_rows.Files((str(tmp_path / f"{name}.csv"),), READING).identity() for name in "abc")
    assert a == b != c
    other = tabular_rows.Files((str(tmp_path / "a.csv"),), tabular_rows.Reading(label="a")).identity()
    assert other != a


def test_sample():
    reading = tabular_rows.Reading(label="label", exclude=("value",))
    source = tabular_rows.Sample("unicode", "eval", reading)
    row = next(source.rows())
    assert "value" not in row.values
    assert row.where == "unicode:1"
    assert source.identity() != tabular_rows.Sample("unicode", "train", reading).identity()
