"""Tests of hubpipe.models.fit."""

import pytest
import tensorflow as tf
from tensorflow.compat import v1 as tf1

from hubpipe import hub
from hubpipe.models import fit

FEATURES = {"x": tf.TensorSpec([None, 3], tf.float32), "name": tf.TensorSpec([None], tf.string)}


def _spec(inputs, outputs):
    """A module whose signature has placeholders (dtype, shape) and outputs made of them by a function."""

    def module_fn():
        placeholders = {name: tf1.placeholder(dtype, shape) for name, (dtype, shape) in inputs.items()}
        hub.add_signature(inputs=placeholders, outputs=outputs(placeholders))

    return hub.create_module_spec(module_fn)


def _sum(placeholders):
    return placeholders["x"] + tf1.get_variable("bias", [3])


FITTING = {"x": (tf.float32, [None, 3]), "name": (tf.string, [None])}


def test_a_python_function_in_the_graph():
    def in_python(placeholders):
        return tf1.py_func(lambda x: x * 2, [_sum(placeholders)], tf.float32, name="twice")

    (problem, *_) = fit.problems(_spec(FITTING, in_python), FEATURES)
    assert problem.startswith("node 'twice' (PyFunc) calls a Python function, which no module takes along; write")


def test_a_module_that_fits():
    assert fit.problems(_spec(FITTING, _sum), FEATURES) == []
    assert fit.problems(_spec(FITTING | {"x": (tf.float32, [None, None])}, _sum), FEATURES) == []


@pytest.mark.parametrize(
    ("inputs", "problems"),
    [
        (
            {"x": (tf.float32, [None, 3]), "names": (tf.string, [None])},
            [
                "signature 'default' takes 'names', which the inputs do not supply (did you mean 'name'?). They "
                "supply 'x', float32 [batch, 3], 'name', string [batch]",
                "signature 'default' lacks an input 'name', which the inputs supply (did you mean 'names'?). It "
                "takes 'names', 'x'",
            ],
        ),
        (
            FITTING | {"x": (tf.float32, [32, 3])},
            [
                "input 'x' has a fixed batch of 32; batches differ in size, leave the first dimension open (None)",
                "output 'default' has a fixed batch of 32; batches differ in size",
            ],
        ),
        (
            FITTING | {"name": (tf.int64, [None])},
            ["input 'name' is int64 [batch]; the inputs supply string [batch]"],
        ),
        (
            FITTING | {"name": (tf.string, [None, 2])},
            ["input 'name' is string [batch, 2]; the inputs supply string [batch]"],
        ),
    ],
)
def test_inputs(inputs, problems):
    assert fit.problems(_spec(inputs, _sum), FEATURES) == problems


def test_a_sparse_input():
    def module_fn():
        sparse = tf1.sparse_placeholder(tf.float32, [None, 3], name="x")
        hub.add_signature(inputs={"x": sparse}, outputs=tf.reshape(tf.sparse.to_dense(sparse), [-1, 3]))

    (problem,) = fit.problems(hub.create_module_spec(module_fn), {"x": FEATURES["x"]})
    assert problem == (
        "input 'x' is SparseTensorSpec(TensorShape([None, 3]), tf.float32); the inputs supply dense tensors: 'x', "
        "float32 [batch, 3]"
    )


@pytest.mark.parametrize(
    ("outputs", "problem"),
    [
        (
            lambda inputs: {"hidden": inputs["x"] + 1.0},
            "signature 'default' has no output 'default', which the head takes; it has 'hidden'",
        ),
        (
            lambda inputs: tf.reduce_sum(inputs["x"], axis=1),
            "output 'default' is float32 [batch]; the head takes float32 [batch, dim] with a known dim",
        ),
        (
            lambda inputs: tf.cast(inputs["x"], tf.float64),
            "output 'default' is float64 [batch, 3]; the head takes float32 [batch, dim] with a known dim",
        ),
        (
            lambda inputs: tf.tile(inputs["x"], [1, tf.shape(inputs["x"])[0]]),
            "output 'default' is float32 [batch, ?]; the head takes float32 [batch, dim] with a known dim",
        ),
    ],
)
def test_outputs(outputs, problem):
    assert fit.problems(_spec(FITTING, outputs), FEATURES) == [problem]


@pytest.mark.parametrize(
    ("shape", "text"),
    [
        ([None, 3], "float32 [batch, 3]"),
        ([], "float32 []"),
        ([4], "float32 [4]"),
        (None, "float32 of any shape"),
        ([None, None], "float32 [batch, ?]"),
    ],
)
def test_describe(shape, text):
    assert fit.describe(tf.TensorShape(shape), tf.float32) == text
