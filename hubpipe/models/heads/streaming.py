"""Metrics over the batches of an evaluation: pairs (value, update), with weights.

Sums are float64: counts of float32 stand still at 16 million.
"""

from collections.abc import Callable, Mapping

import tensorflow as tf
from tensorflow.compat import v1 as tf1

Metric = tuple[tf.Tensor, tf.Tensor | tf.Operation]

_BUCKETS = 1 << 18  # of logits, for a curve
_LEAST_BUCKETS = 1 << 10
_MAX_CELLS = 1 << 21  # buckets of all classes, 32 MB
# Logits are counted on the scale of asinh(1000 x), up to a million: with all buckets in steps of 2e-7 around 0,
# and of 0.016 % from 0.001 on.
_STEEPNESS = 1e3
_LARGEST = 1e6


def mean(values: tf.Tensor, weights: tf.Tensor | None) -> Metric:
    """The mean of values [batch]."""
    return tf1.metrics.mean(values, weights)


def of_sums(
    name: str, sums: Mapping[str, tf.Tensor], value: Callable[[Mapping[str, tf.Tensor]], tf.Tensor]
) -> Metric:
    """A metric that is a function of sums over all examples.

    Args:
        name: of the variables.
        sums: dict name -> the sum over the batch, of a static shape.
        value: function of the sums over all batches, float64.
    """
    totals, updated = {}, {}
    for part, batch in sums.items():
        totals[part] = _variable(f"{name}/{part}", batch.shape)
        updated[part] = tf1.assign_add(totals[part], tf.cast(batch, tf.float64))
    return value({part: tf.identity(total) for part, total in totals.items()}), value(updated)


def counts(labels: tf.Tensor, predicted: tf.Tensor, weights: tf.Tensor | None) -> dict[str, tf.Tensor]:
    """Sums for scores of classes.

    Args:
        labels: bool or number that is 0 or 1, [batch, classes].
        predicted: the same.
        weights: float32 [batch], None if all count the same.
    Returns:
        dict "hits", "actual", "guessed" -> float64 [classes]: examples that have the class and are said to, that
        have it, that are said to have it.
    """
    labels, predicted = tf.cast(labels, tf.float64), tf.cast(predicted, tf.float64)
    weights = of_examples(labels, weights)[:, None]
    return {
        "hits": tf.reduce_sum(weights * labels * predicted, axis=0),
        "actual": tf.reduce_sum(weights * labels, axis=0),
        "guessed": tf.reduce_sum(weights * predicted, axis=0),
    }


def of_examples(values: tf.Tensor, weights: tf.Tensor | None) -> tf.Tensor:
    """The weights of the examples that values [batch, ...] are of, float64 [batch]."""
    if weights is None:
        return tf.ones(tf.shape(values)[:1], tf.float64)
    return tf.cast(weights, tf.float64)


def precision(sums: Mapping[str, tf.Tensor]) -> tf.Tensor:
    """Hits of what was guessed, over all classes; 0 if nothing was."""
    return tf.math.divide_no_nan(tf.reduce_sum(sums["hits"]), tf.reduce_sum(sums["guessed"]))


def recall(sums: Mapping[str, tf.Tensor]) -> tf.Tensor:
    """Hits of what is there, over all classes; 0 if nothing is."""
    return tf.math.divide_no_nan(tf.reduce_sum(sums["hits"]), tf.reduce_sum(sums["actual"]))


def micro_f1(sums: Mapping[str, tf.Tensor]) -> tf.Tensor:
    """The harmonic mean of precision and recall over all classes, 2 hits / (actual + guessed)."""
    occurrences = tf.reduce_sum(sums["actual"] + sums["guessed"])
    return tf.math.divide_no_nan(2.0 * tf.reduce_sum(sums["hits"]), occurrences)


def macro_f1(sums: Mapping[str, tf.Tensor]) -> tf.Tensor:
    """The mean of the classes' F1 scores; a class that is neither a label nor predicted does not count."""
    occurrences = sums["actual"] + sums["guessed"]
    f1 = tf.math.divide_no_nan(2.0 * sums["hits"], occurrences)
    return tf.math.divide_no_nan(tf.reduce_sum(f1), tf.reduce_sum(tf.cast(occurrences > 0, tf.float64)))


