"""Every kind of model gives the numbers that it gave when its golden was written, on every TensorFlow.

A golden that changes means that modules of the same config change; that belongs into the CHANGELOG. To write them
anew: HUBPIPE_WRITE_GOLDENS=1 python -m pytest tests/conformance/test_goldens.py
"""

import json
import os
import pathlib
import random

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.compat import v1 as tf1

from hubpipe import hub, models
from hubpipe.config import schema
from tests import needs
from tests.models import tables

GOLDENS_DIR = pathlib.Path(__file__).parent / "goldens"


def _text_spec(directory):
    (directory / "vocabulary.txt").write_text("the\ncat\nsat\nthe cat\nschön\n", encoding="utf-8")
    (directory / "labels.txt").write_text("no\nyes\n")
    model = schema.TextModel.model_validate(
        {
            "kind": "text",
            "encoder": {"embedding_dim": 3, "hidden_units": [4, 2], "oov_buckets": 2, "char_ngrams": [2, 3]},
            "regularizers": {"embedding": {"l2": 0.5}, "kernel": {"l1": 0.25, "l2": 0.125}},
        }
    )
    return models.MODELS[schema.TextModel].create_spec(
        model,
        schema.Export(),
        vocabulary_path=str(directory / "vocabulary.txt"),
        labels_path=str(directory / "labels.txt"),
    )


def _keras_spec(directory):
    needs.keras_2()
    (directory / "vocabulary.txt").write_text("the\ncat\nsat\nthe cat\nschön\n", encoding="utf-8")
    (directory / "labels.txt").write_text("no\nyes\n")
    model = schema.KerasModel(
        kind="keras",
        build_fn="hubpipe.examples.keras_text:encoder",
        params={"embedding_dim": 3, "units": 4, "embedding_l2": 0.5, "kernel_l2": 0.125, "dropout_rate": 0.5},
    )
    random.seed(1)  # as hubpipe.training.run does
    return models.MODELS[schema.KerasModel].create_spec(
        model,
        schema.Export(),
        vocabulary_path=str(directory / "vocabulary.txt"),
        labels_path=str(directory / "labels.txt"),
    )


def _image_spec(directory):
    (directory / "labels.txt").write_text("no\nyes\n")
    model = schema.ImageModel.model_validate(
        {"kind": "image", "encoder": {"width": 2}, "regularizers": {"kernel": {"l1": 0.25, "l2": 0.5}}}
    )
    return models.MODELS[schema.ImageModel].create_spec(
        model, schema.Export(), labels_path=str(directory / "labels.txt"), image_size=(4, 4)
    )


def _custom_spec(directory):
    (directory / "vocabulary.txt").write_text("the\ncat\nsat\nschön\n", encoding="utf-8")
    (directory / "labels.txt").write_text("no\nyes\n")
    model = schema.CustomModel.model_validate(
        {
            "kind": "custom",
            "module_fn": "hubpipe.examples.gated_text:encoder",
            "params": {"embedding_dim": 3, "oov_buckets": 2, "dropout_rate": 0.5},
            "regularizers": {"embedding": {"l1": 0.25, "l2": 0.5}},
        }
    )
    return models.MODELS[schema.CustomModel].create_spec(
        model,
        schema.Export(),
        vocabulary_path=str(directory / "vocabulary.txt"),
        labels_path=str(directory / "labels.txt"),
    )


def _imported_spec(directory):
    with tf.Graph().as_default(), tf1.Session() as session:
        tf1.set_random_seed(2)
        inner = hub.Module(_text_spec(directory))
        session.run([tf1.global_variables_initializer(), tf1.tables_initializer()])
        inner.export(str(directory / "inner"), session)
    model = schema.ImportedModel.model_validate(
        {
            "kind": "imported",
            "module": str(directory / "inner"),
            "trainable": True,
            "output": "pooled",
            "hidden_units": [3],
            "regularizers": {"kernel": {"l1": 0.25, "l2": 0.5}},
        }
    )
    features = {"sentence": tf.TensorSpec([None], tf.string)}
    return models.MODELS[schema.ImportedModel].create_spec(
        model, schema.Export(), features=features, labels_path=str(directory / "labels.txt")
    )


def _tabular_spec(directory):
    model = schema.TabularModel.model_validate(
        {
            "kind": "tabular",
            "encoder": {"kind": "deep", "embedding_dim": 2, "hidden_units": [4, 2], "activation": "tanh"},
            "regularizers": {"embedding": {"l2": 0.5}, "kernel": {"l1": 0.25, "l2": 0.125}},
        }
    )
    return models.MODELS[schema.TabularModel].create_spec(
        model, schema.Export(), labels_path=str(directory / "labels.txt"), table=tables.write(directory)
    )


_TEXTS = ["The cat sat.", "schön, cat cat", "unknown words", "", "SAT"]
_IMAGES = np.linspace(0, 1, 2 * 4 * 4 * 3, dtype=np.float32).reshape(2, 4, 4, 3)

# Section of the config -> name of the golden, what makes a small spec, inputs of the default signature.
GOLDENS = {
    schema.TextModel: ("text", _text_spec, {"text": _TEXTS}),
    schema.ImageModel: ("image", _image_spec, {"images": _IMAGES}),
    schema.TabularModel: ("tabular", _tabular_spec, tables.ROWS),
    schema.KerasModel: ("keras", _keras_spec, {"text": _TEXTS}),
    schema.CustomModel: ("custom", _custom_spec, {"text": _TEXTS}),
    schema.ImportedModel: ("imported", _imported_spec, {"sentence": _TEXTS}),
}


def computed(spec, inputs):
    """The outputs of a freshly seeded encoder, and its regularization losses."""
    with tf.Graph().as_default() as graph, tf1.Session() as session:
        tf1.set_random_seed(1)
        module = hub.Module(spec, trainable=True)
        outputs = module({name: tf.constant(value) for name, value in inputs.items()}, as_dict=True)
        losses = graph.get_collection(tf1.GraphKeys.REGULARIZATION_LOSSES)
        session.run([tf1.global_variables_initializer(), tf1.tables_initializer()])
        values = session.run({**outputs, "regularization_losses": losses})
    return {name: np.asarray(value).tolist() for name, value in sorted(values.items())}


def test_every_model_has_a_golden():
    assert set(GOLDENS) == set(models.MODELS)
    assert {path.stem for path in GOLDENS_DIR.iterdir()} == {name for name, _, _ in GOLDENS.values()}


@pytest.mark.parametrize("section", GOLDENS, ids=lambda section: section.__name__)
def test_the_numbers_are_the_golden_ones(section, tmp_path):
    name, create_spec, inputs = GOLDENS[section]
    path = GOLDENS_DIR / f"{name}.json"
    found = computed(create_spec(tmp_path), inputs)
    if os.environ.get("HUBPIPE_WRITE_GOLDENS"):
        path.write_text(json.dumps(found, indent=1) + "\n")
    golden = json.loads(path.read_text())
    assert sorted(found) == sorted(golden)
    for output, value in golden.items():
        np.testing.assert_allclose(found[output], value, rtol=1e-5, atol=1e-6, err_msg=output)
        assert np.any(np.asarray(value) != 0), output
