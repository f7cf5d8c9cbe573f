"""hubpipe.inputs.tabular_columns"""

import math

import pytest

from hubpipe import errors
from hubpipe.config import schema
from hubpipe.inputs import tabular_columns, vocab

COMMA_HINT = "; if its commas stand before decimals, set inputs.decimal: ','"


def learned(feature, texts, directory="", name="x"):
    column = tabular_columns.LEARNERS[type(feature)](name, feature, ".")
    for text in texts:
        column.add(column.parse(text))
    return column.learned(str(directory))


def numeric(**keys):
    return schema.NumericFeature(kind="numeric", **keys)


def decided(*texts, decimal="."):
    column = tabular_columns.Auto("x", schema.AutoFeature(kind="auto"), decimal)
    for text in texts:
        column.add(column.parse(text))
    return column.decided()[1]


@pytest.mark.parametrize("text, value", [("1", 1.0), ("-1.5e3", -1500.0), ("+.5", 0.5), ("007", 7.0)])
def test_numbers(text, value):
    assert tabular_columns.number(text) == value


def test_decimal_commas():
    assert tabular_columns.number("-1,5e3", ",") == -1500.0
    assert tabular_columns.number("7", ",") == 7.0
    for text in ("1.5", "1.234,5", "1,2,3"):
        with pytest.raises(errors.InputError, match=f"^is not a number \\('{text}'\\)$"):
            tabular_columns.number(text, ",")
    with pytest.raises(errors.InputError) as caught:
        tabular_columns.number("1,5")
    assert str(caught.value) == f"is not a number ('1,5'){COMMA_HINT}"
    assert decided("1,5", "2", "", "3,25", decimal=",") == "numeric"
    assert decided("1.5", "2", "", "3.25", "2", "3.25", decimal=",") == "categorical"
    assert decided("00,5", "1", decimal=",") == "numeric"


@pytest.mark.parametrize("text", ["1_000", "1,5,2", "inf", "nan", "1e999", "one", "0x1"])
def test_what_is_no_number(text):
    with pytest.raises(errors.InputError) as caught:
        tabular_columns.number(text)
    assert str(caught.value) == f"is not a number ({text!r})"


@pytest.mark.parametrize("text", ["1e39", "-1e300"])
def test_what_float32_does_not_hold(text):
    assert tabular_columns.number("3.4e38") == 3.4e38
    with pytest.raises(errors.InputError) as caught:
        tabular_columns.number(text)
    assert str(caught.value) == f"is a number beyond 3.4e+38, the largest of float32 ({text!r})"
    assert decided("1", "1", text) == "categorical"


def test_numbers_that_stand_for_no_value():
    missing = tabular_columns.missing_numbers(["", "?", "nan", "inf", "-999", "0.5"])
    assert missing == {-999.0, 0.5}
    assert math.isnan(tabular_columns.number("-999.0", missing=missing))
    assert tabular_columns.number("-999.1", missing=missing) == -999.1


def test_numeric_statistics_leave_missing_values_out():
    found = learned(numeric(), ["1", "", "3"])
    assert (found.mean, found.std, found.boundaries, found.missing_indicator) == (2.0, 1.0, (), True)
    assert math.isnan(tabular_columns.number(""))
    assert not learned(numeric(), ["1", "3"]).missing_indicator
    assert learned(numeric(missing_indicator=True), ["1", "3"]).missing_indicator
    assert learned(numeric(), ["5", "5"]).std == 1.0


@pytest.mark.parametrize(
    "numbers, is_told",
    [
        ([1.7e12, 1.7e12 + 200], True),
        ([1.7e12, 1.7e12 + 3e7], False),
        ([1e6, 1e6 + 2], False),
        ([1.7e12, 1.7e12], False),  # of one value; its spread is nothing to lose
        ([0.0, 1e-9], False),
    ],
)
def test_numbers_that_float32_takes_for_the_same(numbers, is_told):
    column = tabular_columns.Numeric("x", numeric(), ".")
    for number in numbers:
        column.add(number)
    said = "'x' differs by 1e+02 around 1.7e+12, which float32 does not tell apart"
    assert (column.note or "").startswith(said) if is_told else column.note is None


