"""Clusters of real processes: chief, workers, parameter servers and evaluator on loopback ports."""

import json
import os
import pathlib
import sys
import time

import pytest
import tensorflow as tf
from tensorflow.compat import v1 as tf1

from hubpipe import hub
from hubpipe.store import store
from tests import forks
from tests.conformance import clusters
from tests.exporters import linear

ROOT = pathlib.Path(__file__).parents[2]
TIMEOUT_SECS = 900  # of a machine that does much else; a cluster takes a minute
ENVIRONMENT = {"PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"}
CONFIG = """
name: tiny
inputs:
  kind: text
  train: {{files: {directory}/rows.csv}}
  eval: {{files: {directory}/rows.csv}}
  batch_size: 4
model_fn:
  kind: text
  encoder: {{embedding_dim: 8, hidden_units: [8], min_count: 1, char_ngrams: [], word_dropout: 0.1, partitions: 2}}
  head: {{kind: classification}}
optimizer: {{kind: adam, learning_rate: 0.02}}
training: {{max_steps: {max_steps}, evaluate_every_steps: {every}, log_every_steps: 10}}
export: {{twin: false}}
store: {{dir: {directory}/store}}
model_dir: {directory}/run
"""


@pytest.fixture
def cluster(tmp_path):
    """A function (workers, ps, max_steps, every) -> Cluster that trains on a few rows in tmp_path."""
    words = ["cat", "dog", "horse", "mouse", "oak", "fern", "rose", "moss"]
    rows = [f"the {word},{'animal' if place < 4 else 'plant'}" for place, word in enumerate(words)]
    (tmp_path / "rows.csv").write_text("\n".join(["text,label", *rows]) + "\n")

    def create(*, workers, ps, max_steps, every, overrides=()):
        path = tmp_path / "tiny.yaml"
        path.write_text(CONFIG.format(directory=tmp_path, max_steps=max_steps, every=every))
        command = [sys.executable, "-m", "hubpipe.train", "--json", "--config", str(path), *overrides]
        return clusters.Cluster(command, workers=workers, ps=ps, environment=ENVIRONMENT, popen=forks.Popen)

    return create


def told(one):
    """What all tasks have written, for the message of a failed test."""
    return "\n".join(f"{name}: {line}" for name in one.processes for line in one.lines(name))


def history(directory):
    with open(directory / "run" / "export" / "best" / "best.json") as file:
        return json.load(file)["history"]


def check_store(directory):
    """Every version is whole and of a step of its own, and the best is current."""
    found = store.Store(str(directory / "store"), "tiny")
    versions = found.versions()
    assert [line for version in versions for line in version.problems()] == []
    steps = [version.manifest()["step"] for version in versions]
    assert len(steps) == len(set(steps)) > 0
    evaluated = {entry["step"]: entry["value"] for entry in history(directory)}
    assert found.current().manifest()["metrics"]["accuracy"] == max(evaluated.values())
    with tf.Graph().as_default(), tf1.Session() as session:
        module = hub.Module(found.current().path)
        vectors = module(["the cat", "the oak"])
        session.run([tf1.global_variables_initializer(), tf1.tables_initializer()])
        assert session.run(vectors).shape == (2, 8)


@pytest.mark.process
def test_a_cluster_trains_publishes_and_ends(cluster, tmp_path):
    averaged = ["training.average_last=2"]
    with cluster(workers=1, ps=2, max_steps=60, every=20, overrides=averaged) as one:
        codes = one.wait(timeout_secs=TIMEOUT_SECS)
        assert codes == dict.fromkeys(codes, clusters.DONE), told(one)
        assert [process.starts for process in one.processes.values()] == [1] * 5, told(one)
    check_store(tmp_path)
    last = tf.train.load_variable(tf.train.latest_checkpoint(str(tmp_path / "run")), "global_step")
    steps = [entry["step"] for entry in history(tmp_path)]
    assert steps == sorted(steps)
    assert steps[-1] == last >= 60
    assert os.listdir(tmp_path / "run" / "eval_averaged")
    assert not os.listdir(tmp_path / "run" / "backlog" / "waiting")
    assert not os.listdir(tmp_path / "run" / "backlog" / "judging")
    result = json.loads(one.lines("evaluator")[-2])  # before what the cluster says of its end
    assert (result["outcome"], result["step"], result["evaluated"]) == ("trained", last, len(steps))
    # Started once more, all tasks know at once that nothing is left to do.
    with cluster(workers=1, ps=2, max_steps=60, every=20, overrides=averaged) as one:
        codes = one.wait(timeout_secs=TIMEOUT_SECS)
        assert codes == dict.fromkeys(codes, clusters.DONE), told(one)
    assert [entry["step"] for entry in history(tmp_path)] == steps


@pytest.mark.process
def test_killed_tasks_start_again_and_all_ends_well(cluster, tmp_path):
    with cluster(workers=1, ps=2, max_steps=1600, every=160) as one:
        deadline = time.monotonic() + TIMEOUT_SECS
        for name in ("worker 0", "evaluator", "ps 1", "chief"):
            before = latest(tmp_path)
            while latest(tmp_path) == before and time.monotonic() < deadline:
                if one.tend():
                    break
                time.sleep(0.1)
            one.kill(name)
        codes = one.wait(timeout_secs=TIMEOUT_SECS)
        assert codes == dict.fromkeys(codes, clusters.DONE), told(one)
        assert sum(process.starts for process in one.processes.values()) > 5, told(one)
    check_store(tmp_path)
    assert history(tmp_path)[-1]["step"] >= 1600


def latest(directory):
    """The newest checkpoint, None before there is one."""
    return tf.train.latest_checkpoint(str(directory / "run"))


@pytest.mark.process
def test_workers_that_train_together(cluster, tmp_path):
    overrides = ["training.distribution=multi_worker_mirrored", "model_fn.encoder.partitions=1"]
    with cluster(workers=1, ps=0, max_steps=20, every=10, overrides=overrides) as one:
        codes = one.wait(timeout_secs=TIMEOUT_SECS)
        assert codes == dict.fromkeys(codes, clusters.DONE), told(one)
    check_store(tmp_path)
    assert [entry["step"] for entry in history(tmp_path)] == [10, 20]  # a step is one of all, so none is passed by


@pytest.mark.process
def test_a_users_own_train_and_evaluate(tmp_path):
    command = [sys.executable, str(ROOT / "tests" / "conformance" / "own_cluster.py"), str(tmp_path / "run")]
    options = {"environment": ENVIRONMENT, "most_starts": 1, "popen": forks.Popen}
    with clusters.Cluster(command, workers=0, ps=2, **options) as one:
        deadline = time.monotonic() + TIMEOUT_SECS
        while time.monotonic() < deadline:
            one.tend()
            if None not in (one.processes["chief"].code, one.processes["evaluator"].code):
                break
            time.sleep(0.2)
        assert (one.processes["chief"].code, one.processes["evaluator"].code) == (0, 0), told(one)
    versions = store.Store(str(tmp_path / "run" / "export" / "best"), "linear")
    assert versions.current().manifest()["step"] == linear.STEPS
    assert [line for version in versions.versions() for line in version.problems()] == []
    trained = tf.train.load_variable(str(tmp_path / "run" / f"model.ckpt-{linear.STEPS}"), "linear/w")
    published = os.path.join(versions.current().path, "variables", "variables")
    assert (tf.train.load_variable(published, "w") == trained).all()
    assert len(os.listdir(tmp_path / "run" / "export" / "latest")) > 0
