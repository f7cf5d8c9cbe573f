"""Modules that hold control flow, and modules inside control flow; v1 and v2."""

import contextlib

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.compat import v1 as tf1

from hubpipe import hub


@contextlib.contextmanager
def _control_flow(version):
    enabled = tf1.control_flow_v2_enabled()
    (tf1.enable_control_flow_v2 if version == 2 else tf1.disable_control_flow_v2)()
    try:
        yield
    finally:
        (tf1.enable_control_flow_v2 if enabled else tf1.disable_control_flow_v2)()


@pytest.fixture(params=[1, 2], ids=["v1", "v2"])
def control_flow(request):
    with _control_flow(request.param):
        yield


@pytest.fixture
def control_flow_v1():
    with _control_flow(1):
        yield


def _relu_module():
    x = tf1.placeholder(tf.float32, [], name="x")
    hub.add_signature(inputs=x, outputs=tf.cond(x > 0, lambda: tf.identity(x), lambda: tf.constant(0.0)))


def _nested_relu_module():
    x = tf1.placeholder(tf.float32, [], name="x")

    def positive():
        return tf.cond(x > 3, lambda: tf.identity(x), lambda: x * 1.0)

    def negative():
        return tf.cond(x < -3, lambda: tf.constant(0.0), lambda: x * 0.0)

    hub.add_signature(inputs=x, outputs=tf.cond(x > 0, positive, negative))


def _power_module():
    x, n = tf1.placeholder(tf.float32, []), tf1.placeholder(tf.int32, [])
    _, power = tf.while_loop(lambda i, y: i < n, lambda i, y: (i + 1, y * x), (tf.constant(0), tf.constant(1.0)))
    hub.add_signature(inputs={"x": x, "n": n}, outputs=power)


def _scaled_sum_module():
    """The sum of the elements above a bound, times a variable: a cond inside a loop, with state."""
    elements, bound = tf1.placeholder(tf.float32, [None]), tf1.placeholder(tf.float32, [])
    scale = tf1.get_variable("scale", [], initializer=tf1.constant_initializer(2.0))

    def add(total, x):
        return total + scale * tf.cond(x > bound, lambda: x, lambda: 0.0)

    total = tf.foldl(add, elements, tf.constant(0.0))
    hub.add_signature(inputs={"elements": elements, "bound": bound}, outputs=total)


def _doubling_module(use_resource=True):
    factor = tf1.get_variable("factor", [], initializer=tf1.constant_initializer(2.0), use_resource=use_resource)
    x = tf1.placeholder(tf.float32)
    hub.add_signature(inputs=x, outputs=x * factor)


def _started(session):
    session.run([tf1.global_variables_initializer(), tf1.tables_initializer()])
    return session


@pytest.mark.parametrize("module_fn", [_relu_module, _nested_relu_module])
def test_module_with_cond(control_flow, module_fn):
    spec = hub.create_module_spec(module_fn)
    with tf.Graph().as_default(), tf1.Session() as session:
        x = tf1.placeholder(tf.float32, [])
        y = hub.Module(spec)(x)
        (gradient,) = tf.gradients(y, x)
        for value in (9.5, 2.0, -2.5, -9.0):
            assert session.run(y, {x: value}) == max(value, 0.0)
            assert session.run(gradient, {x: value}) == (1.0 if value > 0 else 0.0)


def test_module_with_while(control_flow):
    spec = hub.create_module_spec(_power_module)
    with tf.Graph().as_default(), tf1.Session() as session:
        x, n = tf1.placeholder(tf.float32, []), tf1.placeholder(tf.int32, [])
        module = hub.Module(spec)
        y, again = module({"x": x, "n": n}), module({"x": 2 * x, "n": n})
        (gradient,) = tf.gradients(y, x)
        got = session.run([y, again, gradient], {x: 3.0, n: 3})
        np.testing.assert_allclose(got, [27.0, 216.0, 27.0], rtol=1e-6)


def test_module_with_cond_in_loop_and_state(control_flow, tmp_path):
    spec = hub.create_module_spec(_scaled_sum_module)
    with tf.Graph().as_default(), tf1.Session() as session:
        module = hub.Module(spec)
        _started(session)
        module.export(str(tmp_path / "m"), session)
    with tf.Graph().as_default(), tf1.Session() as session:
        elements = tf1.placeholder(tf.float32, [None])
        module = hub.Module(str(tmp_path / "m"), trainable=True)
        y = module({"elements": elements, "bound": 1.0})
        by_element, by_scale = tf.gradients(y, [elements, module.variable_map["scale"]])
        got = _started(session).run([y, by_element, by_scale], {elements: [10.0, 0.5, 1.5]})
    assert got[0] == 23.0
    np.testing.assert_array_equal(got[1], [2.0, 0.0, 2.0])
    assert got[2] == 11.5


