"""Tests of hubpipe.hub.colocation."""

import re

import pytest
import tensorflow as tf
from tensorflow.compat import v1 as tf1

from hubpipe import errors, hub
from tests.hub import layers


def _groups(tensor):
    return sorted(tensor.op.colocation_groups())


def test_an_input_with_another_node_is_refused():
    def module_fn():
        other = tf.constant(1.0, name="u")
        with tf1.colocate_with(other):
            x = tf1.placeholder(tf.float32, name="x")
        hub.add_signature(inputs=x, outputs=x + other)

    with pytest.raises(ValueError, match=re.compile(r"input.*colocate.*loc:@u", re.DOTALL)) as caught:
        hub.create_module_spec(module_fn)
    assert "signature 'default', input 'default' (node 'x')" in str(caught.value)


def test_state_with_what_is_no_state_is_refused():
    def module_fn():
        other = tf.constant(1.0, name="u")
        with tf1.colocate_with(other):
            tf1.get_variable("w", [1])
        hub.add_signature(outputs=other + 1)

    with pytest.raises(errors.ModuleSpecError, match=re.compile(r"state.*colocate.*loc:@u", re.DOTALL)) as caught:
        hub.create_module_spec(module_fn)
    assert "node 'w' (VarHandleOp)" in str(caught.value)


def test_every_problem_is_named():
    def module_fn():
        other = tf.constant(1.0, name="u")
        with tf1.colocate_with(other):
            tf1.get_variable("w", [1])
            x = tf1.placeholder(tf.float32)
        hub.add_signature(inputs=x, outputs=other + 1)

    with pytest.raises(errors.ModuleSpecError, match="A signature's input.*\n.*A state-holding node"):
        hub.create_module_spec(module_fn)


def test_state_with_state_and_others_with_both():
    def module_fn():
        x = tf1.placeholder(tf.float32, name="x")
        first = tf1.get_variable("first", [], use_resource=False)
        with tf1.colocate_with(first):
            second = tf1.get_variable("second", [], use_resource=False)
            of_state = tf.add(x, first, name="of_state")
        with tf1.colocate_with(x):
            of_input = tf.add(x, second, name="of_input")
            with tf1.colocate_with(first):
                of_both = tf.add(x, 1, name="of_both")
        hub.add_signature(inputs=x, outputs={"state": of_state, "input": of_input, "both": of_both})

    with tf.Graph().as_default():
        module = hub.Module(hub.create_module_spec(module_fn), name="m")
        fed = tf.constant(1.0, name="fed")
        with tf1.colocate_with(fed):
            also_fed = tf.constant(2.0, name="also_fed")
        outputs = module(also_fed, as_dict=True)
        assert _groups(module.variable_map["second"]) == [b"loc:@m/first"]
        assert _groups(outputs["state"]) == [b"loc:@m/first"]
        assert _groups(outputs["input"]) == [b"loc:@fed"]
        assert _groups(outputs["both"]) == [b"loc:@fed", b"loc:@m/first"]
        layers.run(outputs)


def test_constraints_inside_an_application_follow_it():
    def module_fn():
        x = tf1.placeholder(tf.float32)
        hidden = tf.add(x, 1, name="hidden")
        with tf1.colocate_with(hidden):
            hub.add_signature(inputs=x, outputs=tf.add(hidden, 1))

    with tf.Graph().as_default():
        module = hub.Module(hub.create_module_spec(module_fn), name="m")
        assert _groups(module(1.0)) == [b"loc:@m_apply_default/hidden"]
        assert _groups(module(1.0)) == [b"loc:@m_apply_default_1/hidden"]


def _split_module():
    """Inputs are outputs of one node, which another is colocated with."""

    def module_fn():
        first, second = tf.split(tf1.placeholder(tf.float32, [2]), 2, name="split")
        with tf1.colocate_with(first):
            total = tf.add(first, second)
        hub.add_signature("both", inputs={"first": first, "second": second}, outputs=total)
        hub.add_signature("first", inputs={"first": first}, outputs=total)

    return hub.Module(hub.create_module_spec(module_fn), name="m")


def test_outputs_of_one_node_that_are_fed_alike():
    with tf.Graph().as_default():
        u = tf.constant([1.0], name="u")
        with tf1.colocate_with(u):
            v = tf.constant([2.0], name="v")
        output = _split_module()({"first": u, "second": v}, signature="both")
        assert _groups(output) == [b"loc:@u"]
        assert layers.run(output) == [3]


def test_outputs_of_one_node_that_are_fed_differently():
    with tf.Graph().as_default():
        module = _split_module()
        u, w = tf.constant([1.0], name="u"), tf.constant([2.0], name="w")
        module({"first": u, "second": u}, signature="both")
        message = r"Failed to rewrite .*'loc:@m_apply_both_1/split' .*\[.*loc:@u.*\] vs \[.*loc:@w.*\]"
        with pytest.raises(ValueError, match=message):
            module({"first": u, "second": w}, signature="both")


def test_a_node_with_outputs_that_are_partly_fed():
    with tf.Graph().as_default():
        module = _split_module()
        message = r"Failed to rewrite .*'loc:@m_apply_first/split' .*\[.*loc:@u.*\] vs \[.*m_apply_first/split.*\]"
        with pytest.raises(ValueError, match=message):
            module({"first": tf.constant([1.0], name="u")}, signature="first")
