"""Rows as TFRecords on disk, made once and kept for the runs that resume.

A cache directory holds entries, directories named by a fingerprint of everything their content depends on. An
entry is complete as soon as it has its name; it is never changed. In it:

    rows.tfrecord   tf.train.Example per row: `label` int64 (place in the label vocabulary), and bytes: `text`
                    (UTF-8) or `image` (pixels, one byte for each of three channels)
    about.json      rows, skipped rows, and the fingerprint of the data

and what the caller adds.
"""

import dataclasses
import hashlib
import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

import tensorflow as tf

from hubpipe import errors
from hubpipe.files import atomic
from hubpipe.inputs import rows

RECORDS = "rows.tfrecord"

_ABOUT = "about.json"
_LAYOUT = 1  # of an entry; part of the name, so that another hubpipe never misreads it


@dataclasses.dataclass(frozen=True)
class Records:
    """One set of rows on disk.

    Attributes:
        path: the TFRecord file.
        count: how many rows it holds, at least 1.
        skipped: the bad rows that it lacks.
        fingerprint: SHA-256 of the identities of its rows in order, 64 hexadecimal digits: of texts and labels the
            same in any format and under any name.
    """

    path: str
    count: int
    skipped: rows.Skipped
    fingerprint: str


class Row(Protocol):
    """What is to be stored.

    Attributes:
        value: the text or the pixels.
        label: its label.
        where: where it was read, for messages.
        identity: what the fingerprint of the data is made of.
    """

    value: bytes
    label: str
    where: str
    identity: bytes


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


def write_records(
    directory: str,
    data: Iterable[Row],
    labels: Sequence[str],
    skipped: rows.Skipped | None,
    *,
    feature: str = "text",
) -> None:
    """Writes the records of an entry.

    Args:
        directory: the entry's staging directory.
        data: the rows, read once.
        labels: the label vocabulary.
        skipped: counts the bad rows of `data`, and here those with a label that is not in the vocabulary; None if
            such a row is an error.
        feature: name of the values in the records.
    Raises:
        InputError: a label that is not in the vocabulary, or no row at all.
    """
    classes = {label: place for place, label in enumerate(labels)}
    count = 0
    content = hashlib.sha256()
    with tf.io.TFRecordWriter(os.path.join(directory, RECORDS)) as writer:
        for row in data:
            place = classes.get(row.label)
            if place is None:
                rows.refuse(f"{row.where}: label {row.label!r} is not in the training data", skipped)
                continue
            writer.write(_example(feature, row.value, place))
            content.update(row.identity)
            count += 1
    if not count:
        raise errors.InputError(f"no rows to use ({skipped or 'the files hold none'})")
    about = {
        "rows": count,
        "skipped": dataclasses.asdict(skipped or rows.Skipped()),
        "fingerprint": content.hexdigest(),
    }
    atomic.write_file(os.path.join(directory, _ABOUT), json.dumps(about, indent=1).encode())


def read_records(directory: str) -> Records:
    """Finds the records of an entry and what is known of them."""
    with open(os.path.join(directory, _ABOUT), "rb") as file:
        about = json.load(file)
    skipped = rows.Skipped(**about["skipped"])
    return Records(os.path.join(directory, RECORDS), about["rows"], skipped, about["fingerprint"])


def _example(feature: str, value: bytes, label: int) -> bytes:
    features = {
        feature: tf.train.Feature(bytes_list=tf.train.BytesList(value=[value])),
        "label": tf.train.Feature(int64_list=tf.train.Int64List(value=[label])),
    }
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()
