"""What chief and workers share: the data, their own rows of them, and TensorFlow's train_and_evaluate."""

import dataclasses
import os
from collections.abc import Sequence

from hubpipe import inputs
from hubpipe.compat import estimator as tf_estimator
from hubpipe.config import schema
from hubpipe.files import atomic, locks
from hubpipe.inputs import batches
from hubpipe.training import checkpoints, datasets
from hubpipe.training.cluster import tf_config

_CACHE_FOLDER = "inputs"
_LOCK_FILE = ".inputs.lock"


@dataclasses.dataclass(frozen=True)
class TaskResult:
    """How a task ended that judges nothing.

    Attributes:
        task: its name.
        outcome: "trained", "stopped_early" or "preempted".
        step: of the last checkpoint that it knows of.
    """

    task: str
    outcome: str
    step: int


def prepare(config: schema.Config) -> inputs.Data:
    """Prepares the data of a run, once: the first task reads them, the others wait and find what it wrote.

    On a file system without locks several may read them at once; the first that is done wins.

    Raises:
        InputError: data that cannot be used.
    """
    atomic.make_dirs(config.model_dir)
    with locks.locked(os.path.join(config.model_dir, _LOCK_FILE), wait=True):
        return datasets.prepare(config, os.path.join(config.model_dir, _CACHE_FOLDER))


def train(
    config: schema.Config,
    task: tf_config.Task,
    data: inputs.Data,
    estimator: tf_estimator.Estimator,
    hooks: Sequence[tf_estimator.SessionRunHook],
) -> None:
    """Trains as a chief or worker, until the last step of all.

    Args:
        config: of the run.
        task: of this process, as TF_CONFIG has it.
        data: from prepare.
        estimator: of this task.
        hooks: of the training; the chief's save.
    """
    shard = batches.Shard(task.trainer, len(task.trainers))
    start = checkpoints.latest_step(estimator)
    tf_estimator.train_and_evaluate(
        estimator,
        tf_estimator.TrainSpec(
            datasets.train_input_fn(config, data, start_step=start, shard=shard),
            max_steps=datasets.last_step(config, data),
            hooks=list(hooks),
        ),
        tf_estimator.EvalSpec(datasets.eval_input_fn(config, data)),
    )
