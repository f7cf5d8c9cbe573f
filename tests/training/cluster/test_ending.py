"""Tests of hubpipe.training.cluster.ending."""

import os

import pytest

from hubpipe import errors
from hubpipe.training.cluster import ending


def test_the_mark_of_a_run(tiny):
    config = tiny()
    os.makedirs(config.model_dir)
    assert ending.read(config) is None
    ended = ending.Ended("trained", 6)
    ending.write(config, ended)
    assert ending.read(config) == ended
    assert ending.read(tiny("training.log_every_steps=2")) == ended


@pytest.mark.parametrize("more", ["max_steps=9", "epochs=2", "early_stopping={patience: 1}"])
def test_the_mark_of_another_goal_counts_for_nothing(tiny, more):
    os.makedirs(tiny().model_dir)
    ending.write(tiny(), ending.Ended("trained", 6))
    assert ending.read(tiny(f"training.{more}")) is None


def test_a_broken_mark(tiny):
    config = tiny()
    os.makedirs(config.model_dir)
    path = os.path.join(config.model_dir, ending.FILE)
    with open(path, "w") as file:
        file.write("{")
    with pytest.raises(errors.FormatError, match=f"{path}: is not JSON"):
        ending.read(config)
