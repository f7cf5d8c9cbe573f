"""Dates as text to numbers, in the graph; hubpipe.inputs.tabular_dates computes the same in Python."""

import math
from collections.abc import Mapping

import tensorflow as tf

from hubpipe.config import schema

_DAYS_OF_MONTHS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_DAYS_OF_ERA = 146097  # 400 years
_DAYS_TO_EPOCH = 719468  # from 0000-03-01 to 1970-01-01


def numbers(text: tf.Tensor, column: schema.DateColumn) -> list[tf.Tensor]:
    """The parts of dates as numbers; all 0 where the text is no date.

    Years and ages are normalized by the training data, parts that come round again are a sine and a cosine.

    Args:
        text: string [batch].
        column: format, parts and statistics.
    Returns:
        float32 [batch] each, one for age_days and for year, two for the others.
    """
    found = _groups(text, column)
    year, month, day = found["Y"], found["m"], found["d"]
    is_leap = _divides(4, year) & (~_divides(100, year) | _divides(400, year))
    longest = tf.gather(_DAYS_OF_MONTHS, tf.clip_by_value(month - 1, 0, 11))
    longest += tf.cast(is_leap & tf.equal(month, 2), tf.int32)
    is_date = (year >= 1) & (month >= 1) & (month <= 12) & (day >= 1) & (day <= longest)
    for group, end in (("H", 24), ("M", 60), ("S", 60)):
        if group in found:
            is_date &= found[group] < end
    days = _days(year, month, day)
    day_of_year = days - _days(year, tf.ones_like(month), tf.ones_like(day))
    parts = {
        "age_days": lambda: [_normal(column.reference_day - days, column.mean_age_days, column.std_age_days)],
        "year": lambda: [_normal(year, column.mean_year, column.std_year)],
        "month": lambda: _circle(month - 1, 12),
        "day_of_year": lambda: _circle(day_of_year, 366),
        "day_of_week": lambda: _circle(tf.math.floormod(days + 3, 7), 7),  # 1970-01-01 was a Thursday
        "hour": lambda: _circle(found["H"], 24),
    }
    values = [value for part in column.parts for value in parts[part]()]
    return [tf.where(is_date, value, tf.zeros_like(value)) for value in values]


def _groups(text: tf.Tensor, column: schema.DateColumn) -> Mapping[str, tf.Tensor]:
    """What the groups of the pattern hold, int32 [batch]; 0 where the text does not fit, or a group is empty."""
    whole = f"^(?:{column.pattern})$"
    fits = tf.strings.regex_full_match(text, column.pattern)
    found = {}
    for place, group in enumerate(column.groups, start=1):
        digits = tf.strings.regex_replace(text, whole, f"\\{place}")
        is_written = fits & tf.not_equal(digits, "")
        found[group] = tf.strings.to_number(tf.where(is_written, digits, tf.fill(tf.shape(digits), "0")), tf.int32)
    return found


def _days(year: tf.Tensor, month: tf.Tensor, day: tf.Tensor) -> tf.Tensor:
    """Days since 1970-01-01, int32 [batch]; years begin in March here, so that leap days are their last.

    Source: Howard Hinnant, https://howardhinnant.github.io/date_algorithms.html, days_from_civil.
    """
    year -= tf.cast(month <= 2, tf.int32)
    era = tf.math.floordiv(year, 400)
    year_of_era = year - era * 400
    day_of_year = tf.math.floordiv(153 * tf.math.floormod(month + 9, 12) + 2, 5) + day - 1
    leaps = tf.math.floordiv(year_of_era, 4) - tf.math.floordiv(year_of_era, 100)
    return era * _DAYS_OF_ERA + year_of_era * 365 + leaps + day_of_year - _DAYS_TO_EPOCH


def _divides(number: int, value: tf.Tensor) -> tf.Tensor:
    return tf.equal(tf.math.floormod(value, number), 0)


def _normal(value: tf.Tensor, mean: float, std: float) -> tf.Tensor:
    return (tf.cast(value, tf.float32) - mean) / std


def _circle(value: tf.Tensor, size: int) -> list[tf.Tensor]:
    angle = tf.cast(value, tf.float32) * (2.0 * math.pi / size)
    return [tf.sin(angle), tf.cos(angle)]
