"""Tests of hubpipe.hub.module."""

import re

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.compat import v1 as tf1

from hubpipe import errors, hub
from hubpipe.hub import module as module_lib
from tests.hub import layers


def _hidden_and_output():
    """The example of "Exporting models in the TF1 Hub format"."""
    inputs = tf1.placeholder(tf.float32, [None, 50])
    layer1 = layers.dense(inputs, 200, "layer1")
    layer2 = layers.dense(layer1, 100, "layer2")
    hub.add_signature(inputs=inputs, outputs={"default": layer2, "hidden_activations": layer1})


def _tunable(is_training=False):
    inputs = tf1.placeholder(tf.float32, [None, 4])
    hidden = layers.dense(inputs, 3, "hidden", l2=0.5)
    hub.add_signature(inputs=inputs, outputs=layers.batch_norm(hidden, "norm", is_training=is_training))


def _tunable_spec():
    return hub.create_module_spec(_tunable, [(set(), {}), ({"train"}, {"is_training": True})])


def _weight(name="w"):
    weight = tf1.get_variable(name, [2], initializer=tf1.random_normal_initializer())
    hub.add_signature(inputs=tf1.placeholder(tf.float32, [2]), outputs=tf.identity(weight))


def test_the_example_of_the_documentation(tmp_path):
    spec = hub.create_module_spec(_hidden_and_output)
    x = np.random.default_rng(0).normal(size=(8, 50)).astype(np.float32)
    with tf.Graph().as_default(), tf1.Session() as session:
        module = hub.Module(spec)
        first, second = module(x, as_dict=True), module(x)
        assert len(module.variables) == len(tf1.global_variables()) == 4
        session.run(tf1.global_variables_initializer())
        first, second = session.run([first, second])
        np.testing.assert_array_equal(first["default"], second)
        assert first["hidden_activations"].shape == (8, 200)
        module.export(str(tmp_path / "first"), session)

    with tf.Graph().as_default(), tf1.Session() as session:
        module = hub.Module(str(tmp_path / "first"), trainable=True)
        output = module(x)
        train = tf1.train.GradientDescentOptimizer(0.1).minimize(tf.reduce_mean(output**2))
        session.run(tf1.global_variables_initializer())
        np.testing.assert_array_equal(session.run(output), second)
        session.run(train)
        tuned = session.run(output)
        assert np.abs(tuned - second).max() > 1e-4
        module.export(str(tmp_path / "second"), session)

    with tf.Graph().as_default():
        np.testing.assert_allclose(layers.run(hub.Module(str(tmp_path / "second"))(x)), tuned, rtol=1e-6)


def test_fine_tuning_with_the_train_variant(tmp_path):
    layers.export(_tunable_spec(), tmp_path / "first")
    x = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
    with tf.Graph().as_default(), tf1.Session() as session:
        module = hub.Module(str(tmp_path / "first"), trainable=True, tags={"train"})
        assert len(tf1.losses.get_regularization_losses()) == 1
        assert tf1.get_collection(tf1.GraphKeys.UPDATE_OPS) == []
        loss = tf.reduce_sum(module(x) ** 2) + tf1.losses.get_regularization_loss()
        updates = tf1.get_collection(tf1.GraphKeys.UPDATE_OPS)
        assert len(updates) == 1
        with tf.control_dependencies(updates):
            train = tf1.train.GradientDescentOptimizer(0.01).minimize(loss)
        session.run(tf1.global_variables_initializer())
        before, penalty = session.run([module.variable_map, tf1.losses.get_regularization_loss()])
        np.testing.assert_allclose(penalty, 0.25 * np.sum(before["hidden/kernel"] ** 2), rtol=1e-6)
        hidden = np.maximum(x @ before["hidden/kernel"] + before["hidden/bias"], 0)
        session.run(train)
        after = session.run(module.variable_map)
        np.testing.assert_allclose(after["norm/mean"], 0.5 * hidden.mean(0), rtol=1e-5)
        assert np.abs(after["hidden/kernel"] - before["hidden/kernel"]).max() > 1e-4
        module.export(str(tmp_path / "second"), session)

    with tf.Graph().as_default():
        module = hub.Module(str(tmp_path / "second"))
        served, values = layers.run([module(x), module.variable_map])
    np.testing.assert_array_equal(values["norm/mean"], after["norm/mean"])
    hidden = np.maximum(x @ after["hidden/kernel"] + after["hidden/bias"], 0)
    np.testing.assert_allclose(served, hidden - after["norm/mean"], rtol=1e-5, atol=1e-6)


