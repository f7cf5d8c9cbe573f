"""hubpipe.config.tables, and what hubpipe.config.data_files says of tables."""

import pytest

from hubpipe import errors
from hubpipe.config import load

CONFIG = """\
name: people
inputs:
  kind: tabular
  train: {files: train.csv}
  eval: {files: train.csv}
  label: paid
  features: {age: numeric, job: categorical, since: date, "*": auto}
model_fn:
  kind: tabular
  encoder: {kind: wide, crosses: []}
"""


@pytest.fixture
def problems(tmp_path, monkeypatch):
    """A function (*overrides) -> the problems of the config with them, [] if there are none."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "train.csv").write_text("age,job,since,city,weight,paid\n30,clerk,2024-02-29,Rome,1,yes\n")
    (tmp_path / "c.yaml").write_text(CONFIG)

    def found(*overrides):
        try:
            load.load("c.yaml", overrides)
        except errors.ConfigError as error:
            return error.problems
        return []

    return found


def test_a_sound_config(problems):
    assert problems() == []
    assert problems("inputs.weight=weight", "inputs.exclude=[city]") == []
    assert problems("model_fn.encoder.crosses=[[job, city]]") == []
    assert problems("inputs.features=auto") == []


@pytest.mark.parametrize(
    "overrides, problem",
    [
        (["inputs.features.paid=numeric"], ": is the column of inputs.label"),
        (
            ["inputs.weight=weight", "inputs.features.weight=numeric"],
            ": is the column of inputs.weight",
        ),
        (
            ["inputs.features={age: numeric}", "inputs.exclude=[city]"],
            ": has no effect, since inputs.features names its columns, without '*'",
        ),
        (["inputs.exclude=[age]"], ": 'age' is in inputs.features, too"),
        (
            ["inputs.features.agee=numeric"],
            ": train.csv: no 'agee' in the header (did you mean 'age'?). Columns: 'age', 'job', "
            "'since', 'city', 'weight', 'paid'",
        ),
        (
            ["inputs.exclude=[town]"],
            ": train.csv: no 'town' in the header. Columns: 'age', 'job', 'since', 'city', 'weight', "
            "'paid'",
        ),
        (
            ["inputs.columns=[age, job, paid]"],
            "inputs.features.since: no 'since' in inputs.columns. Columns: 'age', 'job', 'paid'",
        ),
        (
            ["model_fn.encoder.crosses=[[job, age]]"],
            ": 'age' is numeric; set inputs.features.age.buckets, so that it has categories",
        ),
        (
            ["model_fn.encoder.crosses=[[since, job]]"],
            ": 'since' is a date, which has no categories",
        ),
        (
            ["inputs.features={job: categorical}", "model_fn.encoder.crosses=[[job, jobb]]"],
            ": no 'jobb' in inputs.features (did you mean 'job'?). Columns: 'job'",
        ),
        (
            ["inputs.features.age=number"],
            "inputs.features.age.kind: unknown kind 'number' (did you mean 'numeric'?). Known kinds: auto, "
            "numeric, categorical, date",
        ),
        (
            ["inputs.features.age={kind: numeric, bucket: 3}"],
            "inputs.features.age.bucket: unknown key (did you mean 'buckets'?). Known keys: kind, log, buckets, "
            "missing_indicator",
        ),
        (["inputs.features=3"], ": expected a mapping, got 3"),
        (
            ["model_fn.encoder.wide_optimizer={kind: ftrl, learning_rate: 0.1, l2: 0.1}"],
            "model_fn.encoder.wide_optimizer.l2: not accepted, because regularization inside the optimizer is not "
            "exported with the module. Use model_fn.regularizers.kernel.l2 or model_fn.regularizers.embedding.l2, "
            "in a Keras model the regularizers of its layers",
        ),
        (
            ["inputs.kind=text"],
            "model_fn.kind: 'tabular' does not take inputs.kind: text. Kinds that do: text, keras, custom, "
            "imported",
        ),
    ],
)
def test_one_problem(problems, overrides, problem):
    found = problems(*overrides)
    assert any(line.endswith(problem) for line in found), found


def test_formats_are_told_by_endings(problems, tmp_path):
    for name in ("a.parquet", "a.tfrecord", "a.jsonl"):
        (tmp_path / name).write_bytes(b"{}\n")
        found = problems(f"inputs.train.files={name}")
        assert all("format" not in line for line in found), found
    (tmp_path / "a.xlsx").write_bytes(b"")
    assert problems("inputs.train.files=a.xlsx")[0].endswith(
        "a.xlsx: cannot be told by its ending (.csv, .tsv, .jsonl, .ndjson, .tfrecord, .tfrecords, .parquet, "
        ".pq); set inputs.format"
    )


def test_rows_of_jsonl_may_lack_features_but_not_the_label(problems, tmp_path):
    (tmp_path / "a.jsonl").write_text('{"age": 3}\n')
    (line,) = problems("inputs.train.files=a.jsonl")
    assert line.endswith("inputs.label: a.jsonl: no key in the first line is named 'paid'. Columns: 'age'")
