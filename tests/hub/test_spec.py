"""Tests of hubpipe.hub.spec."""

import re

import pytest
import tensorflow as tf
from tensorflow.compat import v1 as tf1

from hubpipe import errors, hub
from tests.hub import layers


def _spec():
    def module_fn(units=2):
        x = tf1.placeholder(tf.float32, [None, 3])
        hub.add_signature(inputs=x, outputs=layers.dense(x, units, "dense"))
        if units > 2:
            hub.add_signature("wide", inputs={"wide": x}, outputs={"wider": tf.concat([x, x], 1)})

    return hub.create_module_spec(module_fn, [(set(), {}), ({"wide"}, {"units": 4})])


def test_what_a_variant_takes_and_returns():
    spec = _spec()
    assert spec.get_signature_names() == ["default"]
    assert spec.get_signature_names(tags={"wide"}) == ["default", "wide"]
    assert spec.get_output_info_dict()["default"].get_shape().as_list() == [None, 2]
    assert spec.get_output_info_dict(tags={"wide"})["default"].get_shape().as_list() == [None, 4]
    assert list(spec.get_input_info_dict("wide", tags={"wide"})) == ["wide"]
    assert list(spec.get_output_info_dict("wide", tags={"wide"})) == ["wider"]


def test_a_module_tells_the_same_of_its_variant():
    with tf.Graph().as_default():
        module = hub.Module(_spec(), tags={"wide"})
        assert module.get_signature_names() == ["default", "wide"]
        assert list(module.get_input_info_dict("wide")) == ["wide"]
        assert module.get_output_info_dict()["default"].get_shape().as_list() == [None, 4]
        assert module.graph is tf1.get_default_graph()
        assert module.spec.get_tags() == [frozenset(), frozenset({"wide"})]


def test_a_str_is_no_set_of_tags():
    message = "tags='train': expected a set of tags, such as {'train'}"
    with pytest.raises(errors.SignatureError, match=message):
        hub.create_module_spec(lambda: None, [("train", {})])
    with pytest.raises(errors.SignatureError, match=message):
        _spec().get_signature_names(tags="train")


def test_unknown_tags():
    message = "No such graph variant: tags=['a', 'b']. The module has [], ['wide']."
    with pytest.raises(ValueError, match=re.escape(message)):
        _spec().get_signature_names(tags={"b", "a"})
    with tf.Graph().as_default(), pytest.raises(errors.SignatureError, match="No such graph variant"):
        hub.Module(_spec(), tags={"a", "b"})


def test_no_values_without_a_checkpoint(tmp_path):
    assert _spec().checkpoint_path is None
    assert repr(_spec()) == "<ModuleSpec of variants [[], ['wide']]>"
    with pytest.raises(ValueError, match="Missing mandatory `checkpoint_path` parameter"):
        _spec().export(str(tmp_path / "m"))
    with pytest.raises(TypeError, match="by keyword only"):
        _spec().export(str(tmp_path / "m"), "model.ckpt")
    assert not (tmp_path / "m").exists()
