"""Tests of hubpipe.models.pretrained: vectors of a file, from the first step to the published module."""

import io

import numpy as np
import pytest
import tensorflow as tf

from hubpipe import hub
from hubpipe.config import load
from hubpipe.inputs import vocab
from hubpipe.store import store
from hubpipe.training import progress as progress_lib
from hubpipe.training import run

pytest.importorskip("polars")

VECTORS = {"good": [1.0, 2.0, 3.0], "bad": [-1.0, 0.5, 0.25], "film": [0.0, 1.0, 0.0], "unseen": [4.0, 4.0, 4.0]}
CONFIG = """
name: tiny
seed: 1
inputs:
  kind: text
  train: {{files: {0}/train.csv}}
  eval: {{files: {0}/train.csv}}
  batch_size: 4
model_fn:
  kind: text
  encoder:
    embedding_dim: 2
    ngrams: 1
    char_ngrams: []
    hidden_units: [3]
    min_count: 1
    embeddings: {{file: {0}/glove.txt, all_words: true}}
  regularizers: {{embedding: {{l2: 0.001}}}}
training: {{max_steps: 4, evaluate_every_steps: 2}}
optimizer: {{kind: adam, learning_rate: 0.1}}
export: {{twin: false}}
model_dir: {0}/run
store: {{dir: {0}/store}}
"""


@pytest.fixture
def train(tmp_path):
    """A function (*overrides, warm_start_from) -> ({word: vector at a step}, {word: vector of the published})."""
    (tmp_path / "glove.txt").write_text(
        "".join(f"{word} {' '.join(map(str, numbers))}\n" for word, numbers in VECTORS.items())
    )
    (tmp_path / "train.csv").write_text("label,text\n1,good film\n0,bad film\n1,good\n0,bad\n")
    (tmp_path / "config.yaml").write_text(CONFIG.format(tmp_path))

    def call(*overrides, **options):
        config = load.load(tmp_path / "config.yaml", overrides)
        told = io.StringIO()
        progress = progress_lib.Progress(max_steps=4, batch_size=4, every_steps=1, file=told)
        run.run(config, progress, **options)
        newest = store.Store(config.store.dir, "tiny").versions()[-1]
        words = vocab.read(f"{newest.path}/assets/tokens.txt")
        names = [f"{config.model_dir}/model.ckpt-{step}" for step in (2, 4)]
        tables = [tf.train.load_checkpoint(name).get_tensor("module/pretrained") for name in names]
        return newest.path, [dict(zip(words, table.tolist(), strict=True)) for table in tables], told.getvalue()

    return call


def _is_trainable(path):
    with tf.Graph().as_default():
        module = hub.Module(path, trainable=True, tags={"train"})
        names = {variable.op.name for variable in tf.compat.v1.trainable_variables()}
        losses = tf.compat.v1.losses.get_regularization_losses()
        return module.variable_map["pretrained"].op.name in names, len(losses)


def test_frozen_vectors_stay_as_they_are(train):
    path, tables, told = train()
    assert tables == [VECTORS, VECTORS]
    assert _is_trainable(path) == (False, 1)
    assert "glove.txt: 3 of 3 words of the training texts have a vector of 3 numbers, and 1 other words" in told


def test_tuned_vectors_move_from_where_the_file_has_them(train):
    path, tables, _ = train("model_fn.encoder.embeddings.train=tuned")
    for table in tables:
        for word, vector in VECTORS.items():
            assert np.all(np.abs(np.subtract(table[word], vector)) < 0.5)
        assert np.any(np.not_equal(table["good"], VECTORS["good"]))
    assert _is_trainable(path) == (True, 2)


def test_vectors_tuned_later_stay_until_then(train):
    path, tables, _ = train(
        "model_fn.encoder.embeddings.train=tuned_after", "model_fn.encoder.embeddings.tuned_after_steps=2"
    )
    assert tables[0] == VECTORS
    assert np.all(np.not_equal(tables[1]["good"], VECTORS["good"]))
    assert _is_trainable(path)[0]


def test_words_in_upper_case_take_the_vector_of_their_lower_case(train):
    path, _, told = train("model_fn.encoder.lowercase=false", "model_fn.encoder.embeddings.all_words=false")
    assert "glove.txt: 3 of 3 words of the training texts have a vector of 3 numbers\n" in told
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        pooled = hub.Module(path)(["Good", "FILM good", "Unseen"], as_dict=True)["pooled"]
        session.run([tf.compat.v1.global_variables_initializer(), tf.compat.v1.tables_initializer()])
        vectors = session.run(pooled)[:, -3:]
    np.testing.assert_allclose(vectors, [VECTORS["good"], [0.5, 1.5, 1.5], [0.0, 0.0, 0.0]])


def test_words_without_a_vector_add_nothing(train):
    path, *_ = train()
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        found = hub.Module(path)(["unseen good", "unseen strange", "strange", ""], as_dict=True)["pooled"]
        session.run([tf.compat.v1.global_variables_initializer(), tf.compat.v1.tables_initializer()])
        pooled = session.run(found)[:, 2:]
    np.testing.assert_allclose(pooled, [[2.5, 3, 3.5], [4, 4, 4], [0, 0, 0], [0, 0, 0]])


def test_a_warm_start_keeps_tuned_vectors_and_reads_those_of_new_words(train, tmp_path):
    tuned = "model_fn.encoder.embeddings.train=tuned"
    later = ("optimizer.learning_rate=1.0e-9", f"model_dir={tmp_path}/next", f"store.dir={tmp_path}/next_store")
    path, _, _ = train(tuned)
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        module = hub.Module(path)
        session.run(tf.compat.v1.global_variables_initializer())
        published = session.run(module.variable_map["pretrained"])
    published = dict(zip(vocab.read(f"{path}/assets/tokens.txt"), published.tolist(), strict=True))
    with open(tmp_path / "glove.txt", "a") as file:
        file.write("new 7 8 9\n")
    _, tables, _ = train(tuned, *later, warm_start_from=path)
    for word, vector in {**published, "new": [7.0, 8.0, 9.0]}.items():
        np.testing.assert_allclose(tables[0][word], vector, atol=1e-6, err_msg=word)


def test_a_warm_start_takes_frozen_vectors_from_the_file(train, tmp_path):
    path, _, _ = train("model_fn.encoder.embeddings.train=tuned")
    _, tables, _ = train(f"model_dir={tmp_path}/next", f"store.dir={tmp_path}/next_store", warm_start_from=path)
    assert tables == [VECTORS, VECTORS]
