"""Tests of hubpipe.models.imported."""

import shutil

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.compat import v1 as tf1

from hubpipe import errors, hub, models
from hubpipe.config import schema
from hubpipe.models import imported, layers

X = np.random.default_rng(0).normal(size=[5, 4]).astype(np.float32)
FEATURES = {"x": tf.TensorSpec([None, 4], tf.float32)}


def _inner(is_training):
    """Dropout, a layer with a penalty and batch normalization, with a signature for their rates."""
    x = tf1.placeholder(tf.float32, [None, 4], name="features")
    rates = layers.scalars({"dropout_rate": 0.5, "batch_norm_momentum": 0.5})
    hidden = layers.dropout(x, rate=rates["dropout_rate"], is_training=is_training)
    penalty = layers.regularizer(schema.Regularizer(l2=0.5))
    hidden = layers.dense(hidden, 3, kernel_regularizer=penalty, with_bias=False)
    hidden = layers.batch_norm(
        hidden, momentum=rates["batch_norm_momentum"], epsilon=0.1, is_training=is_training
    )
    outputs = {"default": hidden, "sum": tf.reduce_sum(hidden, axis=1), "doubled": hidden * 2.0}
    hub.add_signature(inputs={"features": x}, outputs=outputs)
    hub.add_signature("hyperparameters", inputs={"features": x, **rates}, outputs=outputs)
    hub.add_signature("pairs", inputs={"left": x, "right": x}, outputs=hidden)


INNER_VARIABLES = ["beta", "gamma", "kernel", "moving_mean", "moving_variance"]


def _export(spec, path):
    """Writes a module with initial values; returns them."""
    with tf.Graph().as_default(), tf1.Session() as session:
        tf1.set_random_seed(1)
        module = hub.Module(spec)
        session.run([tf1.global_variables_initializer(), tf1.tables_initializer()])
        module.export(str(path), session)
        return session.run(module.variable_map)


@pytest.fixture
def inner(tmp_path):
    """The path of the imported module, and its values."""
    variants = [((), {"is_training": False}), (("train",), {"is_training": True})]
    spec = hub.create_module_spec(_inner, tags_and_args=variants)
    return str(tmp_path / "inner"), _export(spec, tmp_path / "inner")


@pytest.fixture
def create_spec(inner, tmp_path):
    """A function (**keys of the config) -> the ModuleSpec of the new module."""
    (tmp_path / "labels.txt").write_text("no\nyes\n")

    def create(*, features=FEATURES, hyperparameters=("dropout_rate", "batch_norm_momentum"), **keys):
        model = schema.ImportedModel.model_validate({"kind": "imported", "module": inner[0], **keys})
        export = schema.Export(hyperparameters=hyperparameters)
        arguments = {"labels_path": str(tmp_path / "labels.txt")}
        return models.create_spec(model, export, features=features, arguments=arguments)

    return create


class Applied:
    """A module in a graph of its own, with a session."""

    def __init__(self, spec, *, tags=None, signature="default", **inputs):
        with tf.Graph().as_default() as self.graph:
            tf1.set_random_seed(1)
            self.module = hub.Module(spec, trainable=True, tags=tags)
            constants = {name: tf.constant(value) for name, value in inputs.items()}
            self.outputs = self.module(constants, signature=signature, as_dict=True)
            self.session = tf1.Session()
            self.session.run([tf1.global_variables_initializer(), tf1.tables_initializer()])

    def names(self, key):
        return sorted(getattr(value, "op", value).name for value in self.graph.get_collection(key))

    def run(self, fetches):
        return self.session.run(fetches)


def test_the_values_and_the_name_of_the_input(create_spec, inner):
    path, values = inner
    module = Applied(create_spec(), x=X)
    expected = Applied(path, features=X)
    np.testing.assert_array_equal(module.run(module.outputs)["default"], expected.run(expected.outputs)["default"])
    assert sorted(module.module.variable_map) == [f"imported/{name}" for name in INNER_VARIABLES]
    for name, value in module.run(module.module.variable_map).items():
        np.testing.assert_array_equal(value, values[name.removeprefix("imported/")])


