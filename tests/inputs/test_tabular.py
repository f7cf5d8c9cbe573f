"""hubpipe.inputs.tabular"""

import json

import numpy as np
import pytest
import tensorflow as tf

from hubpipe import errors
from hubpipe.config import schema
from hubpipe.inputs import tabular, vocab

TRAIN = """\
id,age,job title,since,city,w,paid
1,20,clerk,2024-01-01,Rome,1,yes
2,,clerk,2024-01-02,Oslo,2,no
3,40,?,,Rome,1,no
4,30,pilot,2024-01-03,Oslo,0.5,yes
5,30,pilot,2024-01-04,Rome,1,yes.
"""
EVAL = """\
paid,city,age,job title,since,w
no,Oslo,25,smith,2024-02-29,1
yes,Rome,,,,3
"""
FEATURES = {"age": "numeric", "job title": "categorical", "since": "date"}


@pytest.fixture
def prepare(tmp_path):
    """A function (head, train, eval, **keys of inputs) -> the data and the section."""

    def call(head="classification", train=TRAIN, evaluation=EVAL, files=None, **keys):
        (tmp_path / "train.csv").write_text(train)
        (tmp_path / "eval.csv").write_text(evaluation)
        files = files or {split: {"files": str(tmp_path / f"{split}.csv")} for split in ("train", "eval")}
        section = schema.TabularInputs.model_validate(
            {"kind": "tabular", "label": "paid", "label_aliases": {"yes.": "yes"}, "features": FEATURES}
            | files
            | keys
        )
        model = schema.TabularModel.model_validate({"kind": "tabular", "head": {"kind": head}})
        return tabular.prepare_section(section, model, cache_dir=str(tmp_path / "cache")), section

    return call


def batches(data, mode, **options):
    """The batches of an input_fn, as arrays."""
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        dataset = tabular.input_fn(data, mode, **options)()
        iterator = tf.compat.v1.data.make_initializable_iterator(dataset)
        session.run(iterator.initializer)
        following = iterator.get_next()
        while True:
            try:
                yield session.run(following)
            except tf.errors.OutOfRangeError:
                return


def problem(prepare, **options):
    with pytest.raises(errors.InputError) as caught:
        prepare(**options)
    return str(caught.value)


def test_what_is_prepared(prepare):
    data, _ = prepare()
    assert data.labels == ["no", "yes"]
    assert (data.num_train, data.num_eval) == (5, 2)
    assert [(column.name, column.kind) for column in data.table.columns] == [
        ("age", "numeric"),
        ("job_title", "categorical"),
        ("since", "date"),
    ]
    age, job, since = data.table.columns
    assert (age.mean, age.missing_indicator) == (30.0, True)
    assert vocab.read(job.vocabulary_path) == ["<missing>", "clerk", "pilot"]
    assert since.reference_day == 19726
    assert tabular.module_arguments(data) == {"labels_path": data.labels_path, "table": data.table}
    assert data.notes == ()


def test_batches(prepare):
    data, _ = prepare()
    ((features, labels),) = batches(data, "eval", batch_size=8)
    assert labels.tolist() == [0, 1]
    np.testing.assert_array_equal(features["age"], np.array([25, np.nan], np.float32))
    assert features["job_title"].tolist() == [b"smith", b""]
    assert features["since"].tolist() == [b"2024-02-29", b""]
    trained = [labels.tolist() for _, labels in batches(data, "train", batch_size=5, shuffle=False, epochs=1)]
    assert trained == [[1, 0, 0, 1, 1]]


def test_weights(prepare):
    data, _ = prepare(weight="w")
    ((_, labels),) = batches(data, "eval", batch_size=8)
    assert labels["weight"].tolist() == [1.0, 3.0]
    assert "weight 'x' is no finite number" in problem(prepare, weight="w", train=TRAIN.replace(",0.5,", ",x,"))


def test_labels_of_regression(prepare):
    data, _ = prepare("regression", label="w", features={"age": "numeric"})
    ((_, labels),) = batches(data, "eval", batch_size=8)
    assert (labels.tolist(), data.labels, data.labels_path) == ([1.0, 3.0], [], None)


