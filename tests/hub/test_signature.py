"""Tests of hubpipe.hub.signature."""

import re

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.compat import v1 as tf1

from hubpipe import errors, hub
from tests.hub import layers


def _spec_of(*, inputs, outputs):
    """A module whose signature takes and gives what two functions return; outputs is called with the inputs."""

    def module_fn():
        placeholders = inputs()
        hub.add_signature(inputs=placeholders, outputs=outputs(placeholders))

    return hub.create_module_spec(module_fn)


def _floats(shape=None):
    return tf1.placeholder(tf.float32, shape)


def _twice():
    return _spec_of(inputs=_floats, outputs=lambda x: x * 2)


def _sum():
    return _spec_of(inputs=lambda: {"x": _floats(), "y": _floats()}, outputs=lambda pair: pair["x"] + pair["y"])


def test_a_bare_tensor_is_the_default():
    spec = _twice()
    assert spec.get_signature_names() == ["default"]
    assert list(spec.get_input_info_dict()) == list(spec.get_output_info_dict()) == ["default"]


def test_a_signature_may_have_no_inputs():
    spec = _spec_of(inputs=lambda: None, outputs=lambda _: tf.constant([7]))
    assert spec.get_input_info_dict() == {}
    with tf.Graph().as_default():
        assert layers.run(hub.Module(spec)()) == [7]
        assert layers.run(hub.Module(spec)({})) == [7]
        with pytest.raises(TypeError, match=re.escape("Signature expects no inputs.")):
            hub.Module(spec)(1)


def test_several_signatures_share_the_state():
    def module_fn():
        x = _floats([2])
        weights = tf1.get_variable("w", [2], initializer=tf1.random_normal_initializer())
        hub.add_signature("sum", x, x + weights)
        hub.add_signature("product", x, x * weights)

    spec = hub.create_module_spec(module_fn)
    assert spec.get_signature_names() == ["product", "sum"]
    with tf.Graph().as_default():
        module = hub.Module(spec)
        total, product = layers.run([module([0.0, 0.0], signature="sum"), module([1.0, 1.0], signature="product")])
    np.testing.assert_array_equal(total, product)


@pytest.mark.parametrize("value", [3.0, "word", np.zeros(2), [1, 2]])
def test_values_that_are_no_tensors_are_refused(value):
    with pytest.raises(ValueError, match="default.*should have one of the types Tensor, SparseTensor") as caught:
        _spec_of(inputs=_floats, outputs=lambda _: value)
    assert repr(value) in str(caught.value)


def test_a_name_is_used_once():
    def module_fn():
        hub.add_signature("s", None, tf.constant(1))
        hub.add_signature("s", None, tf.constant(2))

    with pytest.raises(errors.ModuleSpecError, match="Signature 's' is added twice"):
        hub.create_module_spec(module_fn)


def test_info_of_a_dense_tensor():
    info = _spec_of(inputs=lambda: _floats([None, 3]), outputs=tf.shape).get_input_info_dict()["default"]
    assert (info.dtype, info.get_shape().as_list()) == (tf.float32, [None, 3])
    assert not info.is_sparse and not info.is_composite and info.is_supported_type
    assert info.type_spec == tf.TensorSpec([None, 3], tf.float32)
    assert repr(info) == "<hub.ParsedTensorInfo shape=(None, 3) dtype=float32 is_sparse=False>"


def test_info_of_a_sparse_tensor():
    spec = _spec_of(inputs=lambda: tf1.sparse_placeholder(tf.int64, [None, 4]), outputs=tf.sparse.to_dense)
    info = spec.get_input_info_dict()["default"]
    assert info.is_sparse and info.is_composite
    assert (info.dtype, info.get_shape().as_list()) == (tf.int64, [None, 4])
    assert repr(info) == "<hub.ParsedTensorInfo shape=(None, 4) dtype=int64 is_sparse=True>"


def test_info_of_a_ragged_tensor():
    ragged = _spec_of(inputs=lambda: tf1.ragged.placeholder(tf.string, 2, [3]), outputs=lambda x: x)
    info = ragged.get_output_info_dict()["default"]
    assert info.is_composite and not info.is_sparse
    assert info.type_spec == tf.RaggedTensorSpec([None, None, None, 3], tf.string, 2)
    assert repr(info) == f"<hub.ParsedTensorInfo type_spec={info.type_spec}>"


def test_values_are_converted_to_the_declared_type():
    with tf.Graph().as_default():
        module = hub.Module(_twice())
        values = ([1, 2], np.array([1, 2]), {"default": (1, 2)}, tf.constant([1.0, 2.0]))
        for output in layers.run([module(value) for value in values]):
            assert output.dtype == np.float32
            np.testing.assert_array_equal(output, [2, 4])


