"""One training run, from a config to versions in the store; the stages in order."""

import contextlib
import dataclasses
import math
import os
import random
import re
import sys
from collections.abc import Callable, Iterator, Mapping

import numpy as np
import tensorflow as tf
from absl import logging
from tensorflow.compat import v1 as tf1

from hubpipe import errors, exporters, inputs, models
from hubpipe.compat import estimator as tf_estimator
from hubpipe.config import dump, schema
from hubpipe.exporters import select
from hubpipe.models import heads, model_fn, warm_start
from hubpipe.store import layout, store
from hubpipe.training import judge as judge_lib
from hubpipe.training import progress as progress_lib
from hubpipe.training import run_dir

EXPORTER_NAME = "best"
_GOLDEN_ROWS = 8

_SWITCH_INTERVAL_SECS = 0.0005

_SHORTAGE = re.compile(r"^.*(No space left on device|Disk quota exceeded|OOM when allocating).*$", re.MULTILINE)


@dataclasses.dataclass(frozen=True)
class Result:
    """How a run ended.

    Attributes:
        outcome: "trained", "stopped_early", "already_trained" or "preempted".
        step: global step of the last checkpoint.
        evaluated: number of checkpoints that were evaluated, by this process or before it.
        best: the best evaluation, None if the store has no version of this run.
        path: of the best version, None if there is none.
        metrics: dict of the best evaluation, from its manifest; None for a value that is not finite.
    """

    outcome: str
    step: int
    evaluated: int
    best: select.Evaluation | None
    path: str | None
    metrics: Mapping[str, float | None]


def run(
    config: schema.Config,
    progress: progress_lib.Progress,
    *,
    is_preempted: Callable[[], bool] = lambda: False,
    is_over: Callable[[], bool] = lambda: False,
    cache_dir: str | None = None,
    warm_start_from: str | None = None,
) -> Result:
    """Trains, evaluates each checkpoint, and publishes each that is the best so far.

    A run that was stopped or killed goes on from its last checkpoint when it is started again.

    Args:
        config: of the run.
        progress: shows how it goes.
        is_preempted: True as soon as the run should save a checkpoint and return.
        is_over: True as soon as the run should stop training, and judge what it has.
        cache_dir: where the data are prepared; None for a folder of the model_dir.
        warm_start_from: a published module that the encoder starts from; None to start from nothing.
    Raises:
        HubpipeError: data or a model_dir that cannot be used, a loss that is not a number, or a full disk.
    """
    with run_dir.owned(config.model_dir):
        data = prepare(config, cache_dir)
        _tell_data(config, data, progress)
        run_dir.start(config.model_dir, config, data.fingerprint)
        estimator = create_estimator(config, data, warm_start_from)
        judge = _create_judge(config, data, estimator, progress, is_preempted)
        start = judge_lib.latest_step(estimator)
        if not judge.is_exhausted:
            with _explained(config), contextlib.closing(progress), _quick_thread_switches(), judge:
                judge.catch_up()
                if start < config.training.max_steps and not is_preempted():
                    if start:
                        progress.note(f"{config.model_dir}: going on at step {start}")
                    _train(config, data, estimator, judge, progress, start, lambda: is_preempted() or is_over())
                if not is_preempted():
                    judge.take_last()
        return _result(config, judge, start, judge_lib.latest_step(estimator), is_preempted())


def _train(
    config: schema.Config,
    data: inputs.Data,
    estimator: tf_estimator.Estimator,
    judge: judge_lib.Judge,
    progress: progress_lib.Progress,
    start: int,
    should_stop: Callable[[], bool],
) -> None:
    estimator.train(
        train_input_fn(config, data, start_step=start),
        max_steps=config.training.max_steps,
        hooks=[
            judge_lib.StopHook(lambda: judge.should_stop or should_stop()),
            progress,
            _create_saver_hook(estimator.config),
        ],
        saving_listeners=[judge],
    )


@contextlib.contextmanager
def _quick_thread_switches() -> Iterator[None]:
    """Lets the thread that trains go on soon after each step, though the judge's thread has the interpreter.

    By Python's default it waits for 5 ms, longer than a step of a small model takes.
    """
    before = sys.getswitchinterval()
    sys.setswitchinterval(_SWITCH_INTERVAL_SECS)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