def test_logarithms_have_the_sign():
    found = learned(numeric(log=True), [str(math.e - 1), str(1 - math.e)])
    assert (found.mean, found.std) == pytest.approx((0.0, 1.0))


def test_buckets_are_quantiles():
    assert learned(numeric(buckets=4), map(str, range(100))).boundaries == (25.0, 50.0, 75.0)
    # Of values that are mostly the same, few quantiles differ, and none is the least.
    assert learned(numeric(buckets=4), ["0"] * 80 + ["7"] * 20).boundaries == ()
    assert learned(numeric(buckets=10), ["0"] * 80 + ["7"] * 20).boundaries == (7.0,)


def test_quantiles_of_more_numbers_than_are_kept(monkeypatch):
    monkeypatch.setattr(tabular_columns, "_MAX_SAMPLED", 500)
    (median,) = learned(numeric(buckets=2), map(str, range(20_000))).boundaries
    assert 8000 < median < 12000
    assert learned(numeric(buckets=2), map(str, range(20_000))).boundaries == (median,)


def test_a_vocabulary(tmp_path):
    feature = schema.CategoricalFeature(kind="categorical", min_count=2, max_vocabulary=2, oov_buckets=3)
    texts = ["b", "b", "a", "", "a", "a", "c", "c", "d"]
    found = learned(feature, texts, tmp_path, name="job title")
    assert vocab.read(tmp_path / found.vocabulary_path) == ["<missing>", "a", "b"]
    assert (found.vocabulary_path, found.size, found.buckets) == ("vocabulary_job_title.txt", 3, 3)


@pytest.mark.parametrize("name", ["x" * 300, "\u5217" * 60])
def test_vocabularies_of_long_names(name, tmp_path):
    feature = schema.CategoricalFeature(kind="categorical")
    paths = [learned(feature, ["a", "a"], tmp_path, name=name + end).vocabulary_path for end in "pq"]
    assert len({*paths}) == 2
    assert max(map(len, paths)) < 130
    assert all(vocab.read(tmp_path / path) == ["<missing>", "a"] for path in paths)


def test_hashes_have_no_vocabulary(tmp_path):
    found = learned(schema.CategoricalFeature(kind="categorical", hash_buckets=7), ["a"], tmp_path)
    assert (found.vocabulary_path, found.size, found.buckets) == (None, 0, 7)
    assert list(tmp_path.iterdir()) == []


def test_dates():
    feature = schema.DateFeature(kind="date", format="%d.%m.%Y", parts=["age_days", "year"])
    found = learned(feature, ["1.1.2024", "", "3.1.2022"])
    assert (found.reference_day, found.mean_age_days, found.std_age_days) == (19723, 364.0, 364.0)
    assert (found.mean_year, found.std_year) == (2023.0, 1.0)
    assert found.groups == ("d", "m", "Y")


@pytest.mark.parametrize(
    "feature, texts, problem",
    [
        (numeric(), ["", ""], "feature 'x' has no value in the training data"),
        (schema.DateFeature(kind="date"), [""], "feature 'x' has no value in the training data"),
        (schema.DateFeature(kind="date"), ["1.1.2024"], "is no date of format 'iso' ('1.1.2024')"),
        (numeric(), ["a"], "is not a number ('a')"),
        (
            schema.CategoricalFeature(kind="categorical"),
            ["a", "b"],
            "feature 'x': no value occurs 2 times in the training data; lower its min_count, or leave it out",
        ),
        (
            schema.DateFeature(kind="date", format="%Y-%m-%d", parts=["hour"]),
            [],
            "feature 'x': format '%Y-%m-%d' lacks %H, needed by part hour",
        ),
    ],
)
def test_problems(feature, texts, problem, tmp_path):
    with pytest.raises(errors.InputError) as caught:
        learned(feature, texts, tmp_path)
    assert str(caught.value) == problem


