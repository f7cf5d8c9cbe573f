"""hubpipe.inputs.tabular_dates"""

import datetime

import pytest

from hubpipe import errors
from hubpipe.inputs import tabular_dates


@pytest.mark.parametrize(
    "text, found",
    [
        ("2024-02-29", {"Y": 2024, "m": 2, "d": 29, "H": 0, "M": 0, "S": 0}),
        ("1999-12-31 23:59", {"Y": 1999, "m": 12, "d": 31, "H": 23, "M": 59, "S": 0}),
        ("1999-12-31T23:59:58.5+01:00", {"Y": 1999, "m": 12, "d": 31, "H": 23, "M": 59, "S": 58}),
        ("0001-01-01T00:00:00Z", {"Y": 1, "m": 1, "d": 1, "H": 0, "M": 0, "S": 0}),
    ],
)
def test_iso(text, found):
    assert tabular_dates.format_of("iso").parse(text) == found


@pytest.mark.parametrize(
    "text", ["", "2023-02-29", "2024-13-01", "0000-01-01", "2024-1-1", "2024-01-01 24:00", "2024-01-01x", "today"]
)
def test_what_is_no_date(text):
    assert tabular_dates.format_of("iso").parse(text) is None


def test_a_pattern():
    found = tabular_dates.format_of("%d.%m.%Y (%H)")
    assert found.groups == ("d", "m", "Y", "H")
    assert found.parse("1.12.2024 (7)") == {"d": 1, "m": 12, "Y": 2024, "H": 7}
    assert found.parse("1x12x2024 (7)") is None


@pytest.mark.parametrize(
    "written, problem",
    [
        ("%Y-%m-%q", "date format '%Y-%m-%q': unknown %q. Known: %Y, %m, %d, %H, %M, %S"),
        ("%Y-%m-%m", "date format '%Y-%m-%m': %m stands there 2 times"),
        ("%Y", "date format '%Y' lacks %m, %d. Known: iso, or %Y, %m, %d, %H, %M, %S"),
    ],
)
def test_a_pattern_that_is_none(written, problem):
    with pytest.raises(errors.InputError) as caught:
        tabular_dates.format_of(written)
    assert str(caught.value) == problem


def test_day():
    found = tabular_dates.format_of("iso").parse("2024-03-01")
    assert tabular_dates.day(found) == (datetime.date(2024, 3, 1) - datetime.date(1970, 1, 1)).days