def test_decimal_commas(prepare, tmp_path):
    train = "n;w;paid\n1,5;0,5;2,25\n2;1;-3\n"
    evaluation = "n;w;paid\n;1;0,75\n2,5;3;1\n"
    keys = {"train": train, "evaluation": evaluation, "features": "auto", "weight": "w", "delimiter": ";"}
    data, _ = prepare("regression", **keys, decimal=",")
    ((features, labels),) = batches(data, "eval", batch_size=8)
    np.testing.assert_array_equal(features["n"], np.array([np.nan, 2.5], np.float32))
    assert (labels["label"].tolist(), labels["weight"].tolist()) == ([0.75, 1.0], [1.0, 3.0])
    assert data.table.columns[0].mean == 1.75
    hint = "if its commas stand before decimals, set inputs.decimal: ','"
    said = problem(prepare, head="regression", **keys)
    assert said.endswith(f"train.csv:2: label '2,25' is not a number; {hint}")
    assert problem(prepare, **keys).endswith(f"'n' is left out: most of its values occur once; {hint})")
    keys |= {"train": "n;paid\n" + "1,5;no\n2;yes\n" * 2, "evaluation": "n;paid\n2;no\n", "weight": None}
    data, _ = prepare(**keys)
    assert data.notes == ("categorical: n", f"'n' is categorical; {hint}")
    (tmp_path / "rows.jsonl").write_text('{"n": 1.5, "w": 1, "paid": 2}\n')
    files = {split: {"files": str(tmp_path / "rows.jsonl")} for split in ("train", "eval")}
    said = problem(prepare, head="regression", files=files, features="auto", weight="w", decimal=",")
    assert said.endswith("rows.jsonl: inputs.decimal is for csv and tsv; jsonl has points in numbers")


def test_kinds_that_the_data_tell(prepare):
    many = TRAIN + "".join(f"{number},{number},clerk,,Rome,1,no\n" for number in range(6, 20))
    data, _ = prepare(train=many, features="auto", exclude=["w"])
    assert data.notes == (
        "categorical: city, job title",
        "date: since",
        "numeric: age",
        "'id' is left out: it only counts the rows",
    )
    assert [column.column for column in data.table.columns] == ["age", "city", "job title", "since"]
    data, _ = prepare(train=many, features={"*": "auto", "age": "categorical"}, exclude=["w", "id"])
    assert {column.column: column.kind for column in data.table.columns}["age"] == "categorical"


def test_columns_without_a_name_are_left_out(prepare):
    train, evaluation = "a,paid\n1,no\n1,no\n2,yes\n", "a,paid\n2,no\n"
    indexed = {"train": ",a,paid\n7,1,no\n2,1,no\n5,2,yes\n", "evaluation": ",a,paid\n2,2,no\n"}
    data, _ = prepare(features="auto", **indexed)
    assert data.notes == ("numeric: a", "column 1 has no name and is left out")
    data, _ = prepare(features={"a": "numeric"}, **indexed)
    assert data.notes == ()
    wide = {"train": train.replace("\n", ",,\n"), "evaluation": evaluation.replace("\n", ",,\n")}
    data, _ = prepare(features="auto", **wide)
    assert data.notes == ("numeric: a", "columns 3, 4 have no name and are left out")


def test_a_column_that_is_nearly_all_numbers(prepare):
    train = "a,paid\n" + "1,no\n2,yes\n" * 10 + "-,no\n"
    data, _ = prepare(train=train, evaluation="a,paid\n2,no\n", features="auto")
    hint = "if it means no value, add it to inputs.missing, else correct it"
    assert data.notes == (
        "categorical: a",
        f"'a' is categorical; 20 of 21 are numbers, but not '-': {hint}",
    )
    data, _ = prepare(train=train.replace("-", "NAN"), evaluation="a,paid\n2,no\n", features="auto")
    assert data.notes == ("numeric: a",)


@pytest.mark.parametrize("features", ["auto", {"a": "numeric"}])
def test_numbers_that_stand_for_no_value_are_compared_as_numbers(prepare, features):
    train = "a,paid\n-999.0,no\n1,no\n3,yes\n-999,yes\n-9.99e2,no\n"
    data, _ = prepare(train=train, evaluation="a,paid\n-999.0,no\n", features=features, missing=["", "?", "-999"])
    (column,) = data.table.columns
    assert (column.mean, column.std, column.missing_indicator) == (2.0, 1.0, True)
    ((found, _),) = batches(data, "eval", batch_size=1)
    assert np.isnan(found["a"]).all()


def test_numbers_that_the_module_cannot_tell_apart(prepare):
    train = "t,paid\n1700000000000,no\n1700000000200,yes\n"
    data, _ = prepare(train=train, evaluation=train, features={"t": "numeric"})
    (note,) = data.notes
    assert note.startswith("'t' differs by 1e+02 around 1.7e+12, which float32 does not tell apart: subtract")


def test_rows_that_name_their_columns(prepare, tmp_path):
    lines = [{"age": 3, "paid": "no"}, {"age": 1, "paid": "no"}]
    lines += [{"age": 2, "paid": "yes", "late": 5}, {"age": 2, "paid": "yes", "late": 7}]
    (tmp_path / "train.jsonl").write_text("\n".join(map(json.dumps, lines)))
    source = {"files": str(tmp_path / "train.jsonl")}
    data, _ = prepare(files={"train": source, "eval": source}, features="auto")
    age, late = data.table.columns
    assert (late.column, late.mean, late.missing_indicator) == ("late", 6.0, True)
    assert not age.missing_indicator


