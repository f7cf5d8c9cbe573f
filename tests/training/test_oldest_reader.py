"""Tests of export.oldest_reader in hubpipe.training.estimators."""

import pytest
import tensorflow as tf
from tensorflow.compat import v1 as tf1

from hubpipe import errors, hub, models
from hubpipe.config import schema
from hubpipe.training import datasets, estimators


def _create_spec(*_, **__):
    """A module with an op of TensorFlow 2.4 and one of 2.6."""

    def module_fn():
        text = tf1.placeholder(tf.string, [None], name="text")
        seed = tf1.placeholder(tf.int32, [2], name="seed")
        hub.add_signature(inputs={"text": text}, outputs=tf.zeros([tf.size(text), 1]))
        hub.add_signature("random", inputs={"seed": seed}, outputs=tf.random.stateless_uniform([], seed, name="r"))

    return hub.create_module_spec(module_fn)


def test_our_models_are_for_the_oldest(tiny):
    config = tiny('export.oldest_reader="1.15"')
    assert estimators.create(config, datasets.prepare(config)).model_dir == config.model_dir


def test_what_the_oldest_cannot_read_stops_the_run_before_it_starts(tiny, monkeypatch):
    config = tiny('export.oldest_reader="1.15"')
    data = datasets.prepare(config)
    monkeypatch.setitem(models.MODELS, schema.TextModel, models.Kind(_create_spec))
    with pytest.raises(errors.ExportError) as caught:
        estimators.create(config, data)
    assert str(caught.value).splitlines() == [
        "export.oldest_reader: TensorFlow 1.15 cannot read the module. Use other ops, or set the key to \"2.6\".",
        "graph variant tags=[], node 'r/StatelessRandomGetKeyCounter': StatelessRandomGetKeyCounter needs "
        "TensorFlow 2.6",
        "graph variant tags=[], node 'r/StatelessRandomUniformV2': StatelessRandomUniformV2 needs TensorFlow 2.4",
    ]


@pytest.mark.parametrize("version", ['"2.6"', '"2.21"', "null"])
def test_what_the_oldest_can_read_goes_on(tiny, monkeypatch, version):
    config = tiny(f"export.oldest_reader={version}")
    data = datasets.prepare(config)
    monkeypatch.setitem(models.MODELS, schema.TextModel, models.Kind(_create_spec))
    estimators.create(config, data)
