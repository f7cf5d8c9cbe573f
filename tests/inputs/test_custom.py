"""Tests of hubpipe.inputs.custom, with custom_dataset and custom_scan."""

import itertools
import sys
import types

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.compat import v1 as tf1

from hubpipe import errors
from hubpipe.config import schema
from hubpipe.inputs import batches, custom

X = np.arange(10, dtype=np.float32).reshape(5, 2)
NAMES = ["b", "a", "b", "c", "a"]


@pytest.fixture
def prepare(tmp_path, monkeypatch):
    """A function (input_fn, *, fingerprint_fn, head, **keys of the config) -> the data."""

    def call(input_fn, *, fingerprint_fn=None, head=None, **keys):
        module = types.ModuleType("own")
        module.input_fn, module.fingerprint, module.__file__ = input_fn, fingerprint_fn, __file__
        monkeypatch.setitem(sys.modules, "own", module)
        if fingerprint_fn is not None:
            keys["fingerprint_fn"] = "own:fingerprint"
        section = schema.CustomInputs.model_validate({"kind": "custom", "input_fn": "own:input_fn", **keys})
        model = {"kind": "custom", "module_fn": "own:encoder", "head": head or {"kind": "classification"}}
        return custom.prepare_section(
            section, schema.CustomModel.model_validate(model), cache_dir=str(tmp_path / "inputs")
        )

    return call


def _dataset(labels, features=None):
    return tf.data.Dataset.from_tensor_slices((features or {"x": X[: len(labels)]}, np.array(labels)))


def by_name(mode, batch_size):
    """Five rows of three classes; two of them in evaluation."""
    return _dataset(NAMES if mode == "train" else NAMES[:2]).batch(batch_size)


def _read(data, mode="eval", batches_read=None, **options):
    """The batches of an input_fn."""
    with tf.Graph().as_default(), tf1.Session() as session:
        dataset = custom.input_fn(data, mode, **{"batch_size": 2, **options})()
        batch = tf1.data.make_one_shot_iterator(dataset).get_next()
        found = []
        for _ in itertools.count() if batches_read is None else range(batches_read):
            try:
                found.append(session.run(batch))
            except tf.errors.OutOfRangeError:
                break
        return found


def test_class_names(prepare, tmp_path):
    data = prepare(by_name)
    assert data.labels == ["a", "b", "c"]
    with open(data.labels_path, encoding="utf-8") as file:
        assert file.read() == "a\nb\nc\n"
    assert (data.num_train, data.num_eval) == (5, 2)
    assert data.moments == (0.0, 1.0)
    assert data.features == {"x": tf.TensorSpec([None, 2], tf.float32, "x")}
    assert custom.module_arguments(data) == {"labels_path": data.labels_path}
    found = _read(data, "train", epochs=1)
    np.testing.assert_array_equal(np.concatenate([features["x"] for features, _ in found]), X)
    assert np.concatenate([labels for _, labels in found]).tolist() == [1, 0, 1, 2, 0]
    assert found[0][1].dtype == np.int64


def test_class_numbers(prepare):
    data = prepare(lambda mode, batch_size: _dataset([2, 0, 1]).batch(batch_size))
    assert data.labels == ["0", "1", "2"]
    data = prepare(lambda mode, batch_size: _dataset([2, 0, 1]).batch(batch_size), labels=["x", "y", "z"])
    assert data.labels == ["x", "y", "z"]
    assert [labels.tolist() for _, labels in _read(data)] == [[2, 0], [1]]


def test_the_order_of_the_config(prepare):
    data = prepare(by_name, labels=["c", "b", "a"])
    assert data.labels == ["c", "b", "a"]
    assert [labels.tolist() for _, labels in _read(data)] == [[1, 2]]


@pytest.mark.parametrize("labels", [["yes", "no", "yes"], [1, 0, 1]])
def test_the_positive_of_two_classes(prepare, labels):
    given = None if isinstance(labels[0], str) else ["no", "yes"]
    head = {"kind": "binary", "positive": "no"}
    data = prepare(lambda mode: _dataset(labels).batch(3), head=head, labels=given)
    assert data.labels == ["yes", "no"]
    assert [found.tolist() for _, found in _read(data, batch_size=3)] == [[0, 1, 0]]


def test_numbers_with_weights(prepare):
    def input_fn(mode, batch_size):
        labels = {"label": np.array([1.0, 4.0]), "weight": np.array([3.0, 1.0])}
        return tf.data.Dataset.from_tensor_slices(({"x": X[:2]}, labels)).batch(batch_size)

    data = prepare(input_fn, head={"kind": "regression"})
    assert (data.labels, data.labels_path) == ([], None)
    np.testing.assert_allclose(data.moments, (1.75, np.sqrt(27 / 16)))
    ((_, labels),) = _read(data)
    assert {name: (value.dtype.name, value.tolist()) for name, value in labels.items()} == {
        "label": ("float32", [1.0, 4.0]),
        "weight": ("float32", [3.0, 1.0]),
    }


