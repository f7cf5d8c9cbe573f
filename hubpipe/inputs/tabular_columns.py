"""What the training data tell of the columns of a table: kinds, statistics, vocabularies.

Kinds of columns that the config leaves to the data: numbers are numeric, by their logarithm where one is further
from the mean than numbers of about one size ever are, dates as in ISO 8601 are dates, others are categories.
Numbers with leading zeros are codes, thus categories. Left out are columns of one value, whole numbers that rise
from row to row, since they only count them, and texts most of which occur once.
"""

import functools
import hashlib
import math
import os
import random
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from hubpipe import errors
from hubpipe.config import schema
from hubpipe.inputs import bad_rows, numerals, tabular_dates, targets, vocab

Missing = frozenset[float]  # numbers that stand for no value
NONE: Missing = frozenset()
MISSING = "<missing>"  # what a vocabulary calls a missing value; its first line

_CODE = re.compile(r"[+-]?0[0-9]")
_MAX_SAMPLED = 100_000  # numbers that quantiles are taken of
_MAX_COUNTED = 200_000  # different values of a column whose kind is not known
_MAX_NAME_CHARS, _DIGEST_CHARS = 100, 12  # of a column in the name of a file, and what stands for the rest
_MIN_STEPS = 16  # of float32 in a standard deviation; with fewer, rounding is a good part of each difference
_MIN_SHARE = 0.9  # of numbers or dates in a column that looks as if it were meant to have nothing else
_IN_WORDS = {"numeric": "numbers", "date": "dates"}
# Standard deviations from the mean. Of exponentially distributed numbers one in a billion is beyond, of normally
# distributed ones none; batch normalization fails where a few rows make a batch's mean and variance.
_FAR = 20.0
_MIN_RISING = 10  # fewer numbers may well rise by chance


def missing_numbers(texts: Iterable[str]) -> Missing:
    """The numbers among texts that stand for no value; the module compares numbers, so -999.0 is -999."""
    found = set()
    for text in texts:
        try:
            found.add(number(text))
        except errors.InputError:
            continue
    return frozenset(value for value in found if not math.isnan(value))


def number(text: str, decimal: str = ".", missing: Missing = NONE) -> float:
    """Reads a number, NaN for a missing one.

    Args:
        text: the number.
        decimal: what stands before its decimals, a point or a comma.
        missing: numbers that stand for no value.
    Raises:
        InputError: it is none, or more than float32 holds.
    """
    if not text:
        return math.nan
    try:
        value = float(numerals.with_point(text, decimal))
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or "_" in text:
        hint = numerals.comma_hint([text]) if decimal == "." else ""
        raise errors.InputError(f"is not a number ({text!r}){hint}")
    if abs(value) > (largest := targets.LARGEST_FLOAT32):
        raise errors.InputError(f"is a number beyond {largest:.1e}, the largest of float32 ({text!r})")
    return math.nan if value in missing else value


