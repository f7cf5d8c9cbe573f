"""One pass over a dataset of a user's own: what it has, how much of it, and is it the same as before?"""

import dataclasses
import hashlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.compat import v1 as tf1

from hubpipe import errors
from hubpipe.inputs import cache, targets

_ROW_DIGESTS = 1 << 256  # sums of digests are taken modulo this


@dataclasses.dataclass(frozen=True)
class Scan:
    """What one pass over the rows found.

    Attributes:
        count: rows.
        names: the distinct labels that are texts, sorted.
        highest: the highest label that is a class number, -1 if there is none.
        moments: (mean, standard deviation) of labels that are numbers, (0, 1) of others.
        fingerprint: SHA-256 of the rows in any order, 64 hexadecimal digits.
    """

    count: int
    names: list[str]
    highest: int
    moments: tuple[float, float]
    fingerprint: str


def scan(create: Callable[[], tf.data.Dataset]) -> Scan:
    """Reads all rows of a dataset.

    Args:
        create: makes the dataset of (dict of features, labels), batches with the same first dimension.
    Raises:
        InputError: no rows, a dataset without end, features and labels of different lengths, a label that is no
            finite number or a negative class number, or a weight that is none; and what reading raises.
    """
    found = _Found()
    for features, labels in batches_of(create):
        found.add(features, labels)
    return found.finished()


def batches_of(create: Callable[[], tf.data.Dataset]) -> Iterator[tuple[dict[str, np.ndarray], Any]]:
    """The batches of a dataset, (features, labels) as arrays.

    Args:
        create: makes the dataset.
    Raises:
        InputError: a dataset without end; and what reading raises.
    """
    with tf.Graph().as_default(), tf1.Session() as session:
        dataset = create()
        if session.run(dataset.cardinality()) == tf.data.INFINITE_CARDINALITY:
            raise errors.InputError("the dataset never ends; return one pass over the rows, hubpipe repeats it")
        iterator = tf1.data.make_initializable_iterator(dataset)
        session.run([iterator.initializer, tf1.tables_initializer()])
        batch = iterator.get_next()
        while True:
            try:
                yield session.run(batch)
            except tf.errors.OutOfRangeError:
                return


def digest(text: str) -> str:
    """SHA-256 of a text, 64 hexadecimal digits."""
    return hashlib.sha256(text.encode()).hexdigest()


class _Found:
    """What was found so far."""

    def __init__(self):
        self._count = 0
        self._names: set[str] = set()
        self._highest = -1
        self._moments = targets.Moments()
        self._has_numbers = False
        self._digests = 0

    def add(self, features: dict[str, np.ndarray], labels: Any) -> None:
        """Takes a batch in."""
        columns = {"features": features, "labels": labels if isinstance(labels, dict) else {cache.LABEL: labels}}
        named = {f"{part} {name!r}": values for part, some in columns.items() for name, values in some.items()}
        lengths = {name: len(values) for name, values in named.items()}
        if len(set(lengths.values())) > 1:
            told = ", ".join(f"{name} {length}" for name, length in lengths.items())
            raise errors.InputError(f"a batch has different numbers of rows: {told}")
        weights = columns["labels"].get(cache.WEIGHT)
        if weights is not None and not (np.isfinite(weights).all() and (weights >= 0).all()):
            raise errors.InputError(f"{self._where()}: a weight is negative or no finite number")
        self._add_labels(columns["labels"][cache.LABEL], weights)
        for row in zip(*(named[name] for name in sorted(named)), strict=True):
            content = hashlib.sha256(b"".join(map(_bytes, row)))
            self._digests = (self._digests + int.from_bytes(content.digest(), "big")) % _ROW_DIGESTS
        self._count += len(next(iter(named.values())))

    def finished(self) -> Scan:
        """What all batches together have."""
        if not self._count:
            raise errors.InputError("no rows")
        return Scan(
            self._count,
            sorted(self._names),
            self._highest,
            self._moments.values if self._has_numbers else (0.0, 1.0),
            digest(f"{self._count} {self._digests:064x}"),
        )

    def _add_labels(self, labels: np.ndarray, weights: np.ndarray | None) -> None:
        if labels.dtype == object:
            try:
                self._names.update(name.decode() for name in labels.ravel().tolist())
            except UnicodeDecodeError as error:
                raise errors.InputError(f"{self._where()}: label {error.object!r} is not UTF-8") from error
        elif labels.dtype.kind in "iu":
            self._highest = max(self._highest, int(labels.max(initial=-1)))
            if labels.size and labels.min() < 0:
                raise errors.InputError(f"{self._where()}: label {labels.min()} is negative; classes count from 0")
        else:
            if not np.isfinite(labels).all():
                raise errors.InputError(f"{self._where()}: a label is no finite number")
            if labels.ndim == 1:
                self._has_numbers = True
                for index, value in enumerate(labels.tolist()):
                    self._moments.add(value, 1.0 if weights is None else float(weights[index]))

    def _where(self) -> str:
        return f"batch after row {self._count}"


def _bytes(value: Any) -> bytes:
    """A row's value, so that different rows differ: each part with its length."""
    array = np.asarray(value)
    if array.dtype != object:
        return f"{array.dtype.str} {array.shape} ".encode() + array.tobytes()
    parts = [bytes(part) for part in array.ravel().tolist()]
    return f"{array.shape} ".encode() + b"".join(f"{len(part)} ".encode() + part for part in parts)
