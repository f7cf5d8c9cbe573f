"""Types of keys that several sections have."""

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

Text = Annotated[str, Field(min_length=1)]
Rate = Annotated[float, Field(ge=0, lt=1)]  # may be zero
Decay = Annotated[float, Field(gt=0, lt=1)]  # may not
ImportPath = Annotated[str, Field(pattern=r"^[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*$")]  # package.module:function


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
