"""What the label of a row becomes, by kind of head; the one place that says so, for every kind of inputs.

    classification   int64 [], the number of its class
    binary           int64 [], 1 for the positive class and 0 for the other
    multi_label      float32 [classes], 1 for each class that the row has; it may have none
    regression       float32 [], the number as it is written

A row may have a weight, a finite number >= 0, if the inputs name a column of weights.
"""

import dataclasses
import itertools
import math
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

import numpy as np
import tensorflow as tf

from hubpipe import errors
from hubpipe.config import schema
from hubpipe.inputs import rows, vocab

_MAX_SHOWN = 5  # labels in a message
_MANY_CLASSES = 20  # of which most have fractions where labels are no classes at all
LARGEST_FLOAT32 = float(np.finfo(np.float32).max)


class Target(Protocol):
    """What becomes of the labels of one kind of head.

    Attributes:
        dtype: of what is stored for a row, a scalar.
        has_classes: whether labels name classes.
        allows_several: whether a row may have several labels, or none.
    """

    dtype: tf.DType
    has_classes: bool
    allows_several: bool

    def classes(self, found: Iterable[rows.Label]) -> list[str]:
        """The class names in the order of their numbers.

        Args:
            found: the label of every training row.
        Raises:
            InputError: labels that do not suit the head.
        """

    def canonical(self, label: rows.Label) -> Any:
        """The label as a JSON value, equal for labels that mean the same.

        Raises:
            InputError: a label that does not suit the head, without saying where it is.
        """

    def stored(self, canonical: Any, numbers: dict[str, int]) -> int | float | bytes:
        """What is stored for a row.

        Args:
            canonical: its label.
            numbers: class name -> its number.
        Raises:
            InputError: a class that is not among them.
        """

    def decoded(self, stored: tf.Tensor, num_classes: int) -> tf.Tensor:
        """What a head takes, [batch] or [batch, classes], of what is stored, [batch]."""

    def describe(self) -> dict[str, Any]:
        """What the stored rows depend on besides the labels, for JSON."""


@dataclasses.dataclass(frozen=True)
class Classes:
    """One of several classes."""

    dtype = tf.int64
    has_classes = True
    allows_several = False

    head: schema.Section

    def classes(self, found: Iterable[rows.Label]) -> list[str]:
        """See Target; at least two, in the order of vocab.build_labels."""
        return vocab.build_labels(found)

    def canonical(self, label: rows.Label) -> str:
        """See Target."""
        return label

    def stored(self, canonical: str, numbers: dict[str, int]) -> int:
        """See Target."""
        return _number(canonical, numbers)

    def decoded(self, stored: tf.Tensor, num_classes: int) -> tf.Tensor:
        """See Target; int64 [batch]."""
        del num_classes
        return stored

    def describe(self) -> dict[str, Any]:
        """See Target."""
        return {}


@dataclasses.dataclass(frozen=True)
class TwoClasses(Classes):
    """One of two classes; the positive one is number 1."""

    head: schema.BinaryHead

    def classes(self, found: Iterable[rows.Label]) -> list[str]:
        """See Target; the negative class, then the positive one."""
        names = vocab.build_labels(found)
        if len(names) != 2:
            raise errors.InputError(
                f"labels of the training data: {len(names)} ({shown(names)}); the head binary takes 2, "
                "classification any"
            )
        positive = self.head.positive
        if positive is None:
            return names
        if positive not in names:
            raise errors.InputError(
                f"model_fn.head.positive: {positive!r} is no label of the training data: {', '.join(names)}"
            )
        return sorted(names, key=positive.__eq__)

    def describe(self) -> dict[str, Any]:
        """See Target."""
        return {"target": "binary", "positive": self.head.positive}


@dataclasses.dataclass(frozen=True)
class SeveralClasses:
    """Any number of classes."""

    dtype = tf.string  # a byte for each class: a quarter of the memory of float32
    has_classes = True
    allows_several = True

    head: schema.MultiLabelHead

    def classes(self, found: Iterable[rows.Label]) -> list[str]:
        """See Target; at least two, in the order of vocab.build_labels."""
        return vocab.build_labels(name for label in found for name in self.canonical(label))

    def canonical(self, label: rows.Label) -> list[str]:
        """See Target; each class once, sorted."""
        parts = label.split(self.head.separator) if isinstance(label, str) else label
        return sorted({" ".join(part.split()) for part in parts} - {""})

    def stored(self, canonical: list[str], numbers: dict[str, int]) -> bytes:
        """See Target."""
        has = bytearray(len(numbers))
        for name in canonical:
            has[_number(name, numbers)] = 1
        return bytes(has)

    def decoded(self, stored: tf.Tensor, num_classes: int) -> tf.Tensor:
        """See Target; float32 [batch, classes]."""
        flags = tf.reshape(tf.io.decode_raw(stored, tf.uint8), [-1, num_classes])
        return tf.cast(flags, tf.float32)

    def describe(self) -> dict[str, Any]:
        """See Target."""
        return {"target": "multi_label", "separator": self.head.separator}


