"""Tests of hubpipe.models.custom."""

import sys
import types

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.compat import v1 as tf1

from hubpipe import errors, hub, models
from hubpipe.config import schema
from hubpipe.models import custom

X = np.random.default_rng(0).normal(size=[5, 4]).astype(np.float32)
FEATURES = {"x": tf.TensorSpec([None, 4], tf.float32)}


@pytest.fixture
def create_spec(tmp_path, monkeypatch):
    """A function (module_fn, **keys of the config) -> the ModuleSpec of the encoder."""
    (tmp_path / "labels.txt").write_text("no\nyes\n")

    def create(module_fn, *, hyperparameters=("dropout_rate", "batch_norm_momentum"), features=FEATURES, **keys):
        module = types.ModuleType("own")
        module.encoder, module.__file__ = module_fn, __file__
        monkeypatch.setitem(sys.modules, "own", module)
        model = schema.CustomModel.model_validate({"kind": "custom", "module_fn": "own:encoder", **keys})
        export = schema.Export(hyperparameters=hyperparameters)
        arguments = {"labels_path": str(tmp_path / "labels.txt")}
        return models.create_spec(model, export, features=features, arguments=arguments)

    return create


def dense(is_training, *, units=3, dropout_rate=0.0):
    """Adds one layer with dropout before it."""
    x = tf1.placeholder(tf.float32, [None, 4], name="x")
    kept = tf.nn.dropout(x, rate=dropout_rate) if is_training else x
    hub.add_signature(inputs={"x": x}, outputs=tf.matmul(kept, tf1.get_variable("kernel", [4, units])))


def _outputs(spec, tags=None, signature="default", **inputs):
    with tf.Graph().as_default(), tf1.Session() as session:
        tf1.set_random_seed(1)
        module = hub.Module(spec, tags=tags, trainable=tags is not None)
        outputs = module({name: tf.constant(value) for name, value in inputs.items()}, signature=signature)
        losses = tf1.get_collection(tf1.GraphKeys.REGULARIZATION_LOSSES)
        session.run([tf1.global_variables_initializer(), tf1.tables_initializer()])
        return session.run([outputs, module.variable_map, losses])


def test_the_function_is_called_for_both_variants(create_spec):
    spec = create_spec(dense, params={"units": 2, "dropout_rate": 0.5})
    assert set(spec.get_tags()) == {frozenset(), frozenset({"train"})}
    outputs, variables, _ = _outputs(spec, x=X)
    np.testing.assert_allclose(outputs, X @ variables["kernel"], rtol=1e-5)
    dropped, variables, _ = _outputs(spec, tags={"train"}, x=X)
    assert not np.allclose(dropped, X @ variables["kernel"])


def test_hyperparameters_come_as_scalars_that_consumers_can_set(create_spec):
    spec = create_spec(dense, params={"dropout_rate": 0.5})
    assert sorted(spec.get_signature_names()) == ["default", "hyperparameters", "labels"]
    assert sorted(spec.get_input_info_dict("hyperparameters")) == ["dropout_rate", "x"]
    outputs, variables, _ = _outputs(spec, tags={"train"}, signature="hyperparameters", x=X, dropout_rate=0.0)
    np.testing.assert_allclose(outputs, X @ variables["kernel"], rtol=1e-5)


def test_only_params_become_hyperparameters(create_spec):
    assert sorted(create_spec(dense).get_signature_names()) == ["default", "labels"]
    spec = create_spec(dense, params={"dropout_rate": 0.5}, hyperparameters=("batch_norm_momentum",))
    assert sorted(spec.get_signature_names()) == ["default", "labels"]


def test_signatures_of_the_function_stay(create_spec):
    def with_own(dropout_rate):
        x = tf1.placeholder(tf.float32, [None, 4])
        hub.add_signature(inputs={"x": x}, outputs=x * dropout_rate)
        hub.add_signature("labels", outputs=tf.constant(["own"]))
        hub.add_signature("hyperparameters", inputs={"rate": dropout_rate}, outputs=dropout_rate)

    spec = create_spec(with_own, params={"dropout_rate": 0.5})
    assert list(spec.get_input_info_dict("hyperparameters")) == ["rate"]
    assert list(_outputs(spec, signature="labels")[0]) == [b"own"]


def test_what_the_data_tell(create_spec, tmp_path):
    seen = {}

    def curious(labels_path, features):
        seen.update(labels_path=labels_path, features=features)
        dense(False)

    create_spec(curious)
    assert seen == {"labels_path": str(tmp_path / "labels.txt"), "features": FEATURES}


def test_regularizers_of_the_config(create_spec):
    weights = {"l1": 0.5, "l2": 0.25}
    _, variables, losses = _outputs(create_spec(dense, regularizers={"kernel": weights}), tags={"train"}, x=X)
    kernel = variables["kernel"]
    np.testing.assert_allclose(losses, [0.5 * np.abs(kernel).sum() + 0.25 * (kernel**2).sum()], rtol=1e-5)


def test_what_the_config_says_of_regularizers():
    model = {"kind": "custom", "module_fn": "own:encoder"}
    assert custom.regularizers(schema.CustomModel.model_validate(model), {}) is None
    model["regularizers"] = {"kernel": {"l2": 0.5}}
    found = custom.regularizers(schema.CustomModel.model_validate(model), {})
    assert found == {"kernel": schema.Regularizer(l2=0.5)}


def _with_loss():
    tf1.add_to_collection(tf1.GraphKeys.REGULARIZATION_LOSSES, tf.constant(1.0))
    dense(False)


def _without_signature():
    tf1.get_variable("kernel", [4, 3])


def _other_signature():
    hub.add_signature("encode", outputs=tf.constant([[1.0]]))


