"""Tests of hubpipe.retraining.evaluation; what it finds is tested with the job."""

import os

import pytest
import tensorflow as tf

from hubpipe import errors
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


def scores(version, tiny):
    data = type("Data", (), {"labels": ("animal", "plant"), "moments": (0.0, 1.0)})()
    return evaluation.scores(version, tiny(), data)


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