def test_several_classes(prepare):
    flags = np.array([[1, 0], [1, 1], [0, 0]], np.float64)
    head = {"kind": "multi_label"}

    def input_fn(mode, batch_size):
        return _dataset(flags).batch(batch_size)

    data = prepare(input_fn, head=head, labels=["a", "b"])
    assert data.labels == ["a", "b"]
    np.testing.assert_array_equal(np.concatenate([labels for _, labels in _read(data)]), flags)
    with pytest.raises(errors.ConfigError) as caught:
        prepare(input_fn, head=head)
    assert str(caught.value).startswith("inputs.labels: missing; list the names of the classes")
    with pytest.raises(errors.ConfigError) as caught:
        prepare(input_fn, head=head, labels=["a"])
    assert str(caught.value) == "inputs.labels: 1 names; the labels have 2 columns"


def test_a_function_gets_what_it_names(prepare):
    seen = []

    def input_fn(mode, batch_size, shuffle, seed, size=3):
        seen.append((mode, batch_size, shuffle, seed, size))
        return _dataset(["a", "b"]).batch(batch_size)

    data = prepare(input_fn, params={"size": 4}, batch_size=7)
    assert set(seen) == {("train", 7, False, 0, 4), ("eval", 7, False, 0, 4)}
    del seen[:]
    _read(data, "train", batches_read=1, seed=5, start_step=3)
    _read(data, "eval", seed=5)
    assert seen == [("train", 2, True, 8, 4), ("eval", 2, False, 5, 4)]


def test_other_batches_are_made_anew(prepare):
    data = prepare(lambda mode: _dataset(NAMES).batch(4))
    assert [len(labels) for _, labels in _read(data, batch_size=2)] == [2, 2, 1]


def test_training_repeats(prepare):
    data = prepare(by_name)
    assert len(_read(data, "train", batch_size=5, batches_read=7)) == 7
    assert len(_read(data, "train", batch_size=5, epochs=2)) == 2


def test_shards_are_all_rows_once(prepare):
    data = prepare(by_name)
    shards = [_read(data, "train", epochs=1, shard=batches.Shard(index, 2)) for index in range(2)]
    rows = [tuple(row) for shard in shards for features, _ in shard for row in features["x"]]
    assert sorted(rows) == sorted(map(tuple, X))


def test_the_fingerprint_is_of_the_rows_in_any_order(prepare):
    def of(labels, features):
        return prepare(lambda mode: _dataset(labels, features).batch(2)).fingerprint["train"]

    first = of(["a", "b"], {"x": X[:2], "s": np.array(["one", "two"])})
    assert of(["b", "a"], {"x": X[1::-1], "s": np.array(["two", "one"])}) == first
    others = [
        of(["b", "a"], {"x": X[:2], "s": np.array(["one", "two"])}),
        of(["a", "b"], {"x": X[1:3], "s": np.array(["one", "two"])}),
        of(["a", "b"], {"x": X[:2], "s": np.array(["onet", "wo"])}),
        of(["a", "b", "b"], {"x": X[:3], "s": np.array(["one", "two", "two"])}),
    ]
    assert len({first, *others}) == 5


def test_a_told_fingerprint_saves_the_reading(prepare):
    calls, told = [], ["day 1"]

    def input_fn(mode, batch_size, size=5):
        calls.append(mode)
        return _dataset(NAMES[:size]).batch(batch_size)

    def fingerprint(mode, size):
        return f"{told[0]}, {mode}, {size}"

    def again():
        del calls[:]
        return prepare(input_fn, fingerprint_fn=fingerprint, params={"size": 3})

    data = again()
    assert len(calls) == 4  # for the types, and to read
    assert again() == data
    assert len(calls) == 2
    told[0] = "day 2"
    assert again().fingerprint["train"] != data.fingerprint["train"]
    assert len(calls) == 4


def test_slices(prepare):
    features = {"x": X[:3], "kind": np.array(["u", "v", "u"]), "age": np.array([3, 4, 5])}
    data = prepare(lambda mode: _dataset(["a", "b", "a"], features).batch(2))
    assert custom.slices(data.section, data, "kind") == ["u", "v", "u"]
    assert custom.slices(data.section, data, "age") == ["3", "4", "5"]
    with pytest.raises(errors.InputError) as caught:
        custom.slices(data.section, data, "x")
    assert str(caught.value) == (
        "slice column 'x': own:input_fn has no feature of that name with one value per row. It has 'kind', 'age'"
    )


def test_what_is_served(prepare):
    data = prepare(by_name)
    with tf.Graph().as_default():
        receiver = custom.create_serving_input_fn(data)()
    assert {name: (value.dtype, value.shape.as_list()) for name, value in receiver.features.items()} == {
        "x": (tf.float32, [None, 2])
    }


def _raising(mode):
    raise OSError("the table is locked")


def _generated(mode):
    def rows():
        yield {"x": X[0]}, "a"
        raise OSError("the connection is lost")

    spec = ({"x": tf.TensorSpec([2], tf.float32)}, tf.TensorSpec([], tf.string))
    return tf.data.Dataset.from_generator(rows, output_signature=spec).batch(1)


