"""Sections of the columns of tables, by kind, and what the training data tell of them."""

import keyword
import re
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, NonNegativeInt, PositiveFloat, PositiveInt

from hubpipe.config.schema.fields import Section, Text

OTHERS = "*"  # stands for the columns that are not named
# Names that no input can have; functions of TensorFlow 2 have no arguments named as Python's keywords.
_TAKEN = ("batch_norm_momentum", "dropout_rate", "label", "self", "weight", *keyword.kwlist)
KINDS = ("auto", "numeric", "categorical", "date")

DatePart = Literal["age_days", "year", "month", "day_of_year", "day_of_week", "hour"]


class AutoFeature(Section):
    """A column whose kind is told by the training data."""

    kind: Literal["auto"] = Field(description="kind of feature")


class NumericFeature(Section):
    """Numbers, normalized to mean 0 and standard deviation 1 of the training data; a missing one is the mean."""

    kind: Literal["numeric"] = Field(description="kind of feature")
    log: bool = Field(False, description="take sign(x) * log(1 + |x|) before, for values of very different sizes")
    buckets: int | None = Field(
        None, ge=2, description="quantiles of the training data that are categories besides the number; null: none"
    )
    missing_indicator: bool | None = Field(
        None, description="a further number, 1 for missing values; null: if the training data lack some"
    )


class CategoricalFeature(Section):
    """Texts that stand for categories; a missing one is a category of its own."""

    kind: Literal["categorical"] = Field(description="kind of feature")
    min_count: PositiveInt = Field(2, description="occurrences a value needs to enter the vocabulary")
    max_vocabulary: PositiveInt = Field(10000, description="most values in the vocabulary; the commonest stay")
    oov_buckets: PositiveInt = Field(1, description="categories shared, by hash, by all other values")
    hash_buckets: PositiveInt | None = Field(
        None, description="no vocabulary: categories shared, by hash, by all values; null: a vocabulary"
    )


class DateFeature(Section):
    """Dates as text, which the module takes apart; what is no date counts as missing."""

    kind: Literal["date"] = Field(description="kind of feature")
    format: Text = Field(
        "iso",
        description="iso: 2024-02-29 or 2024-02-29 23:59:59; or a pattern with %Y, %m, %d and, as wanted, %H, %M, "
        "%S, such as %d.%m.%Y",
    )
    parts: tuple[DatePart, ...] = Field(
        ("age_days", "day_of_year", "day_of_week"),
        strict=False,
        min_length=1,
        description="numbers made of it; age_days: before the latest date of the training data",
    )


Feature = Annotated[
    AutoFeature | NumericFeature | CategoricalFeature | DateFeature, Field(discriminator="kind")
]


def _with_kinds(value: Any) -> Any:
    """The long form of "auto" and of {"age": "numeric"}."""
    if value == "auto":
        value = {OTHERS: value}
    if not isinstance(value, dict):
        return value
    return {name: {"kind": kind} if isinstance(kind, str) else kind for name, kind in value.items()}


def _add_short_forms(described: dict[str, Any]) -> None:
    """Tells of the short forms in the JSON Schema."""
    described["additionalProperties"] = {"anyOf": [described["additionalProperties"], {"enum": list(KINDS)}]}
    mapping = {key: described.pop(key) for key in ("type", "additionalProperties")}
    described["anyOf"] = [{"const": "auto"}, mapping]


Features = Annotated[
    dict[Text, Feature],
    Field(min_length=1, json_schema_extra=_add_short_forms),
    BeforeValidator(_with_kinds),
]


def input_name(column: str) -> str:
    """The name of the module's input for a column: that of the column as far as a SavedModel allows.

    Anything but ASCII letters, digits and "_" is "_", other letters are their code point.
    """
    name = re.sub("[^A-Za-z0-9_]", lambda found: f"u{ord(found[0]):04x}" if found[0].isalnum() else "_", column)
    if not name[0].isalpha():
        return f"f_{name}"
    return f"{name}_" if name in _TAKEN else name


class _Column(Section):
    column: Text = Field(description="its name in the table")

    @property
    def name(self) -> str:
        """The name of the module's input."""
        return input_name(self.column)


class NumericColumn(_Column):
    """What is known of a column of numbers."""

    kind: Literal["numeric"] = Field(description="kind of feature")
    log: bool = Field(description="whether its logarithm is taken")
    mean: float = Field(description="of the training data, after the logarithm")
    std: PositiveFloat = Field(description="standard deviation of the training data, after the logarithm")
    boundaries: tuple[float, ...] = Field(description="lowest number of each bucket but the first")
    missing_indicator: bool = Field(description="whether missing values have a number of their own")


class CategoricalColumn(_Column):
    """What is known of a column of categories."""

    kind: Literal["categorical"] = Field(description="kind of feature")
    vocabulary_path: Text | None = Field(description="file of its values, one per line; null: by hash")
    size: NonNegativeInt = Field(description="values in the vocabulary, the missing one included")
    buckets: PositiveInt = Field(description="categories shared, by hash, by values that it lacks")


class DateColumn(_Column):
    """What is known of a column of dates."""

    kind: Literal["date"] = Field(description="kind of feature")
    pattern: Text = Field(description="regular expression (RE2, and Python's) of a date, with groups")
    groups: tuple[Literal["Y", "m", "d", "H", "M", "S"], ...] = Field(description="what they are, as in strftime")
    parts: tuple[DatePart, ...] = Field(description="numbers made of it")
    reference_day: int = Field(description="latest day of the training data, in days since 1970-01-01")
    mean_age_days: float = Field(description="of the training data")
    std_age_days: PositiveFloat = Field(description="standard deviation of the training data")
    mean_year: float = Field(description="of the training data")
    std_year: PositiveFloat = Field(description="standard deviation of the training data")


Column = Annotated[NumericColumn | CategoricalColumn | DateColumn, Field(discriminator="kind")]


class Table(Section):
    """What the training data tell of the features of a table: all that a module needs to take them."""

    columns: tuple[Column, ...] = Field(min_length=1, description="one for each feature")
    missing: tuple[str, ...] = Field(description="texts that stand for no value")