def test_frozen_nothing_of_it_trains(create_spec):
    module = Applied(create_spec(hidden_units=[2]), tags={"train"}, x=X)
    trained = module.names(tf1.GraphKeys.TRAINABLE_VARIABLES)
    assert trained == [f"module/hidden_1/{name}" for name in ("beta", "gamma", "kernel")]
    assert module.names(tf1.GraphKeys.REGULARIZATION_LOSSES) == []
    assert len(module.names(tf1.GraphKeys.UPDATE_OPS)) == 2
    first, second = (module.run(module.outputs["imported"]) for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_fine_tuned_it_trains_with_its_losses_and_updates(create_spec, inner):
    module = Applied(create_spec(trainable=True, dropout={"rate": 0.5}), tags={"train"}, x=X)
    trained = module.names(tf1.GraphKeys.TRAINABLE_VARIABLES)
    assert trained == [f"module/imported/{name}" for name in ("beta", "gamma", "kernel")]
    (loss,) = module.run(module.graph.get_collection(tf1.GraphKeys.REGULARIZATION_LOSSES))
    np.testing.assert_allclose(loss, 0.5 * np.sum(inner[1]["kernel"] ** 2), rtol=1e-5)
    module.run(module.graph.get_collection(tf1.GraphKeys.UPDATE_OPS))
    moved = module.run(module.module.variable_map)["imported/moving_mean"]
    assert np.any(moved != inner[1]["moving_mean"])
    first, second = (module.run(module.outputs["default"]) for _ in range(2))
    assert np.any(first != second)  # its dropout


def test_the_rates_of_a_fine_tuned_module_can_be_set(create_spec):
    spec = create_spec(trainable=True)
    rates = {"dropout_rate": 0.0, "batch_norm_momentum": 0.9}
    module = Applied(spec, tags={"train"}, signature="hyperparameters", x=X, **rates)
    first, second = (module.run(module.outputs["default"]) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    module.run(module.graph.get_collection(tf1.GraphKeys.UPDATE_OPS))
    values = module.run(module.module.variable_map)
    mean = (X @ values["imported/kernel"]).mean(axis=0)
    np.testing.assert_allclose(values["imported/moving_mean"], 0.1 * mean, rtol=1e-4)


def test_signatures(create_spec):
    assert sorted(create_spec().get_signature_names()) == ["default", "labels"]
    spec = create_spec(hidden_units=[2], hyperparameters=("dropout_rate",))
    assert sorted(spec.get_input_info_dict("hyperparameters")) == ["dropout_rate", "x"]
    assert sorted(spec.get_output_info_dict()) == ["default", "imported"]
    assert spec.get_output_info_dict()["default"].get_shape().as_list() == [None, 2]


def test_rates_that_cannot_be_set_everywhere_are_not_offered(create_spec):
    spec = create_spec(trainable=True, signature="pairs", features={"left": FEATURES["x"], "right": FEATURES["x"]})
    assert sorted(spec.get_signature_names()) == ["default", "labels"]


def test_another_output(create_spec, inner):
    module = Applied(create_spec(output="doubled"), x=X)
    expected = Applied(inner[0], features=X)
    np.testing.assert_array_equal(
        module.run(module.outputs)["default"], expected.run(expected.outputs)["doubled"]
    )


def test_it_travels_inside(create_spec, inner, tmp_path):
    _export(create_spec(hidden_units=[2]), tmp_path / "outer")
    module = Applied(str(tmp_path / "outer"), x=X)
    before = module.run(module.outputs)["default"]
    shutil.rmtree(inner[0])
    module = Applied(str(tmp_path / "outer"), x=X)
    np.testing.assert_array_equal(module.run(module.outputs)["default"], before)


def test_the_size_of_images_is_passed_on(tmp_path):
    def module_fn():
        images = tf1.placeholder(tf.float32, [None, 6, 8, 3])
        hub.add_signature(inputs={"images": images}, outputs=tf.reduce_mean(images, axis=[1, 2]))

    _export(hub.create_module_spec(module_fn), tmp_path / "images")
    (tmp_path / "labels.txt").write_text("no\nyes\n")
    spec = models.create_spec(
        schema.ImportedModel(kind="imported", module=str(tmp_path / "images")),
        schema.Export(),
        features={"images": tf.TensorSpec([None, 6, 8, 3], tf.float32)},
        arguments={"labels_path": str(tmp_path / "labels.txt")},
    )
    assert hub.get_expected_image_size(spec) == [6, 8]
    assert spec.get_attached_message("image_module_info", hub.ImageModuleInfo) is not None


def test_regularizers():
    model = {"kind": "imported", "module": "m", "hidden_units": [3], "regularizers": {"kernel": {"l2": 0.5}}}
    frozen = schema.ImportedModel.model_validate(model)
    assert imported.regularizers(frozen, {}) == {"hidden_1/kernel": schema.Regularizer(l2=0.5)}
    assert imported.regularizers(frozen.model_copy(update={"trainable": True}), {}) is None


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (
            {"signature": "hyperparameter"},
            "model_fn.signature: INNER has no signature 'hyperparameter' (did you mean 'hyperparameters'?). It "
            "has 'default', 'hyperparameters', 'pairs'",
        ),
        (
            {"output": "hidden"},
            "model_fn.output: signature 'default' of INNER has no output 'hidden'. It has 'default', 'doubled', "
            "'sum'",
        ),
        (
            {"output": "sum"},
            "model_fn.output: 'sum' of INNER is float32 [batch]; expected float32 [batch, dim]",
        ),
        (
            {"signature": "pairs"},
            "model_fn.module: signature 'default' takes 'left', which the inputs do not supply. They supply 'x', "
            "float32 [batch, 4]",
        ),
        (
            {"features": {"x": tf.TensorSpec([None], tf.string)}},
            "model_fn.module: input 'x' is float32 [batch, 4]; the inputs supply string [batch]",
        ),
    ],
)
def test_modules_that_do_not_fit(create_spec, inner, keys, message):
    with pytest.raises(errors.ConfigError) as caught:
        create_spec(**keys)
    assert caught.value.problems[0] == message.replace("INNER", inner[0])


def test_a_module_that_is_not_there(tmp_path):
    model = schema.ImportedModel(kind="imported", module=str(tmp_path / "none"))
    with pytest.raises(errors.ConfigError) as caught:
        imported.check(model)
    assert str(caught.value).startswith(f"model_fn.module: {tmp_path / 'none'}")


def test_a_module_without_variables_cannot_be_fine_tuned(tmp_path):
    def module_fn():
        x = tf1.placeholder(tf.float32, [None, 4])
        hub.add_signature(inputs={"x": x}, outputs=x * 2.0)

    _export(hub.create_module_spec(module_fn), tmp_path / "fixed")
    model = schema.ImportedModel(kind="imported", module=str(tmp_path / "fixed"), trainable=True)
    with pytest.raises(errors.ConfigError) as caught:
        imported.check(model)
    assert caught.value.problems == [
        f"model_fn.trainable: {tmp_path / 'fixed'} has no trainable variable; leave it false"
    ]
