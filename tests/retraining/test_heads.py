"""Each kind of head, from a small csv to the answer of the quality gate."""

import io
import itertools

import numpy as np
import pytest
from tensorflow.compat import v1 as tf1

from hubpipe import errors, hub
from hubpipe.config import load, schema
from hubpipe.gates import quality
from hubpipe.retraining import evaluation, job, outcome
from hubpipe.saved_model import isolated
from hubpipe.store import store as store_lib
from hubpipe.training import datasets, run
from hubpipe.training import progress as progress_lib

_CONFIG = """
name: words
inputs:
  kind: text
  train: {{files: {directory}/train.csv}}
  eval: {{files: {directory}/eval.csv}}
  weight: weight
  batch_size: 8
model_fn:
  kind: text
  encoder: {{embedding_dim: 4, hidden_units: [4], ngrams: 1, min_count: 1, oov_buckets: 2, char_ngrams: []}}
  head: {head}
optimizer: {{kind: adam, learning_rate: 0.02}}
training: {{max_steps: 40, evaluate_every_steps: 20}}
gates: {{quality: {{slice_column: place, slices: [{slices}]}}}}
store: {{dir: {directory}/store}}
model_dir: {directory}/run
"""

# Kind -> the head, bounds that a trained model keeps to, and the label of a row by its words.
_HEADS = {
    "classification": ("{kind: classification}", "{at_least: 0.5}", lambda words: words[0]),
    "binary": ("{kind: binary, positive: oak}", "{metric: auc, at_least: 0.5}", lambda words: words[0]),
    "multi_label": (
        "{kind: multi_label, separator: ' '}",
        "{metric: auc, at_least: 0.5}",
        lambda words: " ".join(word for word in words if word != "the"),
    ),
    "regression": (
        "{kind: regression, loss: huber}",
        "{at_most: 400}",
        lambda words: 1000 + 100 * words.count("oak"),
    ),
}
_WORDS = {"binary": ("oak", "fern")}


def write(directory, kind):
    """A config, and files of texts of four words with weights and a column of places."""
    words = _WORDS.get(kind, ("oak", "fern", "the"))
    texts = list(itertools.product(words, repeat=4))
    label_of = _HEADS[kind][2]
    for part, rows in (("train", texts), ("eval", texts[::2])):
        lines = ["text,label,weight,place"]
        lines += [
            f"{' '.join(row)},{label_of(row)},{1 + number % 3},{'ab'[number % 2]}"
            for number, row in enumerate(rows)
        ]
        (directory / f"{part}.csv").write_text("\n".join(lines) + "\n")
    head, slices, _ = _HEADS[kind]
    (directory / "words.yaml").write_text(_CONFIG.format(directory=directory, head=head, slices=slices))
    return directory / "words.yaml"


def load_config(path, *overrides):
    """The config of a run whose modules have no twin; that of a retrain has one."""
    return load.load(path, ["export.twin=false", *overrides])


def progress():
    return progress_lib.Progress(max_steps=40, batch_size=8, every_steps=20, file=io.StringIO())


@pytest.mark.parametrize("kind", sorted(_HEADS))
def test_the_gate_finds_of_a_module_what_selected_its_checkpoint(kind, tmp_path):
    config = load_config(write(tmp_path, kind))
    trained = run.run(config, progress())
    data = datasets.prepare(config)
    version = store_lib.Store(config.store.dir, config.name).version(trained.best.versions[config.name])
    assert trained.best.value == trained.metrics[schema.DEFAULT_METRICS[kind]]
    found = evaluation.scores(version, config, data)
    assert set(found.metrics) == set(schema.METRICS[kind])
    values = {metric: found.value(metric) for metric in found.metrics}
    assert all(np.isfinite(value) for value in values.values())
    # But for the resolution of the areas under curves while training.
    assert {metric: trained.metrics[metric] for metric in values} == pytest.approx(values, rel=1e-4, abs=1e-4)
    answer = quality.check(
        evaluation.policy(config), found, found, slices=evaluation.slices(config, data)
    )
    assert answer.passed, answer.problems
    assert answer.numbers["difference"]["gain"] == 0.0
    with tf1.Graph().as_default():
        signatures = hub.load_module_spec(version.path).get_signature_names()
    assert ("labels" in signatures) is (kind != "regression")


def test_a_head_of_another_kind_is_no_baseline(tmp_path):
    config = load_config(write(tmp_path, "binary"), "training.max_steps=2")
    trained = run.run(config, progress())
    version = store_lib.Store(config.store.dir, config.name).version(trained.best.versions[config.name])
    other = load_config(tmp_path / "words.yaml", "model_fn.head={kind: classification}", "gates.quality.slices=[]")
    with pytest.raises(errors.StoreError) as caught:
        evaluation.scores(version, other, datasets.prepare(other))
    assert str(caught.value) == (
        f"{version.path}: cannot be evaluated: its head is binary, that of the config is classification"
    )


def test_the_second_job_of_a_regression_replaces_the_first(tmp_path, monkeypatch):
    monkeypatch.setattr(isolated, "call_in_process", isolated.call_eagerly)  # fresh processes take their time
    write(tmp_path, "regression")
    reports = [
        job.retrain(load.load(tmp_path / "words.yaml", overrides), job.Options(), progress())
        for overrides in ([], ["seed=2", "gates.quality.min_improvement=-1e9"])
    ]
    found = [(report.outcome, report.version) for report in reports]
    assert found == [(outcome.Outcome.PUBLISHED, 1), (outcome.Outcome.PUBLISHED, 2)], reports
    assert any(reason.startswith("quality: rmse ") and "the noise" in reason for reason in reports[1].reasons)
