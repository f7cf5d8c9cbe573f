"""Tests of hubpipe.training.failures."""

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.compat import v1 as tf1

from hubpipe import errors
from hubpipe.config import schema
from hubpipe.models import metrics
from hubpipe.training import failures


def uneven(labels, predicted):
    """Refuses what it gets, in more than one line."""
    raise ValueError("only\ntwo classes")


@pytest.fixture
def failing_op():
    """The op of a metric of one's own that raises."""
    found = metrics.create({"uneven": schema.CustomMetric(fn=f"{__name__}:uneven", higher_is_better=True)})
    with tf.Graph().as_default():
        rows = tf.constant([0, 1])
        (value, update), = metrics.streamed(found, rows, rows, None).values()
        yield value, update


def test_what_a_metric_of_ones_own_raises(failing_op):
    value, update = failing_op
    with tf1.Session() as session, pytest.raises(errors.TrainingError) as caught, failures.explained(None):
        session.run(tf1.local_variables_initializer())
        session.run(update)
        session.run(value)
    line = uneven.__code__.co_firstlineno + 2
    assert str(caught.value) == (
        f"metrics.uneven.fn: {__name__}:uneven: ValueError: only two classes ({__file__}, line {line})"
    )


def test_a_file_that_may_not_grow(tiny):
    error = tf.errors.OutOfRangeError(None, None, "run/model.ckpt-0.data; File too large")
    with pytest.raises(errors.TrainingError, match=r"too large\)\. Raise the limit"), failures.explained(tiny()):
        raise error
    with pytest.raises(tf.errors.OutOfRangeError), failures.explained(tiny()):
        raise tf.errors.OutOfRangeError(None, None, "End of sequence")


def test_other_errors_stay():
    with tf.Graph().as_default(), tf1.Session() as session:
        differs = tf.debugging.assert_equal(tf1.placeholder_with_default(np.int32(1), []), 2)
        with pytest.raises(tf.errors.InvalidArgumentError), failures.explained(None):
            session.run(differs)
