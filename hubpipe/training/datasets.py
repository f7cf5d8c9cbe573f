"""The data of a run: prepared once, then read by training, evaluation and export."""

import math
import os
from collections.abc import Callable

import numpy as np
import tensorflow as tf
from tensorflow.compat import v1 as tf1

from hubpipe import inputs, models
from hubpipe.compat import estimator as tf_estimator
from hubpipe.config import checks, schema
from hubpipe.inputs import batches, targets
from hubpipe.training import progress as progress_lib

_GOLDEN_ROWS = 8


def prepare(config: schema.Config, cache_dir: str | None = None) -> inputs.Data:
    """Reads the data of a run, or finds them where they were read before.

    Args:
        config: of the run.
        cache_dir: where to; None for a folder of the model_dir.
    Raises:
        ConfigError: a function or a module that the config names, and that cannot be used.
        InputError: data that cannot be used.
    """
    models.check(config)
    reader = inputs.reader(config.inputs)
    cache_dir = cache_dir or os.path.join(config.model_dir, "inputs")
    return reader.prepare_section(config.inputs, config.model_fn, cache_dir=cache_dir)


def tell(config: schema.Config, data: inputs.Data, progress: progress_lib.Progress) -> None:
    """Shows how many rows there are, which were left out, and where training ends."""
    classes = f", {len(data.labels)} labels: {targets.shown(data.labels)}" if data.labels else ""
    progress.note(f"{config.name}: {data.num_train} training rows, {data.num_eval} evaluation rows{classes}")
    for line in data.notes:
        progress.note(line)
    for warning in checks.data_warnings(config, num_train=data.num_train, fingerprint=data.fingerprint):
        progress.note(f"warning: {warning}")
    for split, skipped in data.skipped.items():
        if skipped and skipped.count:
            progress.note(f"inputs.{split}: skipped {skipped.count} bad rows, such as {skipped.reasons[0]}")
    progress.set_last_step(last_step(config, data))


def last_step(config: schema.Config, data: inputs.Data) -> int:
    """The step at which training ends, with the data or before."""
    if config.training.epochs is None:
        return config.training.max_steps
    data_end = math.ceil(config.training.epochs * data.num_train / config.inputs.batch_size)
    return min(config.training.max_steps, data_end)


def train_input_fn(
    config: schema.Config, data: inputs.Data, *, start_step: int, shard: batches.Shard | None = None
) -> Callable[[], tf.data.Dataset]:
    """The input_fn that a run trains with.

    Args:
        config: of the run.
        data: from prepare.
        start_step: steps trained before, by all who train.
        shard: the rows of this process, of several that train together. They are repeated without end, since not
            all come to the end of an epoch at the same step; see last_step.
    """
    mine = {"epochs": config.training.epochs, "start_step": start_step}
    if shard is not None:
        mine = {"epochs": None, "start_step": start_step // shard.count, "shard": shard}
    return inputs.reader(config.inputs).input_fn(
        data,
        tf_estimator.ModeKeys.TRAIN,
        batch_size=config.inputs.batch_size,
        seed=config.seed,
        shuffle=config.inputs.shuffle,
        **mine,
    )


def eval_input_fn(config: schema.Config, data: inputs.Data) -> Callable[[], tf.data.Dataset]:
    """The input_fn that checkpoints are evaluated with: one pass over the evaluation data."""
    return inputs.reader(config.inputs).input_fn(
        data, tf_estimator.ModeKeys.EVAL, batch_size=config.inputs.batch_size, seed=config.seed
    )


def golden_inputs(config: schema.Config, data: inputs.Data) -> dict[str, np.ndarray]:
    """The first rows of the evaluation data, dict feature -> value."""
    with tf.Graph().as_default(), tf1.Session() as session:
        reader = inputs.reader(config.inputs)
        dataset = reader.input_fn(data, tf_estimator.ModeKeys.EVAL, batch_size=_GOLDEN_ROWS)()
        features, _ = session.run(tf1.data.make_one_shot_iterator(dataset).get_next())
    return features


def features(config: schema.Config, data: inputs.Data) -> dict[str, tf.TensorSpec]:
    """What input_fn supplies, dict name -> type, with the batch left open."""
    with tf.Graph().as_default():
        receiver = inputs.reader(config.inputs).create_serving_input_fn(data)()
        return {name: tf.TensorSpec(value.shape, value.dtype) for name, value in receiver.features.items()}
