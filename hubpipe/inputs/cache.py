"""Rows as TFRecords on disk, made once and kept for the runs that resume.

A cache directory holds entries, directories named by a fingerprint of everything their content depends on. An
entry is complete as soon as it has its name; it is never changed. In it:

    rows-00000.tfrecord, rows-00001.tfrecord, ...
                    the rows in order, PART_BYTES in each file but the last; of each row a tf.train.Example:
                    `label` as hubpipe.inputs.targets stores it, `weight` (float) if rows have weights, and
                    columns of the kind of inputs, such as `text` (bytes, UTF-8)
    about.json      rows, files, skipped rows, the fingerprint of the data, moments of labels that are numbers

and what the caller adds.
"""

import dataclasses
import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import tensorflow as tf

from hubpipe import errors
from hubpipe.files import atomic
from hubpipe.inputs import bad_rows, rows, targets

PART_BYTES = 64 << 20  # of a file of rows; the unit that processes which train together share among them
LABEL = "label"
WEIGHT = "weight"

_ABOUT = "about.json"
_LAYOUT = 4  # of an entry; part of the name, so that another hubpipe never misreads it


@dataclasses.dataclass(frozen=True)
class Records:
    """One set of rows on disk.

    Attributes:
        paths: the TFRecord files, in the order of the rows.
        count: how many rows they hold, at least 1.
        skipped: the bad rows that they lack.
        fingerprint: SHA-256 of the identities, labels and weights of the rows in order, 64 hexadecimal digits: of
            texts and labels the same in any format and under any name.
        moments: (mean, standard deviation) of labels that are numbers, (0, 1) of others.
    """

    paths: tuple[str, ...]
    count: int
    skipped: bad_rows.Skipped
    fingerprint: str
    moments: tuple[float, float]


class Row(Protocol):
    """What is to be stored.

    Attributes:
        columns: dict name -> value, what features are made of; no name is LABEL or WEIGHT.
        label: its label, as it was read.
        weight: its weight, as it was read; None if rows have none.
        where: where it was read, for messages.
        identity: what the fingerprint of the data is made of, besides label and weight; JSON values.
    """

    columns: Mapping[str, bytes | int | float]
    label: rows.Label
    weight: str | None
    where: str
    identity: Sequence[Any]


class Kept(NamedTuple):
    """A row that can be used.

    Attributes:
        row: as it was read.
        canonical: its label, see targets.Target.canonical.
        stored: its label, see targets.Target.stored.
        weight: its weight; None if rows have none.
    """

    row: Row
    canonical: Any
    stored: int | float | bytes
    weight: float | None


def entry(cache_dir: str, identity: Mapping[str, Any], fill: Callable[[str], None]) -> str:
    """Finds an entry, or makes it.

    Args:
        cache_dir: the cache directory, created if missing.
        identity: what the content depends on, as JSON has it.
        fill: writes all files of the entry into the directory it is given; not called if the entry is there.
    Returns:
        path of the entry's directory.
    Raises:
        What `fill` raises; nothing is left behind then.
    """
    name = hashlib.sha256(json.dumps([_LAYOUT, identity], sort_keys=True).encode()).hexdigest()
    path = os.path.join(cache_dir, name)
    if os.path.isdir(path):
        return path
    atomic.sweep_staging(cache_dir)
    try:
        with atomic.publish_dir(path) as staging:
            fill(staging)
    except errors.ExportExistsError:
        if not os.path.isdir(path):  # else another process was faster, with the same content
            raise
    return path