def test_a_module_that_is_not_trainable_adds_nothing_to_train():
    with tf.Graph().as_default() as graph:
        module = hub.Module(_tunable_spec(), tags={"train"})
        module(np.ones([1, 4]))
        assert len(tf1.global_variables()) == 3
        for key in (
            tf1.GraphKeys.TRAINABLE_VARIABLES,
            tf1.GraphKeys.REGULARIZATION_LOSSES,
            tf1.GraphKeys.UPDATE_OPS,
        ):
            assert graph.get_collection(key) == []


def test_each_call_has_its_updates():
    with tf.Graph().as_default():
        module = hub.Module(_tunable_spec(), tags={"train"}, trainable=True)
        module(np.ones([1, 4]))
        module(np.ones([2, 4]))
        assert len(tf1.get_collection(tf1.GraphKeys.UPDATE_OPS)) == 2
        assert len(tf1.losses.get_regularization_losses()) == 1


def test_only_trainable_variables_are_trainable():
    with tf.Graph().as_default():
        hub.Module(_tunable_spec(), trainable=True)
        trainable = [variable.op.name for variable in tf1.trainable_variables()]
        assert trainable == ["module/hidden/kernel", "module/hidden/bias"]


def test_the_scope_follows_the_variable_scope():
    spec = hub.create_module_spec(_weight)
    with tf.Graph().as_default():
        names = [hub.Module(spec).variables[0].op.name, hub.Module(spec).variables[0].op.name]
        with tf1.variable_scope("vs"):
            names.append(hub.Module(spec, name="n").variables[0].op.name)
        with tf1.name_scope("foo"):
            module = hub.Module(spec)
            names += [module.variables[0].op.name, module([0.0, 0.0]).op.name.rsplit("/", 1)[0]]
        names.append(module([0.0, 0.0]).op.name.rsplit("/", 1)[0])
        names.append(module([0.0, 0.0]).op.name.rsplit("/", 1)[0])
    assert names == [
        *("module/w", "module_1/w", "vs/n/w", "module_2/w"),
        *("foo/module_2_apply_default", "module_2_apply_default", "module_2_apply_default_1"),
    ]


def test_a_name_scope_that_is_taken():
    with tf.Graph().as_default():
        with tf1.name_scope("module"):
            tf.constant(1)
        with pytest.raises(RuntimeError, match="'module' was unused but the corresponding name_scope was already"):
            hub.Module(hub.create_module_spec(_weight))
        assert hub.Module(hub.create_module_spec(_weight)).variables[0].op.name == "module_1/w"


def test_a_scope_that_another_module_has(tmp_path):
    layers.export(hub.create_module_spec(_weight), tmp_path / "module")
    with tf.Graph().as_default():
        with tf1.variable_scope("s", reuse=tf1.AUTO_REUSE):
            hub.Module(str(tmp_path / "module"))
        with (
            tf1.variable_scope("s", reuse=tf1.AUTO_REUSE),
            pytest.raises(errors.ModuleStateError, match="'s/module' was unused but .* Make one module and call"),
        ):
            hub.Module(str(tmp_path / "module"))
        with tf1.variable_scope("t"):
            assert hub.Module(str(tmp_path / "module")).variables[0].op.name == "t/module/w"
    with tf.Graph().as_default():
        tf1.get_variable("module/w", [2])
        with pytest.raises(errors.ModuleStateError, match="'module/w' is in the graph already"):
            hub.Module(str(tmp_path / "module"))


@pytest.mark.parametrize("name", ["my module", "", "/a", "_a"])
def test_a_name_that_no_scope_has(name):
    spec = hub.create_module_spec(_weight)
    with tf.Graph().as_default(), pytest.raises(ValueError, match=f"^'{name}/' is not a valid root scope name"):
        hub.Module(spec, name=name)


def test_a_module_that_trains_in_no_graph():
    spec = hub.create_module_spec(_weight)

    @tf.function(autograph=False)
    def apply(trainable):
        return hub.Module(spec, trainable=trainable)([0.0, 0.0])

    assert apply(False).shape == [2]
    with pytest.raises(errors.ModuleStateError, match="in a tf.function that is called eagerly would never train"):
        apply(True)


