"""Records of hubpipe.inputs.cache to datasets of batches, vectorised: never a Python or TensorFlow map per row.

tf.data's autotuning is off: its threads cost more than these pipelines, and re-initialising an iterator with it
stalls.
"""

import functools
import os
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import tensorflow as tf

from hubpipe.inputs import cache

MAX_BYTES_IN_MEMORY = 256 << 20  # of all record files; in memory they take up to twice as much
SHUFFLE_BUFFER_ROWS = 100_000  # of larger data

_BATCHES_AT_ONCE = 16
_FILES_AT_ONCE = 8  # of larger data that are shuffled
_ENDLESS = 1 << 62  # rows

# With TensorFlow's default of 4 the epochs of 100,000 rows are correlated by 0.2, those of a million by 0.4, and
# neighbours stay together; from 12 on neither is seen.
_ROUNDS = 16


class Shard(NamedTuple):
    """One of several parts of the training rows, which processes that train together have one each of.

    Attributes:
        index: which, from 0.
        count: how many there are.
    """

    index: int
    count: int


WHOLE = Shard(0, 1)


def train(
    paths: Sequence[str],
    count: int,
    *,
    columns: Mapping[str, tf.DType],
    batch_size: int,
    seed: int,
    shuffle: bool,
    epochs: int | None,
    start_step: int,
    shard: Shard = WHOLE,
    buffer_rows: int = SHUFFLE_BUFFER_ROWS,
) -> tf.data.Dataset:
    """Makes batches for training, the same ones whenever the arguments are the same.

    Up to MAX_BYTES_IN_MEMORY all rows are in memory, each epoch is a permutation of them, and batch n does not
    depend on where the dataset starts: a run that stopped after step n goes on with `start_step=n` as if it had
    not stopped. Larger data are read again in every epoch, several files at a time, in another order of the files,
    and shuffled in a buffer of `buffer_rows`; `start_step` then only changes the seed, for another order after
    each start.

    Args:
        paths: the TFRecord files of hubpipe.inputs.cache.
        count: their rows.
        columns: dict name -> dtype of what records hold; cache.LABEL and perhaps cache.WEIGHT are among them.
        batch_size: rows per batch; batches run over the ends of epochs, so only the very last may have fewer.
        seed: of the order of the rows.
        shuffle: False for the order of the files.
        epochs: passes over the data, None for without end.
        start_step: batches taken before.
        shard: the part to read. In memory the parts share the permutation of each epoch, row by row. Of larger
            data each has the same rows in every epoch: as many whole files as there are for all, and of the files
            that are left every nth row. Either way the parts are every row once.
        buffer_rows: of the shuffling of data that are not held in memory.
    Returns:
        dataset of (features, labels). features: dict of the other columns, [batch] each. labels: [batch], with
        weights a dict {"label": [batch], "weight": float32 [batch]}.
    """
    parse = functools.partial(_parse, columns)
    if sum(map(os.path.getsize, paths)) > MAX_BYTES_IN_MEMORY:
        records = _streamed(paths, seed + start_step if shuffle else None, shard, buffer_rows)
        return _finished(records.repeat(epochs).batch(batch_size).map(parse))

    columns = tf.data.TFRecordDataset(paths).batch(count).map(parse)  # one element: every row
    total = None if epochs is None else len(range(shard.index, epochs * count, shard.count))
    order = seed if shuffle else None
    return _finished(
        columns.flat_map(
            lambda features, labels: _in_memory(features, labels, batch_size, order, total, start_step, shard)
        )
    )


def evaluate(paths: Sequence[str], *, columns: Mapping[str, tf.DType], batch_size: int) -> tf.data.Dataset:
    """Makes the batches of one pass over the rows, in the order of the files.

    Args:
        paths: the TFRecord files of hubpipe.inputs.cache.
        columns: see `train`.
        batch_size: rows per batch; the last may have fewer.
    Returns:
        dataset of (features, labels), see `train`.
    """
    return _finished(tf.data.TFRecordDataset(paths).batch(batch_size).map(functools.partial(_parse, columns)))