def kept(
    data: Iterable[Row], target: targets.Target, labels: Sequence[str], skipped: bad_rows.Skipped | None
) -> Iterator[Kept]:
    """The rows whose label and weight can be used.

    Args:
        data: the rows.
        target: what becomes of their labels.
        labels: the class names, those of the training data; empty if labels are no classes.
        skipped: counts the other rows; None if such a row is an error.
    Raises:
        InputError: a label that does not suit the target or is not in `labels`, or a weight that is none.
    """
    numbers = targets.numbered(labels)
    for row in data:
        try:
            canonical = target.canonical(row.label)
            stored = target.stored(canonical, numbers)
            weight = None if row.weight is None else targets.weight(row.weight)
        except errors.InputError as error:
            bad_rows.refuse(f"{row.where}: {error}", skipped)
            continue
        yield Kept(row, canonical, stored, weight)


def write_records(
    directory: str,
    data: Iterable[Row],
    target: targets.Target,
    labels: Sequence[str],
    skipped: bad_rows.Skipped | None,
    *,
    where: str,
) -> None:
    """Writes the records of an entry.

    Args:
        directory: the entry's staging directory.
        data: the rows, read once.
        target: what becomes of their labels.
        labels: the class names, those of the training data; empty if labels are no classes.
        skipped: counts the bad rows of `data`, and here those that `kept` leaves out; None if such a row is an
            error.
        where: the section of the config that the rows are of, for messages.
    Raises:
        InputError: a bad row, see `kept`, no row at all, or none with a weight above 0.
    """
    count, total, moments = 0, 0.0, targets.Moments()
    content = hashlib.sha256()
    with _Writer(directory) as writer:
        for row, canonical, stored, weight in kept(data, target, labels, skipped):
            weights = {} if weight is None else {WEIGHT: weight}
            writer.write(_example({**row.columns, LABEL: stored, **weights}))
            content.update(json.dumps([*row.identity, canonical, *weights.values()]).encode())
            total += 1.0 if weight is None else weight
            if not target.has_classes:
                moments.add(stored, 1.0 if weight is None else weight)
            count += 1
    if not count:
        raise errors.InputError(f"{where}: no rows to use ({skipped or 'the files hold none'})")
    if not total:
        raise errors.InputError(f"{where}: the weights of all {count} rows are 0; at least one must be above")
    about = {
        "rows": count,
        "files": writer.count,
        "skipped": dataclasses.asdict(skipped or bad_rows.Skipped()),
        "fingerprint": content.hexdigest(),
        "moments": (0.0, 1.0) if target.has_classes else moments.values,
    }
    atomic.write_file(os.path.join(directory, _ABOUT), json.dumps(about, indent=1).encode())


def read_records(directory: str) -> Records:
    """Finds the records of an entry and what is known of them."""
    with open(os.path.join(directory, _ABOUT), "rb") as file:
        about = json.load(file)
    skipped = bad_rows.Skipped(**about["skipped"])
    paths = tuple(_path(directory, index) for index in range(about["files"]))
    return Records(paths, about["rows"], skipped, about["fingerprint"], tuple(about["moments"]))


class _Writer:
    """Writes records into one file after the other; a context manager.

    Attributes:
        count: of the files.
    """

    def __init__(self, directory: str):
        self.count = 0
        self._directory = directory
        self._file: tf.io.TFRecordWriter | None = None
        self._bytes = 0  # in the file

    def __enter__(self) -> "_Writer":
        return self

    def write(self, record: bytes) -> None:
        """Adds a record."""
        if self._file is None or self._bytes >= PART_BYTES:
            self._close()
            self._file, self._bytes = tf.io.TFRecordWriter(_path(self._directory, self.count)), 0
            self.count += 1
        self._file.write(record)
        self._bytes += len(record)

    def __exit__(self, *exception: object) -> None:
        self._close()

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()


def _path(directory: str, index: int) -> str:
    return os.path.join(directory, f"rows-{index:05}.tfrecord")


def _example(columns: Mapping[str, bytes | int | float]) -> bytes:
    features = {name: _feature(value) for name, value in columns.items()}
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()


def _feature(value: bytes | int | float) -> tf.train.Feature:
    if isinstance(value, bytes):
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))
    if isinstance(value, int):
        return tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))
    return tf.train.Feature(float_list=tf.train.FloatList(value=[value]))
