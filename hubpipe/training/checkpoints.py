"""Checkpoints of a model_dir and their steps."""

import os

import tensorflow as tf

from hubpipe.compat import estimator as tf_estimator


def path_of(estimator: tf_estimator.Estimator, step: int) -> str:
    """The prefix of the checkpoint that training saves at a step."""
    return os.path.join(estimator.model_dir, f"model.ckpt-{step}")


def step_of(path: str) -> int:
    """The global step of a checkpoint."""
    return int(tf.train.load_variable(path, "global_step"))


def exists(estimator: tf_estimator.Estimator) -> bool:
    """Whether there is a checkpoint, if only of the values that training starts from."""
    return estimator.latest_checkpoint() is not None


def latest_step(estimator: tf_estimator.Estimator) -> int:
    """The global step of the newest checkpoint, 0 if there is none."""
    path = estimator.latest_checkpoint()
    return step_of(path) if path else 0