def test_errors_stay_what_they_are_in_functions_of_autograph():
    @tf.function
    def apply():
        return hub.Module(spec=hub.create_module_spec(_weight), tags={"nope"})

    with tf.Graph().as_default(), pytest.raises(errors.SignatureError, match="No such graph variant"):
        apply()


def test_control_dependencies_reach_the_application_only():
    spec = hub.create_module_spec(_weight)
    with tf.Graph().as_default() as plain:
        hub.Module(spec)
    with tf.Graph().as_default() as graph, tf.control_dependencies([tf.constant(1, name="first")]):
        output = hub.Module(spec)([0.0, 0.0])
    state = [node for node in graph.as_graph_def().node if node.name.startswith("module/")]
    assert state == [node for node in plain.as_graph_def().node if node.name.startswith("module/")]
    assert "first" in [op.name for op in output.op.inputs[0].op.control_inputs]


def test_a_saver_sees_each_variable_once(tmp_path):
    with tf.Graph().as_default():
        module = hub.Module(hub.create_module_spec(_weight))
        module([0.0, 0.0])
        with tf1.Session() as session:
            session.run(tf1.global_variables_initializer())
            prefix = tf1.train.Saver().save(session, str(tmp_path / "model.ckpt"))
    assert tf.train.list_variables(prefix) == [("module/w", [2])]


def test_partitioned_variables_are_one_entry():
    def module_fn():
        with tf1.variable_scope("", partitioner=tf1.fixed_size_partitioner(25)):
            parts = tf1.get_variable("p", [50, 2], initializer=tf1.random_normal_initializer())
        tf1.get_variable("a", [1])
        hub.add_signature(outputs=tf.concat(list(parts), 0))

    with tf.Graph().as_default():
        module = hub.Module(hub.create_module_spec(module_fn))
        assert sorted(module.variable_map) == ["a", "p"]
        assert [part.op.name for part in module.variable_map["p"]] == [f"module/p/part_{i}" for i in range(25)]
        assert len(module.variables) == 26 and module.variables[0].op.name == "module/a"
        output, parts = layers.run([module(), module.variable_map["p"]])
    np.testing.assert_array_equal(output, np.concatenate(parts))


def test_values_arrive_through_a_monitored_session(tmp_path):
    exported = layers.export(hub.create_module_spec(_weight), tmp_path / "m")
    with tf.Graph().as_default():
        output = hub.Module(str(tmp_path / "m"))([0.0, 0.0])
        with tf1.train.MonitoredSession() as session:
            np.testing.assert_array_equal(session.run(output), exported["w"])


def test_export_adds_nothing_to_the_graph(tmp_path):
    with tf.Graph().as_default() as graph, tf1.Session() as session:
        module = hub.Module(hub.create_module_spec(_weight))
        session.run(tf1.global_variables_initializer())
        graph.finalize()
        module.export(tmp_path / "m", session)
    assert (tmp_path / "m" / "tfhub_module.pb").exists()


def test_seeds_of_the_consumer():
    def module_fn():
        noise = tf.random.uniform([3])
        hub.add_signature(outputs={"default": noise, "other": tf.random.uniform([3])})

    spec = hub.create_module_spec(module_fn)

    def draw(seed):
        with tf.Graph().as_default():
            if seed is not None:
                tf1.set_random_seed(seed)
            module = hub.Module(spec)
            once, again = layers.run([module(as_dict=True), module(as_dict=True)])
            return np.concatenate([once["default"], once["other"], again["default"], again["other"]])

    np.testing.assert_array_equal(draw(1), draw(1))
    assert len(set(draw(1))) == 12
    assert set(draw(1)).isdisjoint(draw(2))
    assert set(draw(None)).isdisjoint(draw(None))


def test_initial_values_follow_the_seed_of_the_consumer():
    spec = hub.create_module_spec(_weight)

    def initial(seed):
        with tf.Graph().as_default():
            tf1.set_random_seed(seed)
            return layers.run(hub.Module(spec).variables[0])

    np.testing.assert_array_equal(initial(1), initial(1))
    assert set(initial(1)).isdisjoint(initial(2))


def test_seeds_of_the_publisher_stay():
    spec = hub.create_module_spec(lambda: hub.add_signature(outputs=tf.random.uniform([3], seed=4)))
    drawn = []
    for seed in (1, 2):
        with tf.Graph().as_default():
            tf1.set_random_seed(seed)
            drawn.append(layers.run(hub.Module(spec)()))
    np.testing.assert_array_equal(*drawn)