@contextlib.contextmanager
def _explained(config: schema.Config) -> Iterator[None]:
    """Turns what the user can mend of TensorFlow's errors into a TrainingError."""
    try:
        yield
    except tf_estimator.NanLossDuringTrainingError as error:
        raise errors.TrainingError(
            f"{config.model_dir}: the loss became NaN. Lower optimizer.learning_rate, or set optimizer.clip_norm; "
            "the versions published so far are kept."
        ) from error
    except tf.errors.ResourceExhaustedError as error:
        # The message opens with where in the graph the op was added.
        reason = _SHORTAGE.search(error.message)
        raise errors.TrainingError(
            f"{config.model_dir}: the disk or the memory is full ({reason.group() if reason else error.message}). "
            "Make room; the same command goes on from the last checkpoint."
        ) from error


def _tell_data(config: schema.Config, data: inputs.Data, progress: progress_lib.Progress) -> None:
    counts = f"{data.num_train} training rows, {data.num_eval} evaluation rows, {len(data.labels)} labels"
    progress.note(f"{config.name}: {counts}")
    for split, skipped in data.skipped.items():
        if skipped and skipped.count:
            progress.note(f"inputs.{split}: skipped {skipped.count} bad rows, such as {skipped.reasons[0]}")
    if config.training.epochs is not None:
        data_end = math.ceil(config.training.epochs * data.num_train / config.inputs.batch_size)
        progress.set_last_step(min(config.training.max_steps, data_end))


def _result(config: schema.Config, judge: judge_lib.Judge, start: int, step: int, is_preempted: bool) -> Result:
    best = judge.record.best
    version = store.Store(config.store.dir, config.name).version(best.versions[config.name]) if best else None
    if is_preempted:
        outcome = "preempted"
    elif judge.is_exhausted:
        outcome = "stopped_early"
    else:
        outcome = "trained" if step > start else "already_trained"
    return Result(
        outcome,
        step,
        len(judge.record.history),
        best,
        version.path if version else None,
        version.manifest()["metrics"] if version else {},
    )


def prepare(config: schema.Config, cache_dir: str | None = None) -> inputs.Data:
    """Reads the data of a run, or finds them where they were read before.

    Args:
        config: of the run.
        cache_dir: where to; None for a folder of the model_dir.
    Raises:
        InputError: data that cannot be used.
    """
    reader = inputs.reader(config.inputs)
    cache_dir = cache_dir or os.path.join(config.model_dir, "inputs")
    return reader.prepare_section(config.inputs, config.model_fn, cache_dir=cache_dir)


def train_input_fn(
    config: schema.Config, data: inputs.Data, *, start_step: int
) -> Callable[[], tf.data.Dataset]:
    """The input_fn that a run trains with.

    Args:
        config: of the run.
        data: from prepare.
        start_step: steps trained before.
    """
    return inputs.reader(config.inputs).input_fn(
        data,
        tf_estimator.ModeKeys.TRAIN,
        batch_size=config.inputs.batch_size,
        seed=config.seed,
        shuffle=config.inputs.shuffle,
        epochs=config.training.epochs,
        start_step=start_step,
    )