@pytest.mark.parametrize(
    ("input_fn", "keys", "message"),
    [
        (
            lambda rows=3: None,
            {},
            "inputs.input_fn: own:input_fn has no parameter 'mode', which tells 'train' from 'eval'",
        ),
        (
            by_name,
            {"params": {"size": 3}},
            "inputs.params.size: unknown parameter. own:input_fn takes mode, batch_size",
        ),
        (by_name, {"params": {"mode": "eval"}}, "inputs.params.mode: set by hubpipe; leave it out"),
        (
            lambda mode: [X],
            {},
            "inputs.input_fn: own:input_fn: returned a value of type builtins.list; expected a tf.data.Dataset of "
            "(dict of features, labels)",
        ),
        (
            _raising,
            {},
            f"inputs.input_fn: own:input_fn: OSError: the table is locked ({__file__}, line "
            f"{_raising.__code__.co_firstlineno + 1})",
        ),
        (
            lambda mode, batch_size: tf.data.Dataset.from_tensor_slices(X).batch(batch_size),
            {},
            "inputs.input_fn: own:input_fn, mode 'train': the dataset has TensorSpec(shape=(None, 2), "
            "dtype=tf.float32, name=None); expected (dict of features, labels)",
        ),
        (
            lambda mode: _dataset(["a", "b"]),
            {},
            "inputs.input_fn: own:input_fn: its dataset has single rows; expected batches: .batch(batch_size)",
        ),
        (
            lambda mode: _dataset(["a", "b"], {"my x": X[:2]}).batch(2),
            {},
            "inputs.input_fn: own:input_fn, mode 'train': a feature is named 'my x'; expected letters, digits and "
            "'_', as in names of a graph's nodes",
        ),
        (
            lambda mode: _dataset([1.0, 2.0]).batch(2),
            {},
            "inputs.input_fn: own:input_fn, mode 'train': labels are TensorSpec(shape=(None,), dtype=tf.float64, "
            "name=None); the head takes class names, string [batch], or class numbers, integer [batch]",
        ),
        (
            lambda mode: _dataset(["a", "b"], {"x": X[:2]} if mode == "train" else {"y": X[:2]}).batch(2),
            {},
            "inputs.input_fn: own:input_fn: features are {'x': 'float32'} in training, {'y': 'float32'} in "
            "evaluation",
        ),
        (
            lambda mode: _dataset(["a", "b" if mode == "train" else "z"]).batch(2),
            {},
            "own:input_fn, mode 'eval': label 'z' is unknown; the training data have 'a', 'b'",
        ),
        (
            lambda mode: _dataset([0, 3]).batch(2),
            {"labels": ["a", "b"]},
            "own:input_fn, mode 'train': class number 3 is unknown; inputs.labels has 'a', 'b'",
        ),
        (
            lambda mode: _dataset([0, -1]).batch(2),
            {},
            "inputs.input_fn, mode 'train': own:input_fn: batch after row 0: label -1 is negative; classes count "
            "from 0",
        ),
        (
            lambda mode: _dataset(["a", "b"]).batch(2).repeat(),
            {},
            "inputs.input_fn, mode 'train': own:input_fn: the dataset never ends; return one pass over the rows, "
            "hubpipe repeats it",
        ),
        (
            lambda mode: _dataset(["a", "b"]).take(0).batch(2),
            {},
            "inputs.input_fn, mode 'train': own:input_fn: no rows",
        ),
        (
            lambda mode: _dataset([1.0, np.nan]).batch(2),
            {"head": {"kind": "regression"}},
            "inputs.input_fn, mode 'train': own:input_fn: batch after row 0: a label is no finite number",
        ),
        (
            lambda mode, batch_size: tf.data.Dataset.from_tensors(({"x": X}, tf.constant(["a", "b"]))),
            {},
            "inputs.input_fn, mode 'train': own:input_fn: a batch has different numbers of rows: features 'x' 5, "
            "labels 'label' 2",
        ),
        (
            by_name,
            {"fingerprint_fn": lambda: 3},
            "inputs.fingerprint_fn: own:fingerprint: returned 3; expected text that changes when the data do, "
            "such as a version or a time",
        ),
    ],
)
def test_mistakes(prepare, input_fn, keys, message):
    with pytest.raises((errors.ConfigError, errors.InputError)) as caught:
        prepare(input_fn, **keys)
    assert str(caught.value) == message


def test_what_a_generator_raises(prepare):
    with pytest.raises(errors.ConfigError) as caught:
        prepare(_generated)
    assert str(caught.value).startswith("inputs.input_fn, mode 'train': own:input_fn: ")
    assert "the connection is lost" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_label_that_comes_up_later(prepare):
    rows = [["a", "b"]]
    data = prepare(lambda mode: _dataset(rows[0]).batch(2))
    rows[0] = ["a", "z"]
    with pytest.raises(tf.errors.InvalidArgumentError) as caught:
        _read(data)
    assert "own:input_fn: a new label" in str(caught.value)