def curves(logits: tf.Tensor, labels: tf.Tensor, weights: tf.Tensor | None) -> dict[str, Metric]:
    """Areas under curves, means over the classes that have both kinds of examples; NaN if none has.

    Logits are counted in buckets, those in the same one as equal: an area is off by less than the share of pairs
    of examples that are so close.

    Args:
        logits: float32 [batch, classes], classes known.
        labels: number that is 0 or 1, [batch, classes].
        weights: float32 [batch], None if all count the same.
    Returns:
        dict "auc" -> under the receiver operating characteristic; "auc_pr" -> average precision.
    """
    classes = logits.shape[1]
    buckets = min(_BUCKETS, max(_LEAST_BUCKETS, _MAX_CELLS // classes))
    labels = tf.cast(labels, tf.float64)
    weights = of_examples(labels, weights)[:, None]
    cells = tf.range(classes) * buckets + _bucket(logits, buckets)  # [batch, classes]
    updates, found = [], {}
    for name, counted in (("positive", weights * labels), ("negative", weights * (1.0 - labels))):
        total = _variable(f"curves/{name}", [classes * buckets])
        updates.append(tf1.scatter_add(total, tf.reshape(cells, [-1]), tf.reshape(counted, [-1])))
        found[name] = tf.reshape(tf.identity(total), [classes, buckets])
    update = tf.group(*updates)
    positive, negative = found["positive"], found["negative"]
    return {
        "auc": (_mean_of_finite(_area(positive, negative)), update),
        "auc_pr": (_mean_of_finite(_average_precision(positive, negative)), update),
    }


def _bucket(logits: tf.Tensor, buckets: int) -> tf.Tensor:
    """The bucket of each logit, int32 of the same shape; a higher logit has the same bucket or a higher one."""
    end = tf.asinh(tf.constant(_STEEPNESS * _LARGEST, tf.float64))
    places = (tf.asinh(_STEEPNESS * tf.cast(logits, tf.float64)) / end + 1.0) / 2.0 * buckets
    return tf.cast(tf.clip_by_value(places, 0.0, buckets - 1.0), tf.int32)


def _area(positive: tf.Tensor, negative: tf.Tensor) -> tf.Tensor:
    """The share of pairs in the right order, half of those in the same bucket; [classes, buckets] -> [classes]."""
    below = tf.cumsum(negative, axis=1, exclusive=True)
    right = tf.reduce_sum(positive * (below + negative / 2.0), axis=1)
    return right / (tf.reduce_sum(positive, axis=1) * tf.reduce_sum(negative, axis=1))


def _average_precision(positive: tf.Tensor, negative: tf.Tensor) -> tf.Tensor:
    """The mean, over the positive examples, of the precision from their bucket on; NaN without negative ones."""
    hits = tf.cumsum(positive, axis=1, reverse=True)
    guesses = hits + tf.cumsum(negative, axis=1, reverse=True)
    area = tf.reduce_sum(positive * tf.math.divide_no_nan(hits, guesses), axis=1) / tf.reduce_sum(positive, axis=1)
    missing = tf.fill(tf.shape(area), tf.constant(float("nan"), tf.float64))
    return tf.where(tf.reduce_sum(negative, axis=1) > 0.0, area, missing)


def _mean_of_finite(values: tf.Tensor) -> tf.Tensor:
    finite = tf.boolean_mask(values, tf.math.is_finite(values))
    return tf.reduce_mean(finite)  # of none it is NaN


def _variable(name: str, shape: tf.TensorShape | list[int]) -> tf.Variable:
    return tf1.get_variable(
        f"metrics/{name}",
        shape,
        tf.float64,
        initializer=tf1.zeros_initializer(),
        trainable=False,
        collections=[tf1.GraphKeys.LOCAL_VARIABLES, tf1.GraphKeys.METRIC_VARIABLES],
    )