def shuffled(positions: tf.Tensor, count: tf.Tensor, seed: int) -> tf.Tensor:
    """Maps positions in the endless sequence of epochs to rows, by a permutation of its own for each epoch.

    Args:
        positions: int64 [n].
        count: int64 [], rows of an epoch.
        seed: decides all permutations.
    Returns:
        int64 [n], each in [0, count).
    """
    zeros = tf.zeros_like(positions)
    keys = tf.stack([zeros + seed, positions // count, zeros], axis=1)  # [n, 3]
    return tf.raw_ops.RandomIndexShuffle(index=positions % count, seed=keys, max_index=count - 1, rounds=_ROUNDS)


def _streamed(paths: Sequence[str], seed: int | None, shard: Shard, buffer_rows: int) -> tf.data.Dataset:
    """The records of a shard, of its own files and its rows of those that are left; with a seed shuffled."""
    num_shared = len(paths) % shard.count
    whole, shared = paths[: len(paths) - num_shared], paths[len(paths) - num_shared :]
    records = _records(whole[shard.index :: shard.count], seed)
    if shared:
        records = records.concatenate(_records(shared, seed).shard(shard.count, shard.index))
    return records if seed is None else records.shuffle(buffer_rows, seed=seed)


def _records(paths: Sequence[str], seed: int | None) -> tf.data.Dataset:
    """The records of files, in order without a seed; with one of several files in turn, anew in each pass."""
    if seed is None or not paths:
        return tf.data.TFRecordDataset(tf.constant(paths, tf.string))
    files = tf.data.Dataset.from_tensor_slices(list(paths)).shuffle(len(paths), seed=seed)
    return files.interleave(tf.data.TFRecordDataset, cycle_length=min(len(paths), _FILES_AT_ONCE), block_length=1)


def _parse(columns: Mapping[str, tf.DType], records: tf.Tensor) -> tuple[dict[str, tf.Tensor], Any]:
    types = {name: tf.io.FixedLenFeature([], dtype) for name, dtype in columns.items()}
    features = tf.io.parse_example(records, types)
    labels = features.pop(cache.LABEL)
    if cache.WEIGHT in features:
        labels = {cache.LABEL: labels, cache.WEIGHT: features.pop(cache.WEIGHT)}
    return features, labels


def _in_memory(
    features: dict[str, tf.Tensor],
    labels: Any,
    batch_size: int,
    seed: int | None,
    total: int | None,
    start_step: int,
    shard: Shard,
) -> tf.data.Dataset:
    """Batches of the endless sequence of epochs, up to `total` rows, from the row `start_step * batch_size` on.

    Of n shards each has every nth row of the sequence, and counts its own rows.

    Several batches are gathered by one call, which takes half the time of one call each.
    """
    count = tf.size(tf.nest.flatten(labels)[0], out_type=tf.int64)

    def rows_at(positions: tf.Tensor) -> tuple[dict[str, tf.Tensor], Any]:
        positions = positions * shard.count + shard.index
        places = positions % count if seed is None else shuffled(positions, count, seed)
        return tf.nest.map_structure(lambda column: tf.gather(column, places), (features, labels))

    def several(step: tf.Tensor) -> tuple[dict[str, tf.Tensor], Any]:
        steps = tf.minimum(tf.constant(_BATCHES_AT_ONCE, tf.int64), full_batches - step)
        rows = rows_at(step * batch_size + tf.range(steps * batch_size))
        return tf.nest.map_structure(lambda column: tf.reshape(column, [-1, batch_size]), rows)

    full_batches = (_ENDLESS if total is None else total) // batch_size
    dataset = tf.data.Dataset.range(start_step, full_batches, _BATCHES_AT_ONCE).map(several).unbatch()
    if total is None or total % batch_size == 0 or start_step > full_batches:
        return dataset
    rest = tf.range(full_batches * batch_size, total, dtype=tf.int64)
    return dataset.concatenate(tf.data.Dataset.from_tensors(rows_at(rest)))


def _finished(dataset: tf.data.Dataset) -> tf.data.Dataset:
    options = tf.data.Options()
    options.autotune.enabled = False
    options.deterministic = True
    return dataset.prefetch(2).with_options(options)