def _of_a_collection():
    dense(False)
    tf1.add_to_collection("my_collection", tf.constant(1.0))


def _raising():
    raise KeyError("units")


def _as_a_number(dropout_rate):
    return float(dropout_rate)


def _of_two_values():
    x = tf1.placeholder(tf.float32, [None, 4])
    hub.add_signature(inputs={"x": x}, outputs={"hidden": x})


@pytest.mark.parametrize(
    ("module_fn", "keys", "message"),
    [
        (
            dense,
            {"regularizers": {"kernels": {"l2": 1.0}}},
            "model_fn.module_fn: own:encoder: makes no trainable variable 'kernels' of model_fn.regularizers. It "
            "makes 'kernel'",
        ),
        (
            _with_loss,
            {"regularizers": {"kernel": {"l2": 1.0}}},
            "model_fn.module_fn: own:encoder: adds 1 regularization losses of its own beside those of "
            "model_fn.regularizers; have them in one place",
        ),
        (
            _without_signature,
            {},
            "model_fn.module_fn: own:encoder: adds no signature 'default' (it adds none); call "
            "hub.add_signature(inputs=..., outputs=...) of hubpipe.hub",
        ),
        (
            _other_signature,
            {},
            "model_fn.module_fn: own:encoder: adds no signature 'default' (it adds 'encode'); call "
            "hub.add_signature(inputs=..., outputs=...) of hubpipe.hub",
        ),
        (
            _of_a_collection,
            {},
            "model_fn.module_fn: own:encoder: Unsupported collections in graph (graph variant tags=[]): "
            "['my_collection']. Use hub.create_module_spec(..., drop_collections=['my_collection']) if consumers "
            "need none of them.",
        ),
        (
            _raising,
            {},
            f"model_fn.module_fn: own:encoder: KeyError: 'units' ({__file__}, line "
            f"{_raising.__code__.co_firstlineno + 1})",
        ),
        (
            _of_two_values,
            {},
            "model_fn.module_fn: signature 'default' has no output 'default', which the head takes; it has "
            "'hidden'",
        ),
        (
            dense,
            {"features": {"y": FEATURES["x"]}},
            "model_fn.module_fn: signature 'default' takes 'x', which the inputs do not supply. They supply 'y', "
            "float32 [batch, 4]\n"
            "model_fn.module_fn: signature 'default' lacks an input 'y', which the inputs supply. It takes 'x'",
        ),
        (
            dense,
            {"params": {"unit": 3}},
            "model_fn.params.unit: unknown parameter (did you mean 'units'?). own:encoder takes is_training, "
            "units, dropout_rate",
        ),
        (
            dense,
            {"params": {"is_training": True}},
            "model_fn.params.is_training: set by hubpipe, once to true and once to false; leave it out",
        ),
    ],
)
def test_functions_that_make_no_module(create_spec, module_fn, keys, message):
    with pytest.raises(errors.ConfigError) as caught:
        create_spec(module_fn, **keys)
    assert str(caught.value) == message


def test_a_hyperparameter_that_is_used_as_a_number(create_spec):
    with pytest.raises(errors.ConfigError) as caught:
        create_spec(_as_a_number, params={"dropout_rate": 0.5})
    assert str(caught.value).startswith("model_fn.module_fn: own:encoder: TypeError: ")
    assert str(caught.value).endswith(f"({__file__}, line {_as_a_number.__code__.co_firstlineno + 1})")


def test_what_is_told_before_data_are_read(monkeypatch):
    def check(module_fn, params, supplied=()):
        module = types.ModuleType("own")
        module.encoder = module_fn
        monkeypatch.setitem(sys.modules, "own", module)
        custom.check(schema.CustomModel(kind="custom", module_fn="own:encoder", params=params), supplied)

    check(dense, {"units": 3})
    check(lambda vocabulary_path: None, {}, ["vocabulary_path"])
    with pytest.raises(errors.ConfigError) as caught:
        check(lambda vocabulary_path, units: None, {}, ["labels_path"])
    assert caught.value.problems == [
        "model_fn.params.vocabulary_path: missing, own:encoder has no default for it; from hubpipe it can have "
        "is_training, labels_path",
        "model_fn.params.units: missing, own:encoder has no default for it; from hubpipe it can have is_training, "
        "labels_path",
    ]


def _problem(create_spec, module_fn):
    with pytest.raises(errors.ConfigError) as caught:
        create_spec(module_fn, hyperparameters=())
    return caught.value.problems[0]


def test_other_variables_in_training(create_spec):
    def only_train(is_training):
        dense(is_training)
        if is_training:
            tf1.get_variable("noise", [3])

    assert _problem(create_spec, only_train).startswith(
        "model_fn.module_fn: own:encoder: the variable 'noise' is float32 (3,) with is_training and absent "
        "without; make the same variables in both"
    )
    assert "'kernel' is float32 (4, 5) with is_training and float32 (4, 2) without" in _problem(
        create_spec, lambda is_training: dense(is_training, units=5 if is_training else 2)
    )


def test_other_outputs_in_training(create_spec):
    def more(is_training):
        x = tf1.placeholder(tf.float32, [None, 4])
        outputs = {"default": x, "hidden": x} if is_training else {"default": x}
        hub.add_signature(inputs={"x": x}, outputs=outputs)

    assert "the output 'hidden' of signature 'default' is another with is_training than without" in _problem(
        create_spec, more
    )


def test_updates_that_nobody_runs(create_spec):
    def moving(is_training):
        dense(is_training)
        mean = tf1.get_variable("mean", [], trainable=False)
        if is_training:
            tf1.assign(mean, 1.0, name="moved")

    said = "node 'moved' assigns to a variable with is_training, but tf1.GraphKeys.UPDATE_OPS is empty"
    assert said in _problem(create_spec, moving)