@pytest.mark.parametrize(
    "texts, kind",
    [
        (["3", "1.5", "", "2"], "numeric"),
        (["2024-02-29", "", "2024-03-01 12:00"], "date"),
        (["a", "b", "a", "b"], "categorical"),
        (["01234", "01234", "99999"], "categorical"),  # numbers with leading zeros are codes
        (["0.5", "00.5"], "numeric"),
        (["1", "1", "one"], "categorical"),
        (["yes", "", "yes"], "categorical"),
        (["1", "1", "1"], "it has one value"),
        (["", ""], "it has no value"),
        (["a", "b", "c", "c"], "categorical"),
        (["a", "b", "c", "d"], "most of its values occur once"),
        (["1,5", "-2", "", "3,25"], f"most of its values occur once{COMMA_HINT}"),
        (
            ["1,500.5", "20", "3,250"],
            "most of its values occur once; commas between thousands are not read: write 1500.5, not 1,500.5",
        ),
        (["1,5", "2", "3,25,1"], "most of its values occur once"),
        (["01", "02", "03"], "most of its values occur once"),
        ([str(number) for number in range(3, 30, 2)], "it only counts the rows"),
        ([str(number) for number in range(5)], "numeric"),  # few may rise by chance
        ([str(number / 2) for number in range(30)], "numeric"),
    ],
)
def test_kinds_that_the_data_tell(texts, kind):
    assert decided(*texts) == kind


def test_a_number_far_from_all_others_is_noted():
    for log in (False, True):
        column = tabular_columns.Numeric("x", numeric(log=log), ".")
        for value in [*range(500), 1e6]:
            column.add(float(value))
        note = "'x' has numbers over 20 standard deviations from their mean: log: true, or auto, suits it better"
        assert column.note == (None if log else note)


def test_a_number_far_from_all_others_makes_them_logarithms(tmp_path):
    column = tabular_columns.Auto("x", schema.AutoFeature(kind="auto"), ".")
    for text in [*map(str, range(400, 0, -1)), "", "400"]:
        column.add(column.parse(text))
    assert column.decided()[1] == "numeric"
    for text in ("100000", "7"):
        column.add(column.parse(text))
    found, kind = column.decided()
    assert kind == "numeric, by logarithm"
    told = found.learned(str(tmp_path))
    assert (told.log, told.missing_indicator) == (True, True)
    assert 4 < told.mean < 6


@pytest.mark.parametrize("unfit", ["n.a.", "inf", "12%", "$1,234.00", "1e39"])
def test_a_value_that_alone_is_no_number_is_named(unfit):
    numbers = [str(number / 2) for number in range(19)]
    what_to_do = "if it means no value, add it to inputs.missing, else correct it"
    hint = f"; 19 of 20 are numbers, but not {unfit!r}: {what_to_do}"
    assert decided(*numbers, unfit, "") == f"most of its values occur once{hint}"
    assert decided(unfit, *numbers) == f"most of its values occur once{hint}"
    assert "; 18 of 20 are numbers, but not 'x'" in decided(*numbers[:18], "x", "y")
    assert decided(*numbers[:17], "x", "y") == "most of its values occur once"
    assert decided(unfit, *numbers, "007") == "most of its values occur once"
    dates = [f"2024-01-{day}" for day in range(10, 29)]
    said = decided(*dates, "soon")
    assert said == f"most of its values occur once; 19 of 20 are dates, but not 'soon': {what_to_do}"


def test_texts_are_soon_known_to_be_no_numbers(monkeypatch):
    looked_at = []
    fits = tabular_columns._fits
    monkeypatch.setattr(tabular_columns, "_fits", lambda *value: looked_at.append(value) or fits(*value))
    assert decided(*map("text {}".format, range(1000))) == "most of its values occur once"
    assert len(looked_at) < 250  # for numbers and dates


def test_many_different_texts_are_told_in_bounded_memory(monkeypatch):
    monkeypatch.setattr(tabular_columns, "_MAX_COUNTED", 10)
    assert decided(*map("text {}".format, range(100))) == "most of its values occur once"
    assert decided(*(f"text {number % 5}" for number in range(100))) == "categorical"
    assert "; nearly all are numbers, but not '-'" in decided("-", *(str(number / 2) for number in range(99)))


def test_what_is_stored():
    (column,) = (learned(numeric(), ["1", "2"]),)
    assert tabular_columns.converter(column)("7") == 7.0
    date = learned(schema.DateFeature(kind="date"), ["2024-01-01"])
    assert [tabular_columns.converter(date)(text) for text in ("2023-05-06", "")] == ["2023-05-06", ""]
    with pytest.raises(errors.InputError) as caught:
        tabular_columns.converter(date)("soon")
    assert str(caught.value) == "is no date as in the training data ('soon')"
