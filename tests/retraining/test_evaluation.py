"""Tests of hubpipe.retraining.evaluation; what it finds is tested with the job."""

import os
import types

import numpy as np
import pytest
import tensorflow as tf

from hubpipe import errors
from hubpipe.config import schema
from hubpipe.inputs import text
from hubpipe.models import scoring
from hubpipe.retraining import evaluation
from hubpipe.store import layout, manifest
from hubpipe.store import store as store_lib


@pytest.fixture
def version(tiny, tmp_path):
    """A version that has all that is read before TensorFlow is asked."""
    path = tmp_path / "1"
    (path / layout.EXTRA).mkdir(parents=True)
    (path / layout.LABELS).write_text("animal\nplant\n")
    manifest.write(str(path), 1, manifest.build(str(path), {"config": tiny().model_dump(mode="json")}))
    return store_lib.Version(1, str(path))


DATA = types.SimpleNamespace(labels=("animal", "plant"), moments=(0.0, 1.0))


def scores(version, tiny):
    return evaluation.scores(version, tiny(), DATA)


@pytest.mark.parametrize(
    "error, raised, told",
    [
        (tf.errors.ResourceExhaustedError(None, None, "a"), errors.ResourceError, "cannot be evaluated now: a"),
        (tf.errors.InvalidArgumentError(None, None, "b"), errors.StoreError, "cannot be evaluated: b"),
        (ValueError("a graph"), errors.StoreError, "cannot be evaluated: a graph"),
    ],
)
def test_whose_fault_it_is(version, tiny, monkeypatch, error, raised, told):
    def score(*args, **kwargs):
        raise error

    monkeypatch.setattr(scoring, "score", score)
    monkeypatch.setattr(text, "input_fn", lambda *args, **kwargs: None)
    with pytest.raises(raised) as caught:
        scores(version, tiny)
    assert str(caught.value) == f"{version.path}: {told}"
    assert isinstance(caught.value, errors.HubpipeError) == (raised is errors.StoreError)


def test_a_version_without_a_head(version, tiny):
    os.remove(os.path.join(version.path, layout.LABELS))
    with pytest.raises(errors.StoreError) as caught:
        scores(version, tiny)
    assert str(caught.value) == f"{version.path}: has no head; {layout.LABELS} is missing."


def spread(labels, predicted, sample_weight):
    """The weight of the rows whose class is guessed too high."""
    return float(sample_weight[predicted > labels].sum())


@pytest.mark.parametrize(
    ("head", "rows"),
    [
        ({"kind": "classification"}, {"labels": np.array([0, 0, 1]), "predicted": np.array([1, 0, 1])}),
        ({"kind": "binary"}, {"labels": np.array([0, 0, 1]), "logits": np.array([0.5, -0.5, 3.0])}),
    ],
)
def test_metrics_of_ones_own_count_among_the_scores(version, tiny, monkeypatch, head, rows):
    rows = {**rows, "loss": np.ones(3), "weights": np.array([2.0, 1.0, 1.0])}
    monkeypatch.setattr(scoring, "score", lambda *args, **kwargs: rows)
    monkeypatch.setattr(text, "input_fn", lambda *args, **kwargs: None)
    config = tiny()
    metric = schema.CustomMetric(fn=f"{__name__}:spread", higher_is_better=False)
    model = config.model_fn.model_copy(update={"head": type_of(head).model_validate(head)})
    config = config.model_copy(update={"metrics": {"spread": metric}, "model_fn": model})
    found = evaluation.scores(version, config, DATA)
    assert "spread" in found.metrics
    assert found.value("spread") == 2.0
    assert found.value("spread", np.array([3, 0, 1])) == 6.0
    assert "spread" in evaluation.policy(config).lower_is_better


def type_of(head):
    return {"classification": schema.ClassificationHead, "binary": schema.BinaryHead}[head["kind"]]