@dataclasses.dataclass(frozen=True)
class Number:
    """A number."""

    dtype = tf.float32
    has_classes = False
    allows_several = False

    head: schema.RegressionHead

    def classes(self, found: Iterable[rows.Label]) -> list[str]:
        """See Target; none."""
        del found
        return []

    def canonical(self, label: rows.Label) -> float:
        """See Target."""
        return _finite(label, "label")

    def stored(self, canonical: float, numbers: dict[str, int]) -> float:
        """See Target."""
        del numbers
        return canonical

    def decoded(self, stored: tf.Tensor, num_classes: int) -> tf.Tensor:
        """See Target; float32 [batch]."""
        del num_classes
        return stored

    def describe(self) -> dict[str, Any]:
        """See Target."""
        return {"target": "regression"}


TARGETS = {
    schema.ClassificationHead: Classes,
    schema.BinaryHead: TwoClasses,
    schema.MultiLabelHead: SeveralClasses,
    schema.RegressionHead: Number,
}


# What the labels of a user's own head are -> their target.
_OF_CUSTOM = {"class": Classes, "classes": SeveralClasses, "number": Number}


def create(head: schema.Head) -> Target:
    """What a head of the config makes of labels."""
    if isinstance(head, schema.CustomHead):
        return _OF_CUSTOM[head.labels](head)
    return TARGETS[type(head)](head)


def weight(written: str) -> float:
    """The weight of a row.

    Raises:
        InputError: no finite number, or a negative one, without saying where it is.
    """
    value = _finite(written, "weight")
    if value < 0.0:
        raise errors.InputError(f"weight {written!r} is negative; expected a number >= 0")
    return value


class Moments:
    """Mean and standard deviation of numbers that come one by one, with weights.

    Source: West, Updating mean and variance estimates, 1979, https://doi.org/10.1145/359146.359153.
    """

    def __init__(self):
        self._weight = self._mean = self._squares = 0.0

    def add(self, value: float, weight: float) -> None:
        """Takes a number in."""
        if weight:
            self._weight += weight
            distance = value - self._mean
            self._mean += distance * weight / self._weight
            self._squares += weight * distance * (value - self._mean)

    @property
    def values(self) -> tuple[float, float]:
        """(mean, standard deviation), of the numbers and not of what they are a sample of; (0, 0) of none."""
        variance = self._squares / self._weight if self._weight else 0.0
        return self._mean, math.sqrt(variance)


def _number(name: str, numbers: dict[str, int]) -> int:
    if name not in numbers:
        known = shown(list(itertools.islice(numbers, _MAX_SHOWN + 1)))
        raise errors.InputError(f"label {name!r} is not in the training data ({known}){_hint(name, numbers)}")
    return numbers[name]


def shown(names: Sequence[str]) -> str:
    """The first of some names, for messages."""
    return ", ".join(names[:_MAX_SHOWN]) + (", ..." if len(names) > _MAX_SHOWN else "")


def _hint(name: str, numbers: dict[str, int]) -> str:
    """What to do about an unknown label, if that is plain; looks at few classes, as many rows may have one."""
    for other in _otherwise_written(name):
        if other in numbers:
            alias = f"inputs.label_aliases: {{{name!r}: {other!r}}}"
            return f"; if it means {other!r}, write it so, or in tables set {alias}"
    first = list(itertools.islice(numbers, _MANY_CLASSES))
    if len(first) == _MANY_CLASSES and sum(map(_has_fraction, first)) > _MANY_CLASSES / 2:
        return "; labels that are measured, not classes, need model_fn.head.kind=regression selection.metric=rmse"
    return ""


def _otherwise_written(name: str) -> list[str]:
    """The same in another case, or the same number as others would write it."""
    try:
        value = float(name)
    except ValueError:
        return [name.lower(), name.upper(), name.capitalize(), name.title()]
    return [f"{value:.0f}", f"{value:.1f}", repr(value)] if float(f"{value:.0f}") == value else [repr(value)]


def _has_fraction(name: str) -> bool:
    try:
        return not float(name).is_integer()
    except ValueError:
        return False


def _finite(written: str, what: str) -> float:
    """A number that float32 can hold; Python's own 1_000 and "infinity" are none."""
    try:
        value = float(written) if "_" not in written else math.nan
    except ValueError:
        value = math.nan
    if not abs(value) <= LARGEST_FLOAT32:
        raise errors.InputError(f"{what} {written!r} is no finite number")
    return value


def numbered(classes: Sequence[str]) -> dict[str, int]:
    """Class name -> its number."""
    return {name: number for number, name in enumerate(classes)}
