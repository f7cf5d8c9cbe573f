"""Tests of hubpipe.training.checkpoints."""

import types

import tensorflow as tf

from hubpipe.training import checkpoints
from tests.training import saved


def test_latest_step(tmp_path):
    estimator = types.SimpleNamespace(latest_checkpoint=lambda: tf.train.latest_checkpoint(str(tmp_path)))
    assert checkpoints.latest_step(estimator) == 0
    saved.checkpoints(tmp_path, 10, 25)
    assert checkpoints.latest_step(estimator) == 25
