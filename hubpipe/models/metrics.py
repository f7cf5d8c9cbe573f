"""Metrics of users' own, which the config names: functions of all labels and all predictions at once.

A metric is called as fn(labels, predicted, **params) with arrays of one row for each example: class numbers, int64
[rows]; of several classes bool [rows, classes]; numbers, float64 [rows]. It returns a number. If it takes
sample_weight, it gets the weights of the examples; otherwise examples with whole weights are repeated. The metrics
of scikit-learn are such functions.
"""

import functools
from collections.abc import Callable, Mapping

import numpy as np
import tensorflow as tf
from tensorflow.compat import v1 as tf1

from hubpipe import errors, own_code
from hubpipe.config import schema
from hubpipe.models.heads import streaming

_SAMPLE_WEIGHT = "sample_weight"

# (labels, predicted, weights), arrays of one row each -> value
Metric = Callable[[np.ndarray, np.ndarray, np.ndarray], float]


def check(sections: Mapping[str, schema.CustomMetric]) -> None:
    """What can be told before data are read: can the functions be imported, and be called so?

    Args:
        sections: the config's own metrics, by name.
    Raises:
        ConfigError: what is wrong with the first that cannot.
    """
    for name, section in sections.items():
        key = f"metrics.{name}"
        called = own_code.function(section.fn, key=f"{key}.fn")
        weights = {_SAMPLE_WEIGHT: None} if own_code.takes(called, _SAMPLE_WEIGHT) else {}
        arguments = {**section.params, **weights}
        own_code.check_call(called, ["labels", "predicted"], arguments, path=section.fn, key=f"{key}.params")


def create(sections: Mapping[str, schema.CustomMetric]) -> dict[str, Metric]:
    """The functions, by the names of the metrics.

    Args:
        sections: the config's own metrics, by name.
    Raises:
        ConfigError: see check.
    """
    check(sections)
    return {name: functools.partial(_value, name, section) for name, section in sections.items()}


def streamed(
    metrics: Mapping[str, Metric], labels: tf.Tensor, predicted: tf.Tensor, weights: tf.Tensor | None
) -> dict[str, streaming.Metric]:
    """The metrics over the batches of an evaluation; all rows are kept in memory until the end of it.

    Args:
        metrics: from create; at least one.
        labels: of a batch, [batch] or [batch, classes].
        predicted: what the head predicts, of the same shape.
        weights: float32 [batch]; None if all count the same.
    Returns:
        dict name -> (value, update).
    """
    columns = {
        "labels": labels,
        "predicted": predicted,
        "weights": streaming.of_examples(labels, weights),
    }
    kept = {name: _kept(name, rows) for name, rows in columns.items()}
    update = tf.group(*(updated for _, updated in kept.values()))
    values = [value for value, _ in kept.values()]
    return {
        name: (tf.numpy_function(functools.partial(_as_float64, metric), values, tf.float64), update)
        for name, metric in metrics.items()
    }


def _as_float64(metric: Metric, *rows: np.ndarray) -> np.float64:
    return np.float64(metric(*rows))


def _value(
    name: str, section: schema.CustomMetric, labels: np.ndarray, predicted: np.ndarray, weights: np.ndarray
) -> float:
    """The value of a metric.

    Raises:
        TrainingError: the function raises, returns no number, or rows have weights that it cannot take.
    """
    key = f"metrics.{name}.fn"
    called = own_code.function(section.fn, key=key)
    params = dict(section.params)
    if own_code.takes(called, _SAMPLE_WEIGHT):
        params[_SAMPLE_WEIGHT] = weights
    elif np.any(weights != np.round(weights)):
        raise errors.TrainingError(
            f"{key}: {section.fn} takes no {_SAMPLE_WEIGHT!r}, and examples have weights that are no whole numbers"
        )
    else:
        times = weights.astype(np.int64)
        labels, predicted = np.repeat(labels, times, axis=0), np.repeat(predicted, times, axis=0)
    try:
        with own_code.blamed(section.fn, key=key):
            return float(called(labels, predicted, **params))
    except errors.ConfigError as error:
        raise errors.TrainingError(str(error)) from error


def _kept(name: str, rows: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """All rows of the batches so far, and the op that adds those of a batch."""
    rows = tf.convert_to_tensor(rows)
    shape = [0, *rows.shape[1:]]
    total = tf1.Variable(
        lambda: tf.zeros(shape, rows.dtype),
        name=f"metrics/own/{name}",
        trainable=False,
        collections=[tf1.GraphKeys.LOCAL_VARIABLES, tf1.GraphKeys.METRIC_VARIABLES],
        validate_shape=False,
        use_resource=True,
        shape=tf.TensorShape([None, *rows.shape[1:]]),
    )
    return total.read_value(), total.assign(tf.concat([total.read_value(), rows], axis=0), read_value=False)
