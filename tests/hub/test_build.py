"""Tests of hubpipe.hub.build."""

import logging
import re

import pytest
import tensorflow as tf
from absl import logging as absl_logging
from tensorflow.compat import v1 as tf1
from tensorflow.python.ops import lookup_ops

from hubpipe import errors, hub
from tests.hub import layers


def _module_fn(units=1):
    layers.dense(tf.ones([1, 2]), units, "dense")
    hub.add_signature(outputs=tf.constant(units))


def test_one_call_without_tags():
    calls = []

    def module_fn():
        calls.append(tf1.get_default_graph())
        _module_fn()

    spec = hub.create_module_spec(module_fn)
    assert len(calls) == 1
    assert spec.get_tags() == [frozenset()]


def test_one_call_and_one_graph_per_variant():
    graphs = []

    def module_fn(units=1):
        graphs.append(tf1.get_default_graph())
        _module_fn(units)

    tags_and_args = [({"train", "big"}, {"units": 5}), (set(), {}), (["small"], {"units": 2})]
    spec = hub.create_module_spec(module_fn, tags_and_args)
    assert len(set(map(id, graphs))) == 3
    assert spec.get_tags() == [frozenset({"train", "big"}), frozenset(), frozenset({"small"})]
    with tf.Graph().as_default():
        for tags, units in ((["big", "train"], 5), (None, 1), ({"small"}, 2)):
            assert layers.run(hub.Module(spec, tags=tags)()) == units


def test_tags_are_unique():
    with pytest.raises(ValueError, match=re.escape("Tags ['a', 'b'] used repeatedly")):
        hub.create_module_spec(_module_fn, [({"a", "b"}, {}), (["b", "a"], {})])


def test_no_signature():
    with pytest.raises(ValueError, match=re.escape("No signatures present (graph variant tags=[])")) as caught:
        hub.create_module_spec(lambda: None)
    assert isinstance(caught.value, errors.ModuleSpecError)


def test_variables_are_resources_by_default():
    def module_fn():
        tf1.get_variable("resource", [1])
        tf1.get_variable("ref", [1], use_resource=False)
        hub.add_signature(outputs=tf.constant(0))

    with tf.Graph().as_default():
        variables = hub.Module(hub.create_module_spec(module_fn)).variable_map
        assert variables["resource"].op.type == "VarHandleOp"
        assert variables["ref"].op.type == "VariableV2"


def _with_collection(name):
    def module_fn():
        tf1.add_to_collection(name, tf.constant(1))
        tf1.get_collection_ref("empty")
        hub.add_signature(outputs=tf.constant(0))

    return module_fn


def test_unknown_collections_are_named():
    with pytest.raises(ValueError, match=re.escape("drop_collections=['mine']")) as caught:
        hub.create_module_spec(_with_collection("mine"))
    assert "Unsupported collections in graph (graph variant tags=[]): ['mine']" in str(caught.value)


@pytest.mark.parametrize("name", ["mine", tf1.GraphKeys.REGULARIZATION_LOSSES])
def test_dropped_collections_do_not_travel(name):
    spec = hub.create_module_spec(_with_collection(name), drop_collections=[name])
    with tf.Graph().as_default() as graph:
        hub.Module(spec, trainable=True)
        assert graph.get_collection(name) == []


def test_what_mutable_tables_hold_does_not_travel(tmp_path):
    def module_fn():
        keys = tf1.placeholder(tf.int64, [None])
        table = lookup_ops.MutableHashTable(tf.int64, tf.int64, -1)
        hub.add_signature(inputs=keys, outputs=table.lookup(keys))
        with tf.control_dependencies([table.insert(keys, keys * 10)]):
            hub.add_signature("insert", inputs=keys, outputs=tf.identity(keys))

    with pytest.raises(errors.ModuleSpecError, match=r"drop_collections=\['saveable_objects'\]"):
        hub.create_module_spec(module_fn)
    spec = hub.create_module_spec(module_fn, drop_collections=["saveable_objects"])
    with tf.Graph().as_default(), tf1.Session() as session:
        module = hub.Module(spec)
        found, inserted = module([1, 2]), module([1], signature="insert")
        session.run(inserted)
        assert session.run(found).tolist() == [10, -1]
        module.export(str(tmp_path / "m"), session)
    with tf.Graph().as_default():
        assert layers.run(hub.Module(str(tmp_path / "m"))([1, 2])).tolist() == [-1, -1]


def test_supported_collections_travel():
    spec = hub.create_module_spec(_with_collection(tf1.GraphKeys.REGULARIZATION_LOSSES))
    with tf.Graph().as_default():
        hub.Module(spec, trainable=True)
        assert layers.run(tf1.losses.get_regularization_losses()) == [1]


def test_inputs_of_nodes_with_several_outputs_are_logged(caplog):
    def module_fn():
        first, second, third = tf.split(tf1.placeholder(tf.float32, [3]), 3, name="split")
        hub.add_signature(inputs={"first": second, "second": third}, outputs=second + third)
        sparse = tf1.sparse_placeholder(tf.float32, name="sparse")
        hub.add_signature("sparse", inputs=sparse, outputs=first)

    absl_logging.get_absl_logger().propagate = True
    with caplog.at_level(logging.ERROR, logger="absl"):
        hub.create_module_spec(module_fn)
    assert "single output" in caplog.text
    assert "\nAffected inputs: first='split:1', second='split:2'" in caplog.text


def test_names_of_component_inputs_are_logged(caplog):
    def module_fn():
        indices, _ = tf.split(tf1.placeholder(tf.int64, [4, 1]), 2, name="split")
        sparse = tf.SparseTensor(indices, tf1.placeholder(tf.float32, [2]), tf1.placeholder(tf.int64, [1]))
        hub.add_signature(inputs={"x": sparse}, outputs=tf.sparse.to_dense(sparse))

    absl_logging.get_absl_logger().propagate = True
    with caplog.at_level(logging.ERROR, logger="absl"):
        hub.create_module_spec(module_fn)
    assert "\nAffected inputs: x.indices='split:0'" in caplog.text


def test_the_callers_graph_and_seed_are_left_alone():
    with tf.Graph().as_default() as graph, tf.control_dependencies([tf.constant(1)]):
        before = graph.as_graph_def()
        hub.create_module_spec(_module_fn)
        assert graph.as_graph_def() == before