def test_columns_that_no_evaluation_row_names(prepare, tmp_path):
    def files(evaluation):
        lines = [{"age": 1, "paid": "no"}, {"age": 2, "rare": 3, "paid": "yes"}] + [{"age": 2, "paid": "no"}] * 2
        for split, found in (("train", lines), ("eval", evaluation)):
            (tmp_path / f"{split}.jsonl").write_text("\n".join(map(json.dumps, found)))
        return {split: {"files": str(tmp_path / f"{split}.jsonl")} for split in ("train", "eval")}

    said = problem(prepare, files=files([{"Age": 1, "paid": "no"}]), features={"age": "numeric"})
    assert said == (
        "no row of the evaluation data has 'age', a feature that most training rows have; "
        "if it has no value in any of them, let one row say so, as null"
    )
    data, _ = prepare(files=files([{"age": None, "paid": "no"}]), features={"age": "numeric", "rare": "numeric"})
    assert data.num_eval == 1


def test_cached_data_are_used_again(prepare, monkeypatch):
    def read_again(*arguments):
        raise errors.InputError("read again")

    first, _ = prepare()
    monkeypatch.setattr(tabular, "_learn", read_again)
    monkeypatch.setattr(tabular, "_stored", read_again)
    again, _ = prepare()
    assert again == first
    assert problem(prepare, missing=["", "-"]) == "read again"


def test_the_fingerprint_is_that_of_values(prepare):
    first, _ = prepare()
    renamed, _ = prepare(train=TRAIN.replace("20,", "20.0,").replace("?", ""))
    other, _ = prepare(train=TRAIN.replace("20,", "21,"))
    assert renamed.fingerprint == first.fingerprint
    assert other.fingerprint["train"] != first.fingerprint["train"]
    assert other.fingerprint["eval"] == first.fingerprint["eval"]


def test_slices(prepare):
    data, section = prepare(bad_rows="skip", evaluation=EVAL + "no,Bern,x,,,1\nmaybe,Bern,1,,,1\nno,Bonn,1,,,1\n")
    assert data.num_eval == 3
    assert data.skipped["eval"].count == 2
    assert tabular.slices(section, data, "city") == ["Oslo", "Rome", "Bonn"]
    assert tabular.slices(section, data, "job title") == ["smith", "", ""]
    assert tabular.slices(section, data, "paid") == ["no", "yes", "no"]
    with pytest.raises(errors.InputError) as caught:
        tabular.slices(section, data, "town")
    assert "no column 'town'" in str(caught.value)


def test_serving_input_fn(prepare):
    data, _ = prepare()
    with tf.Graph().as_default():
        receiver = tabular.create_serving_input_fn(data)()
    assert {name: (value.dtype, value.shape.as_list()) for name, value in receiver.features.items()} == {
        "age": (tf.float32, [None]),
        "job_title": (tf.string, [None]),
        "since": (tf.string, [None]),
    }


def test_bad_rows_are_errors_or_counted(prepare):
    bad = TRAIN.replace("4,30", "4,thirty").replace("2024-01-04", "2024-02-30")
    assert "train.csv:5: 'age' is not a number ('thirty')" in problem(prepare, train=bad)
    assert "train.csv:5: 'age' is a number beyond" in problem(prepare, train=TRAIN.replace("4,30", "4,1e300"))
    data, _ = prepare(train=bad, bad_rows="skip", features={"age": "numeric", "since": "date"})
    assert (data.num_train, data.skipped["train"].count) == (3, 2)
    assert "'since' is no date as in the training data ('2024-02-30')" in data.skipped["train"].reasons[1]
    assert "eval.csv:2: 'age' is not a number" in problem(prepare, evaluation=EVAL.replace("25", "many"))


@pytest.mark.parametrize(
    "keys, said",
    [
        ({"features": {"agee": "numeric"}}, "no column 'agee' (did you mean 'age'?)"),
        ({"train": TRAIN.replace("city", "job-title"), "features": "auto"}, "would both be the module's input"),
        ({"train": "a,paid\n1,yes\n1,no\n", "features": "auto"}, "'a' is left out: it has one value"),
        ({"train": "a,paid\n"}, "no column 'age'"),
        ({"train": TRAIN.splitlines()[0] + "\n"}, "inputs.train: no rows to use (the files hold none)"),
        ({"evaluation": EVAL.splitlines()[0] + "\n"}, "inputs.eval: no rows to use (the files hold none)"),
        ({"features": {"since": {"kind": "date", "format": "%Y"}}}, "date format '%Y' lacks %m, %d"),
        ({"evaluation": EVAL.replace("city", "town"), "features": "auto"}, "eval.csv: no column 'city'"),
    ],
)
def test_problems(prepare, keys, said):
    keys = {"train": TRAIN} | keys
    train = keys.pop("train")
    assert said in problem(prepare, train=train, **keys)
