"""Runs on tables, from csv files to versions."""

import io
import os

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.compat import v1 as tf1

from hubpipe import hub
from hubpipe.gates import fine_tuning
from hubpipe.inputs import vocab
from hubpipe.retraining import evaluation
from hubpipe.saved_model import isolated
from hubpipe.store import layout, store
from hubpipe.training import datasets, progress, run


def start(config, **options):
    shown = progress.Progress(
        max_steps=config.training.max_steps, batch_size=8, every_steps=1, file=(file := io.StringIO())
    )
    return run.run(config, shown, **options), file.getvalue().splitlines()


def test_a_run_on_a_table(people):
    config = people()
    result, lines = start(config)
    assert (result.outcome, result.step, result.evaluated) == ("trained", 6, 2)
    assert lines[:4] == [
        "people: 60 training rows, 20 evaluation rows, 4 labels: 2, 3, 4, 5",
        "categorical: job title",
        "date: since",
        "numeric: weight",
    ]
    version = store.Store(config.store.dir, "people").latest()
    facts = version.manifest()
    assert facts["twin"]["lost"] == []
    assert max(filter(None, facts["twin"]["differences"].values()), default=0.0) <= 1e-6
    assert facts["regularizers"]["embedding/age"] == {"l1": 0.0, "l2": 0.01}
    assert facts["regularizers"]["logits/kernel"] == {"l1": 0.001, "l2": 0.01}
    assert os.listdir(os.path.join(version.path, "assets")) == ["labels.txt", "vocabulary_job_title.txt"]
    with np.load(os.path.join(version.path, "assets.extra/hubpipe/golden.npz")) as golden:
        assert np.isnan(golden["inputs/age/0"]).any() and golden["inputs/age/0"].shape == (8,)


@pytest.mark.parametrize("encoder", ["", "model_fn.encoder={kind: wide}", "model_fn.encoder={kind: deep}"])
def test_consumers_can_fine_tune_it(people, encoder, monkeypatch):
    monkeypatch.setattr(isolated, "call_in_process", isolated.call_eagerly)  # fresh processes take their time
    result, _ = start(people(*filter(None, [encoder])))
    version = store.Store(os.path.dirname(os.path.dirname(result.path)), "people").latest()
    answer = fine_tuning.check(
        result.path,
        os.path.join(result.path, layout.TWIN),
        golden_path=os.path.join(result.path, "assets.extra/hubpipe/golden.npz"),
        regularizers=version.manifest()["regularizers"],
    )
    assert answer.problems == []
    assert len(answer.confirmed) == 2


@pytest.mark.parametrize(
    "overrides",
    [
        ("model_fn.head={kind: regression}",),
        ("model_fn.head={kind: multi_label}",),
        ("model_fn.head={kind: binary}", "inputs.label_aliases={2: '5', 3: '4'}"),
        ("inputs.weight=weight", "model_fn.encoder={kind: deep}"),
        ("inputs.weight=weight", "model_fn.encoder={kind: wide}"),
    ],
)
def test_a_version_scores_as_it_did(people, overrides):
    config = people("export.twin=false", *overrides)
    result, _ = start(config)
    version = store.Store(config.store.dir, "people").latest()
    scores = evaluation.scores(version, config, datasets.prepare(config))
    assert scores.value("loss") == pytest.approx(result.metrics["loss"], rel=1e-4)


def test_the_wide_part_of_most_categories_is_zero(people):
    sparse = "model_fn.encoder.wide_optimizer={kind: ftrl, learning_rate: 0.1, l1: 9.0}"
    config = people("export.twin=false", sparse)
    start(config)
    reader = tf.train.load_checkpoint(config.model_dir)
    names = [name for name in reader.get_variable_to_shape_map() if name.startswith("module/wide/")]
    wide = [name for name in names if "/Ftrl" not in name]
    assert len(wide) == 5
    for name in wide:
        assert not reader.get_tensor(name).any(), name


def test_it_starts_from_the_weights_of_a_version(people, tmp_path):
    first, _ = start(people("export.twin=false"))
    text = (tmp_path / "train.csv").read_text()
    lines = text.replace("clerk", "baker").splitlines() + text.splitlines()[1:20]
    (tmp_path / "train.csv").write_text("\n".join(lines) + "\n")
    still = ("optimizer.learning_rate=1e-9", "model_fn.encoder.wide_optimizer={kind: ftrl, learning_rate: 1e-9}")
    config = people("export.twin=false", f"model_dir={tmp_path}/warm", *still)
    start(config, warm_start_from=first.path)
    with tf.Graph().as_default(), tf1.Session() as session:
        module = hub.Module(first.path)
        session.run(tf1.global_variables_initializer())
        old = session.run(module.variable_map)
    reader = tf.train.load_checkpoint(config.model_dir)
    for name in ("embedding/job_title", "wide/weights/job_title"):
        found = reader.get_tensor(f"module/{name}")
        assert found.shape[0] == old[name].shape[0] + 1
        pilot, missing = (vocabulary(config, word) for word in ("pilot", "<missing>"))
        np.testing.assert_allclose(found[missing], old[name][0], atol=1e-5)
        assert np.min(np.abs(old[name] - found[pilot]).max(axis=1)) <= 1e-5
    np.testing.assert_allclose(reader.get_tensor("module/logits/kernel"), old["logits/kernel"], atol=1e-5)


def vocabulary(config, word):
    """The place of a word in the vocabulary of a run."""
    path = datasets.prepare(config).table.columns[1].vocabulary_path
    return vocab.read(path).index(word)
