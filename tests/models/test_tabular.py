"""Tests of hubpipe.models.tabular."""

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.compat import v1 as tf1

from hubpipe import errors, hub
from hubpipe.compat import estimator
from hubpipe.config import schema
from hubpipe.models import model_fn, tabular, warm_start
from tests.models import tables

WIDE = {"kind": "wide", "crosses": [["work", "zip"]], "cross_buckets": 50}
DEEP = {"kind": "deep", "embedding_dim": 3, "hidden_units": [4, 2]}
BOTH = {**DEEP, **WIDE, "kind": "wide_and_deep"}


@pytest.fixture
def create_spec(tmp_path):
    """A function (encoder, head, **keys of model_fn) -> the ModuleSpec and the config of a small encoder."""

    def create(encoder, *, labels_path="labels.txt", **keys):
        model = schema.TabularModel.model_validate({"kind": "tabular", "encoder": encoder, **keys})
        table = tables.write(tmp_path)
        path = labels_path and str(tmp_path / labels_path)
        return tabular.create_spec(model, schema.Export(), labels_path=path, table=table), model, table

    return create


def applied(spec, signature=None, *, rows=tables.ROWS, tags=None, weights=None, **scalars):
    """The outputs of a freshly seeded module, with some weights set."""
    with tf.Graph().as_default(), tf1.Session() as session:
        tf1.set_random_seed(1)
        module = hub.Module(spec, tags=tags)
        inputs = {name: tf.constant(value) for name, value in {**rows, **scalars}.items()}
        outputs = module(inputs, signature=signature, as_dict=True)
        session.run([tf1.global_variables_initializer(), tf1.tables_initializer()])
        for name, value in (weights or {}).items():
            module.variable_map[name].load(value, session)
        return session.run(outputs)


def shapes(spec, signature):
    return {name: info.get_shape().as_list() for name, info in spec.get_output_info_dict(signature).items()}


@pytest.mark.parametrize("tags", [None, {"train"}])
def test_signatures(create_spec, tags):
    deep, wide, both = (create_spec(encoder)[0] for encoder in (DEEP, WIDE, BOTH))
    assert sorted(deep.get_signature_names(tags)) == ["default", "hyperparameters", "labels"]
    assert sorted(wide.get_signature_names(tags)) == ["default", "labels", "logits"]
    assert sorted(both.get_signature_names(tags)) == ["default", "hyperparameters", "labels", "logits"]
    for spec in (deep, wide, both):
        infos = spec.get_input_info_dict()
        found = {name: (info.dtype, info.get_shape().as_list()) for name, info in infos.items()}
        assert found["age"] == found["gain_"] == (tf.float32, [None])
        assert found["work"] == found["zip"] == found["since"] == (tf.string, [None])
    assert set(both.get_input_info_dict("hyperparameters")) - set(tables.ROWS) == {
        "dropout_rate",
        "batch_norm_momentum",
    }


def test_outputs(create_spec):
    deep, wide, both = (create_spec(encoder)[0] for encoder in (DEEP, WIDE, BOTH))
    assert shapes(deep, "default") == shapes(deep, "hyperparameters") == {"default": [None, 2]}
    assert shapes(wide, "default") == shapes(wide, "logits") == {"default": [None, 2], "wide": [None, 2]}
    assert shapes(both, "default") == shapes(both, "hyperparameters") == {"default": [None, 2], "wide": [None, 2]}
    assert shapes(both, "logits") == {"default": [None, 2]}


def test_numbers_as_labels_have_one_logit_and_no_names(create_spec):
    spec, _, _ = create_spec(BOTH, labels_path=None, head={"kind": "regression"})
    assert shapes(spec, "logits") == {"default": [None, 1]}
    assert "labels" not in spec.get_signature_names()


def test_tensorflow_1_15_reads_them(create_spec):
    for encoder in (DEEP, WIDE, BOTH):
        assert create_spec(encoder)[0].obstacles("1.15") == []


def test_the_wide_part_adds_up_weights(create_spec):
    spec, _, _ = create_spec(WIDE)
    weights = {
        "wide/kernel": np.zeros([13, 2], np.float32),
        "wide/weights/work": np.arange(10, dtype=np.float32).reshape(5, 2),
        "wide/weights/age": 100.0 * np.arange(8, dtype=np.float32).reshape(4, 2),
        "wide/cross/work/zip": np.full([50, 2], 0.25, np.float32),
        "wide/bias": np.array([0.5, -0.5], np.float32),
    }
    weights["wide/kernel"][0] = [1000.0, 0.0]
    found = applied(spec, "logits", weights=weights)["default"]
    # age in standard deviations and in buckets, work (the third is unknown), the cross, the bias
    np.testing.assert_allclose(found[0], [-1000 + 0 + 2 + 0.25 + 0.5, 100 + 3 + 0.25 - 0.5], rtol=1e-6)
    np.testing.assert_allclose(found[1], [0 + 200 + 4 + 0.25 + 0.5, 300 + 5 + 0.25 - 0.5], rtol=1e-6)
    np.testing.assert_allclose(found[3], [0 + 600 + 0 + 0.25 + 0.5, 700 + 1 + 0.25 - 0.5], rtol=1e-6)


def test_logits_are_those_of_both_parts(create_spec):
    spec, _, _ = create_spec(BOTH)
    kernel = np.array([[1.0, 2.0], [3.0, 4.0]], np.float32)
    weights = {"logits/kernel": kernel, "wide/bias": np.array([5.0, 6.0], np.float32)}
    features = applied(spec, weights=weights)
    assert np.any(features["default"])
    np.testing.assert_allclose(features["wide"], [[5.0, 6.0]] * 4)
    expected = features["default"] @ kernel + features["wide"]
    np.testing.assert_allclose(applied(spec, "logits", weights=weights)["default"], expected, rtol=1e-5)


