"""Tests of hubpipe.hub.attachments."""

import re

import pytest
import tensorflow as tf
from tensorflow.compat import v1 as tf1

from hubpipe import errors, hub
from tests.hub import layers


def _message(threads):
    return tf1.ConfigProto(inter_op_parallelism_threads=threads)


def _spec():
    def module_fn(threads):
        hub.add_signature(outputs=tf.constant(1))
        hub.attach_message("other", tf1.GPUOptions(allow_growth=True))
        hub.attach_message("config", _message(0))
        hub.attach_message("config", _message(threads))

    return hub.create_module_spec(module_fn, [(set(), {"threads": 3}), ({"train"}, {"threads": 4})])


def test_messages_travel_with_their_variant(tmp_path):
    layers.export(_spec(), tmp_path / "m")
    for spec in (_spec(), hub.load_module_spec(str(tmp_path / "m"))):
        assert spec.get_attached_message("config", tf1.ConfigProto) == _message(3)
        assert spec.get_attached_message("config", tf1.ConfigProto, tags={"train"}) == _message(4)
        assert spec.get_attached_message("other", tf1.GPUOptions).allow_growth
        with tf.Graph().as_default():
            module = hub.Module(spec, tags={"train"})
            assert module.get_attached_message("config", tf1.ConfigProto) == _message(4)


def test_each_copy_is_fresh():
    spec = _spec()
    spec.get_attached_message("config", tf1.ConfigProto).inter_op_parallelism_threads = 99
    assert spec.get_attached_message("config", tf1.ConfigProto) == _message(3)


def test_an_absent_message():
    assert _spec().get_attached_message("none", tf1.ConfigProto) is None
    message = "No attached message for key 'none' in graph variant tags=['train']"
    with pytest.raises(KeyError, match=re.escape(message)) as caught:
        _spec().get_attached_message("none", tf1.ConfigProto, tags={"train"}, required=True)
    assert isinstance(caught.value, errors.MissingAttachmentError)


def test_a_message_of_another_type():
    def module_fn():
        hub.add_signature(outputs=tf.constant(1))
        hub.attach_message("saver", tf1.train.SaverDef(filename_tensor_name="no message"))

    with pytest.raises(errors.AttachmentError, match="The message attached as 'saver' is no tensorflow.Config"):
        hub.create_module_spec(module_fn).get_attached_message("saver", tf1.ConfigProto)


def test_the_bytes_of_an_attachment():
    collection = _spec().variant().meta_graph.collection_def["hub_module_attachments"]
    assert collection.bytes_list.value[0] == b"\n\x06config\x12\x02(\x03"


@pytest.mark.parametrize("key", ["", "1st", "a-b", "a b", "ä", "a\n"])
def test_malformed_keys(key):
    with tf.Graph().as_default(), pytest.raises(ValueError, match=re.escape(f"malformed key {key!r}")):
        hub.attach_message(key, _message(1))


def test_graphs_without_messages_have_no_collection():
    spec = hub.create_module_spec(lambda: hub.add_signature(outputs=tf.constant(1)))
    assert "hub_module_attachments" not in spec.variant().meta_graph.collection_def