def test_a_module_in_a_module(tmp_path):
    inner = layers.export(hub.create_module_spec(_weight), tmp_path / "inner")

    def module_fn():
        module = hub.Module(str(tmp_path / "inner"), name="inner", trainable=True)
        hub.add_signature(outputs=2 * module([0.0, 0.0]))

    spec = hub.create_module_spec(module_fn)
    with tf.Graph().as_default():
        np.testing.assert_array_equal(layers.run(hub.Module(spec)()), 2 * inner["w"])
    layers.export(spec, tmp_path / "outer")
    assert bytes(tmp_path) not in (tmp_path / "outer" / "saved_model.pb").read_bytes()
    (tmp_path / "inner").rename(tmp_path / "elsewhere")
    with tf.Graph().as_default():
        module = hub.Module(str(tmp_path / "outer"))
        assert list(module.variable_map) == ["inner/w"]
        np.testing.assert_array_equal(layers.run(module()), 2 * inner["w"])


def test_another_graph(tmp_path):
    with tf.Graph().as_default():
        module = hub.Module(hub.create_module_spec(_weight))
    with tf.Graph().as_default():
        with pytest.raises(RuntimeError, match="Module must be applied in the graph it was instantiated for"):
            module([0.0, 0.0])
        with tf1.Session() as session, pytest.raises(errors.ModuleStateError, match="a session of the graph"):
            module.export(str(tmp_path / "m"), session)


def test_eager_execution():
    with pytest.raises(RuntimeError, match="not supported when eager execution is enabled"):
        hub.Module(hub.create_module_spec(_weight))


def test_what_is_no_module():
    with tf.Graph().as_default(), pytest.raises(ValueError, match="Unknown module spec type: <class 'int'>"):
        hub.Module(5)


def test_arguments_by_keyword():
    with tf.Graph().as_default():
        module = hub.Module(hub.create_module_spec(_weight))
        with pytest.raises(TypeError, match="signature and as_dict by keyword only"):
            module([0.0, 0.0], "default")


@pytest.mark.parametrize("kind", [str, bytes, "pathlib"])
def test_kinds_of_paths(tmp_path, kind):
    layers.export(hub.create_module_spec(_weight), tmp_path / "m")
    path = tmp_path / "m" if kind == "pathlib" else str(tmp_path / "m")
    with tf.Graph().as_default():
        assert hub.Module(path.encode() if kind is bytes else path).get_signature_names() == ["default"]


def test_a_variant_that_lacks_variables_is_not_exported(tmp_path):
    def module_fn(name):
        _weight(name)

    spec = hub.create_module_spec(module_fn, [(set(), {"name": "v"}), ({"train"}, {"name": "w"})])
    message = "graph variant tags=['train'] lacks variables of other variants: ['v']"
    with pytest.raises(errors.ModuleSpecError, match=re.escape(message)):
        layers.export(spec, tmp_path / "m", tags={"train"})
    assert not (tmp_path / "m").exists()


def test_the_exported_variables_serve_all_variants(tmp_path):
    exported = layers.export(_tunable_spec(), tmp_path / "m", tags={"train"})
    for tags in (None, {"train"}):
        with tf.Graph().as_default():
            values = layers.run(hub.Module(str(tmp_path / "m"), tags=tags).variable_map)
        np.testing.assert_array_equal(values["hidden/kernel"], exported["hidden/kernel"])


def test_registered_modules():
    spec = hub.create_module_spec(_weight)
    with tf.Graph().as_default() as graph:
        first, second = hub.Module(spec), hub.Module(spec)
        hub.register_module_for_export(first, "a")
        hub.register_module_for_export(second, "b")
        with pytest.raises(ValueError, match="already a module registered to be exported as 'a'"):
            hub.register_module_for_export(second, "a")
        for name in ("", "/a", "../a", "a/"):
            with pytest.raises(errors.ModuleSpecError, match=f"export name '{name}' is not the name of a dir"):
                hub.register_module_for_export(second, name)
        assert module_lib.registered_modules(graph) == [("a", first), ("b", second)]
        assert not [key for key in graph.get_all_collection_keys() if "register" in str(key)]
    assert module_lib.registered_modules(tf.Graph()) == []