def test_training_differs_by_dropout_and_batch_norm_alone(create_spec):
    spec, _, _ = create_spec({**DEEP, "hidden_units": [4]}, batch_norm={"enabled": False})
    quiet = applied(spec, "hyperparameters", tags={"train"}, dropout_rate=0.0, batch_norm_momentum=0.5)
    np.testing.assert_allclose(quiet["default"], applied(spec)["default"], rtol=1e-6)
    noisy = applied(spec, "hyperparameters", tags={"train"}, dropout_rate=0.5, batch_norm_momentum=0.5)
    assert np.any(noisy["default"] != quiet["default"])


@pytest.mark.parametrize("encoder, count", [(DEEP, 5), (BOTH, 6), (WIDE, 0)])
def test_regularization_losses_are_those_of_the_config(create_spec, encoder, count):
    spec, model, table = create_spec(encoder, regularizers={"embedding": {"l2": 0.5}, "kernel": {"l1": 0.25}})
    named = tabular.regularizers(model, {"table": table})
    with tf.Graph().as_default() as graph, tf1.Session() as session:
        module = hub.Module(spec, trainable=True)
        losses = graph.get_collection(tf1.GraphKeys.REGULARIZATION_LOSSES)
        session.run(tf1.global_variables_initializer())
        values = session.run(module.variable_map)
        total = sum(session.run(losses))
    assert len(losses) == len(named) == count
    expected = sum(
        weights.l1 * np.abs(values[name]).sum() + weights.l2 * np.square(values[name]).sum()
        for name, weights in named.items()
    )
    assert total == pytest.approx(expected, rel=1e-5)


def test_embeddings_are_as_wide_as_their_categories_ask_for():
    assert [tabular._dim(size) for size in (3, 5, 9, 40, 200, 2000, 10**6)] == [2, 2, 4, 8, 16, 32, 32]


def test_a_cross_of_what_has_no_categories(create_spec):
    with pytest.raises(errors.ConfigError) as caught:
        create_spec({**WIDE, "crosses": [["work", "gain "]]})
    assert str(caught.value).startswith(
        "model_fn.encoder.crosses: 'gain ' is no feature with categories, those are age, work, zip."
    )


def test_only_the_wide_part_has_an_optimizer_of_its_own(create_spec):
    found = {name: tabular.optimizers(create_spec(encoder)[1]) for name, encoder in (("d", DEEP), ("b", BOTH))}
    assert found["d"] == {}
    assert list(found["b"]) == ["wide"] and found["b"]["wide"].l1 == 0.001
    spec, _, _ = create_spec(BOTH)
    wide = [name for name in spec.variable_shapes() if name.startswith("wide/")]
    assert sorted(wide) == [
        "wide/bias",
        "wide/cross/work/zip",
        "wide/kernel",
        "wide/weights/age",
        "wide/weights/work",
        "wide/weights/zip",
    ]


def test_rows_follow_their_values_into_another_vocabulary(create_spec, tmp_path):
    old_spec, _, _ = create_spec(BOTH)
    path = str(tmp_path / "published")
    with tf.Graph().as_default(), tf1.Session() as session:
        module = hub.Module(old_spec)
        session.run([tf1.global_variables_initializer(), tf1.tables_initializer()])
        module.variable_map["wide/weights/work"].load(np.arange(1, 11, dtype=np.float32).reshape(5, 2), session)
        module.export(path, session)
        old = session.run(module.variable_map)

    spec, model, table = create_spec(BOTH)
    (tmp_path / "vocabulary_work.txt").write_text("<missing>\npilot\nsales rep\nsmith\nclerk\n")
    columns = [
        column.model_copy(update={"size": 5}) if column.column == "work" else column for column in table.columns
    ]
    table = table.model_copy(update={"columns": tuple(columns)})
    spec = tabular.create_spec(model, schema.Export(), labels_path=str(tmp_path / "labels.txt"), table=table)
    settings, anew = warm_start.settings(spec, path, vocabularies=tabular.vocabularies(model, {"table": table}))
    assert anew == []

    def build(features, labels, mode):
        module = hub.Module(spec, name=model_fn.MODULE_SCOPE, trainable=True)
        loss = tf.reduce_sum(module(features, signature="logits"))
        return estimator.EstimatorSpec(mode, loss=loss, train_op=tf1.assign_add(tf1.train.get_global_step(), 1))

    trained = estimator.Estimator(build, str(tmp_path / "run"), warm_start_from=settings)
    trained.train(lambda: tf.data.Dataset.from_tensors((tables.ROWS, [0])), steps=1)

    def value(name):
        return trained.get_variable_value(f"{model_fn.MODULE_SCOPE}/{name}")

    kept, was = [0, 2, 4], [0, 2, 1]  # <missing>, sales rep, clerk
    for name in ("embedding/work", "wide/weights/work"):
        np.testing.assert_array_equal(value(name)[kept], old[name][was])
    assert not value("wide/weights/work")[[1, 3]].any()
    assert np.all(np.abs(value("embedding/work")[[1, 3]]) <= 0.05) and value("embedding/work")[1].any()
    for name in ("embedding/zip", "hidden_1/kernel", "wide/cross/work/zip", "logits/kernel"):
        np.testing.assert_array_equal(value(name), old[name])