def create_estimator(
    config: schema.Config, data: inputs.Data, warm_start_from: str | None = None
) -> tf_estimator.Estimator:
    """The Estimator of a run; its model_fn registers the encoder for export by the config's name.

    Args:
        config: of the run.
        data: from prepare.
        warm_start_from: a published module that the encoder starts from, if there is no checkpoint yet.
    Raises:
        ExportError: the module would not be readable by export.oldest_reader.
    """
    arguments = inputs.reader(config.inputs).module_arguments(data)
    with _python_seed(config.seed):
        spec = models.MODELS[type(config.model_fn)](config.model_fn, config.export, **arguments)
    _check_oldest_reader(config.export.oldest_reader, spec)
    head = heads.HEADS[type(config.model_fn.head)](config.model_fn.head, data.labels)
    training = config.training
    session_config = tf1.ConfigProto(allow_soft_placement=True)
    if training.executor == "single_threaded":
        session_config.experimental.executor_type = "SINGLE_THREADED_EXECUTOR"
    return tf_estimator.Estimator(
        model_fn.create_model_fn(spec, head, config.optimizer, export_name=config.name),
        config.model_dir,
        tf_estimator.RunConfig(
            tf_random_seed=config.seed,
            session_config=session_config,
            save_checkpoints_steps=training.evaluate_every_steps,
            keep_checkpoint_max=training.keep_checkpoints,
            # Nobody reads the graph that is written with every checkpoint, and writing it stops training.
            checkpoint_save_graph_def=False,
            save_summary_steps=training.log_every_steps,
            log_step_count_steps=training.log_every_steps,
        ),
        warm_start_from=_warm_start(spec, warm_start_from, arguments.get("vocabulary_path")),
    )


def _warm_start(
    spec, module_dir: str | None, vocabulary_path: str | None
) -> tf_estimator.WarmStartSettings | None:
    if module_dir is None:
        return None
    settings, anew = warm_start.settings(spec, module_dir, vocabulary_path=vocabulary_path)
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


def _create_saver_hook(config: tf_estimator.RunConfig) -> tf_estimator.CheckpointSaverHook:
    """Estimator's own, but for a second session call after each step: a tenth of a small model's time."""
    hook = tf_estimator.CheckpointSaverHook(
        config.model_dir, save_steps=config.save_checkpoints_steps, save_graph_def=config.checkpoint_save_graph_def
    )
    hook._set_steps_per_run(1)  # by default it reads the step again after each step, in case some were many
    return hook


def _regularizers(model: schema.Model) -> dict[str, dict[str, float]] | None:
    """What the config asks of the regularization losses, dict variable -> l1, l2; None if it does not say."""
    if type(model) not in models.REGULARIZERS:
        return None
    return {name: weights.model_dump() for name, weights in models.REGULARIZERS[type(model)](model).items()}


def _golden_inputs(config: schema.Config, data: inputs.Data) -> dict[str, np.ndarray]:
    """The first rows of the evaluation data."""
    with tf.Graph().as_default(), tf1.Session() as session:
        reader = inputs.reader(config.inputs)
        dataset = reader.input_fn(data, tf_estimator.ModeKeys.EVAL, batch_size=_GOLDEN_ROWS)()
        features, _ = session.run(tf1.data.make_one_shot_iterator(dataset).get_next())
    return features


def _create_judge(
    config: schema.Config,
    data: inputs.Data,
    estimator: tf_estimator.Estimator,
    progress: progress_lib.Progress,
    is_preempted: Callable[[], bool],
) -> judge_lib.Judge:
    reader = inputs.reader(config.inputs)
    exporter = exporters.BestModuleExporter(
        EXPORTER_NAME,
        reader.create_serving_input_fn(data),
        config.selection.metric,
        config.selection.higher_is_better,
        store_dir=config.store.dir,
        exports_to_keep=config.export.keep_latest,
        min_improvement=config.selection.min_improvement,
        twin=config.export.twin,
        golden_inputs=_golden_inputs(config, data),
        manifest={
            "config": config.model_dump(mode="json"),
            "seed": config.seed,
            "regularizers": _regularizers(config.model_fn),
            "data": {
                "fingerprint": data.fingerprint,
                "rows": {"train": data.num_train, "eval": data.num_eval},
            },
        },
        extra_files={
            run_dir.CONFIG_FILE: dump.dump(config).encode(),
            os.path.basename(layout.LABELS): "".join(f"{label}\n" for label in data.labels).encode(),
        },
    )
    early_stopping = config.training.early_stopping or schema.EarlyStopping()
    return judge_lib.Judge(
        estimator,
        reader.input_fn(data, tf_estimator.ModeKeys.EVAL, batch_size=config.inputs.batch_size, seed=config.seed),
        exporter,
        progress,
        every_steps=config.training.evaluate_every_steps,
        patience=early_stopping.patience,
        min_improvement=early_stopping.min_improvement,
        is_preempted=is_preempted,
    )
