"""Tests of hubpipe.models.heads.custom."""

import sys
import types

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.compat import v1 as tf1

from hubpipe import errors
from hubpipe.config import schema
from hubpipe.models import heads
from hubpipe.models.heads import custom

X = np.random.default_rng(0).normal(size=[4, 3]).astype(np.float32)
LABELS = np.array([0, 1, 1, 0])


class Squares:
    """One column for each class; the loss is the squared distance from the label's column to 1."""

    def __init__(self, labels, scale=1.0):
        self._labels, self._scale = labels, scale

    def logits(self, encoded):
        return encoded @ tf1.get_variable("kernel", [3, len(self._labels)]) * self._scale

    def losses(self, logits, labels):
        return tf.square(tf.gather(logits, labels, axis=1, batch_dims=1) - 1.0)

    def predictions(self, logits):
        return {"predicted": tf.argmax(logits, axis=1), "logits": logits}


@pytest.fixture
def create(monkeypatch):
    """A function (head_fn, **keys of the config) -> the head."""

    def call(head_fn, **keys):
        module = types.ModuleType("own")
        module.head, module.__file__ = head_fn, __file__
        monkeypatch.setitem(sys.modules, "own", module)
        section = schema.CustomHead.model_validate({"kind": "custom", "head_fn": "own:head", **keys})
        return heads.create(section, ["no", "yes"])

    return call


def _run(fetches):
    with tf1.Session() as session:
        session.run([tf1.global_variables_initializer(), tf1.local_variables_initializer()])
        return session.run(fetches)


def test_the_object_decides(create):
    head = create(Squares, params={"scale": 2.0})
    with tf.Graph().as_default():
        logits = head.logits(tf.constant(X))
        labels = tf.constant(LABELS)
        assert [variable.op.name for variable in tf1.global_variables()] == ["head/kernel"]
        losses, weights = head.losses(logits, labels), tf.constant([1.0, 0.0, 0.0, 1.0])
        fetches = {
            "kernel": tf1.global_variables()[0],
            "logits": logits,
            "losses": losses,
            "loss": head.loss(logits, labels, weights),
            "predictions": head.predictions(logits),
            "compared": head.compared(logits, labels),
        }
        found = _run(fetches)
        assert head.metrics(logits, labels) == {}
    logits = 2.0 * X @ found["kernel"]
    np.testing.assert_allclose(found["logits"], logits, rtol=1e-5)
    losses = (logits[range(4), LABELS] - 1.0) ** 2
    np.testing.assert_allclose(found["losses"], losses, rtol=1e-4)
    np.testing.assert_allclose(found["loss"], (losses[0] + losses[3]) / 2.0, rtol=1e-4)
    np.testing.assert_array_equal(found["predictions"]["predicted"], logits.argmax(axis=1))
    np.testing.assert_array_equal(found["compared"], [LABELS, logits.argmax(axis=1)])


def test_what_is_served(create):
    head = create(Squares)
    with tf.Graph().as_default():
        predictions = head.predictions(head.logits(tf.constant(X)))
        outputs = head.export_outputs(predictions)["serving_default"].outputs
    assert sorted(outputs) == ["logits", "predicted"]


def _changed(**methods):
    return type("Changed", (Squares,), methods)


def _raising(labels):
    raise KeyError("classes")


def _variable_in_losses(self, logits, labels):
    return tf.reduce_sum(logits * tf1.get_variable("late", [2]), axis=1)


@pytest.mark.parametrize(
    ("head_fn", "keys", "message"),
    [
        (
            Squares,
            {"params": {"scales": 1.0}},
            "model_fn.head.params.scales: unknown parameter (did you mean 'scale'?). own:head takes labels, scale",
        ),
        (
            lambda labels: labels,
            {},
            "model_fn.head.head_fn: own:head: returned a value of type list, which has no method logits and no "
            "losses and no predictions; expected logits, losses, predictions",
        ),
        (
            _raising,
            {},
            f"model_fn.head.head_fn: own:head: KeyError: 'classes' ({__file__}, line "
            f"{_raising.__code__.co_firstlineno + 1})",
        ),
    ],
)
def test_functions_that_make_no_head(create, head_fn, keys, message):
    with pytest.raises(errors.ConfigError) as caught:
        create(head_fn, **keys)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("methods", "message"),
    [
        ({"logits": lambda self, encoded: 3}, "logits returned 3; expected float32 [batch, units]"),
        (
            {"losses": lambda self, logits, labels: None},
            "losses returned None; expected float32 [batch], a loss for each example",
        ),
        (
            {"losses": _variable_in_losses},
            "losses makes the variable 'late'; make it in logits",
        ),
        (
            {"predictions": lambda self, logits: {"classes": logits}},
            "predictions returned ['classes']; expected a dict with the key 'predicted'",
        ),
        (
            {"predictions": lambda self, logits: {"predicted": 3}},
            "predictions returned int as 'predicted'; expected tensors",
        ),
        (
            {"predictions": lambda self, logits: logits},
            "predictions returned Tensor; expected a dict with the key 'predicted'",
        ),
    ],
)
def test_methods_that_return_something_else(create, methods, message):
    head = create(_changed(**methods))
    with tf.Graph().as_default(), pytest.raises(errors.ConfigError) as caught:
        logits = head.logits(tf.constant(X))
        head.losses(logits, tf.constant(LABELS))
        head.predictions(logits)
    assert str(caught.value).replace("SymbolicTensor", "Tensor") == f"model_fn.head.head_fn: own:head: {message}"


def test_what_is_told_before_data_are_read(monkeypatch):
    with pytest.raises(errors.ConfigError) as caught:
        custom.check(schema.CustomHead(kind="custom", head_fn="no_such_package:Head"))
    assert str(caught.value).startswith("model_fn.head.head_fn: cannot import 'no_such_package': ")
