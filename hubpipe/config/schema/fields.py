"""Types of keys that several sections have."""

import codecs
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

Text = Annotated[str, Field(min_length=1)]
Rate = Annotated[float, Field(ge=0, lt=1)]  # may be zero
Decay = Annotated[float, Field(gt=0, lt=1)]  # may not
ImportPath = Annotated[str, Field(pattern=r"^[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*$")]  # package.module:function
Delimiter = Annotated[str, Field(pattern=r'^[^"\r\n]$')]


def _known_encoding(name: str) -> str:
    try:
        "a".encode(name)
    except (LookupError, ValueError) as error:
        raise ValueError(f"expected an encoding of Python, such as utf-8 or latin-1; got {name!r}") from error
    return codecs.lookup(name).name


Encoding = Annotated[str, AfterValidator(_known_encoding)]


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


Files = Annotated[
    tuple[Text, ...],
    Field(min_length=1, strict=False),
    BeforeValidator(_as_list),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]}),
]


class Section(BaseModel):
    """A mapping of the YAML file: frozen, without unknown keys and without conversions between types."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)
