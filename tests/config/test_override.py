import pytest

from hubpipe.config import document, override

TEXT = """\
name: docs
inputs:
  train: {sample: stdlib_docs}
optimizer: {kind: adam, learning_rate: 0.1, beta1: 0.8}
"""


def _apply(write_config, *overrides):
    return override.apply(document.read(write_config(text=TEXT)), overrides)


@pytest.mark.parametrize(
    ("overrides", "path", "expected"),
    [
        (["seed=3"], ("seed",), 3),
        (["seed=3", "seed=4"], ("seed",), 4),
        (["a.b.c=1e-6"], ("a", "b", "c"), 1e-6),
        (["name=a=b"], ("name",), "a=b"),
        (["name="], ("name",), None),
        (["inputs.columns=[a, b]"], ("inputs", "columns"), ["a", "b"]),
        (["inputs.columns=2024"], ("inputs", "columns"), 2024),
        (["inputs.label=2024"], ("inputs", "label"), "2024"),
        (["inputs.label='2024'"], ("inputs", "label"), "2024"),
        (["inputs.label=True"], ("inputs", "label"), "True"),
        (["inputs.label=# y"], ("inputs", "label"), "# y"),
        (["inputs.label=y # z"], ("inputs", "label"), "y # z"),
        (["inputs.label=%y"], ("inputs", "label"), "%y"),
        (["inputs.label=a: b"], ("inputs", "label"), "a: b"),
        (["inputs.weight=null"], ("inputs", "weight"), None),
        (["inputs.delimiter=|"], ("inputs", "delimiter"), "|"),
        (["inputs.decimal=,"], ("inputs", "decimal"), ","),
        (["export.oldest_reader=1.15"], ("export", "oldest_reader"), "1.15"),
        (["inputs.train.files=*.csv"], ("inputs", "train"), {"files": "*.csv"}),
        (["inputs.train.files=[a.csv, 'b.csv']"], ("inputs", "train"), {"files": ["a.csv", "b.csv"]}),
        (["inputs.train={files: x.csv}"], ("inputs", "train"), {"files": "x.csv"}),
        (["inputs.train.files=x.csv"], ("inputs", "train"), {"files": "x.csv"}),
        (["inputs.train.sample=null"], ("inputs", "train"), {"sample": None}),
        (
            ["inputs.train.files=x.csv", "inputs.train.sample=null"],
            ("inputs", "train"),
            {"files": "x.csv", "sample": None},
        ),
        (["optimizer.kind=adam"], ("optimizer",), {"kind": "adam", "learning_rate": 0.1, "beta1": 0.8}),
        (["optimizer.kind=sgd"], ("optimizer",), {"kind": "sgd"}),
        (["optimizer.learning_rate=1", "optimizer.kind=sgd"], ("optimizer",), {"kind": "sgd", "learning_rate": 1}),
        (["optimizer.kind=sgd", "optimizer.learning_rate=1"], ("optimizer",), {"kind": "sgd", "learning_rate": 1}),
        (
            ["optimizer={kind: ftrl, learning_rate: 1}", "optimizer.kind=sgd"],
            ("optimizer",),
            {"kind": "sgd", "learning_rate": 1},
        ),
        (["optimizer.learning_rate.kind=cosine"], ("optimizer", "learning_rate"), {"kind": "cosine"}),
    ],
)
def test_sets_values(write_config, overrides, path, expected):
    result = _apply(write_config, *overrides)
    assert result.problems == []
    value = result.data
    for key in path:
        value = value[key]
    assert value == expected
    key = tuple(overrides[-1].partition("=")[0].split("."))
    assert str(result.problem(key, "wrong")) == f"command line: {overrides[-1]}: wrong"


def test_the_document_read_is_not_changed(write_config):
    read = document.read(write_config(text=TEXT))
    data, places = str(read.data), dict(read.places)
    override.apply(read, ["optimizer.kind=sgd", "inputs.train.files=x", "bad"])
    assert (str(read.data), read.places, read.problems) == (data, places, [])


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("seed", "command line: seed: expected key=value with a dotted key, such as training.max_steps=1000"),
        ("=1", "command line: =1: expected key=value with a dotted key, such as training.max_steps=1000"),
        ("a..b=1", "command line: a..b=1: expected key=value with a dotted key, such as training.max_steps=1000"),
        ("a={b: 1, b: 2}", "command line: a={b: 1, b: 2}: a.b: duplicate key, first on line 1"),
        (
            "a=!!python/name:os.system x",
            "command line: a=!!python/name:os.system x: tag 'tag:yaml.org,2002:python/name:os.system' is not "
            "accepted; only text, numbers, true, false, null, lists and mappings are",
        ),
        (
            "a=*.csv",
            "command line: a=*.csv: not valid YAML: while scanning an alias, expected alphabetic or numeric "
            "character, but found '.' (a text with special characters needs quotes)",
        ),
    ],
)
def test_malformed(write_config, text, problem):
    result = _apply(write_config, text)
    assert [str(found) for found in result.problems] == [problem]
    assert "a" not in result.data


def test_problems_name_the_key_only_when_the_override_does_not(write_config):
    result = _apply(write_config, "model_fn.dropout={rate: abc}", "optimizer.kind=sgd")
    inner = result.problem(("model_fn", "dropout", "rate"), "wrong")
    assert str(inner) == "command line: model_fn.dropout={rate: abc}: model_fn.dropout.rate: wrong"
    assert (
        str(result.problem(("model_fn", "dropout"), "wrong"))
        == "command line: model_fn.dropout={rate: abc}: wrong"
    )
    missing = result.problem(("optimizer", "learning_rate"), "missing key")
    assert str(missing) == "command line: optimizer.kind=sgd: optimizer.learning_rate: missing key"
