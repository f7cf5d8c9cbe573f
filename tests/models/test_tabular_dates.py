"""hubpipe.models.tabular_dates: the graph and Python tell the same of a date."""

import datetime
import math

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.compat import v1 as tf1

from hubpipe.config import schema
from hubpipe.inputs import tabular_dates as python_dates
from hubpipe.models import tabular_dates

PARTS = ("age_days", "year", "month", "day_of_year", "day_of_week", "hour")


def column(written="iso", parts=PARTS):
    found = python_dates.format_of(written)
    return schema.DateColumn(
        kind="date",
        column="d",
        pattern=found.pattern,
        groups=found.groups,
        parts=parts,
        reference_day=20_000,
        mean_age_days=100.0,
        std_age_days=50.0,
        mean_year=2000.0,
        std_year=10.0,
    )


def computed(texts, known):
    with tf.Graph().as_default(), tf1.Session() as session:
        return np.stack(session.run(tabular_dates.numbers(tf.constant(texts), known)), axis=1)


def circle(value, size):
    return [math.sin(2 * math.pi * value / size), math.cos(2 * math.pi * value / size)]


def expected(when):
    day = (when.date() - datetime.date(1970, 1, 1)).days
    return [
        (20_000 - day - 100.0) / 50.0,
        (when.year - 2000.0) / 10.0,
        *circle(when.month - 1, 12),
        *circle(when.timetuple().tm_yday - 1, 366),
        *circle(when.weekday(), 7),
        *circle(when.hour, 24),
    ]


def test_every_part_is_that_of_datetime():
    first = datetime.datetime(1, 1, 1)
    days = [*range(0, 3_652_059, 9_973), *range(730_000, 731_500, 7)]
    whens = [first + datetime.timedelta(days=day, hours=day % 24) for day in days]
    whens += [datetime.datetime(2000, 2, 29), datetime.datetime(1900, 3, 1), datetime.datetime(2024, 12, 31, 23)]
    found = computed([when.isoformat(" ") for when in whens], column())
    np.testing.assert_allclose(found, [expected(when) for when in whens], rtol=1e-5, atol=1e-5)


TEXTS = [
    "", "soon", "2023-02-29", "2024-02-29", "1900-02-29", "2000-02-29", "2024-13-01", "2024-00-10", "2024-04-31",
    "0000-01-01", "2024-01-01 24:00", "2024-01-01 23:60", "2024-01-01T23:59:59.9Z", "2024-01-01 23:59:61",
    "2024-01-01 ", "99999-01-01", "2024-01-00",
]  # fmt: skip


def test_what_is_no_date_is_zero_as_in_python():
    is_date = np.any(computed(TEXTS, column()) != 0, axis=1)
    parse = python_dates.format_of("iso").parse
    assert is_date.tolist() == [parse(text) is not None for text in TEXTS]


@pytest.mark.parametrize("written, text", [("%d.%m.%Y", "7.1.2024"), ("%H h, (%m/%d/%Y)", "9 h, (1/7/2024)")])
def test_patterns(written, text):
    found = computed([text, "x" + text], column(written, ("year", "day_of_week")))
    np.testing.assert_allclose(found[0], [2.4, *circle(6, 7)], rtol=1e-5)
    assert not found[1].any()