@pytest.mark.parametrize("use_resource", [True, False])
def test_module_called_in_while_loop(control_flow_v1, use_resource):
    spec = hub.create_module_spec(_doubling_module, [((), {"use_resource": use_resource})])
    with tf.Graph().as_default(), tf1.Session() as session:
        module = hub.Module(spec, trainable=True)
        x, n = tf.constant(10.0), tf1.placeholder(tf.int32, [])
        _, y = tf.while_loop(lambda i, y: i < n, lambda i, y: (i + 1, module(y)), (tf.constant(0), x))
        by_factor, by_x = tf.gradients(y, [module.variables[0], x])
        _started(session)
        for times in (1, 2, 4):
            got = session.run([y, by_factor, by_x], {n: times})
            np.testing.assert_allclose(got, [10 * 2.0**times, 10 * times * 2.0 ** (times - 1), 2.0**times])


def test_module_called_in_while_loop_v2():
    spec = hub.create_module_spec(_doubling_module)
    with _control_flow(2), tf.Graph().as_default(), tf1.Session() as session:
        module = hub.Module(spec, trainable=True)
        x = tf.constant(10.0)
        _, y = tf.while_loop(lambda i, y: i < 3, lambda i, y: (i + 1, module(y)), (tf.constant(0), x))
        (by_x,) = tf.gradients(y, x)
        np.testing.assert_allclose(_started(session).run([y, by_x]), [80.0, 8.0])


def test_module_called_in_cond(control_flow):
    spec = hub.create_module_spec(_doubling_module)
    with tf.Graph().as_default(), tf1.Session() as session:
        module = hub.Module(spec)
        choice = tf1.placeholder(tf.bool, [])
        y = tf.cond(choice, lambda: module(3.0), lambda: tf.constant(-1.0))
        _started(session)
        assert session.run(y, {choice: True}) == 6.0
        assert session.run(y, {choice: False}) == -1.0


def test_module_with_loop_called_in_cond(control_flow):
    spec = hub.create_module_spec(_power_module)
    with tf.Graph().as_default(), tf1.Session() as session:
        module = hub.Module(spec)
        choice = tf1.placeholder(tf.bool, [])
        y = tf.cond(choice, lambda: module({"x": 3.0, "n": 2}), lambda: tf.constant(4.0))
        assert session.run(y, {choice: True}) == 9.0
        assert session.run(y, {choice: False}) == 4.0


def test_module_mapped(control_flow):
    spec = hub.create_module_spec(_doubling_module)
    with tf.Graph().as_default(), tf1.Session() as session:
        module = hub.Module(spec)
        y = tf.map_fn(module, tf.constant([1.0, 11.0, 101.0]))
        np.testing.assert_array_equal(_started(session).run(y), [2.0, 22.0, 202.0])


def test_module_constructed_in_cond_has_its_state_outside(control_flow_v1):
    spec = hub.create_module_spec(_doubling_module)
    with tf.Graph().as_default(), tf1.Session() as session:
        choice = tf1.placeholder(tf.bool, [])
        y = tf.cond(choice, lambda: hub.Module(spec, name="inner")(3.0), lambda: tf.constant(4.0))
        _started(session)
        assert session.run(y, {choice: True}) == 6.0
        assert session.run(y, {choice: False}) == 4.0


def test_an_update_after_a_v1_loop_runs_in_a_function(control_flow_v1, capfd):
    def module_fn():
        x = tf1.placeholder(tf.float32, [])
        total = tf1.get_variable("total", initializer=0.0, trainable=False)
        _, power = tf1.while_loop(lambda i, y: i < 3, lambda i, y: (i + 1, y * 2.0), (0, x))
        tf1.add_to_collection(tf1.GraphKeys.UPDATE_OPS, total.assign_add(power, read_value=False))
        hub.add_signature(inputs=x, outputs=x)

    spec = hub.create_module_spec(module_fn)
    modules = []

    @tf.function
    def apply(x):
        modules.append(hub.Module(spec, trainable=True))
        return modules[0](x)

    with tf.Graph().as_default(), tf1.Session() as session:
        output = apply(tf.constant(3.0))
        session.run(tf1.global_variables_initializer())
        session.run(output)
        assert session.run(modules[0].variables) == [24.0]
    assert "AutoGraph could not transform" not in capfd.readouterr().err
