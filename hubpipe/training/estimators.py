"""The Estimator of a run, and how it saves."""

import contextlib
import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from absl import logging

from hubpipe import errors, inputs, models
from hubpipe.compat import estimator as tf_estimator
from hubpipe.config import schema
from hubpipe.models import heads, metrics, model_fn, pretrained, warm_start
from hubpipe.training import datasets
from hubpipe.training.cluster import strategies, tf_config


def create(
    config: schema.Config,
    data: inputs.Data,
    warm_start_from: str | None = None,
    *,
    task: tf_config.Task | None = None,
) -> tf_estimator.Estimator:
    """The Estimator of a run; its model_fn registers the encoder for export by the config's name.

    Args:
        config: of the run.
        data: from prepare.
        warm_start_from: a published module that the encoder starts from, if there is no checkpoint yet.
        task: of this process in a cluster, which TF_CONFIG names too; None if it works alone.
    Raises:
        UsageError: training.distribution and the cluster do not fit.
        ConfigError: the module cannot be made, or does not fit the data.
        ExportError: the module would not be readable by export.oldest_reader.
    """
    arguments = inputs.reader(config.inputs).module_arguments(data)
    with _python_seed(config.seed):
        spec = models.create_spec(
            config.model_fn, config.export, features=datasets.features(config, data), arguments=arguments
        )
    _check_oldest_reader(config.export.oldest_reader, spec)
    head = heads.create(config.model_fn.head, data.labels, data.moments)
    start = pretrained.start(config.model_fn, arguments.get("embeddings"))
    training = config.training
    distribution = tf_config.check(task, training.distribution)
    _check_parts(distribution, config.model_fn)
    return tf_estimator.Estimator(
        model_fn.create_model_fn(
            spec,
            head,
            config.optimizer,
            export_name=config.name,
            parts=models.parts(config.model_fn),
            start=start,
            own_metrics=metrics.create(config.metrics),
        ),
        config.model_dir,
        tf_estimator.RunConfig(
            tf_random_seed=config.seed,
            session_config=strategies.session_config(task, executor=training.executor),
            save_checkpoints_steps=training.evaluate_every_steps,
            keep_checkpoint_max=training.keep_checkpoints + (training.average_last or 1) - 1,
            # Nobody reads the graph that is written with every checkpoint, and writing it stops training.
            checkpoint_save_graph_def=False,
            save_summary_steps=training.log_every_steps,
            log_step_count_steps=training.log_every_steps,
            **strategies.run_config_arguments(task, distribution),
        ),
        warm_start_from=_warm_start(config.model_fn, spec, warm_start_from, arguments),
    )


def _warm_start(
    model: schema.Model, spec, module_dir: str | None, arguments: Mapping[str, Any]
) -> tf_estimator.WarmStartSettings | None:
    if module_dir is None:
        return None
    settings, anew = warm_start.settings(
        spec,
        module_dir,
        vocabularies=models.vocabularies(model, arguments),
        without=pretrained.without(model),
    )
    if anew:
        logging.warning("%s: starts anew, since it does not fit: %s", module_dir, ", ".join(anew))
    return settings


@contextlib.contextmanager
def _python_seed(seed: int) -> Iterator[None]:
    """Seeds Python's random generator in the block: Keras takes the seeds of its initializers from there."""
    before = random.getstate()
    random.seed(seed)
    try:
        yield
    finally:
        random.setstate(before)


def _check_oldest_reader(version: str | None, spec) -> None:
    obstacles = spec.obstacles(version) if version else []
    if obstacles:
        met = f'"{spec.oldest_reader}"' if spec.oldest_reader else "null"
        raise errors.ExportError(
            f"export.oldest_reader: TensorFlow {version} cannot read the module. Use other ops, or set the key to "
            f"{met}.\n" + "\n".join(obstacles)
        )


def _check_parts(distribution: str | None, model: schema.Model) -> None:
    partitions = getattr(getattr(model, "encoder", None), "partitions", 1)
    if partitions > 1 and distribution in (strategies.MIRRORED, strategies.MULTI_WORKER):
        raise errors.UsageError(
            f"model_fn.encoder.partitions: {partitions}, but only parameter servers share parts out; with "
            f"training.distribution: {distribution} every device holds all of a table. Set it to 1"
        )


def create_saver_hook(
    config: tf_estimator.RunConfig, listeners: Sequence[tf_estimator.CheckpointSaverListener] = ()
) -> tf_estimator.CheckpointSaverHook:
    """Estimator's own, but for a second session call after each step: a tenth of a small model's time."""
    hook = tf_estimator.CheckpointSaverHook(
        config.model_dir,
        save_steps=config.save_checkpoints_steps,
        listeners=list(listeners),
        save_graph_def=config.checkpoint_save_graph_def,
    )
    hook._set_steps_per_run(1)  # by default it reads the step again after each step, in case some were many
    return hook