class Numeric:
    """A column of numbers."""

    def __init__(self, name: str, feature: schema.NumericFeature, decimal: str, missing: Missing = NONE):
        self._name, self._feature = name, feature
        self._decimal, self._numbers_missing = decimal, missing
        self._moments = targets.Moments()
        self._count = self._missing = 0
        self._lowest, self._highest = math.inf, -math.inf
        self._sampled: list[float] = []
        self._random = random.Random(0)  # the same data give the same boundaries

    def parse(self, text: str) -> float:
        """See number."""
        return number(text, self._decimal, self._numbers_missing)

    def add(self, value: float) -> None:
        """Takes the value of one row in."""
        if math.isnan(value):
            self._missing += 1
            return
        self._count += 1
        self._lowest, self._highest = min(self._lowest, value), max(self._highest, value)
        self._moments.add(math.copysign(math.log1p(abs(value)), value) if self._feature.log else value, 1.0)
        if self._feature.buckets is not None:
            self._sample(value)

    def _sample(self, value: float) -> None:
        """Keeps a fair sample of bounded size. Source: https://doi.org/10.1145/3147.3165, algorithm R."""
        if len(self._sampled) < _MAX_SAMPLED:
            self._sampled.append(value)
            return
        place = self._random.randrange(self._count)
        if place < _MAX_SAMPLED:
            self._sampled[place] = value

    def learned(self, directory: str) -> schema.NumericColumn:
        """What the rows told. Raises InputError if none had a value."""
        del directory
        if not self._count:
            raise errors.InputError(f"feature {self._name!r} has no value in the training data")
        indicator = self._feature.missing_indicator
        mean, std = self._moments.values
        return schema.NumericColumn(
            kind="numeric",
            column=self._name,
            log=self._feature.log,
            mean=mean,
            std=std or 1.0,
            boundaries=self._boundaries(),
            missing_indicator=self._missing > 0 if indicator is None else indicator,
        )

    @property
    def has_far_ones(self) -> bool:
        """Whether a number is so far from the mean that their logarithms make the better feature."""
        if self._feature.log:
            return False
        mean, std = self._moments.values
        return max(self._highest - mean, mean - self._lowest) > _FAR * std > 0

    @property
    def note(self) -> str | None:
        """A line for the user if numbers are too far apart, or too close together for float32, to learn from."""
        if self.has_far_ones:
            return (
                f"{self._name!r} has numbers over {_FAR:.0f} standard deviations from their mean: log: true, or "
                "auto, suits it better"
            )
        mean, std = self._moments.values
        if not 0 < std < _MIN_STEPS * float(np.spacing(np.float32(abs(mean)))):
            return None
        return (
            f"{self._name!r} differs by {std:.1g} around {mean:.6g}, which float32 does not tell apart: subtract "
            "a constant from it, make it a date, or leave it out"
        )

    def _boundaries(self) -> tuple[float, ...]:
        count = self._feature.buckets
        if count is None:
            return ()
        ordered = sorted(self._sampled)
        found = {ordered[len(ordered) * place // count] for place in range(1, count)}
        return tuple(sorted(found - {ordered[0]}))


class Categorical:
    """A column of categories."""

    def __init__(self, name: str, feature: schema.CategoricalFeature, decimal: str, missing: Missing = NONE):
        del decimal, missing
        self._name, self._feature = name, feature
        self._values = vocab.Counts()

    def parse(self, text: str) -> str:
        """Takes any text."""
        return text

    def add(self, value: str) -> None:
        """Takes the value of one row in."""
        if value and self._feature.hash_buckets is None:
            self._values.add(value)

    def learned(self, directory: str) -> schema.CategoricalColumn:
        """What the rows told; writes the vocabulary. Raises InputError if it would be empty."""
        feature = self._feature
        path, size, buckets = None, 0, feature.hash_buckets
        if buckets is None:
            frequent = self._values.vocabulary(max_vocabulary=feature.max_vocabulary, min_count=feature.min_count)
            if not frequent:
                raise errors.InputError(
                    f"feature {self._name!r}: no value occurs {feature.min_count} times in the training data; "
                    "lower its min_count, or leave it out"
                )
            tokens = [MISSING, *(token for token in frequent if token != MISSING)]
            path = f"vocabulary_{_file_name(schema.input_name(self._name))}.txt"
            size, buckets = len(tokens), feature.oov_buckets
            vocab.write(os.path.join(directory, path), tokens)
        return schema.CategoricalColumn(
            kind="categorical", column=self._name, vocabulary_path=path, size=size, buckets=buckets
        )


def _file_name(name: str) -> str:
    """A name as far as one of a file may be long, still different from others."""
    if len(name) <= _MAX_NAME_CHARS:
        return name
    return f"{name[:_MAX_NAME_CHARS]}_{hashlib.sha256(name.encode()).hexdigest()[:_DIGEST_CHARS]}"


class Date:
    """A column of dates."""

    def __init__(self, name: str, feature: schema.DateFeature, decimal: str, missing: Missing = NONE):
        del decimal, missing
        self._name, self._feature = name, feature
        self._format = tabular_dates.format_of(feature.format)
        if "hour" in feature.parts and "H" not in self._format.groups:
            raise errors.InputError(f"feature {name!r}: format {feature.format!r} lacks %H, needed by part hour")
        self._days, self._years = targets.Moments(), targets.Moments()
        self._latest: int | None = None

    def parse(self, text: str) -> dict[str, int] | None:
        """Takes a date apart, None for a missing one. Raises InputError for another text."""
        found = self._format.parse(text)
        if text and found is None:
            raise errors.InputError(f"is no date of format {self._feature.format!r} ({text!r})")
        return found

    def add(self, value: Mapping[str, int] | None) -> None:
        """Takes the value of one row in."""
        if value is not None:
            day = tabular_dates.day(value)
            self._latest = day if self._latest is None else max(self._latest, day)
            self._days.add(day, 1.0)
            self._years.add(value["Y"], 1.0)

    def learned(self, directory: str) -> schema.DateColumn:
        """What the rows told. Raises InputError if none had a date."""
        del directory
        if self._latest is None:
            raise errors.InputError(f"feature {self._name!r} has no value in the training data")
        (mean_day, std_day), (mean_year, std_year) = self._days.values, self._years.values
        return schema.DateColumn(
            kind="date",
            column=self._name,
            pattern=self._format.pattern,
            groups=self._format.groups,
            parts=self._feature.parts,
            reference_day=self._latest,
            mean_age_days=self._latest - mean_day,
            std_age_days=std_day or 1.0,
            mean_year=mean_year,
            std_year=std_year or 1.0,
        )


class Auto:
    """A column whose kind the rows will tell."""

    def __init__(self, name: str, feature: schema.AutoFeature, decimal: str, missing: Missing = NONE):
        del feature
        self._decimal = decimal
        self._values = vocab.Counts(max_counted=_MAX_COUNTED)
        self._rows = self._present = 0
        self._last = -math.inf
        self._is_rising = True
        # Those that the values so far fit, the most special first.
        self._fitting: dict[str, Any] = {
            "numeric": Numeric(name, schema.NumericFeature(kind="numeric"), decimal, missing),
            "date": Date(name, schema.DateFeature(kind="date"), decimal),
            "categorical": Categorical(name, schema.CategoricalFeature(kind="categorical"), decimal),
        }
        self._logarithms = Numeric(name, schema.NumericFeature(kind="numeric", log=True), decimal, missing)
        self._unfit: dict[str, tuple[Any, str]] = {}  # the others, each with the first value that it cannot take

    def parse(self, text: str) -> str:
        """Takes any text."""
        return text

    def add(self, value: str) -> None:
        """Takes the value of one row in."""
        self._rows += 1
        if value:
            self._present += 1
            self._values.add(value)
            if _CODE.match(value) and self._decimal not in value:
                for columns in (self._fitting, self._unfit):
                    columns.pop("numeric", None)
        for kind, column in list(self._fitting.items()):
            try:
                parsed = column.parse(value)
            except errors.InputError:
                self._unfit[kind] = self._fitting.pop(kind), value
                continue
            column.add(parsed)
            if kind == "numeric":
                self._logarithms.add(parsed)
            if kind == "numeric" and not math.isnan(parsed):
                self._is_rising = self._is_rising and parsed.is_integer() and parsed > self._last
                self._last = parsed

    def decided(self) -> tuple[Any, str]:
        """The column of the kind that fits, None to leave it out; its kind, or why it is left out."""
        if not self._present:
            return None, "it has no value"
        if max(self._values.counts.values(), default=0) == self._rows:
            return None, "it has one value"
        kind, column = next(iter(self._fitting.items()))
        if kind == "numeric" and self._is_rising and self._present >= _MIN_RISING:
            return None, "it only counts the rows"
        if kind == "numeric" and column.has_far_ones:
            return self._logarithms, "numeric, by logarithm"
        again = sum(count for count in self._values.counts.values() if count > 1)
        if kind == "categorical" and again < self._present / 2:
            return None, f"most of its values occur once{self.hint}"
        return column, kind

    @property
    def hint(self) -> str:
        """What to do if the column was meant to have numbers or dates, but has other values, too; or ""."""
        return numerals.comma_hint(self._values.counts) or "".join(map(self._of_few_unfit, self._unfit))

    def _of_few_unfit(self, kind: str) -> str:
        column, value = self._unfit[kind]
        total = sum(self._values.counts.values())  # less than all of very many different values
        unfit = 0
        for text, count in self._values.counts.items():
            unfit += 0 if _fits(column, text) else count
            if total - unfit < _MIN_SHARE * total:  # of texts that are all different most are not looked at
                return ""
        if not total:
            return ""
        share = f"{total - unfit} of {total}" if total == self._present else "nearly all"
        return (
            f"; {share} are {_IN_WORDS[kind]}, but not {bad_rows.shown(value)}: if it means no value, add it to "
            "inputs.missing, else correct it"
        )


def _fits(column: Any, text: str) -> bool:
    """Whether a column can take a value."""
    try:
        column.parse(text)
    except errors.InputError:
        return False
    return True


LEARNERS = {
    schema.AutoFeature: Auto,
    schema.NumericFeature: Numeric,
    schema.CategoricalFeature: Categorical,
    schema.DateFeature: Date,
}


def converter(
    column: schema.Column, decimal: str = ".", missing: Missing = NONE
) -> Callable[[str], float | str]:
    """A function of a value, "" if it is missing, to what is kept of it: a number of a numeric column, else text.

    It raises InputError for a text that the column cannot have.

    Args:
        column: its column.
        decimal: what stands before the decimals of numbers.
        missing: numbers that stand for no value.
    """
    if isinstance(column, schema.NumericColumn):
        return functools.partial(number, decimal=decimal, missing=missing)
    return functools.partial(_date, _format(column)) if isinstance(column, schema.DateColumn) else str


def _date(format_: tabular_dates.Format, text: str) -> str:
    if text and format_.parse(text) is None:
        raise errors.InputError(f"is no date as in the training data ({text!r})")
    return text


def _format(column: schema.DateColumn) -> tabular_dates.Format:
    return tabular_dates.Format(column.pattern, column.groups)
