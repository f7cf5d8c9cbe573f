"""Tests of hubpipe.models.metrics."""

import sys
import types

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.compat import v1 as tf1

from hubpipe import errors
from hubpipe.config import schema
from hubpipe.models import metrics

LABELS = np.array([0, 1, 2, 1, 0])
PREDICTED = np.array([0, 1, 1, 2, 1])


def share(labels, predicted, sample_weight):
    """The weighted share of right predictions."""
    return np.dot(sample_weight, labels == predicted) / sample_weight.sum()


def within(labels, predicted, *, distance=0):
    """The share of predictions that are close."""
    return np.mean(np.abs(labels - predicted) <= distance)


@pytest.fixture
def create(monkeypatch):
    """A function (name -> fn, **params of all) -> the metrics."""

    def call(functions, **params):
        module = types.ModuleType("own")
        module.__file__ = __file__
        monkeypatch.setitem(sys.modules, "own", module)
        for name, fn in functions.items():
            setattr(module, name, fn)
        return metrics.create(
            {
                name: schema.CustomMetric(fn=f"own:{name}", higher_is_better=True, params=params)
                for name in functions
            }
        )

    return call


def _streamed(found, labels, predicted, weights=None, batch=2):
    """The values after one pass, and after a second one that starts anew."""
    columns = {"labels": labels, "predicted": predicted}
    if weights is not None:
        columns["weights"] = weights
    with tf.Graph().as_default(), tf1.Session() as session:
        iterator = tf1.data.make_initializable_iterator(tf.data.Dataset.from_tensor_slices(columns).batch(batch))
        rows = iterator.get_next()
        pairs = metrics.streamed(found, rows["labels"], rows["predicted"], rows.get("weights"))
        values = []
        for _ in range(2):
            session.run([tf1.local_variables_initializer(), iterator.initializer])
            while True:
                try:
                    session.run([update for _, update in pairs.values()])
                except tf.errors.OutOfRangeError:
                    break
            values.append(session.run({name: value for name, (value, _) in pairs.items()}))
    assert values[0] == values[1]
    return values[0]


def test_all_rows_at_once(create):
    found = _streamed(create({"share": share}), LABELS, PREDICTED)
    assert found == {"share": 0.4}


def test_several_metrics_share_the_rows(create):
    found = _streamed(create({"share": share, "other": lambda labels, predicted: len(labels)}), LABELS, PREDICTED)
    assert found == {"share": 0.4, "other": 5.0}


def test_params(create):
    assert _streamed(create({"within": within}, distance=1), LABELS, PREDICTED) == {"within": 1.0}


def test_weights_go_to_a_function_that_takes_them(create):
    weights = np.array([0.5, 1.5, 1.0, 0.25, 0.75], np.float32)
    assert _streamed(create({"share": share}), LABELS, PREDICTED, weights) == {"share": 0.5}


def test_rows_of_whole_weights_are_repeated(create):
    weights = np.array([3, 1, 0, 0, 0], np.float32)
    assert _streamed(create({"within": within}), LABELS, PREDICTED, weights) == {"within": 1.0}
    (metric,) = create({"within": within}).values()
    assert metric(LABELS, PREDICTED, np.array([1.0, 0.0, 2.0, 0.0, 1.0])) == 0.25


def test_rows_of_several_classes(create):
    labels = np.array([[True, False], [True, True], [False, True]])
    found = _streamed(create({"within": lambda labels, predicted: np.mean(labels == predicted)}), labels, ~labels)
    assert found == {"within": 0.0}


def test_weights_that_a_function_cannot_take(create):
    (metric,) = create({"within": within}).values()
    with pytest.raises(errors.TrainingError) as caught:
        metric(LABELS, PREDICTED, np.full(5, 0.5))
    assert str(caught.value) == (
        "metrics.within.fn: own:within takes no 'sample_weight', and examples have weights that are no whole "
        "numbers"
    )


def _raising(labels, predicted):
    raise ValueError("only two classes")


def test_what_a_function_raises(create):
    (metric,) = create({"raising": _raising}).values()
    with pytest.raises(errors.TrainingError) as caught:
        metric(LABELS, PREDICTED, np.ones(5))
    assert str(caught.value) == (
        f"metrics.raising.fn: own:raising: ValueError: only two classes ({__file__}, line "
        f"{_raising.__code__.co_firstlineno + 1})"
    )


def test_a_function_that_returns_no_number(create):
    (metric,) = create({"pair": lambda labels, predicted: (1, 2)}).values()
    with pytest.raises(errors.TrainingError) as caught:
        metric(LABELS, PREDICTED, np.ones(5))
    assert str(caught.value).startswith("metrics.pair.fn: own:pair: TypeError: ")


def test_a_function_that_cannot_be_called_so(create):
    with pytest.raises(errors.ConfigError) as caught:
        create({"alone": lambda labels: 1.0}, distance=1)
    assert caught.value.problems == [
        "metrics.alone.params: own:alone cannot be called with (labels, predicted, distance=...): too many "
        "positional arguments"
    ]
