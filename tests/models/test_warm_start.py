"""Tests of hubpipe.models.warm_start."""

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.compat import v1 as tf1

from hubpipe import hub
from hubpipe.compat import estimator
from hubpipe.models import model_fn, warm_start


@pytest.fixture
def published(create_spec, tmp_path):
    """A function (**arguments of create_spec) -> (directory of a published module, its values)."""

    def publish(**arguments):
        path = str(tmp_path / "published")
        with tf.Graph().as_default(), tf1.Session() as session:
            module = hub.Module(create_spec(**arguments))
            session.run([tf1.global_variables_initializer(), tf1.tables_initializer()])
            module.export(path, session)
            return path, session.run(module.variable_map)

    return publish


def _started(spec, settings, tmp_path):
    """The weights of an Estimator before its first step."""

    def build(features, labels, mode):
        module = hub.Module(spec, name=model_fn.MODULE_SCOPE, trainable=True)
        loss = tf.reduce_sum(module(features["text"]))
        return estimator.EstimatorSpec(mode, loss=loss, train_op=tf1.assign_add(tf1.train.get_global_step(), 1))

    trained = estimator.Estimator(build, str(tmp_path / "run"), warm_start_from=settings)
    trained.train(lambda: tf.data.Dataset.from_tensors(({"text": ["the"]}, [0])), steps=1)
    scope = model_fn.MODULE_SCOPE + "/"
    names = [name for name in trained.get_variable_names() if name.startswith(scope)]
    return {name.removeprefix(scope): trained.get_variable_value(name) for name in names}


def _settings(spec, path, tmp_path):
    vocabularies = {"embedding": warm_start.Vocabulary(str(tmp_path / "vocabulary.txt"))}
    return warm_start.settings(spec, path, vocabularies=vocabularies)


def test_the_same_encoder_starts_with_all_weights(published, create_spec, tmp_path):
    path, values = published()
    spec = create_spec()
    settings, anew = _settings(spec, path, tmp_path)
    started = _started(spec, settings, tmp_path)
    assert anew == []
    assert started.keys() == values.keys()
    for name in set(values) - {"embedding"}:
        np.testing.assert_array_equal(started[name], values[name], err_msg=name)
    np.testing.assert_array_equal(started["embedding"][:4], values["embedding"][:4])  # the fifth row is for others


def test_rows_follow_their_tokens_into_another_vocabulary(published, create_spec, tmp_path):
    path, values = published(vocabulary=["the", "cat", "sat"])
    spec = create_spec(vocabulary=["dog", "sat", "on", "the", "mat"])
    settings, anew = _settings(spec, path, tmp_path)
    table = _started(spec, settings, tmp_path)["embedding"]
    assert anew == []
    assert table.shape == (6, 3)
    np.testing.assert_array_equal(table[[1, 3]], values["embedding"][[2, 0]])
    fresh = table[[0, 2, 4, 5]]
    assert np.all(np.abs(fresh) <= 0.5 / 3)
    assert len(np.unique(fresh)) == fresh.size


def test_variables_of_another_shape_start_anew_and_are_named(published, create_spec, tmp_path):
    path, values = published()
    spec = create_spec(encoder={"hidden_units": [5]})
    settings, anew = _settings(spec, path, tmp_path)
    started = _started(spec, settings, tmp_path)
    assert "hidden_1/kernel" in anew
    assert "embedding" not in anew
    assert started["hidden_1/kernel"].shape == (3, 5)
    np.testing.assert_array_equal(started["embedding"][:4], values["embedding"][:4])


def test_nothing_that_fits_is_no_warm_start(create_spec, tmp_path):
    def module_fn():
        hub.add_signature(inputs=tf1.placeholder(tf.float32), outputs=tf1.get_variable("other", [2]) * 1.0)

    path = str(tmp_path / "other")
    with tf.Graph().as_default(), tf1.Session() as session:
        module = hub.Module(hub.create_module_spec(module_fn))
        session.run(tf1.global_variables_initializer())
        module.export(path, session)
    spec = create_spec()
    settings, anew = _settings(spec, path, tmp_path)
    assert settings is None
    assert sorted(anew) == sorted(spec.variable_shapes())
