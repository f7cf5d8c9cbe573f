"""Types of keys that several sections have."""

import codecs
import os
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

Text = Annotated[str, Field(min_length=1)]
Rate = Annotated[float, Field(ge=0, lt=1)]  # may be zero
Decay = Annotated[float, Field(gt=0, lt=1)]  # may not
ImportPath = Annotated[str, Field(pattern=r"^[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*$")]  # package.module:function

# How tables are written.
Columns = Annotated[
    tuple[Text, ...] | None,
    Field(
        strict=False, description="column names of csv and tsv files without a header; null: the first line"
    ),
]


def _with_tab(value: Any) -> Any:
    return "\t" if value == r"\t" else value


Delimiter = Annotated[
    Annotated[str, BeforeValidator(_with_tab), Field(pattern=r'^[^"\r\n]$')] | None,
    Field(description="what stands between the fields of csv and tsv files; null: a comma, a tab"),
]
UTF_8 = "utf-8-sig"  # with a byte order mark or without


def _known_encoding(name: str) -> str:
    try:
        "a".encode(name)
    except (LookupError, ValueError) as error:
        raise ValueError(f"expected an encoding of Python, such as utf-8 or latin-1; got {name!r}") from error
    found = codecs.lookup(name).name
    return UTF_8 if found == "utf-8" else found


Encoding = Annotated[
    str,
    AfterValidator(_known_encoding),
    Field(description="of csv, tsv and jsonl files, as Python calls it; utf-8-sig is utf-8"),
]


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


ONE_AS_LIST = BeforeValidator(_as_list)
Files = Annotated[
    tuple[Annotated[Text, AfterValidator(os.path.expanduser)], ...],  # ~ is the home directory
    Field(min_length=1, strict=False),
    ONE_AS_LIST,
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]}),
]


class Section(BaseModel):
    """A mapping of the YAML file: frozen, without unknown keys and without conversions between types."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)
