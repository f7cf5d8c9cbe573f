"""Prepared data to input_fn; what differs between kinds of inputs is a function: stored columns -> features."""

import os
from collections.abc import Callable, Mapping
from typing import Any

import tensorflow as tf

from hubpipe.inputs import batches, cache, prepared

MODES = ("train", "eval", "infer")  # the values of estimator.ModeKeys

_ENDLESS = 1 << 62  # steps

# function (columns of a batch, its step in training or None) -> features
Features = Callable[[Mapping[str, tf.Tensor], tf.Tensor | None], dict[str, tf.Tensor]]


def input_fn(
    data: prepared.Prepared,
    mode: str,
    *,
    columns: Mapping[str, tf.DType],
    features: Features | None = None,
    batch_size: int,
    seed: int = 0,
    shuffle: bool = True,
    epochs: int | None = None,
    start_step: int = 0,
    shard: batches.Shard = batches.WHOLE,
    buffer_rows: int = batches.SHUFFLE_BUFFER_ROWS,
) -> Callable[[], tf.data.Dataset]:
    """Makes the input_fn for estimator.train or estimator.evaluate.

    Args:
        data: what was prepared.
        mode: "train" for the training rows; "eval" or "infer" for one pass over the evaluation rows in order.
        columns: dict name -> dtype of what is stored of a row, besides label and weight.
        features: what becomes of the columns; its step is int64 [] in training, else None. None: they are the
            features.
        batch_size: rows per batch; the last of the data may have fewer.
        seed: of the order of the training rows; the same seed gives the same batches.
        shuffle: whether training rows are shuffled, anew in each epoch.
        epochs: passes over the training rows, None for without end.
        start_step: training batches taken before, in the run that is resumed; see batches.train.
        shard: the part of the training rows to read.
        buffer_rows: see batches.train.
    Returns:
        function without arguments that returns a dataset of (features, labels). labels: as hubpipe.inputs.targets
        says, with a first dimension [batch]; with weights a dict {"label": ..., "weight": float32 [batch]}.
    Raises:
        ValueError: an unknown mode.
    """
    if mode not in MODES:
        raise ValueError(f"mode {mode!r} is not one of {', '.join(MODES)}")
    stored = {**columns, cache.LABEL: data.target.dtype}
    if data.is_weighted:
        stored[cache.WEIGHT] = tf.float32

    def finished(columns: dict[str, tf.Tensor], labels: Any, step: tf.Tensor | None) -> tuple[dict, Any]:
        is_dict = isinstance(labels, dict)
        decoded = data.target.decoded(labels[cache.LABEL] if is_dict else labels, len(data.labels))
        found = columns if features is None else features(columns, step)
        return found, {**labels, cache.LABEL: decoded} if is_dict else decoded

    def training_batches() -> tf.data.Dataset:
        found = batches.train(
            data.train.paths,
            data.train.count,
            columns=stored,
            batch_size=batch_size,
            seed=seed,
            shuffle=shuffle,
            epochs=epochs,
            start_step=start_step,
            shard=shard,
            buffer_rows=buffer_rows,
        )
        if is_plain:
            return found
        steps = tf.data.Dataset.range(start_step, _ENDLESS)
        numbered = tf.data.Dataset.zip((steps, found))
        return numbered.map(lambda step, row: finished(*row, step), os.cpu_count()).prefetch(2)

    def evaluation_batches() -> tf.data.Dataset:
        found = batches.evaluate(data.evaluation.paths, columns=stored, batch_size=batch_size)
        return found if is_plain else found.map(lambda columns, labels: finished(columns, labels, None))

    # A map costs small models a part of their speed.
    is_plain = features is None and not data.target.allows_several
    return training_batches if mode == "train" else evaluation_batches
