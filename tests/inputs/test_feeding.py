"""Tests of hubpipe.inputs.feeding and hubpipe.inputs.prepared, on text files."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.compat import v1 as tf1

from hubpipe import errors
from hubpipe.config import schema
from hubpipe.inputs import batches, feeding, text

TOKENS = {"ngrams": 1, "lowercase": True, "max_vocabulary": 100, "min_count": 1}
MULTI_LABEL = schema.MultiLabelHead(kind="multi_label")
REGRESSION = schema.RegressionHead(kind="regression")


@pytest.fixture
def prepare(tmp_path):
    """A function (training lines, evaluation lines, **arguments of text.prepare) -> TextData."""

    def call(train, evaluation, ending="csv", **options):
        header = [] if ending == "jsonl" else ["text,label,weight"]
        for name, lines in (("train", train), ("eval", evaluation)):
            (tmp_path / f"{name}.{ending}").write_text("\n".join([*header, *lines]) + "\n")
        paths = {f"{name}_paths": str(tmp_path / f"{name}.{ending}") for name in ("train", "eval")}
        return text.prepare(cache_dir=str(tmp_path / "cache"), **paths, **TOKENS, **options)

    return call


def all_of(make):
    """Texts and labels of all batches."""
    with tf.Graph().as_default(), tf1.Session() as session:
        following = tf1.data.make_one_shot_iterator(make()).get_next()
        while True:
            try:
                features, labels = session.run(following)
            except tf.errors.OutOfRangeError:
                return
            yield [one.decode() for one in features["text"]], labels


@pytest.fixture(params=["in memory", "streamed"])
def either_way(request, monkeypatch):
    if request.param == "streamed":
        monkeypatch.setattr(batches, "MAX_BYTES_IN_MEMORY", 0)


@pytest.mark.usefixtures("either_way")
def test_several_labels(prepare):
    data = prepare(['a,"x,y",1', "b,,1", "c,z,1"], ['d,"z,x",1'], head=MULTI_LABEL)
    assert data.labels == ["x", "y", "z"]
    ((texts, labels),) = all_of(text.input_fn(data, "eval", batch_size=2))
    assert (texts, labels.tolist()) == (["d"], [[1, 0, 1]])
    expected = {"a": [1, 1, 0], "b": [0, 0, 0], "c": [0, 0, 1]}
    for texts, labels in all_of(text.input_fn(data, "train", batch_size=2, epochs=3)):
        assert labels.tolist() == [expected[one] for one in texts] and labels.dtype == np.float32


def test_lists_of_jsonl_are_the_same_data(prepare):
    lines = ['{"text": "a", "label": ["x", "y"]}', '{"text": "b", "label": []}', '{"text": "c", "label": "z"}']
    from_lists = prepare(lines, lines, ending="jsonl", head=MULTI_LABEL)
    plain = ['a,"y,x",1', "b,,1", "c,z,1"]
    from_csv = prepare(plain, plain, head=MULTI_LABEL)
    assert from_lists.fingerprint == from_csv.fingerprint
    assert [labels.tolist() for _, labels in all_of(text.input_fn(from_lists, "eval", batch_size=3))] == [
        [[1, 1, 0], [0, 0, 0], [0, 0, 1]]
    ]


@pytest.mark.parametrize(
    "label, problem",
    [
        ('["x", [1]]', "label 'label' has a list, not only strings and numbers"),
        ('{"x": 1}', "label 'label' is not a string or a number but an object"),
        ("null", "label 'label' is not a string or a number but 'null'"),
    ],
)
def test_bad_lists(prepare, label, problem):
    line = f'{{"text": "a", "label": {label}}}'
    with pytest.raises(errors.InputError) as caught:
        prepare([line], [line], ending="jsonl", head=MULTI_LABEL)
    assert str(caught.value).endswith(f"train.jsonl:1: {problem}")


def test_only_several_labels_may_be_none_or_a_list(prepare):
    with pytest.raises(errors.InputError, match="train.csv:2: no label"):
        prepare(["a,,1"], ["a,,1"])
    lines = ['{"text": "a", "label": ["x"]}']
    with pytest.raises(errors.InputError, match="jsonl:1: label 'label' is not a string or a number but a list"):
        prepare(lines, lines, ending="jsonl")


def test_numbers_have_no_classes_but_moments(prepare):
    data = prepare(["a,1,1", "b,2.5,1", "c,7,1"], ["d,-3,1", "e,1e3,1"], head=REGRESSION)
    assert (data.labels, data.labels_path) == ([], None)
    assert data.moments == pytest.approx((3.5, np.std([1, 2.5, 7])))
    ((_, labels),) = all_of(text.input_fn(data, "eval", batch_size=3))
    assert labels.tolist() == [-3.0, 1000.0] and labels.dtype == np.float32
    assert text.module_arguments(data)["labels_path"] is None


def test_a_label_that_is_no_number_is_a_bad_row(prepare, tmp_path):
    lines = ["a,1,1", "b,many,1", "c,2,1"]
    with pytest.raises(errors.InputError) as caught:
        prepare(lines, lines, head=REGRESSION)
    assert str(caught.value) == f"{tmp_path}/train.csv:3: label 'many' is no finite number"
    data = prepare(lines, lines, head=REGRESSION, bad_rows="skip")
    assert (data.num_train, data.skipped["train"].count) == (2, 1)


@pytest.mark.usefixtures("either_way")
@pytest.mark.parametrize("head", [schema.ClassificationHead(kind="classification"), MULTI_LABEL, REGRESSION])
def test_weights_come_with_the_labels(prepare, head):
    data = prepare(["a,1,0.5", "b,2,0", "c,1,3"], ["d,1,2", "e,2,1"], head=head, weight="weight")
    ((_, labels),) = all_of(text.input_fn(data, "eval", batch_size=2))
    assert sorted(labels) == ["label", "weight"] and labels["weight"].tolist() == [2.0, 1.0]
    expected = {"a": 0.5, "b": 0.0, "c": 3.0}
    for texts, labels in all_of(text.input_fn(data, "train", batch_size=2, epochs=3)):
        assert labels["weight"].tolist() == [expected[one] for one in texts]
        assert len(labels["label"]) == len(texts)


def test_moments_are_weighted(prepare):
    data = prepare(["a,1,3", "b,5,1"], ["a,1,1"], head=REGRESSION, weight="weight")
    assert data.moments == pytest.approx((2.0, 3**0.5))


@pytest.mark.parametrize("weight, problem", [("-1", "is negative"), ("nan", "is no finite"), ("", "is no finite")])
def test_bad_weights_are_bad_rows(prepare, weight, problem):
    lines = ["a,x,1", f"b,y,{weight}", "c,y,1"]
    with pytest.raises(errors.InputError, match=f"train.csv:3: weight '{weight}' {problem}"):
        prepare(lines, lines, weight="weight")
    assert prepare(lines, lines, weight="weight", bad_rows="skip").num_train == 2


def test_weights_that_are_all_zero(prepare):
    with pytest.raises(errors.InputError, match="the weights of all 2 rows are 0; at least one must be above"):
        prepare(["a,x,0", "b,y,0"], ["a,x,1"], weight="weight")


def test_weights_and_heads_have_entries_of_their_own(prepare):
    lines = ["a,1,1", "b,2,1"]
    found = [
        prepare(lines, lines),
        prepare(lines, lines, weight="weight"),
        prepare(lines, lines, head=schema.BinaryHead(kind="binary", positive="1")),
        prepare(lines, lines, head=MULTI_LABEL),
        prepare(lines, lines, head=REGRESSION),
    ]
    assert len({data.train.paths for data in found}) == len(found)
    assert found[2].labels == ["2", "1"]
    assert found[0].fingerprint == found[2].fingerprint != found[1].fingerprint


def test_slices_are_those_of_the_rows_that_are_kept(prepare, tmp_path):
    lines = ["a,1,1", "b,x,1", "c,3,-1", "d,4,2"]
    prepare(["a,1,1"], lines, head=REGRESSION, weight="weight", bad_rows="skip")
    section = schema.TextInputs.model_validate(
        {
            "kind": "text",
            "train": {"files": str(tmp_path / "train.csv")},
            "eval": {"files": str(tmp_path / "eval.csv")},
            "weight": "weight",
            "bad_rows": "skip",
        }
    )
    data = prepare(["a,1,1"], lines, head=REGRESSION, weight="weight", bad_rows="skip")
    assert text.slices(section, data, "text") == ["a", "d"]


def test_unknown_mode(prepare):
    data = prepare(["a,x,1", "b,y,1"], ["a,x,1"])
    with pytest.raises(ValueError, match="mode 'predict' is not one of train, eval, infer"):
        feeding.input_fn(data, "predict", columns={"text": tf.string}, batch_size=2)


def test_prepared_data_are_frozen(prepare):
    data = prepare(["a,x,1", "b,y,1"], ["a,x,1"])
    with pytest.raises(dataclasses.FrozenInstanceError):
        data.labels = []
