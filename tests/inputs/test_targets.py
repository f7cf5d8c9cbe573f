"""Tests of hubpipe.inputs.targets."""

import typing

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.compat import v1 as tf1

from hubpipe import errors
from hubpipe.config import schema
from hubpipe.inputs import targets

CLASSES = targets.create(schema.ClassificationHead(kind="classification"))
SEVERAL = targets.create(schema.MultiLabelHead(kind="multi_label"))
NUMBER = targets.create(schema.RegressionHead(kind="regression"))


def two_classes(positive=None):
    return targets.create(schema.BinaryHead(kind="binary", positive=positive))


def stored(target, label, classes):
    return target.stored(target.canonical(label), targets.numbered(classes))


def decoded(target, labels, classes):
    """What a head takes of a batch of labels."""
    values = [stored(target, label, classes) for label in labels]
    with tf.Graph().as_default(), tf1.Session() as session:
        return session.run(target.decoded(tf.constant(values, target.dtype), len(classes)))


def test_every_head_has_a_target():
    kinds = set(typing.get_args(typing.get_args(schema.Head)[0]))
    assert set(targets.TARGETS) == kinds - {schema.CustomHead}  # which says itself what its labels are


def test_classes_are_numbered_in_order():
    classes = CLASSES.classes(["b", "a", "b", "c"])
    assert classes == ["a", "b", "c"]
    found = decoded(CLASSES, ["c", "a"], classes)
    assert found.tolist() == [2, 0] and found.dtype == np.int64
    with pytest.raises(errors.InputError, match=r"^label 'd' is not in the training data \(a, b, c\)$"):
        stored(CLASSES, "d", classes)


@pytest.mark.parametrize(
    "label, classes, meant",
    [
        ("1.0", "01", "1"),
        ("1", ["0.0", "1.0"], "1.0"),
        ("1.50", ["1.5", "2"], "1.5"),
        ("YES", ["no", "yes"], "yes"),
    ],
)
def test_a_known_label_written_otherwise(label, classes, meant):
    with pytest.raises(errors.InputError) as caught:
        stored(CLASSES, label, classes)
    assert str(caught.value) == (
        f"label {label!r} is not in the training data ({', '.join(classes)}); if it means {meant!r}, write it so, "
        f"or in tables set inputs.label_aliases: {{{label!r}: {meant!r}}}"
    )


def test_labels_that_are_no_classes():
    measured = [str(number / 4) for number in range(40)]
    with pytest.raises(errors.InputError) as caught:
        stored(CLASSES, "inf", measured)
    assert str(caught.value) == (
        "label 'inf' is not in the training data (0.0, 0.25, 0.5, 0.75, 1.0, ...); labels that are measured, not "
        "classes, need model_fn.head.kind=regression selection.metric=rmse"
    )
    for classes in (measured[:10], map(str, range(40))):
        with pytest.raises(errors.InputError, match=r"training data \([^)]*\)$"):
            stored(CLASSES, "1.3", classes)


@pytest.mark.parametrize(
    "positive, expected", [(None, ["no", "yes"]), ("yes", ["no", "yes"]), ("no", ["yes", "no"])]
)
def test_the_positive_class_is_number_one(positive, expected):
    assert two_classes(positive).classes(["yes", "no", "yes"]) == expected


@pytest.mark.parametrize(
    "positive, labels, message",
    [
        ("ja", ["no", "yes"], "model_fn.head.positive: 'ja' is no label of the training data: no, yes"),
        (None, "abcdefg", "labels of the training data: 7 (a, b, c, d, e, ...); the head binary takes 2, "
         "classification any"),
        (None, "abc", "labels of the training data: 3 (a, b, c); the head binary takes 2, classification any"),
        (None, "aa", "labels of the training data: ['a']; at least 2 are needed"),
    ],
)  # fmt: skip
def test_labels_that_are_not_two_classes(positive, labels, message):
    with pytest.raises(errors.InputError) as caught:
        two_classes(positive).classes(labels)
    assert str(caught.value) == message


def test_several_classes_are_split_at_the_separator():
    classes = SEVERAL.classes(["red, green", "", "blue,red"])
    assert classes == ["blue", "green", "red"]
    found = decoded(SEVERAL, ["red,blue", "", " , ", ("green",), "red,red"], classes)
    assert found.tolist() == [[1, 0, 1], [0, 0, 0], [0, 0, 0], [0, 1, 0], [0, 0, 1]]
    assert found.dtype == np.float32
    with pytest.raises(errors.InputError, match=r"^label 'pink' is not in the training data \(blue, gr"):
        stored(SEVERAL, "red,pink", classes)


@pytest.mark.parametrize("separator, label", [("|", "a, b|c"), (" ", "a  c"), ("\t", "a\tc"), ("::", "a::c")])
def test_other_separators(separator, label):
    target = targets.create(schema.MultiLabelHead(kind="multi_label", separator=separator))
    assert target.canonical(label) == (["a, b", "c"] if separator == "|" else ["a", "c"])


def test_a_list_is_not_split():
    assert SEVERAL.canonical(("a, b", " c ", "a, b")) == ["a, b", "c"]


def test_numbers():
    assert NUMBER.classes(["1", "2"]) == []
    assert decoded(NUMBER, ["1", "-2.5e3", " 7 "], []).tolist() == [1.0, -2500.0, 7.0]
    assert NUMBER.canonical("1.0") == NUMBER.canonical("1")


@pytest.mark.parametrize("label", ["", "x", "nan", "inf", "-Infinity", "1e39", "1_000", "3,5"])
def test_what_is_no_finite_number(label):
    with pytest.raises(errors.InputError) as caught:
        NUMBER.canonical(label)
    assert str(caught.value) == f"label {label!r} is no finite number"


@pytest.mark.parametrize(
    "written, message",
    [
        ("-1", "weight '-1' is negative; expected a number >= 0"),
        ("", "weight '' is no finite number"),
        ("inf", "weight 'inf' is no finite number"),
    ],
)
def test_bad_weights(written, message):
    with pytest.raises(errors.InputError) as caught:
        targets.weight(written)
    assert str(caught.value) == message


def test_weights():
    assert [targets.weight(written) for written in ("0", "2.5", "1e3")] == [0.0, 2.5, 1000.0]


def test_moments_are_those_of_numpy():
    rng = np.random.default_rng(1)
    values, weights = rng.normal(1e6, 3.0, 200), rng.integers(0, 3, 200)
    moments = targets.Moments()
    for value, weight in zip(values, weights, strict=True):
        moments.add(value, float(weight))
    repeated = np.repeat(values, weights)
    assert moments.values == pytest.approx((repeated.mean(), repeated.std()), rel=1e-9)
    assert targets.Moments().values == (0.0, 0.0)


def test_what_is_stored_depends_on_the_head():
    described = [
        target.describe() for target in (CLASSES, two_classes(), two_classes("a"), SEVERAL, NUMBER)
    ]
    assert len({str(one) for one in described}) == len(described)