def test_sparse_tensors_and_values():
    indices, values, shape = [[0, 1], [2, 0]], np.array([5, 6], np.int64), [3, 2]
    spec = _spec_of(inputs=lambda: tf1.sparse_placeholder(tf.int64, [None, 2]), outputs=tf.sparse.to_dense)
    with tf.Graph().as_default():
        module = hub.Module(spec)
        for value in (tf.SparseTensor(indices, values, shape), tf1.SparseTensorValue(indices, values, shape)):
            np.testing.assert_array_equal(layers.run(module(value)), [[0, 5], [0, 0], [6, 0]])


def test_sparse_outputs():
    spec = _spec_of(inputs=lambda: _floats([None, None]), outputs=tf.sparse.from_dense)
    with tf.Graph().as_default():
        output = hub.Module(spec)([[0.0, 3.0]])
        assert isinstance(output, tf.SparseTensor)
        np.testing.assert_array_equal(layers.run(output).values, [3])


def test_ragged_tensors_and_values():
    spec = _spec_of(inputs=lambda: tf1.ragged.placeholder(tf.float32, 1, []), outputs=lambda x: x * 2)
    with tf.Graph().as_default():
        module = hub.Module(spec)
        for value in (
            tf.ragged.constant([[1.0], [2.0, 3.0]]),
            tf1.ragged.constant_value([[1.0], [2.0, 3.0]], dtype=np.float32),
        ):
            assert layers.run(module(value)).to_list() == [[2], [4, 6]]


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (None, "Cannot convert dict_inputs: missing ['x', 'y'], extra given []"),
        ({"y": 1}, "Cannot convert dict_inputs: missing ['x'], extra given []"),
        ({"x": 1, "z": 1}, "Cannot convert dict_inputs: missing ['y'], extra given ['z']"),
        (1, "Signature expects multiple inputs. Use a dict. Its keys are ['x', 'y']."),
        ({"x": 1, "y": "word"}, "Can't convert 'y': "),
    ],
)
def test_inputs_that_do_not_fit(inputs, message):
    with tf.Graph().as_default():
        module = hub.Module(_sum())
        with pytest.raises(TypeError, match=re.escape(message)) as caught:
            module(inputs)
    assert isinstance(caught.value, errors.SignatureInputError)


def test_missing_only_input():
    with tf.Graph().as_default(), pytest.raises(TypeError, match=re.escape("missing ['default']")):
        hub.Module(_twice())()


def test_tensors_of_another_type():
    with tf.Graph().as_default():
        module = hub.Module(_twice())
        with pytest.raises(TypeError, match="Can't convert 'default': .*int32.*float32|float32.*int32"):
            module(tf.constant([1]))
        with pytest.raises(TypeError, match=re.escape("Got SparseTensor. Expected Tensor.")):
            module(tf.SparseTensor([[0]], [1.0], [1]))
        with pytest.raises(TypeError, match=re.escape("Got RaggedTensor. Expected Tensor.")):
            module(tf.ragged.constant([[1.0]]))


@pytest.mark.parametrize("value", [[[1.0, 2.0]], 1.0])
def test_a_tensor_of_another_shape(value):
    spec = _spec_of(inputs=lambda: tf1.placeholder(tf.float32, [None, 3]), outputs=lambda x: x * 2.0)
    with tf.Graph().as_default():
        module = hub.Module(spec)
        with pytest.raises(TypeError, match=r"'default': Got shape .*\. Expected \(None, 3\)") as raised:
            module(value)
    assert f"Got shape {np.shape(value)}. " in str(raised.value)


def test_a_composite_input_of_another_type():
    spec = _spec_of(inputs=lambda: tf1.sparse_placeholder(tf.int64, [None, 4]), outputs=tf.sparse.to_dense)
    with tf.Graph().as_default():
        module = hub.Module(spec)
        with pytest.raises(TypeError, match=re.escape("Got Tensor. Expected SparseTensor.")):
            module(tf.constant([1]))
        with pytest.raises(TypeError, match=re.escape("Got int32. Expected int64.")):
            module(tf.SparseTensor([[0, 0]], tf.constant([1]), [1, 4]))


def test_an_input_may_be_an_output_and_may_reach_none():
    spec = _spec_of(inputs=lambda: {"x": _floats(), "unused": _floats()}, outputs=lambda both: both["x"])
    with tf.Graph().as_default():
        x = tf.constant([3.0])
        assert hub.Module(spec)({"x": x, "unused": 0.0}) is x


def test_the_default_output_is_needed_unless_as_dict():
    spec = _spec_of(inputs=_floats, outputs=lambda x: {"a": x + 1, "b": x + 2})
    with tf.Graph().as_default():
        module = hub.Module(spec)
        with pytest.raises(TypeError, match=re.escape("only ['a', 'b']. Use as_dict=True.")):
            module([1.0])
        assert layers.run(module([1.0], as_dict=True)) == {"a": [2], "b": [3]}


def test_unknown_signature():
    spec = _twice()
    with pytest.raises(ValueError, match=re.escape("Signature 'other' is missing from meta graph")) as caught:
        spec.get_input_info_dict("other")
    assert "it has ['default']" in str(caught.value)
    with tf.Graph().as_default(), pytest.raises(errors.SignatureError, match="'other' is missing"):
        hub.Module(spec)(1, signature="other")
